"""MS-SCMR's templates, byte for byte as impacket marshals them; and answers, whatever bytes come."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from impacket.dcerpc.v5 import scmr as theirs

from pusher.transports.smb import scmr
from pusher.transports.smb.errors import CallError, ImplausibleError, WireError
from pusher.transports.smb.ndr import Call, done
from tests.unit.transports.smb.marshalling import requested, same, same_referents  # noqa: F401

HANDLE = bytes(range(20))
texts = st.text(st.characters(exclude_categories=["C"]), max_size=40)
numbers = st.integers(0, 2**32 - 1)
passwords = st.none() | st.binary(min_size=1, max_size=40)


@given(numbers)
def test_open_manager(access: int) -> None:
    same(scmr.open_manager(access), lambda rpc: theirs.hROpenSCManagerW(rpc, dwDesiredAccess=access))


@given(texts, numbers)
def test_open_service(name: str, access: int) -> None:
    same(scmr.open_service(HANDLE, name, access), lambda rpc: theirs.hROpenServiceW(rpc, HANDLE, f"{name}\0", access))


@pytest.mark.parametrize(
    ("ours", "kind"),
    [
        (scmr.close_handle, theirs.RCloseServiceHandle),
        (scmr.delete_service, theirs.RDeleteService),
    ],
)
def test_calls_of_a_handle_alone(ours: Callable[[bytes], Call], kind: type[Any]) -> None:
    name = "hSCObject" if kind is theirs.RCloseServiceHandle else "hService"
    same(ours(HANDLE), requested(kind, **{name: HANDLE}))


def test_start_and_stop() -> None:
    same(scmr.start_service(HANDLE), lambda rpc: theirs.hRStartServiceW(rpc, HANDLE))
    same(scmr.stop_service(HANDLE), lambda rpc: theirs.hRControlService(rpc, HANDLE, theirs.SERVICE_CONTROL_STOP))


def test_query_status() -> None:
    fields = {"hService": HANDLE, "InfoLevel": theirs.SC_STATUS_PROCESS_INFO, "cbBufSize": 36}
    same(scmr.query_status(HANDLE), requested(theirs.RQueryServiceStatusEx, **fields))


@given(st.integers(0, 8192))
def test_query_config(room: int) -> None:
    same(scmr.query_config(HANDLE, room), requested(theirs.RQueryServiceConfigW, hService=HANDLE, cbBufSize=room))
    for level in (scmr.DESCRIPTION, scmr.DELAYED_AUTO_START):
        fields = {"hService": HANDLE, "dwInfoLevel": level, "cbBufSize": room}
        same(scmr.query_config2(HANDLE, level, room), requested(theirs.RQueryServiceConfig2W, **fields))


@settings(max_examples=30)
@given(texts, texts, texts, st.integers(0, 4), texts, passwords)
def test_create_service(
    name: str, display_name: str, path: str, start: int, account: str, password: bytes | None
) -> None:
    same(
        scmr.create_service(HANDLE, name, display_name, path, start, account, password),
        lambda rpc: theirs.hRCreateServiceW(
            rpc, HANDLE, f"{name}\0", f"{display_name}\0", lpBinaryPathName=f"{path}\0", dwStartType=start,
            dwErrorControl=theirs.SERVICE_ERROR_NORMAL, lpServiceStartName=f"{account}\0",
            lpPassword=theirs.NULL if password is None else password, dwPwSize=len(password or b""),
        ),
    )  # fmt: skip


@settings(max_examples=30)
@given(st.integers(0, 4), texts, st.none() | texts, passwords, texts)
def test_change_config(start: int, path: str, account: str | None, password: bytes | None, display_name: str) -> None:
    same(
        scmr.change_config(HANDLE, start, path, account, password, display_name),
        lambda rpc: theirs.hRChangeServiceConfigW(
            rpc, HANDLE, dwStartType=start, lpBinaryPathName=f"{path}\0",
            lpServiceStartName=theirs.NULL if account is None else f"{account}\0",
            lpPassword=theirs.NULL if password is None else password, dwPwSize=len(password or b""),
            lpDisplayName=f"{display_name}\0",
        ),
    )  # fmt: skip


def changed(level: int, union: str, field: str, value: Any) -> Callable[[Any], object]:
    def ask(rpc: Any) -> None:
        call = theirs.RChangeServiceConfig2W()
        call["hService"], call["Info"]["dwInfoLevel"], call["Info"]["Union"]["tag"] = HANDLE, level, level
        call["Info"]["Union"][union][field] = value
        rpc.request(call)

    return ask


@given(texts)
def test_change_description(text: str) -> None:
    same(scmr.change_description(HANDLE, text), changed(scmr.DESCRIPTION, "psd", "lpDescription", f"{text}\0"))


@pytest.mark.parametrize("is_delayed", [False, True])
def test_change_delayed(is_delayed: bool) -> None:
    expected = changed(scmr.DELAYED_AUTO_START, "psda", "fDelayedAutostart", int(is_delayed))
    same(scmr.change_delayed(HANDLE, is_delayed=is_delayed), expected)


# -- answers -----------------------------------------------------------------------------------------------------


def answer(kind: type[Any], status: int = 0, **fields: Any) -> bytes:
    made = kind()
    for name, value in fields.items():
        made[name] = value
    made["ErrorCode"] = status
    data: bytes = made.getData()
    return data


def test_handles() -> None:
    assert scmr.handle_of(answer(theirs.ROpenServiceWResponse, lpServiceHandle=HANDLE)) == HANDLE
    assert scmr.handle_of(answer(theirs.ROpenSCManagerWResponse, lpScHandle=HANDLE)) == HANDLE
    made = answer(theirs.RCreateServiceWResponse, lpdwTagId=theirs.NULL, lpServiceHandle=HANDLE)
    assert scmr.created_handle(made) == HANDLE
    with_a_tag = struct.pack("<II", 0x20000, 7) + HANDLE + bytes(4)
    assert scmr.created_handle(with_a_tag) == HANDLE


@given(st.lists(numbers, min_size=9, max_size=9))
def test_a_status(fields: list[int]) -> None:
    data = struct.pack("<9I", *fields)
    made = answer(theirs.RQueryServiceStatusExResponse, lpBuffer=[bytes([each]) for each in data], pcbBytesNeeded=0)
    status = scmr.status_of(made)
    assert (status.state, status.win32_exit, status.service_exit) == (fields[1], fields[3], fields[4])
    assert (status.checkpoint, status.wait_hint, status.process) == (fields[5], fields[6], fields[7])


@given(st.integers(0, 4), st.lists(st.none() | texts, min_size=5, max_size=5))
def test_a_configuration(start: int, given_texts: list[str | None]) -> None:
    config = theirs.QUERY_SERVICE_CONFIGW()
    config["dwStartType"] = start
    names = ("lpBinaryPathName", "lpLoadOrderGroup", "lpDependencies", "lpServiceStartName", "lpDisplayName")
    for name, text in zip(names, given_texts, strict=True):
        config[name] = theirs.NULL if text is None else f"{text}\0"
    made = scmr.config_of(answer(theirs.RQueryServiceConfigWResponse, lpServiceConfig=config, pcbBytesNeeded=0))
    path, _, _, account, display_name = (text or "" for text in given_texts)
    assert (made.start_type, made.image_path, made.account, made.display_name) == (start, path, account, display_name)


@given(st.binary(max_size=100))
def test_a_buffer(data: bytes) -> None:
    made = answer(
        theirs.RQueryServiceConfig2WResponse, lpBuffer=[bytes([each]) for each in data], pcbBytesNeeded=len(data)
    )
    assert scmr.buffer_of(made) == data


@given(st.integers(0, 2**32 - 1))
def test_how_many_bytes_are_needed(needed: int) -> None:
    made = answer(theirs.RQueryServiceConfig2WResponse, scmr.INSUFFICIENT_BUFFER, lpBuffer=[], pcbBytesNeeded=needed)
    assert scmr.bytes_needed(made) == min(needed, 8192)


PARSERS: list[Callable[[bytes], object]] = [
    done, scmr.handle_of, scmr.created_handle, scmr.status_of, scmr.config_of, scmr.buffer_of,
]  # fmt: skip


@pytest.mark.parametrize("parser", PARSERS)
@given(body=st.binary(max_size=80), status=st.integers(1, 2**32 - 1))
def test_an_error_is_told_by_its_number(parser: Callable[[bytes], object], body: bytes, status: int) -> None:
    with pytest.raises(CallError) as caught:
        parser(body + struct.pack("<I", status))
    assert caught.value.status == status


@pytest.mark.parametrize("parser", PARSERS)
@given(body=st.binary(max_size=200))
def test_whatever_comes_is_read_or_refused(parser: Callable[[bytes], object], body: bytes) -> None:
    try:
        parser(body + bytes(4))
    except WireError:
        return
    assert parser in (done, scmr.buffer_of) or len(body) >= 20


@pytest.mark.parametrize("count", [1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_lengths_past_the_end(count: int) -> None:
    with pytest.raises(ImplausibleError):
        scmr.buffer_of(struct.pack("<III", count, 0, 0))
    config = struct.pack("<9I", 0x10, 2, 1, 1, 0, 0, 0, 0, 0) + struct.pack("<III", count, 0, count)
    with pytest.raises(ImplausibleError):
        scmr.config_of(config + struct.pack("<II", 0, 0))
