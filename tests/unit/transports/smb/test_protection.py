"""Signing and encryption, as smbprotocol does them and as it reads them."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from smbprotocol import Dialects
from smbprotocol.connection import Ciphers, Connection, SigningAlgorithms, SMB2TransformHeader
from smbprotocol.header import Commands

from pusher.transports.smb.errors import TamperedError
from pusher.transports.smb.protection import Encryption, signing

SESSION = 0x1122334455667788
SIGNING = [
    (Dialects.SMB_2_1_0, None), (Dialects.SMB_3_0_0, None), (Dialects.SMB_3_0_2, None), (Dialects.SMB_3_1_1, None),
    (Dialects.SMB_3_1_1, SigningAlgorithms.HMAC_SHA256), (Dialects.SMB_3_1_1, SigningAlgorithms.AES_CMAC),
    (Dialects.SMB_3_1_1, SigningAlgorithms.AES_GMAC),
]  # fmt: skip
ENCRYPTION = [
    (Dialects.SMB_3_0_0, None, 16), (Dialects.SMB_3_0_2, None, 16), (Dialects.SMB_3_1_1, Ciphers.AES_128_CCM, 16),
    (Dialects.SMB_3_1_1, Ciphers.AES_128_GCM, 16), (Dialects.SMB_3_1_1, Ciphers.AES_256_CCM, 32),
    (Dialects.SMB_3_1_1, Ciphers.AES_256_GCM, 32),
]  # fmt: skip


def theirs(dialect: int, *, cipher: int | None = None, algorithm: int | None = None) -> Any:
    made = Connection(None, "server", 445)
    made.dialect, made.cipher_id, made.signing_algorithm_id = dialect, cipher, algorithm
    return made


@pytest.mark.parametrize(("dialect", "algorithm"), SIGNING)
@pytest.mark.parametrize("role", [0, 1])
@settings(max_examples=30)
@given(data=st.data())
def test_a_signature_is_smbprotocols(dialect: int, algorithm: int | None, role: int, data: st.DataObject) -> None:
    key, number = data.draw(st.binary(min_size=16, max_size=16)), data.draw(st.integers(0, 2**64 - 1))
    message = data.draw(st.binary(min_size=64, max_size=200))
    message = message[:48] + bytes(16) + message[64:]
    other = theirs(dialect, algorithm=algorithm)
    expected = other._generate_signature(message, key, number, bool(role), Commands.SMB2_WRITE)
    assert signing(dialect, algorithm, key)(message, number, role) == expected


def pair(dialect: int, cipher: int | None, size: int) -> tuple[Encryption, Any, Any]:
    """Ours, and smbprotocol's with the keys the other way round."""
    out, back = os.urandom(size), os.urandom(size)
    other = theirs(dialect, cipher=cipher)
    session = SimpleNamespace(session_id=SESSION, encryption_key=back, decryption_key=out)
    other.session_table[SESSION] = session
    return Encryption(dialect, cipher, out, back, SESSION), other, session


@pytest.mark.parametrize(("dialect", "cipher", "size"), ENCRYPTION)
@given(plain=st.binary(min_size=1, max_size=300))
def test_smbprotocol_reads_what_is_sealed_and_is_read(
    dialect: int, cipher: int | None, size: int, plain: bytes
) -> None:
    ours, other, session = pair(dialect, cipher, size)
    frame = SMB2TransformHeader()
    frame.unpack(ours.seal(plain))
    assert other._decrypt(frame) == plain
    assert ours.open(other._encrypt(plain, session).pack()) == plain


def nonce(frame: bytes) -> bytes:
    return frame[20:36]


@pytest.mark.parametrize(("dialect", "cipher", "size"), ENCRYPTION)
def test_no_nonce_comes_twice(dialect: int, cipher: int | None, size: int) -> None:
    ours, _, _ = pair(dialect, cipher, size)
    assert len({nonce(ours.seal(b"the same")) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(("dialect", "cipher", "size"), ENCRYPTION)
@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_one_changed_bit_is_noticed(dialect: int, cipher: int | None, size: int, at: int, bit: int) -> None:
    """All but the protocol's name and the reserved field's bits that nobody reads are authenticated."""
    ours, other, session = pair(dialect, cipher, size)
    frame = bytearray(other._encrypt(b"an answer of forty bytes, more or less..", session).pack())
    frame[4 + at % (len(frame) - 4)] ^= 1 << bit
    with pytest.raises(TamperedError):
        ours.open(bytes(frame))


@pytest.mark.parametrize("length", [0, 4, 51])
def test_a_frame_that_is_cut_short(length: int) -> None:
    ours, other, session = pair(*ENCRYPTION[3])
    with pytest.raises(TamperedError):
        ours.open(other._encrypt(b"data", session).pack()[:length])


def test_a_frame_of_another_session() -> None:
    ours, other, session = pair(*ENCRYPTION[3])
    session.session_id = SESSION + 1
    with pytest.raises(TamperedError):
        ours.open(other._encrypt(b"data", session).pack())
