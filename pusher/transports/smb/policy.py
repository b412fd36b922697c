"""What other pipes tell: the role of the server, the registry, and user rights. Blocking; ProblemError only.

Sources: MS-SRVS 3.1.4.17 (NetrServerGetInfo), MS-DSSP 3.2.5.1 (DsRolerGetPrimaryDomainInformation), MS-RRP 3.1.5.15
(BaseRegOpenKey) and 3.1.5.17 (BaseRegQueryValue), MS-LSAD 3.1.4.5.10 (LsarEnumerateAccountRights), MS-LSAT 3.1.4.6
(LsarLookupNames3).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from impacket.dcerpc.v5 import dssp, rrp, srvs
from impacket.dcerpc.v5.rpcrt import DCERPCException

from pusher.problems import Code, ProblemError
from pusher.transports.codes import Operation, of
from pusher.transports.smb.errors import NtStatusError
from pusher.transports.smb.faults import guarded

T = TypeVar("T")

Bind = Callable[[str, Any], Any]
"""Bind an interface on a named pipe of this session."""

Sleep = Callable[[float], None]

_SV_TYPE_DOMAIN_CONTROLLERS = 0x00000008 | 0x00000010
_SV_TYPE_XENIX = 0x00000800
"""Samba calls itself so; as a domain controller of Active Directory it announces no more than a member."""
_ROLES_DOMAIN_CONTROLLERS = frozenset({4, 5})
_KEY_WRITE, _KEY_CREATE_SUB_KEY = 0x00020006, 0x00000004
_KEY_QUERY_VALUE = 0x00000001
_NOT_FOUND, _KEY_DELETED = 2, 1018
_LONGEST_VALUE = 8192
_NO_SUCH_PIPE, _PIPE_NOT_AVAILABLE = 0xC0000034, 0xC00000AC
_STATUS_NOT_FOUND, _STATUS_NONE_MAPPED, _STATUS_NO_PRIVILEGE = 0xC0000034, 0xC0000073, 0xC0000060
_REMOTE_REGISTRY_STARTS = (0.25, 0.5, 0.75, 1.0)
"""Seconds before each further open of the registry's pipe: a server starts the Remote Registry when it is first
opened, and answers that open with STATUS_PIPE_NOT_AVAILABLE. Where the service is disabled there is no such pipe."""
_ROOTS = {"HKLM": rrp.hOpenLocalMachine, "HKU": rrp.hOpenUsers, "HKCR": rrp.hOpenClassesRoot}


def is_domain_controller(bind: Bind) -> bool:
    """From the server type that the Server service announces, primary or backup; Samba is asked for its role too."""

    def work() -> bool:
        rpc = bind("srvsvc", srvs.MSRPC_UUID_SRVS)
        info = srvs.hNetrServerGetInfo(rpc, 101)["InfoStruct"]["ServerInfo101"]
        rpc.disconnect()
        kind = info["sv101_type"]
        if kind & _SV_TYPE_DOMAIN_CONTROLLERS:
            return True
        return bool(kind & _SV_TYPE_XENIX) and _role(bind) in _ROLES_DOMAIN_CONTROLLERS

    return guarded(Operation.FACTS, work, "server type")


def _role(bind: Bind) -> int:
    """DSROLE_MACHINE_ROLE (MS-DSSP 2.2.2)."""
    rpc = bind("lsarpc", dssp.MSRPC_UUID_DSSP)
    basic = dssp.DSROLE_PRIMARY_DOMAIN_INFO_LEVEL.DsRolePrimaryDomainInfoBasic
    answer = dssp.hDsRolerGetPrimaryDomainInformation(rpc, basic)["DomainInfo"]["DomainInfoBasic"]
    rpc.disconnect()
    return int(answer["MachineRole"])


def registry_access(bind: Bind, key: str, sleep: Sleep = time.sleep) -> str:
    """Open ``key`` for writing, or else its nearest parent for creating it. The evidence names what was opened.

    ``registry-unavailable`` where the Remote Registry's pipe does not exist, ``registry-denied`` where it refuses.
    """

    def work(rpc: Any, handle: Any, root: str, path: str) -> str:
        return _open_nearest(rpc, handle, root, path)

    return _with_root(bind, key, work, sleep)


def registry_value(bind: Bind, key: str, name: str, sleep: Sleep = time.sleep) -> str | int | None:
    """A value of ``key``; None where either is absent. What is neither text nor a number comes in hexadecimal."""

    def work(rpc: Any, handle: Any, root: str, path: str) -> str | int | None:
        try:
            opened = rrp.hBaseRegOpenKey(rpc, handle, path, samDesired=_KEY_QUERY_VALUE)["phkResult"]
            request = rrp.BaseRegQueryValue()  # impacket's own call asks for as much as the server says there is
            request["hKey"], request["lpValueName"] = opened, f"{name}\0"
            request["lpData"] = b" " * _LONGEST_VALUE
            request["lpcbData"] = request["lpcbLen"] = _LONGEST_VALUE
            answer = rpc.request(request)
        except DCERPCException as error:
            if error.error_code in (_NOT_FOUND, _KEY_DELETED):
                return None
            raise
        data = b"".join(answer["lpData"])[: answer["lpcbLen"]]
        return _value(answer["lpType"], data)

    return _with_root(bind, key, work, sleep)


def _value(kind: int, data: bytes) -> str | int:
    if kind in (rrp.REG_SZ, rrp.REG_EXPAND_SZ):
        return data[: len(data) // 2 * 2].decode("utf-16-le", "replace").partition("\0")[0]
    if kind in (rrp.REG_DWORD, rrp.REG_QWORD) and len(data) in (4, 8):
        return int.from_bytes(data, "little")
    return data.hex()


def _with_root(bind: Bind, key: str, work: Callable[[Any, Any, str, str], T], sleep: Sleep) -> T:
    """Bind to the registry and open the key's hive; ``work`` gets connection, handle, hive and what is below it."""
    root, _, path = key.partition("\\")
    opener = _ROOTS[root.upper()]

    def whole() -> T:
        try:
            rpc = _bind_registry(bind, sleep)
        except NtStatusError as error:
            if error.status not in (_NO_SUCH_PIPE, _PIPE_NOT_AVAILABLE):
                raise
            raise ProblemError(of(Code.REGISTRY_UNAVAILABLE, Operation.REGISTRY, "no winreg pipe")) from error
        try:
            return work(rpc, opener(rpc)["phKey"], root, path)
        finally:
            rpc.disconnect()

    return guarded(Operation.REGISTRY, whole, key)


def _bind_registry(bind: Bind, sleep: Sleep) -> Any:
    for pause in _REMOTE_REGISTRY_STARTS:
        try:
            return bind("winreg", rrp.MSRPC_UUID_RRP)
        except NtStatusError as error:
            if error.status != _PIPE_NOT_AVAILABLE:
                raise
            sleep(pause)
    return bind("winreg", rrp.MSRPC_UUID_RRP)


def _open_nearest(rpc: Any, root_handle: Any, root: str, path: str) -> str:
    access, opened = _KEY_WRITE, path
    while True:
        try:
            found = rrp.hBaseRegOpenKey(rpc, root_handle, opened, samDesired=access)["phkResult"]
        except DCERPCException as error:
            if error.error_code != _NOT_FOUND or "\\" not in opened:
                raise
            access, opened = _KEY_CREATE_SUB_KEY, opened.rpartition("\\")[0]
        else:
            rrp.hBaseRegCloseKey(rpc, found)
            return f"{root}\\{opened} opened " + ("for writing" if opened == path else "to create keys in")
