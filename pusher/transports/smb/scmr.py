"""MS-SCMR calls by fixed templates: stubs out, and what is read of the answers. Pure.

Each stub is byte for byte what impacket's NDR marshals (a test holds them to that), at a hundredth of its cost. Answers
are read with every length checked. Sources: MS-SCMR 3.1.4 (methods, with their opnums), 2.2 (structures). What
must not live here: NDR itself (``ndr``), the pipe, the order of calls.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from pusher.transports.smb.errors import ImplausibleError
from pusher.transports.smb.ndr import REFERENT, Call, array, done, handle_at, last_string, number, pointer, string

NO_CHANGE: Final = 0xFFFFFFFF
INSUFFICIENT_BUFFER: Final = 122
DESCRIPTION, DELAYED_AUTO_START = 1, 3
"""Levels of QueryServiceConfig2 (MS-SCMR 2.2.46)."""

MANAGER_CONNECT, MANAGER_CREATE_SERVICE = 0x1, 0x2
QUERY_CONFIG, CHANGE_CONFIG, QUERY_STATUS, START, STOP, DELETE = 0x1, 0x2, 0x4, 0x10, 0x20, 0x10000
ALL_ACCESS: Final = 0xF01FF
"""Access rights (MS-SCMR 2.2.19)."""

_OWN_PROCESS, _ERROR_NORMAL, _CONTROL_STOP, _STATUS_PROCESS_INFO = 0x10, 1, 1, 0
_STATUS_PROCESS = struct.Struct("<9I")
_CONFIG = struct.Struct("<9I")


@dataclass(frozen=True, slots=True)
class Status:
    """SERVICE_STATUS_PROCESS (MS-SCMR 2.2.49)."""

    state: int
    win32_exit: int
    service_exit: int
    checkpoint: int
    wait_hint: int
    process: int


@dataclass(frozen=True, slots=True)
class Config:
    """QUERY_SERVICE_CONFIGW (MS-SCMR 2.2.15)."""

    start_type: int
    image_path: str
    account: str
    display_name: str


# -- calls -------------------------------------------------------------------------------------------------------


def open_manager(access: int) -> Call:
    """ROpenSCManagerW (3.1.4.15); the machine's name is of no meaning over a connection to that machine."""
    return Call(15, pointer(string("DUMMY")) + pointer(string("ServicesActive")) + number(access))


def open_service(manager: bytes, name: str, access: int) -> Call:
    """ROpenServiceW (3.1.4.16)."""
    return Call(16, manager + string(name) + number(access))


def close_handle(handle: bytes) -> Call:
    """RCloseServiceHandle (3.1.4.1)."""
    return Call(0, handle)


def query_status(service: bytes) -> Call:
    """RQueryServiceStatusEx (3.1.4.41)."""
    return Call(40, service + struct.pack("<II", _STATUS_PROCESS_INFO, _STATUS_PROCESS.size))


def query_config(service: bytes, room: int) -> Call:
    """RQueryServiceConfigW (3.1.4.17); ``room`` in bytes."""
    return Call(17, service + number(room))


def query_config2(service: bytes, level: int, room: int) -> Call:
    """RQueryServiceConfig2W (3.1.4.37)."""
    return Call(39, service + struct.pack("<II", level, room))


def create_service(
    manager: bytes, name: str, display_name: str, image_path: str, start_type: int, account: str, password: bytes | None
) -> Call:
    """RCreateServiceW (3.1.4.12): a process of its own; ``password`` sealed as the service manager takes it."""
    return Call(
        12,
        b"".join(
            (
                manager, string(name), pointer(string(display_name)),
                struct.pack("<IIII", ALL_ACCESS, _OWN_PROCESS, start_type, _ERROR_NORMAL), string(image_path),
                struct.pack("<IIII", 0, 0, 0, 0), pointer(string(account)), pointer(array(password)),
                number(len(password or b"")),
            )
        ),
    )  # fmt: skip


def change_config(
    service: bytes, start_type: int, image_path: str, account: str | None, password: bytes | None, display_name: str
) -> Call:
    """RChangeServiceConfigW (3.1.4.11); what is None stays as it is."""
    return Call(
        11,
        b"".join(
            (
                service, struct.pack("<III", NO_CHANGE, start_type, NO_CHANGE), pointer(string(image_path)),
                struct.pack("<IIII", 0, 0, 0, 0), pointer(None if account is None else string(account)),
                pointer(array(password)), number(len(password or b"")), pointer(last_string(display_name)),
            )
        ),
    )  # fmt: skip


def change_description(service: bytes, text: str) -> Call:
    """RChangeServiceConfig2W (3.1.4.36) with SERVICE_DESCRIPTIONW."""
    return _change2(service, DESCRIPTION, pointer(last_string(text)))


def change_delayed(service: bytes, *, is_delayed: bool) -> Call:
    """RChangeServiceConfig2W with SERVICE_DELAYED_AUTO_START_INFO."""
    return _change2(service, DELAYED_AUTO_START, number(int(is_delayed)))


def start_service(service: bytes) -> Call:
    """RStartServiceW (3.1.4.19), without arguments."""
    return Call(19, service + struct.pack("<II", 0, 0))


def stop_service(service: bytes) -> Call:
    """RControlService (3.1.4.2) with SERVICE_CONTROL_STOP."""
    return Call(1, service + number(_CONTROL_STOP))


def delete_service(service: bytes) -> Call:
    """RDeleteService (3.1.4.3)."""
    return Call(2, service)


def _change2(service: bytes, level: int, info: bytes) -> Call:
    return Call(37, service + struct.pack("<III", level, level, REFERENT) + info)


# -- answers -----------------------------------------------------------------------------------------------------


def handle_of(stub: bytes) -> bytes:
    """Of open_manager and open_service."""
    return handle_at(stub, 0)


def created_handle(stub: bytes) -> bytes:
    """Of create_service, which has a tag's pointer before it."""
    done(stub)
    return handle_at(stub, 8 if stub[:4] != bytes(4) else 4)


def status_of(stub: bytes) -> Status:
    done(stub)
    data = _array(stub)
    if len(data) < _STATUS_PROCESS.size:
        raise ImplausibleError(f"a service's status of {len(data)} bytes")
    _, state, _, win32_exit, service_exit, checkpoint, wait_hint, process, _ = _STATUS_PROCESS.unpack_from(data)
    return Status(state, win32_exit, service_exit, checkpoint, wait_hint, process)


def config_of(stub: bytes) -> Config:
    done(stub)
    if len(stub) < _CONFIG.size + 8:
        raise ImplausibleError(f"a service's configuration of {len(stub)} bytes")
    _, start_type, _, path, group, _, dependencies, account, display_name = _CONFIG.unpack_from(stub)
    texts, at = [], _CONFIG.size
    for referent in (path, group, dependencies, account, display_name):
        text, at = _text(stub, at) if referent else ("", at)
        texts.append(text)
    return Config(start_type, texts[0], texts[3], texts[4])


def buffer_of(stub: bytes) -> bytes:
    """What query_config2 gives; empty for a level that the server does not know."""
    done(stub)
    return _array(stub)


def bytes_needed(stub: bytes) -> int:
    """After INSUFFICIENT_BUFFER: how many there are; at most the 8 KiB that the protocol allows."""
    return min(int.from_bytes(stub[-8:-4], "little"), 8192)


def _array(stub: bytes) -> bytes:
    """A conformant array of bytes at the start, with two numbers behind it."""
    count = int.from_bytes(stub[:4], "little")
    if count > len(stub) - 12:
        raise ImplausibleError(f"{count} bytes in an answer of {len(stub)}")
    return stub[4 : 4 + count]


def _text(stub: bytes, at: int) -> tuple[str, int]:
    """A conformant and varying string, and where the next one stands."""
    if at + 12 > len(stub):
        raise ImplausibleError("a string past the end of an answer")
    _, offset, count = struct.unpack_from("<III", stub, at)
    end = at + 12 + 2 * count
    if offset or end > len(stub) - 8:
        raise ImplausibleError(f"a string of {count} characters in an answer of {len(stub)} bytes")
    return stub[at + 12 : end].decode("utf-16-le", "replace").partition("\0")[0], end + -end % 4
