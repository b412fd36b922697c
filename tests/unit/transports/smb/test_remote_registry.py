"""The Remote Registry's pipe: there at a later open where the service is started by the first, absent where it is
disabled; and what its calls and LSA's carry as lengths of strings (MS-RRP 2.2.3, MS-DTYP 2.3.10)."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from impacket.dcerpc.v5 import lsad, lsat, rrp

from pusher.problems import ProblemError
from pusher.transports.smb import policy, rights
from pusher.transports.smb.errors import NtStatusError

NOT_AVAILABLE, NOT_FOUND = 0xC00000AC, 0xC0000034


class Clock:
    def __init__(self) -> None:
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Rpc:
    """Answers each call with a success of the right kind, and keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.fails: int | None = None

    async def call(self, opnum: int, stub: bytes) -> bytes:
        self.sent.append((opnum, stub))
        if opnum == rrp.BaseRegQueryValue.opnum:
            answer = rrp.BaseRegQueryValueResponse()
            answer["lpType"], answer["lpData"], answer["ErrorCode"] = rrp.REG_DWORD, b"\x07\0\0\0", 0
            answer["lpcbData"] = answer["lpcbLen"] = 4
            return bytes(answer.getData())
        fails = self.fails if opnum == rrp.BaseRegOpenKey.opnum else None
        return bytes(20) + struct.pack("<I", fails or 0)

    async def request(self, call: Any) -> Any:
        self.sent.append(call)
        if isinstance(call, lsat.LsarLookupNames3):
            sid = lsad.RPC_SID()
            sid.fromCanonical("S-1-5-80-3880718306-3832830129-1677859214-2598158968-1052248003")
            return {"TranslatedSids": {"Sids": [{"Sid": sid, "DomainIndex": 0, "Flags": 0}]}}
        return {"PolicyHandle": b"\0" * 20}

    async def disconnect(self) -> None: ...


def pipe(*refusals: int) -> tuple[Any, list[str], Rpc]:
    """A ``bind`` whose first opens are refused with these statuses."""
    opens: list[str] = []
    rpc = Rpc()

    async def bind(name: str, interface: object) -> Rpc:
        opens.append(name)
        if len(opens) <= len(refusals):
            raise NtStatusError(refusals[len(opens) - 1])
        return rpc

    return bind, opens, rpc


@pytest.mark.parametrize("refused", [0, 1, 3])
async def test_a_service_that_starts_with_the_first_open_is_waited_for(refused: int) -> None:
    bind, opens, _ = pipe(*[NOT_AVAILABLE] * refused)
    clock = Clock()
    assert await policy.registry_value(bind, "HKLM\\SOFTWARE\\X", "Y", clock.sleep) == 7
    assert (len(opens), len(clock.slept)) == (refused + 1, refused)


@pytest.mark.parametrize("error", [2, 1018])
async def test_a_key_that_is_absent_or_about_to_be_has_no_value(error: int) -> None:
    """ERROR_FILE_NOT_FOUND, and ERROR_KEY_DELETED while somebody still has the key open."""
    bind, _, rpc = pipe()
    rpc.fails = error
    assert await policy.registry_value(bind, "HKLM\\SOFTWARE\\X", "Y") is None


async def test_one_that_does_not_come_is_waited_for_two_or_three_seconds() -> None:
    bind, opens, _ = pipe(*[NOT_AVAILABLE] * 100)
    clock = Clock()
    with pytest.raises(ProblemError) as caught:
        await policy.registry_access(bind, "HKLM\\SOFTWARE\\X", clock.sleep)
    assert caught.value.problem.code == "registry-unavailable"
    assert 2 <= sum(clock.slept) <= 3
    assert len(opens) == len(clock.slept) + 1


async def test_a_disabled_service_has_no_pipe_and_is_not_waited_for() -> None:
    """20,000 workstations have it disabled."""
    bind, opens, _ = pipe(*[NOT_FOUND] * 100)
    clock = Clock()
    with pytest.raises(ProblemError) as caught:
        await policy.registry_access(bind, "HKLM\\SOFTWARE\\X", clock.sleep)
    assert caught.value.problem.code == "registry-unavailable"
    assert (opens, clock.slept) == (["winreg"], [])


def counted(data: bytes, text: str) -> tuple[int, int, int, int]:
    """Length and MaximumLength in bytes, and the array's maximum and actual count, of the string in a call."""
    at = data.index(text.encode("utf-16-le"))
    most, _, actual = struct.unpack_from("<III", data, at - 12)
    length, maximum = struct.unpack_from("<HH", data, at - 12 - 8)
    return length, maximum, most, actual


@pytest.mark.parametrize("text", ["SOFTWARE\\X", "SOFTWARE\\Ünïcode"])
async def test_the_registrys_strings_count_their_terminator(text: str) -> None:
    bind, _, rpc = pipe()
    await policy.registry_value(bind, f"HKLM\\{text}", "Wert")
    stubs = dict(rpc.sent)
    for opnum, value in ((rrp.BaseRegOpenKey.opnum, text), (rrp.BaseRegQueryValue.opnum, "Wert")):
        units = len(value) + 1
        assert counted(stubs[opnum], f"{value}\0") == (2 * units, 2 * units, units, units)


async def test_lsas_strings_do_not_and_the_whole_sid_is_what_counts() -> None:
    """A service's own account has a SID that is not its domain's with a number behind it."""
    bind, _, rpc = pipe()
    account = "NT SERVICE\\LabAgent"
    await rights.grant(bind, "SeServiceLogonRight", account)
    looked = next(call for call in rpc.sent if isinstance(call, lsat.LsarLookupNames3))
    units = len(account)
    data = looked.getData()
    assert counted(data, account)[2:] == (units, units)
    assert struct.pack("<HH", 2 * units, 2 * units) in data
    asked = next(call for call in rpc.sent if isinstance(call, lsad.LsarAddAccountRights))
    assert asked["AccountSid"].formatCanonical().startswith("S-1-5-80-3880718306-")
