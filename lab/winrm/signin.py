"""Signing in: NTLM against the host's own accounts, or Kerberos where there is a keytab. MS-NLMP, RFC 4559, RFC 5929.

pyspnego does the cryptography of both. Its NTLM acceptor names the machine by its host name only and knows no state
of an account; what is added here is the names that smbd gives too (MS-NLMP 2.2.2.1) and the account's state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import spnego
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from spnego._ntlm import NTLMProxy
from spnego._ntlm_raw.messages import (
    Authenticate,
    AvId,
    Challenge,
    FileTime,
    NegotiateFlags,
    NTClientChallengeV2,
    TargetInfo,
    Version,
)
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import BadBindingsError, InvalidTokenError, SpnegoError

from lab.winrm.config import Binding, Config, User

_WINDOWS = Version(major=10, minor=0, build=20348)
_NTLM = b"NTLMSSP\0"


class Sealing(Protocol):
    """What message encryption wants of a context that is complete."""

    def wrap_winrm(self, data: bytes) -> object: ...

    def unwrap_winrm(self, header: bytes, data: bytes) -> bytes: ...


@dataclass(frozen=True, kw_only=True)
class Refused(Exception):
    """A sign-in that failed; Windows tells the client no more than 401."""

    user: str
    status: str


class SignIn:
    """One sign-in of one connection, token by token."""

    def __init__(self, config: Config, scheme: str, certificate: bytes | None, binding: Binding) -> None:
        """`certificate` is the listener's, in DER; None for HTTP."""
        self._config = config
        self._scheme = scheme
        self._binding = binding
        self._expected = bindings_of(certificate) if certificate is not None and binding is not Binding.NONE else None
        self._context: NTLMProxy | None = None
        self._kerberos: spnego.ContextProxy | None = None
        self.user: User | None = None
        self.protocol = "ntlm"
        self.bound = False

    @property
    def complete(self) -> bool:
        return self.user is not None

    @property
    def sealing(self) -> Sealing:
        context = self._context or self._kerberos
        assert context is not None
        return context

    def step(self, token: bytes) -> bytes:
        """The answer to a token, empty at the end; `Refused` where there is no way in."""
        if token.startswith(_NTLM):
            return self._ntlm(token)
        return self._by_ticket(token)

    def _ntlm(self, token: bytes) -> bytes:
        if self._context is None:
            self._context = _Acceptor(self._config)
            return self._context.step(token) or b""
        try:
            name = Authenticate.unpack(token).user_name or ""
        except (ValueError, SpnegoError) as exc:
            raise Refused(user="", status="NT_STATUS_INVALID_PARAMETER") from exc
        self.bound = _sends_binding(token)
        try:
            # The acceptor insists on bindings that it is given; a client that sends none is let in when relaxed.
            wanted = self._expected if self.bound or self._binding is Binding.STRICT else None
            self._context.step(token, channel_bindings=wanted)
        except BadBindingsError as exc:
            raise Refused(user=name, status="NT_STATUS_BAD_BINDINGS") from exc
        except InvalidTokenError as exc:
            raise Refused(user=name, status="NT_STATUS_WRONG_PASSWORD") from exc
        except (SpnegoError, ValueError) as exc:
            raise Refused(user=name, status="NT_STATUS_NO_SUCH_USER") from exc
        self._admit(name)
        return b""

    def _by_ticket(self, token: bytes) -> bytes:
        """Kerberos, bare or in SPNEGO. Without a keytab, or without a Kerberos library, it is refused."""
        try:
            if self._kerberos is None:
                protocol = "kerberos" if self._scheme.lower() == "kerberos" else "negotiate"
                self._kerberos = spnego.server(
                    hostname=self._config.fqdn, service="HTTP", protocol=protocol, channel_bindings=self._expected
                )
            answer = self._kerberos.step(token)
        except (SpnegoError, ValueError, ImportError) as exc:
            raise Refused(user="", status="NT_STATUS_LOGON_FAILURE") from exc
        if self._kerberos.complete:
            self.protocol = "kerberos"
            self._admit((self._kerberos.client_principal or "").partition("@")[0])
        return answer or b""

    def _admit(self, name: str) -> None:
        user = self._config.user(name)
        if user is None:
            raise Refused(user=name, status="NT_STATUS_NO_SUCH_USER")
        if user.refused is not None:
            raise Refused(user=name, status=user.refused)
        self.user = user


class _Acceptor(NTLMProxy):
    """pyspnego's NTLM acceptor, giving the host's NetBIOS and DNS names."""

    def __init__(self, config: Config) -> None:
        super().__init__(usage="accept", protocol="ntlm")
        self._lab_config = config

    def _step_accept_negotiate(self, token: bytes) -> bytes:
        super()._step_accept_negotiate(token)
        made = self._temp_challenge
        assert made is not None
        name = self._lab_config.name.upper()
        names = TargetInfo()
        names[AvId.nb_domain_name] = name
        names[AvId.nb_computer_name] = name
        names[AvId.dns_domain_name] = self._lab_config.domain
        names[AvId.dns_computer_name] = self._lab_config.fqdn
        names[AvId.timestamp] = FileTime.now()
        self._temp_challenge = Challenge(
            made.flags | NegotiateFlags.version,
            made.server_challenge,
            target_name=name,
            target_info=names,
            version=_WINDOWS,
        )
        return self._temp_challenge.pack()


def _sends_binding(token: bytes) -> bool:
    """Whether the client's NTLMv2 answer holds a channel binding other than the empty one."""
    answer = Authenticate.unpack(token).nt_challenge_response
    if not answer or len(answer) <= 24:
        return False
    sent = NTClientChallengeV2.unpack(answer[16:]).av_pairs.get(AvId.channel_bindings)
    return bool(sent) and sent != bytes(16)


def bindings_of(certificate: bytes) -> GssChannelBindings:
    """RFC 5929 4.1: tls-server-end-point, by the hash of the certificate's own signature."""
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    if algorithm is None or algorithm.name in ("md5", "sha1"):
        algorithm = hashes.SHA256()
    digest = hashes.Hash(algorithm)
    digest.update(certificate)
    return GssChannelBindings(application_data=b"tls-server-end-point:" + digest.finalize())
