"""What other pipes tell: the role of the server, and the registry. ProblemError only.

What must not live here: how a call looks (``srvs``, ``rrp``); user rights (``rights``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pusher.problems import Code, ProblemError
from pusher.transports.codes import Operation, of
from pusher.transports.smb import rrp, srvs
from pusher.transports.smb.errors import CallError, NtStatusError
from pusher.transports.smb.faults import translating
from pusher.transports.smb.ndr import Call, done
from pusher.transports.smb.pipe import Rpc

T = TypeVar("T")

Bind = Callable[[str, bytes], Awaitable[Rpc]]
"""Bind an interface on a named pipe of this session."""

Sleep = Callable[[float], Awaitable[None]]
Work = Callable[[Rpc, bytes, str, str], Awaitable[T]]
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


async def is_domain_controller(bind: Bind) -> bool:
    """From the server type that the Server service announces, primary or backup; Samba is asked for its role too."""
    with translating(Operation.FACTS, "server type"):
        kind = srvs.server_type(await _once(bind, "srvsvc", srvs.SRVS, srvs.server_info()))
        if kind & _SV_TYPE_DOMAIN_CONTROLLERS:
            return True
        if not kind & _SV_TYPE_XENIX:
            return False
        role = srvs.machine_role(await _once(bind, "lsarpc", srvs.DSSP, srvs.primary_domain()))
        return role in _ROLES_DOMAIN_CONTROLLERS


async def _once(bind: Bind, pipe: str, interface: bytes, call: Call) -> bytes:
    """One call on a pipe of its own."""
    rpc = await bind(pipe, interface)
    answer = await rpc.call(call.opnum, call.stub)
    await rpc.disconnect()
    return answer


async def registry_access(bind: Bind, key: str, sleep: Sleep = asyncio.sleep) -> str:
    """Open ``key`` for writing, or else its nearest parent for creating it. The evidence names what was opened.

    ``registry-unavailable`` where the Remote Registry's pipe does not exist, ``registry-denied`` where it refuses.
    """
    return await _with_root(bind, key, _open_nearest, sleep)


async def registry_value(bind: Bind, key: str, name: str, sleep: Sleep = asyncio.sleep) -> str | int | None:
    """A value of ``key``; None where either is absent. What is neither text nor a number comes in hexadecimal."""

    async def work(rpc: Rpc, hive: bytes, root: str, path: str) -> str | int | None:
        try:
            opened = await _opened(rpc, hive, path, _KEY_QUERY_VALUE)
            call = rrp.query_value(opened, name, _LONGEST_VALUE)
            return _value(*rrp.value_of(await rpc.call(call.opnum, call.stub)))
        except CallError as error:
            if error.status in (_NOT_FOUND, _KEY_DELETED):
                return None
            raise

    return await _with_root(bind, key, work, sleep)


def _value(kind: int, data: bytes) -> str | int:
    if kind in (rrp.SZ, rrp.EXPAND_SZ):
        return data[: len(data) // 2 * 2].decode("utf-16-le", "replace").partition("\0")[0]
    if kind in (rrp.DWORD, rrp.QWORD) and len(data) in (4, 8):
        return int.from_bytes(data, "little")
    return data.hex()


async def _with_root(bind: Bind, key: str, work: Work[T], sleep: Sleep) -> T:
    """Bind to the registry and open the key's hive for ``work``."""
    root, _, path = key.partition("\\")
    opening = rrp.open_hive(root.upper())
    with translating(Operation.REGISTRY, key):
        try:
            rpc = await _bind_registry(bind, sleep)
        except NtStatusError as error:
            if error.status not in (_NO_SUCH_PIPE, _PIPE_NOT_AVAILABLE):
                raise
            raise ProblemError(of(Code.REGISTRY_UNAVAILABLE, Operation.REGISTRY, "no winreg pipe")) from error
        try:
            hive = rrp.key_of(await rpc.call(opening.opnum, opening.stub))
            return await work(rpc, hive, root, path)
        finally:
            await rpc.disconnect()


async def _bind_registry(bind: Bind, sleep: Sleep) -> Rpc:
    for pause in _REMOTE_REGISTRY_STARTS:
        try:
            return await bind("winreg", rrp.INTERFACE)
        except NtStatusError as error:
            if error.status != _PIPE_NOT_AVAILABLE:
                raise
            await sleep(pause)
    return await bind("winreg", rrp.INTERFACE)


async def _open_nearest(rpc: Rpc, hive: bytes, root: str, path: str) -> str:
    access, opened = _KEY_WRITE, path
    while True:
        try:
            found = await _opened(rpc, hive, opened, access)
        except CallError as error:
            if error.status != _NOT_FOUND or "\\" not in opened:
                raise
            access, opened = _KEY_CREATE_SUB_KEY, opened.rpartition("\\")[0]
        else:
            closing = rrp.close_key(found)
            done(await rpc.call(closing.opnum, closing.stub))
            return f"{root}\\{opened} opened " + ("for writing" if opened == path else "to create keys in")


async def _opened(rpc: Rpc, hive: bytes, path: str, access: int) -> bytes:
    call = rrp.open_key(hive, path, access)
    return rrp.key_of(await rpc.call(call.opnum, call.stub))
