"""What other pipes tell: the role of the server, and the registry. ProblemError only.

Sources: MS-SRVS 3.1.4.17 (NetrServerGetInfo), MS-DSSP 3.2.5.1 (DsRolerGetPrimaryDomainInformation), MS-RRP 3.1.5.15
(BaseRegOpenKey) and 3.1.5.17 (BaseRegQueryValue). What must not live here: user rights (``rights``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from impacket.dcerpc.v5 import dssp, rrp, srvs
from impacket.dcerpc.v5.rpcrt import DCERPCException

from pusher.problems import Code, ProblemError
from pusher.transports.codes import Operation, of
from pusher.transports.smb.errors import NtStatusError
from pusher.transports.smb.faults import translating

T = TypeVar("T")

Bind = Callable[[str, bytes], Awaitable[Any]]
"""Bind an interface on a named pipe of this session; an ``Rpc``."""

Sleep = Callable[[float], Awaitable[None]]
Work = Callable[[Any, Any, str, str], Awaitable[T]]
"""Gets connection, handle of the hive, its name, and what is below it."""

_SV_TYPE_DOMAIN_CONTROLLERS = 0x00000008 | 0x00000010
_SV_TYPE_XENIX = 0x00000800
"""Samba calls itself so; as a domain controller of Active Directory it announces no more than a member."""
_ROLES_DOMAIN_CONTROLLERS = frozenset({4, 5})
_KEY_WRITE, _KEY_CREATE_SUB_KEY = 0x00020006, 0x00000004
_KEY_QUERY_VALUE = 0x00000001
_NOT_FOUND, _KEY_DELETED = 2, 1018
_LONGEST_VALUE = 8192
_NO_SUCH_PIPE, _PIPE_NOT_AVAILABLE = 0xC0000034, 0xC00000AC
_REMOTE_REGISTRY_STARTS = (0.25, 0.5, 0.75, 1.0)
"""Seconds before each further open of the registry's pipe: a server starts the Remote Registry when it is first
opened, and answers that open with STATUS_PIPE_NOT_AVAILABLE. Where the service is disabled there is no such pipe."""
_ROOTS = {"HKLM": rrp.hOpenLocalMachine, "HKU": rrp.hOpenUsers, "HKCR": rrp.hOpenClassesRoot}


async def is_domain_controller(bind: Bind) -> bool:
    """From the server type that the Server service announces, primary or backup; Samba is asked for its role too."""
    with translating(Operation.FACTS, "server type"):
        rpc = await bind("srvsvc", srvs.MSRPC_UUID_SRVS)
        info = (await srvs.hNetrServerGetInfo(rpc, 101))["InfoStruct"]["ServerInfo101"]
        await rpc.disconnect()
        kind = info["sv101_type"]
        if kind & _SV_TYPE_DOMAIN_CONTROLLERS:
            return True
        return bool(kind & _SV_TYPE_XENIX) and await _role(bind) in _ROLES_DOMAIN_CONTROLLERS


async def _role(bind: Bind) -> int:
    """DSROLE_MACHINE_ROLE (MS-DSSP 2.2.2)."""
    rpc = await bind("lsarpc", dssp.MSRPC_UUID_DSSP)
    basic = dssp.DSROLE_PRIMARY_DOMAIN_INFO_LEVEL.DsRolePrimaryDomainInfoBasic
    answer = (await dssp.hDsRolerGetPrimaryDomainInformation(rpc, basic))["DomainInfo"]["DomainInfoBasic"]
    await rpc.disconnect()
    return int(answer["MachineRole"])


async def registry_access(bind: Bind, key: str, sleep: Sleep = asyncio.sleep) -> str:
    """Open ``key`` for writing, or else its nearest parent for creating it. The evidence names what was opened.

    ``registry-unavailable`` where the Remote Registry's pipe does not exist, ``registry-denied`` where it refuses.
    """
    return await _with_root(bind, key, _open_nearest, sleep)


async def registry_value(bind: Bind, key: str, name: str, sleep: Sleep = asyncio.sleep) -> str | int | None:
    """A value of ``key``; None where either is absent. What is neither text nor a number comes in hexadecimal."""

    async def work(rpc: Any, handle: Any, root: str, path: str) -> str | int | None:
        try:
            opened = (await rrp.hBaseRegOpenKey(rpc, handle, path, samDesired=_KEY_QUERY_VALUE))["phkResult"]
            request = rrp.BaseRegQueryValue()  # impacket's own call asks for as much as the server says there is
            request["hKey"], request["lpValueName"] = opened, f"{name}\0"
            request["lpData"] = b" " * _LONGEST_VALUE
            request["lpcbData"] = request["lpcbLen"] = _LONGEST_VALUE
            answer = await rpc.request(request)
        except DCERPCException as error:
            if error.error_code in (_NOT_FOUND, _KEY_DELETED):
                return None
            raise
        data = b"".join(answer["lpData"])[: answer["lpcbLen"]]
        return _value(answer["lpType"], data)

    return await _with_root(bind, key, work, sleep)


def _value(kind: int, data: bytes) -> str | int:
    if kind in (rrp.REG_SZ, rrp.REG_EXPAND_SZ):
        return data[: len(data) // 2 * 2].decode("utf-16-le", "replace").partition("\0")[0]
    if kind in (rrp.REG_DWORD, rrp.REG_QWORD) and len(data) in (4, 8):
        return int.from_bytes(data, "little")
    return data.hex()


async def _with_root(bind: Bind, key: str, work: Work[T], sleep: Sleep) -> T:
    """Bind to the registry and open the key's hive for ``work``."""
    root, _, path = key.partition("\\")
    opener = _ROOTS[root.upper()]
    with translating(Operation.REGISTRY, key):
        try:
            rpc = await _bind_registry(bind, sleep)
        except NtStatusError as error:
            if error.status not in (_NO_SUCH_PIPE, _PIPE_NOT_AVAILABLE):
                raise
            raise ProblemError(of(Code.REGISTRY_UNAVAILABLE, Operation.REGISTRY, "no winreg pipe")) from error
        try:
            return await work(rpc, (await opener(rpc))["phKey"], root, path)
        finally:
            await rpc.disconnect()


async def _bind_registry(bind: Bind, sleep: Sleep) -> Any:
    for pause in _REMOTE_REGISTRY_STARTS:
        try:
            return await bind("winreg", rrp.MSRPC_UUID_RRP)
        except NtStatusError as error:
            if error.status != _PIPE_NOT_AVAILABLE:
                raise
            await sleep(pause)
    return await bind("winreg", rrp.MSRPC_UUID_RRP)


async def _open_nearest(rpc: Any, root_handle: Any, root: str, path: str) -> str:
    access, opened = _KEY_WRITE, path
    while True:
        try:
            found = (await rrp.hBaseRegOpenKey(rpc, root_handle, opened, samDesired=access))["phkResult"]
        except DCERPCException as error:
            if error.error_code != _NOT_FOUND or "\\" not in opened:
                raise
            access, opened = _KEY_CREATE_SUB_KEY, opened.rpartition("\\")[0]
        else:
            await rrp.hBaseRegCloseKey(rpc, found)
            return f"{root}\\{opened} opened " + ("for writing" if opened == path else "to create keys in")
