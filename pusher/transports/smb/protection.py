"""How messages are signed and encrypted, with the keys that the sign-in left. Pure, but for the nonce that counts.

Every message of a signed-in session is one or the other. Sources: MS-SMB2 3.1.4.1 (signing), 3.1.4.3 (encrypting),
2.2.41 (TRANSFORM_HEADER); RFC 4543 (GMAC), RFC 4493 (CMAC). What must not live here: which answers must be signed
(``wire``), how the keys are derived (smbprotocol's Session).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Callable
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from smbprotocol import Dialects
from smbprotocol.connection import Ciphers, SigningAlgorithms

from pusher.transports.smb.errors import TamperedError

TRANSFORM_ID: Final = b"\xfdSMB"
_TRANSFORM = struct.Struct("<4s16s16sIHHQ")
_ENCRYPTED: Final = 1
_TAG: Final = 16
_NONCE: Final = struct.Struct("<QI")

Sign = Callable[[bytes, int, int], bytes]
"""The signature of a message whose own signature is zeros, by its message id and role (0 client, 1 server)."""


class Aead(Protocol):
    """AES-GCM or AES-CCM of ``cryptography``."""

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes | None) -> bytes: ...


def signing(dialect: int, algorithm: int | None, key: bytes) -> Sign:
    """``algorithm``: what SMB 3.1.1 negotiated, if anything (MS-SMB2 2.2.3.1.7)."""
    chosen = SigningAlgorithms.HMAC_SHA256 if dialect < Dialects.SMB_3_0_0 else SigningAlgorithms.AES_CMAC
    if dialect >= Dialects.SMB_3_1_1 and algorithm is not None:
        chosen = algorithm
    if chosen == SigningAlgorithms.AES_GMAC:
        aead = AESGCM(key)
        return lambda message, message_id, role: aead.encrypt(_NONCE.pack(message_id, role), b"", message)
    if chosen == SigningAlgorithms.AES_CMAC:
        return lambda message, _, __: _cmac(key, message)
    return lambda message, _, __: hmac.digest(key, message, hashlib.sha256)[:_TAG]


def _cmac(key: bytes, message: bytes) -> bytes:
    mac = CMAC(AES(key))
    mac.update(message)
    return mac.finalize()


class Encryption:
    """Seals and opens the frames of one session."""

    def __init__(self, dialect: int, cipher: int | None, sends: bytes, receives: bytes, session: int) -> None:
        """``cipher``: what SMB 3.1.1 negotiated; older dialects have AES-128-CCM."""
        if dialect < Dialects.SMB_3_1_1 or cipher is None:
            cipher = Ciphers.AES_128_CCM
        gcm = cipher in (Ciphers.AES_128_GCM, Ciphers.AES_256_GCM)
        kind: Callable[[bytes], Aead] = AESGCM if gcm else AESCCM
        self._sends, self._receives = kind(sends), kind(receives)
        self._nonce_size, self._session, self._count = 12 if gcm else 11, session, 0

    def seal(self, plain: bytes) -> bytes:
        """A frame with ``plain`` in it. No nonce comes twice under a key: it counts (MS-SMB2 3.1.4.3)."""
        self._count += 1
        nonce = self._count.to_bytes(self._nonce_size, "little")
        head = _TRANSFORM.pack(TRANSFORM_ID, b"", nonce, len(plain), 0, _ENCRYPTED, self._session)
        sealed = self._sends.encrypt(nonce, plain, head[20:])
        return b"".join((head[:4], sealed[-_TAG:], head[20:], memoryview(sealed)[:-_TAG]))

    def open(self, frame: bytes) -> bytes:
        """What is in ``frame``. TamperedError where it is not this session's, or was not sealed with its key."""
        if len(frame) < _TRANSFORM.size:
            raise TamperedError(f"an encrypted frame of {len(frame)} bytes")
        _, tag, nonce, size, _, flags, session = _TRANSFORM.unpack_from(frame)
        if flags != _ENCRYPTED or session != self._session or size != len(frame) - _TRANSFORM.size:
            raise TamperedError("an encrypted frame that is not this session's")
        try:
            sealed = frame[_TRANSFORM.size :] + tag
            return self._receives.decrypt(nonce[: self._nonce_size], sealed, frame[20 : _TRANSFORM.size])
        except InvalidTag as error:
            raise TamperedError("the encrypted answer does not verify") from error
