"""The named-pipe-auth handshake, on packets that Samba 4.17 sent (their session keys zeroed)."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from lab import npa

SAMPLES = Path(__file__).parent / "samples"


def packet(name: str) -> bytes:
    return bytes.fromhex((SAMPLES / f"npa-{name}.hex").read_text(encoding="ascii"))


def test_an_administrator_is_known_by_the_group() -> None:
    caller = npa.parse_request(packet("administrator"))
    assert caller.user == "labkeeper"
    assert caller.address == "127.0.0.1"
    assert caller.is_administrator
    assert "S-1-5-11" in caller.sids  # authenticated users


def test_an_ordinary_user_is_none() -> None:
    caller = npa.parse_request(packet("ordinary"))
    assert caller.user == "clerk"
    assert not caller.is_administrator
    assert len(caller.sids) == 8


def test_another_level_is_refused_by_name() -> None:
    changed = bytearray(packet("ordinary"))
    changed[8:16] = struct.pack("<II", 8, 8)
    with pytest.raises(npa.HandshakeError, match=r"level 8.*Samba 4\.16"):
        npa.parse_request(bytes(changed))


def test_something_else_is_refused() -> None:
    with pytest.raises(npa.HandshakeError, match="expected b'NPAM'"):
        npa.parse_request(b"\0\0\0\4GET / HTTP/1.1")


@pytest.mark.parametrize("length", range(20, 560, 37))
def test_a_packet_cut_short_never_makes_an_administrator(length: int) -> None:
    with pytest.raises(npa.HandshakeError, match="ends at byte"):
        npa.parse_request(packet("administrator")[:length])


def test_the_answer_announces_a_message_mode_pipe() -> None:
    answer = npa.reply()
    assert int.from_bytes(answer[:4], "big") == len(answer) - 4
    level, again, kind = struct.unpack_from("<IIH", answer, 8)
    assert (level, again, kind) == (npa.LEVEL, npa.LEVEL, 2)
    assert answer[-4:] == bytes(4)
    assert npa.reply(0xC0000034)[-4:] == bytes.fromhex("340000c0")


def test_messages_have_their_length_in_front() -> None:
    assert npa.message(b"abc") == b"\x03\x00abc"
