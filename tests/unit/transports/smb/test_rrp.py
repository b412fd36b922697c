"""MS-RRP's templates, byte for byte as impacket marshals them; and answers, whatever bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from impacket.dcerpc.v5 import rrp as theirs

from pusher.transports.smb import rrp
from pusher.transports.smb.errors import CallError, WireError
from tests.unit.transports.smb.marshalling import marshalled, same, same_referents  # noqa: F401

KEY = bytes(range(20))
THEIR_KEY = theirs.OpenLocalMachineResponse(KEY + bytes(4))["phKey"]
texts = st.text(st.characters(exclude_categories=["C"], max_codepoint=0xFFFF), min_size=1, max_size=40)
"""Of what lies above, impacket counts characters where the protocol counts bytes."""
numbers = st.integers(0, 2**32 - 1)


def test_the_interface() -> None:
    assert rrp.INTERFACE == theirs.MSRPC_UUID_RRP


def test_opening_a_hive() -> None:
    same(rrp.open_hive("HKLM"), theirs.hOpenLocalMachine)
    same(rrp.open_hive("HKU"), theirs.hOpenUsers)
    same(rrp.open_hive("HKCR"), theirs.hOpenClassesRoot)


@given(texts, numbers)
def test_opening_a_key(path: str, access: int) -> None:
    same(
        rrp.open_key(KEY, path, access),
        lambda rpc: theirs.hBaseRegOpenKey(rpc, THEIR_KEY, path, dwOptions=0, samDesired=access),
    )


def test_lengths_are_in_bytes_whatever_the_text() -> None:
    stub = rrp.open_key(KEY, "a\U0001f5a5", 1).stub
    assert stub[20:24] == bytes([8, 0, 8, 0]) and stub[28:40] == bytes([4, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0])


def test_closing_a_key() -> None:
    same(rrp.close_key(KEY), lambda rpc: theirs.hBaseRegCloseKey(rpc, THEIR_KEY))


@given(texts, st.integers(1, 9000))
def test_asking_for_a_value(name: str, room: int) -> None:
    """Nothing of the buffer is sent, only its size: the one difference."""

    def ask(rpc: object) -> None:
        call = theirs.BaseRegQueryValue()
        call["hKey"], call["lpValueName"], call["lpData"] = THEIR_KEY, f"{name}\0", b"\0" * room
        call["lpType"], call["lpcbData"], call["lpcbLen"] = 0, room, room
        rpc.request(call)  # type: ignore[attr-defined]

    opnum, full = marshalled(ask)
    ours, buffer = rrp.query_value(KEY, name, room), room + -room % 4
    at = len(full) - 16 - buffer
    assert ours.opnum == opnum
    assert len(ours.stub) == len(full) - buffer
    assert ours.stub[-16:] == full[-16:-4] + bytes(4)
    assert ours.stub[at - 12 : at] == room.to_bytes(4, "little") + bytes(8)
    assert ours.stub[: at - 12].replace(b"\0\0", b"") == full[: at - 12].replace(b"\xaa\xaa", b"").replace(b"\0\0", b"")


def value(data: bytes, kind: int = 3, status: int = 0) -> bytes:
    made = theirs.BaseRegQueryValueResponse()
    made["lpType"], made["lpData"], made["lpcbData"], made["lpcbLen"] = kind, data, 8192, len(data)
    made["ErrorCode"] = status
    stub: bytes = made.getData()
    return stub


@given(st.binary(min_size=1, max_size=300), numbers)
def test_a_value(data: bytes, kind: int) -> None:
    assert rrp.value_of(value(data, kind)) == (kind, data)


def test_a_key() -> None:
    assert rrp.key_of(KEY + bytes(4)) == KEY
    with pytest.raises(CallError) as caught:
        rrp.key_of(bytes(20) + (2).to_bytes(4, "little"))
    assert caught.value.status == 2


@settings(max_examples=300)
@given(st.binary(max_size=80) | st.binary(max_size=70).map(lambda data: data + bytes(4)))
def test_whatever_comes_is_read_or_refused(stub: bytes) -> None:
    for read in (rrp.key_of, rrp.value_of):
        try:
            read(stub)
        except WireError:
            continue


@given(at=st.integers(0, 40), to=st.integers(0, 255))
def test_a_value_with_one_byte_changed_is_never_longer_than_what_came(at: int, to: int) -> None:
    stub = bytearray(value(b"abcdefgh"))
    stub[at % len(stub)] = to
    try:
        _, data = rrp.value_of(bytes(stub))
    except WireError:
        return
    assert len(data) <= len(stub) - 28
