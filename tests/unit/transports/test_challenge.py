"""The NTLM challenge: a recorded one, and what a stranger might send in its place."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pusher.transports.challenge import NEGOTIATE_MESSAGE, Challenge, challenge_flags, parse_challenge

RECORDED = bytes.fromhex(
    "4e544c4d5353500002000000080008003800000015828ae2c7b2ff2d57e4043100000000000000005a005a004000000006010000"
    "0000000f5700530030003100020008005700530030003100010008005700530030003100040010006c00610062002e0074006500"
    "7300740003001a0077007300300031002e006c00610062002e0074006500730074000700080052237c40067add0100000000"
)
"""From Samba 4.17 on a lab host."""

WS01 = Challenge(
    netbios_name="WS01", netbios_domain="WS01", dns_name="ws01.lab.test", dns_domain="lab.test", build="6.1.0"
)


def pair(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", kind, len(value)) + value


def challenge(info: bytes, flags: int = 0x02000000, version: bytes = bytes([10, 0, 0x7C, 0x4F, 0, 0, 0, 15])) -> bytes:
    head = b"NTLMSSP\0" + struct.pack("<IHHII8s8sHHI", 2, 0, 0, 56, flags, bytes(8), bytes(8), len(info), len(info), 56)
    return head + version + info


def test_the_recorded_one() -> None:
    assert parse_challenge(RECORDED) == WS01


@pytest.mark.parametrize("before", [b"", b"\xa1\x81\xd0\x30\x81"], ids=["alone", "inside-spnego"])
def test_its_flags(before: bytes) -> None:
    assert challenge_flags(before + RECORDED) == 0xE28A8215
    assert challenge_flags(before + challenge(b"", flags=0x00088201)[:24]) == 0x00088201


@pytest.mark.parametrize("token", [b"", RECORDED[:23], RECORDED[1:], bytes(64), NEGOTIATE_MESSAGE])
def test_what_is_no_challenge_has_no_flags(token: bytes) -> None:
    with pytest.raises(ValueError, match="no NTLM challenge"):
        challenge_flags(token)


def test_inside_a_spnego_token() -> None:
    assert parse_challenge(b"\xa1\x81\xd0\x30\x81" + RECORDED) == WS01


def test_every_cut_is_refused() -> None:
    for length in range(len(RECORDED)):
        with pytest.raises(ValueError, match=r"challenge|AV_PAIR"):
            parse_challenge(RECORDED[:length])


@given(st.binary(max_size=400))
@example(b"")
@example(b"NTLMSSP\0")
@example(b"NTLMSSP\0" + bytes(100))
@example(NEGOTIATE_MESSAGE)
@example(challenge(b"")[:52])
def test_arbitrary_bytes_are_a_value_error_or_names(data: bytes) -> None:
    for token in (data, b"NTLMSSP\0\x02\0\0\0" + data, challenge(data)):
        try:
            found = parse_challenge(token)
        except ValueError:
            continue
        assert all(name.isprintable() for name in (found.netbios_name, found.dns_name, found.dns_domain, found.build))


@given(st.integers(0, len(RECORDED) - 1), st.integers(0, 255))
def test_a_changed_byte_is_a_value_error_or_names(at: int, byte: int) -> None:
    data = RECORDED[:at] + bytes([byte]) + RECORDED[at + 1 :]
    try:
        assert isinstance(parse_challenge(data), Challenge)
    except ValueError as error:
        assert str(error)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF))
def test_lengths_and_offsets_that_lie(length: int, offset: int) -> None:
    data = RECORDED[:40] + struct.pack("<HHI", length, length, offset) + RECORDED[48:]
    if (length, offset) == (90, 64):
        assert parse_challenge(data) == WS01
        return
    try:
        found = parse_challenge(data)
    except ValueError:
        return
    assert offset + length <= len(RECORDED) or length == 0
    assert isinstance(found, Challenge)


def test_a_pair_that_lies_about_its_length() -> None:
    with pytest.raises(ValueError, match="AV_PAIR is cut short"):
        parse_challenge(challenge(struct.pack("<HH", 1, 100) + b"short"))


def test_a_name_of_no_plausible_length() -> None:
    with pytest.raises(ValueError, match="implausibly long"):
        parse_challenge(challenge(pair(3, b"x\0" * 300)))
    assert parse_challenge(challenge(pair(9, b"x\0" * 300))).dns_name == "", "other pairs may be as long as they are"


def test_what_does_not_print_is_left_out() -> None:
    """A name goes to terminals and reports: no line ends, no escapes, nothing that turns text around."""
    name = "ws\x1b[31m01\n\r\u202e\u2066.corp\x00"
    found = parse_challenge(challenge(pair(3, name.encode("utf-16-le")) + pair(0, b"")))
    assert found.dns_name == "ws[31m01.corp"


def test_half_a_character_is_no_error() -> None:
    assert parse_challenge(challenge(pair(1, b"A\0B"))).netbios_name == "A\ufffd"


def test_behind_the_end_marker_nothing_is_read() -> None:
    found = parse_challenge(challenge(pair(1, b"A\0") + pair(0, b"") + pair(1, b"B\0")))
    assert found.netbios_name == "A"


def test_without_its_flag_there_is_no_build() -> None:
    assert parse_challenge(challenge(b"")).build == "10.0.20348"
    assert parse_challenge(challenge(b"", flags=0)).build == ""


def test_what_we_send_names_nobody() -> None:
    assert NEGOTIATE_MESSAGE.startswith(b"NTLMSSP\0\x01\0\0\0")
    flags = struct.unpack_from("<I", NEGOTIATE_MESSAGE, 12)[0]
    assert flags & 0x00000004, "REQUEST_TARGET: we want its names"
    assert not flags & 0x00001000, "no domain name supplied"
    assert not flags & 0x00002000, "no workstation name supplied"
    assert NEGOTIATE_MESSAGE[16:32] == bytes(16), "both fields empty"
    assert len(NEGOTIATE_MESSAGE) == 40
