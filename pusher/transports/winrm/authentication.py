"""Who answers and signing in, as HTTP says it: Negotiate and Kerberos (RFC 4559), over one wire.

One AUTHENTICATE a wire, by construction: what the server answers to it is the verdict, and nothing here or above
begins a second one. pypsrp's own HTTP transport is not used for this: it would sign in again at any later 401,
take an answer in clear for one that must be encrypted, and accept Kerberos without the server's proof.
Sources: MS-WSMV 2.2.9.1 (encrypted messages), MS-NLMP 3.1.5, RFC 4559, RFC 5929.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

import spnego
from pypsrp.encryption import WinRMEncryption
from spnego.channel_bindings import GssChannelBindings

from pusher.models import Credential, Protocol
from pusher.problems import Code, ProblemError
from pusher.transports.challenge import NEGOTIATE_MESSAGE, Challenge, challenge_flags, parse_challenge
from pusher.transports.codes import Operation, of
from pusher.transports.winrm.wire import Answer, Wire

NEGOTIATE, KERBEROS = "Negotiate", "Kerberos"
_SCHEMES = (NEGOTIATE, KERBEROS)
_MAX_LEGS = 5
"""Tokens sent in one sign-in: NTLM needs two, Kerberos one or two."""
_UNAUTHORIZED = 401
SOAP = "application/soap+xml;charset=UTF-8"
MAX_BODY = 16 * 1024
"""What a listener may say, beside its headers, to somebody who has not signed in."""
_ACCEPTED = (200, 400, 415, 500)
"""The verdict on the sign-in is not that on the empty message it came with, which a service may find fault with."""
_STRONG = 0x00000010 | 0x00000020 | 0x00080000 | 0x20000000 | 0x40000000
"""MS-NLMP 2.2.2.5: SIGN, SEAL, EXTENDED_SESSIONSECURITY, 128, KEY_EXCH; every Windows since 2000 offers them all."""
_SERVICE = "host"  # every machine account has it, and the directory lets it stand for HTTP and WSMAN (sPNMappings)


class StatusError(Exception):
    """An HTTP status that ends what was being done."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status


class UnprovenServerError(Exception):
    """Kerberos: the server took the ticket and did not prove that it can read it."""


class NoProtectionError(Exception):
    """The sign-in agreed on no encryption, and the wire has none."""


def who_answers(wire: Wire) -> tuple[frozenset[str], Challenge | None]:
    """The schemes that the listener offers, and the names in its NTLM challenge; None where it gives none.

    One request with a nameless NEGOTIATE: Windows ends the connection with a 401 to a request that has no token, and
    whoever does not know Negotiate answers with what he knows.
    """
    answer = wire.post(b"", _headers(NEGOTIATE, NEGOTIATE_MESSAGE), MAX_BODY)
    if answer.status != _UNAUTHORIZED:
        raise StatusError(answer.status)
    # Each has a header, or all have one; what follows a scheme's name is its own (RFC 9110 11.6.1).
    parts = [part for line in answer.challenges for part in line.split(",")]
    found = {part.strip().partition(" ")[0].lower() for part in parts}
    token = _token(answer, NEGOTIATE)
    return (
        frozenset(scheme for scheme in _SCHEMES if scheme.lower() in found),
        parse_challenge(token) if token else None,
    )


def sign_in(
    wire: Wire,
    credential: Credential,
    user: str,
    schemes: frozenset[str],
    sending: Callable[[], None],
) -> WinRMEncryption | None:
    """Authenticate the wire; None where TLS protects it, else what encrypts its messages.

    ``sending`` is called before anything derived from the secret may leave. StatusError with 401 is a refusal.
    """
    scheme = _scheme(credential.protocol, schemes)
    certificate = wire.certificate
    if credential.protocol is Protocol.KERBEROS:
        sending()  # with a password the first step is the AS-REQ
    context = spnego.client(
        spnego.KerberosCCache(credential.ccache) if credential.ccache else user or None,
        credential.secret.reveal() if credential.secret else None,
        hostname=wire.host,
        service=_SERVICE,
        channel_bindings=GssChannelBindings(application_data=certificate.binding) if certificate else None,
        protocol=credential.protocol.value,
        options=spnego.NegotiateOptions.none if certificate else spnego.NegotiateOptions.wrapping_winrm,
    )
    bare = certificate is None and credential.protocol is Protocol.NTLM
    answer = _exchange(wire, context, scheme, sending, _refuse_weak if bare else lambda token: None)
    if answer.status not in _ACCEPTED:
        raise StatusError(answer.status)
    if not context.complete:
        raise UnprovenServerError
    if certificate:
        return None
    if not context.context_attr & spnego.ContextReq.confidentiality:
        raise NoProtectionError
    return WinRMEncryption(context, WinRMEncryption.KERBEROS if scheme == KERBEROS else WinRMEncryption.SPNEGO)


def _exchange(
    wire: Wire, context: Any, scheme: str, sending: Callable[[], None], look: Callable[[bytes], None]
) -> Answer:
    """Token for token, until the server gives its verdict; ``look`` sees each of the server's first."""
    token = context.step()
    for leg in range(_MAX_LEGS):
        if leg:
            if wire.lost:
                raise ConnectionAbortedError("it hung up with its challenge")  # a token that cannot leave has not left
            sending()
        answer = wire.post(b"", _headers(scheme, token), MAX_BODY)
        given = _token(answer, scheme)
        if given is None:
            return answer
        look(given)
        token = context.step(given)
        if not token:
            return answer
        if answer.status != _UNAUTHORIZED:
            raise StatusError(answer.status)
    raise ProblemError(of(Code.PROTOCOL_ERROR, Operation.SIGN_IN, "the exchange of tokens has no end"))


def _refuse_weak(challenge: bytes) -> None:
    """Whoever is on the way may strip the challenge of what makes the encryption strong; pyspnego follows it."""
    if challenge_flags(challenge) & _STRONG != _STRONG:
        raise NoProtectionError("the challenge offers no strong encryption")


def _scheme(protocol: Protocol, schemes: frozenset[str]) -> str:
    if NEGOTIATE in schemes:
        return NEGOTIATE
    if protocol is Protocol.KERBEROS and KERBEROS in schemes:
        return KERBEROS
    if protocol is Protocol.NTLM and KERBEROS in schemes:
        raise ProblemError(of(Code.NTLM_BLOCKED, Operation.SIGN_IN, "the listener offers Kerberos only"))
    raise ProblemError(of(Code.WINRM_REFUSED, Operation.SIGN_IN, "the listener offers neither Negotiate nor Kerberos"))


def _headers(scheme: str, token: bytes) -> dict[str, str]:
    """A service was seen to answer 415 to a request that does not say what it holds, be it nothing."""
    return {"Authorization": f"{scheme} {base64.b64encode(token).decode()}", "Content-Type": SOAP}


def _token(answer: Answer, scheme: str) -> bytes | None:
    """The token that the answer carries for ``scheme``; None where it has none."""
    for line in answer.challenges:
        name, _, rest = line.strip().partition(" ")
        if name.lower() == scheme.lower() and (text := rest.partition(",")[0].strip()):
            try:
                return base64.b64decode(text, validate=True)
            except binascii.Error as error:
                raise ProblemError(of(Code.PROTOCOL_ERROR, Operation.SIGN_IN, "a token that is not Base64")) from error
    return None
