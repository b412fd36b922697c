"""MS-SRVS' and MS-DSSP's templates, byte for byte as impacket marshals them; and answers, whatever bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from impacket.dcerpc.v5 import dssp
from impacket.dcerpc.v5 import srvs as theirs

from pusher.transports.smb import srvs
from pusher.transports.smb.errors import CallError, ImplausibleError, WireError
from tests.unit.transports.smb.marshalling import same, same_referents  # noqa: F401

BASIC = dssp.DSROLE_PRIMARY_DOMAIN_INFO_LEVEL.DsRolePrimaryDomainInfoBasic


def test_the_interfaces() -> None:
    assert (srvs.SRVS, srvs.DSSP) == (theirs.MSRPC_UUID_SRVS, dssp.MSRPC_UUID_DSSP)


def test_the_calls() -> None:
    same(srvs.server_info(), lambda rpc: theirs.hNetrServerGetInfo(rpc, 101))
    same(srvs.primary_domain(), lambda rpc: dssp.hDsRolerGetPrimaryDomainInformation(rpc, BASIC))


def info(kind: int, name: str = "WS01", comment: str = "") -> bytes:
    made = theirs.NetrServerGetInfoResponse()
    made["InfoStruct"]["tag"] = 101
    told = made["InfoStruct"]["ServerInfo101"]
    told["sv101_platform_id"], told["sv101_version_major"], told["sv101_type"] = 500, 10, kind
    told["sv101_name"], told["sv101_comment"], made["ErrorCode"] = f"{name}\0", f"{comment}\0", 0
    stub: bytes = made.getData()
    return stub


def role(number: int) -> bytes:
    made = dssp.DsRolerGetPrimaryDomainInformationResponse()
    made["DomainInfo"]["tag"] = 1
    told = made["DomainInfo"]["DomainInfoBasic"]
    told["MachineRole"], told["Flags"] = number, 0x01000000
    for name in ("DomainNameFlat", "DomainNameDns", "DomainForestName"):
        told[name] = "CORP\0"
    stub: bytes = made.getData() + bytes(4)
    return stub


@given(st.integers(0, 2**32 - 1), st.text("abc", min_size=1), st.text("xyz"))
def test_the_type_of_a_server(kind: int, name: str, comment: str) -> None:
    assert srvs.server_type(info(kind, name, comment)) == kind


@pytest.mark.parametrize("number", range(6))
def test_the_role_of_a_machine(number: int) -> None:
    assert srvs.machine_role(role(number)) == number


@pytest.mark.parametrize(
    ("read", "answer"), [(srvs.server_type, info(3)), (srvs.machine_role, role(1))], ids=["type", "role"]
)
def test_what_is_no_such_answer(read: object, answer: bytes) -> None:
    assert callable(read)
    for broken in (answer[:8] + bytes(4), b"\7" + answer[1:4] + b"\7" + answer[5:], bytes(len(answer))):
        with pytest.raises(ImplausibleError):
            read(broken)
    with pytest.raises(CallError) as caught:
        read(answer[:-4] + (5).to_bytes(4, "little"))
    assert caught.value.status == 5


@given(st.binary(max_size=80))
def test_whatever_comes_is_read_or_refused(stub: bytes) -> None:
    for read in (srvs.server_type, srvs.machine_role):
        try:
            read(stub)
        except WireError:
            continue
