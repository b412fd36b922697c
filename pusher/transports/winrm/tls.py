"""Whose certificate is believed: a CA's (the system's, or a private one), or one that is pinned. No sockets here.

A certificate that does not hold up ends the way to the machine; nothing falls back to HTTP because of it.
Sources: RFC 9525 (names in certificates), RFC 5929 4.1 (tls-server-end-point).
"""

from __future__ import annotations

import hashlib
import hmac
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes

from pusher.problems import BadInput

_MAX_NAME = 100


class PinMismatchError(Exception):
    """The peer's certificate is not the one whose fingerprint was given."""


def _validating(ca: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca) if ca else None)
    context.hostname_checks_common_name = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


@dataclass(frozen=True, slots=True)
class Certificate:
    """The certificate of a TLS connection that was believed, and the words that say why."""

    der: bytes
    proof: str

    @property
    def binding(self) -> bytes:
        """The ``tls-server-end-point`` channel binding (RFC 5929 4.1): MD5 and SHA-1 are replaced by SHA-256."""
        try:
            algorithm = x509.load_der_x509_certificate(self.der).signature_hash_algorithm
        except (ValueError, UnsupportedAlgorithm):
            algorithm = None
        if algorithm is None or algorithm.name in ("md5", "sha1"):
            algorithm = hashes.SHA256()
        digest = hashes.Hash(algorithm)
        digest.update(self.der)
        return b"tls-server-end-point:" + digest.finalize()


class Trust:
    """The TLS contexts of a process: reading the system's CAs costs tens of milliseconds, so it is done once, by the
    first connection that needs them.

    ``ca``: a PEM file of the only CAs to believe. BadInput where it cannot be used.
    """

    def __init__(self, ca: Path | None) -> None:
        try:
            self._own = _validating(ca) if ca is not None else None
        except (OSError, ValueError) as error:
            raise BadInput(None, f"{ca}: no usable CA file", "a file of certificates in PEM format") from error
        self._pinning = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._pinning.check_hostname = False
        self._pinning.verify_mode = ssl.CERT_NONE  # the fingerprint is compared before anything is sent
        self._pinning.minimum_version = ssl.TLSVersion.TLSv1_2

    def context(self, fingerprint: str | None) -> ssl.SSLContext:
        if fingerprint is not None:
            return self._pinning
        return self._own or self._system

    @cached_property
    def _system(self) -> ssl.SSLContext:
        return _validating(None)

    def believe(self, tls: ssl.SSLSocket, host: str, fingerprint: str | None) -> Certificate:
        """The certificate of a connection whose handshake is done. PinMismatchError where it is not the pinned one."""
        der = tls.getpeercert(True)
        if not der:
            raise ssl.SSLError("no certificate")
        if fingerprint is None:
            return Certificate(der, f"certificate for {host}, issued by {_issuer(tls.getpeercert())}")
        found = hashlib.sha256(der).hexdigest()
        if not hmac.compare_digest(found, fingerprint.lower().replace(":", "")):
            raise PinMismatchError(f"SHA-256 {found}")
        return Certificate(der, f"certificate pinned by its fingerprint {found[:16]}…")


def _issuer(certificate: Any) -> str:
    """The issuer's common name, else its organization."""
    parts: Iterable[Iterable[tuple[str, str]]] = (certificate or {}).get("issuer", ())
    names = {kind: value for part in parts for kind, value in part}
    name = str(names.get("commonName") or names.get("organizationName") or "a CA without a name")
    return "".join(c for c in name if c.isprintable())[:_MAX_NAME]
