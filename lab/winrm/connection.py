"""One connection: who is it, may he in, and is what he sends sealed. MS-WSMV 2.2.9, RFC 4559.

Not here: how a sign-in is verified (signin.py), how messages are sealed (sealing.py), what is asked (service.py).
"""

from __future__ import annotations

import asyncio
import base64
import binascii

from lab.winrm import envelope, sealing
from lab.winrm.config import Deny
from lab.winrm.http import Request, Response
from lab.winrm.service import Service
from lab.winrm.signin import Refused, SignIn

_SOAP = "application/soap+xml;charset=UTF-8"
_CLOSE = ("Connection", "close")  # as Windows answers whoever sent no token, and whoever asked by another method
_CHALLENGES = [("WWW-Authenticate", "Negotiate"), ("WWW-Authenticate", "Kerberos"), _CLOSE]
_SCHEMES = ("negotiate", "kerberos")


class Connection:
    """Answers one connection's requests; who has signed in on it stays so."""

    def __init__(self, service: Service, certificate: bytes | None) -> None:
        """`certificate` is the listener's in DER; None for HTTP."""
        self._service = service
        self._certificate = certificate
        self._sign_in: SignIn | None = None

    @property
    def _secure(self) -> bool:
        return self._certificate is not None

    async def answer(self, request: Request) -> Response:
        behaviour = self._service.behaviour
        if behaviour.delay_ms:
            await asyncio.sleep(behaviour.delay_ms / 1000)
        if behaviour.status:
            return Response(status=behaviour.status)
        if request.target.partition("?")[0] not in ("/wsman", "/wsman-anon/identify"):
            return Response(status=404)
        if request.method != "POST":
            return Response(status=405, headers=[("Allow", "POST"), _CLOSE])
        if request.headers.get("wsmanidentify", "").lower() == "unauthenticated":
            return Response(status=200, headers=[("Content-Type", _SOAP)], body=envelope.identify_answer())
        headers: list[tuple[str, str]] = []
        if "authorization" in request.headers:
            refused = self._authorize(request.headers["authorization"], headers)
            if refused is not None:
                return refused
        if self._sign_in is None or self._sign_in.user is None:
            return Response(status=401, headers=_CHALLENGES)
        if not self._sign_in.user.administrator and behaviour.deny is Deny.UNAUTHORIZED:
            return Response(status=401, headers=_CHALLENGES)
        if not request.body:
            return Response(status=200, headers=headers)
        if not _is_known(request.headers.get("content-type", "")):
            return Response(status=415, headers=headers)
        return await self._message(request, headers)

    def _authorize(self, header: str, headers: list[tuple[str, str]]) -> Response | None:
        """One token; None once the sign-in is complete."""
        scheme, _, text = header.partition(" ")
        if scheme.lower() not in _SCHEMES:  # Basic among them
            self._sign_in = None
            return Response(status=401, headers=_CHALLENGES)
        if self._sign_in is None or self._sign_in.complete:
            self._sign_in = SignIn(self._service.config, scheme, self._certificate, self._service.behaviour.binding)
        sign_in = self._sign_in
        try:
            answer = sign_in.step(base64.b64decode(text, validate=True))
        except Refused as refused:
            self._note(sign_in, refused.user, refused.status)
            self._sign_in = None
            return Response(status=401, headers=_CHALLENGES)
        except (ValueError, binascii.Error):
            self._sign_in = None
            return Response(status=400)
        if answer:
            headers.append(("WWW-Authenticate", f"{scheme} {base64.b64encode(answer).decode()}"))
        if sign_in.user is None:
            return Response(status=401, headers=headers)
        self._note(sign_in, sign_in.user.name, "NT_STATUS_OK")
        return None

    def _note(self, sign_in: SignIn, user: str, status: str) -> None:
        self._service.journal.note(
            "sign-in", user=user, status=status, protocol=sign_in.protocol, secure=self._secure, bound=sign_in.bound
        )

    async def _message(self, request: Request, headers: list[tuple[str, str]]) -> Response:
        sign_in = self._sign_in
        assert sign_in is not None and sign_in.user is not None
        kind = request.headers.get("content-type", "")
        sealed = sealing.is_sealed(kind)
        soap = request.body
        if sealed:
            try:
                soap = sealing.unseal(sign_in.sealing, soap)
            except sealing.SealError as exc:
                self._service.journal.note("seal-broken", user=sign_in.user.name, why=str(exc))
                return Response(status=400, headers=headers)
        elif not self._secure and not self._service.behaviour.allow_unencrypted:
            self._service.journal.note("unencrypted-refused", user=sign_in.user.name)
            return Response(status=500, headers=headers)
        if envelope.IDENTITY.encode() in soap:
            status, answer = 200, envelope.identify_answer()
        else:
            status, answer = await self._service.answer(soap, sign_in.user, secure=self._secure)
        if not answer:
            return Response(status=status, headers=headers)
        kind = _SOAP
        if sealed:
            kind, answer = sealing.seal(sign_in.sealing, answer, sign_in.protocol)
        return Response(status=status, headers=[*headers, ("Content-Type", kind)], body=answer)


def _is_known(content_type: str) -> bool:
    return content_type.lower().startswith(("application/soap+xml", "multipart/encrypted"))
