"""Samba's named-pipe-auth handshake: how smbd hands an opened pipe to the process that serves it.

smbd connects to a Unix socket and first says, in NDR, who opened the pipe. The reply says what kind of
pipe it is; afterwards each message is preceded by its length. The format is internal to Samba and changes
with its versions, so the level is checked and an unknown one is refused with a clear message.

Here: the bytes. Not here: sockets, and what the caller may do (access.py, scm.py).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

MAGIC = b"NPAM"
LEVEL = 7  # Samba 4.16 to 4.18
ADMINISTRATORS = "S-1-5-32-544"

_MESSAGE_MODE_PIPE = 2
_DEVICE_STATE = 0x0400 | 0x0100 | 0xFF  # message type, message read mode, unlimited instances
_ALLOCATION_SIZE = 4096


class HandshakeError(Exception):
    """The bytes are not the handshake this module knows."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who opened the pipe, as smbd vouches for it."""

    user: str = ""
    address: str = ""
    sids: tuple[str, ...] = field(default=())
    session_key: bytes = field(default=b"", repr=False)  # what applications encrypt secrets with

    @property
    def is_administrator(self) -> bool:
        return ADMINISTRATORS in self.sids


class _Reader:
    """NDR (little endian, 4-byte pointers) read from the front. Alignment counts from the first byte."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def skip(self, count: int) -> None:
        self.take(count)

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._data):
            raise HandshakeError(f"the handshake ends at byte {len(self._data)} where more was announced")
        piece = self._data[self._at : self._at + count]
        self._at += count
        return piece

    def align(self, size: int) -> None:
        self.skip(-self._at % size)

    def number(self, size: int) -> int:
        self.align(size)
        return int.from_bytes(self.take(size), "little")

    def u8(self) -> int:
        return self.number(1)

    def u16(self) -> int:
        return self.number(2)

    def u32(self) -> int:
        return self.number(4)

    def u64(self) -> int:
        return self.number(8)

    def string(self) -> str:
        self.u32()  # maximum count
        self.u32()  # offset
        return self.take(self.u32()).rstrip(b"\0").decode()

    def blob(self) -> bytes:
        return self.take(self.u32())

    def sid(self) -> str:
        self.align(4)
        self.u8()  # revision
        count = self.u8()
        authority = int.from_bytes(self.take(6), "big")
        return "-".join(["S-1", str(authority), *(str(self.u32()) for _ in range(count))])


def parse_request(packet: bytes) -> Caller:
    """`packet` is the whole request, its 4-byte length included (NDR alignment counts from there)."""
    if packet[4:8] != MAGIC:
        raise HandshakeError(f"expected {MAGIC!r} at byte 4, got {packet[4:8]!r}")
    reader = _Reader(packet)
    reader.skip(8)
    level = reader.u32()
    if level != LEVEL or reader.u32() != level:
        raise HandshakeError(f"the handshake has level {level}; this lab knows level {LEVEL} (Samba 4.16 to 4.18)")
    reader.u32()  # pointer to the level's structure
    has_remote_name, has_remote_address, _remote_port = reader.u32(), reader.u32(), reader.u16()
    has_local_name, has_local_address, _local_port = reader.u32(), reader.u32(), reader.u16()
    has_session = reader.u32()
    if has_remote_name:
        reader.string()
    address = reader.string() if has_remote_address else ""
    for present in (has_local_name, has_local_address):
        if present:
            reader.string()
    if not has_session:
        return Caller(address=address)
    return _session(reader, address)


def _session(reader: _Reader, address: str) -> Caller:
    """auth_session_info_transport: the caller's token and names."""
    has_info = reader.u32()
    reader.blob()  # exported GSSAPI credentials
    if not has_info:
        return Caller(address=address)
    has_token, has_unix_token, has_user_info, _unix_info, _torture = (reader.u32() for _ in range(5))
    session_key = reader.blob()
    reader.u32()  # pointer to the credentials, never sent
    reader.skip(16)  # unique session token (GUID)
    reader.u32()  # ticket type
    sids = _token(reader) if has_token else ()
    if has_unix_token:
        _unix_token(reader)
    return Caller(user=_user_name(reader) if has_user_info else "", address=address, sids=sids, session_key=session_key)


def _token(reader: _Reader) -> tuple[str, ...]:
    reader.align(8)
    reader.u32()  # maximum count
    sids = tuple(reader.sid() for _ in range(reader.u32()))
    reader.u64()  # privileges
    reader.u32()  # rights
    return sids


def _unix_token(reader: _Reader) -> None:
    reader.u32()  # maximum count of groups
    reader.u64()  # uid
    reader.u64()  # gid
    groups = reader.u32()
    reader.align(8)
    reader.skip(8 * groups)


def _user_name(reader: _Reader) -> str:
    has_account_name = reader.u32()
    reader.u32()  # pointer to the user principal name
    reader.u8()  # the principal name was constructed
    for _ in range(8):  # pointers to domain, full name, logon script and so on
        reader.u32()
    reader.align(4)
    reader.skip(6 * 8)  # logon and password times
    reader.skip(2 + 2 + 4)  # logon count, bad password count, account flags
    reader.u8()  # authenticated
    return reader.string() if has_account_name else ""


def reply(status: int = 0) -> bytes:
    """The answer to a request: a pipe in message mode, or the NTSTATUS why not. Its 4-byte length is included."""
    body = MAGIC + struct.pack("<IIHH", LEVEL, LEVEL, _MESSAGE_MODE_PIPE, _DEVICE_STATE)
    body += bytes(-(len(body) + 4) % 8) + struct.pack("<QI", _ALLOCATION_SIZE, status)
    return struct.pack(">I", len(body)) + body


def message(data: bytes) -> bytes:
    """One message of the pipe as it goes over the socket."""
    return struct.pack("<H", len(data)) + data
