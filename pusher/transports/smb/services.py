"""The service manager over MS-SCMR, on one bound pipe; one call at a time, which whoever calls sees to.

A service handle that stays open keeps a deleted service in the database (ERROR_SERVICE_MARKED_FOR_DELETE), so
handles are closed as soon as they are used; only the one that watches a service's status is kept, until something
else is asked. A password of a service's account is encrypted with the session's key besides, and goes out on an
encrypted session only. Sources: MS-SCMR 3.1.4; MS-LSAD 5.1.2 (secrets). What must not live here: how a call looks
(``scmr``).
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from Cryptodome.Cipher import DES
from impacket.crypto import transformKey

from pusher.models import Secret
from pusher.problems import Code, ProblemError
from pusher.remote.paths import SystemFolders, windows_of
from pusher.transports.codes import Operation, from_win32, of
from pusher.transports.port import ServiceConfig, ServiceState, ServiceStatus, StartType
from pusher.transports.smb import scmr
from pusher.transports.smb.errors import CallError, WireError
from pusher.transports.smb.faults import translating
from pusher.transports.smb.ndr import Call, done
from pusher.transports.smb.pipe import Rpc

_NOT_FOUND, _ALREADY_RUNNING, _NOT_ACTIVE, _MARKED = 1060, 1056, 1062, 1072
_UNSUPPORTED = frozenset({50, 87, 120, 124, 1783})
_ROOM = 512
"""Bytes for a service's configuration, at first: most need less, and each byte asked for is sent."""
_WINDOWS_OWN = ("RpcSs", "EventLog", "LanmanServer")
"""Services of every Windows whose program is in its System32."""


class ServiceManager:
    """Service calls on one bound svcctl pipe; raises ProblemError only.

    ``key``: the session's key as applications have it (MS-SMB2 3.2.1.3, Session.ApplicationKey); None where what is
    sent is not encrypted.
    """

    def __init__(self, bind: Callable[[], Awaitable[Rpc]], key: Callable[[], bytes | None]) -> None:
        self._bind, self._key = bind, key
        self._rpc: Rpc | None = None
        self._manager: bytes | None = None
        self._watched: tuple[str, bytes] | None = None
        self._folders: SystemFolders | None = None

    async def open(self) -> None:
        """Bind and open the manager with the right to create services; the proof of that right."""
        await self._opened()

    async def status(self, name: str) -> ServiceStatus | None:
        """One call while the same service is watched: its handle is kept until anything else is asked."""
        await self._opened()
        with translating(Operation.SERVICE, name):
            if self._watched is None or self._watched[0] != name:
                await self._unwatch()
                handle = await self._open_service(name, scmr.QUERY_STATUS)
                if handle is None:
                    return None
                self._watched = (name, handle)
            return _status(await self._call(scmr.query_status(self._watched[1])))

    async def config(self, name: str) -> ServiceConfig | None:
        async with self._service(name, scmr.QUERY_CONFIG | scmr.QUERY_STATUS) as service:
            if service is None:
                return None
            config = await self._config(service)
            delayed = await self._config2(service, scmr.DELAYED_AUTO_START)
            return ServiceConfig(
                image_path=config.image_path,
                display_name=config.display_name,
                start_type=StartType(config.start_type),
                account=config.account,
                delayed=len(delayed) >= 4 and struct.unpack_from("<I", delayed)[0] != 0,
                description=_description(await self._config2(service, scmr.DESCRIPTION)),
            )

    async def folders(self) -> SystemFolders:
        """Where Windows is: the manager gives the image paths of Windows' own services back expanded.

        It answers where the Remote Registry is disabled. Where it does not tell, Windows is where nearly all have it.
        """
        for name in _WINDOWS_OWN:
            if self._folders is not None:
                break
            async with self._service(name, scmr.QUERY_CONFIG) as service:
                if service is not None:
                    self._folders = windows_of((await self._config(service)).image_path)
        self._folders = self._folders or SystemFolders()
        return self._folders

    async def create(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        manager = await self._opened()
        with translating(Operation.SERVICE, f"creating {name}"):
            call = scmr.create_service(
                manager,
                name,
                config.display_name,
                config.image_path,
                int(config.start_type),
                config.account,
                self._sealed(secret, name),
            )
            service = scmr.created_handle(await self._call(call))
            try:
                await self._set_extras(service, config)
            finally:
                await self._call(scmr.close_handle(service))

    async def configure(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        async with self._service(name, scmr.CHANGE_CONFIG | scmr.QUERY_CONFIG) as service:
            handle, password, account = _there(service, name), self._sealed(secret, name), config.account
            there = (await self._config(handle)).account
            call = scmr.change_config(
                handle,
                int(config.start_type),
                config.image_path,
                # Named again without its password an account would lose it.
                None if secret is None and there.lower() == account.lower() else account,
                password,
                config.display_name,
            )
            done(await self._call(call))
            await self._set_extras(handle, config)

    async def start(self, name: str) -> None:
        async with self._service(name, scmr.START | scmr.QUERY_STATUS, Operation.START) as service:
            handle = _there(service, name, Operation.START)
            done(await self._call(scmr.start_service(handle)), _ALREADY_RUNNING)

    async def stop(self, name: str) -> bool:
        async with self._service(name, scmr.STOP | scmr.QUERY_STATUS) as service:
            if service is None:
                return False
            return done(await self._call(scmr.stop_service(service)), _NOT_ACTIVE) != _NOT_ACTIVE

    async def delete(self, name: str) -> bool:
        async with self._service(name, scmr.DELETE) as service:
            if service is None:
                return False
            done(await self._call(scmr.delete_service(service)), _MARKED)
            return True

    async def close(self) -> None:
        """Close the manager's handle and the pipe; what will not close goes with the connection."""
        with suppress(WireError, OSError):
            await self._unwatch()
            if self._manager is not None:
                await self._call(scmr.close_handle(self._manager))
            if self._rpc is not None:
                await self._rpc.disconnect()
        self._manager = self._rpc = None

    # -- the parts --------------------------------------------------------------------------------------------------

    async def _opened(self) -> bytes:
        if self._manager is None:
            with translating(Operation.SERVICE_MANAGER):
                self._rpc = self._rpc or await self._bind()
                access = scmr.MANAGER_CONNECT | scmr.MANAGER_CREATE_SERVICE
                self._manager = scmr.handle_of(await self._call(scmr.open_manager(access)))
        return self._manager

    async def _call(self, call: Call) -> bytes:
        assert self._rpc is not None
        return await self._rpc.call(call.opnum, call.stub)

    @asynccontextmanager
    async def _service(
        self, name: str, access: int, operation: Operation = Operation.SERVICE
    ) -> AsyncIterator[bytes | None]:
        """A handle, closed behind what is done with it; None where no such service exists."""
        await self._opened()
        with translating(operation, name):
            await self._unwatch()
            service = await self._open_service(name, access)
            try:
                yield service
            finally:
                if service is not None:
                    with suppress(WireError, OSError):
                        await self._call(scmr.close_handle(service))

    async def _open_service(self, name: str, access: int) -> bytes | None:
        answer = await self._call(scmr.open_service(await self._opened(), name, access))
        return None if done(answer, _NOT_FOUND) == _NOT_FOUND else scmr.handle_of(answer)

    async def _unwatch(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            with suppress(WireError, OSError):
                await self._call(scmr.close_handle(watched[1]))

    async def _config(self, service: bytes) -> scmr.Config:
        answer = await self._call(scmr.query_config(service, _ROOM))
        if done(answer, scmr.INSUFFICIENT_BUFFER) == scmr.INSUFFICIENT_BUFFER:
            answer = await self._call(scmr.query_config(service, scmr.bytes_needed(answer)))
        return scmr.config_of(answer)

    async def _config2(self, service: bytes, level: int) -> bytes:
        """Empty where the server does not know the level."""
        answer = await self._call(scmr.query_config2(service, level, _ROOM))
        status = done(answer, scmr.INSUFFICIENT_BUFFER, *_UNSUPPORTED)
        if status in _UNSUPPORTED:
            return b""
        if status == scmr.INSUFFICIENT_BUFFER:
            answer = await self._call(scmr.query_config2(service, level, scmr.bytes_needed(answer)))
        return scmr.buffer_of(answer)

    def _sealed(self, secret: Secret | None, name: str) -> bytes | None:
        """The password as the service manager takes it; None where there is none."""
        if secret is None:
            return None
        key = self._key()
        if key is None:
            raise ProblemError(of(Code.SESSION_NOT_ENCRYPTED, Operation.SERVICE, name))
        return sealed(f"{secret.reveal()}\0".encode("utf-16-le"), key)

    async def _set_extras(self, service: bytes, config: ServiceConfig) -> None:
        await self._change2(scmr.change_description(service, config.description))
        if config.delayed:
            await self._change2(scmr.change_delayed(service, is_delayed=True))

    async def _change2(self, call: Call) -> None:
        """Servers that do not know the level keep the service without it; nothing depends on it."""
        try:
            done(await self._call(call), *_UNSUPPORTED)
        except CallError as error:
            raise ProblemError(from_win32(error.status, Operation.SERVICE, "description")) from error


def _there(service: bytes | None, name: str, operation: Operation = Operation.SERVICE) -> bytes:
    if service is None:
        raise ProblemError(of(Code.SERVICE_MISSING, operation, name))
    return service


def _status(answer: bytes) -> ServiceStatus:
    status = scmr.status_of(answer)
    return ServiceStatus(
        state=ServiceState(status.state),
        win32_exit=status.win32_exit,
        service_exit=status.service_exit,
        checkpoint=status.checkpoint,
        wait_hint=status.wait_hint,
        process=status.process,
    )


def sealed(data: bytes, key: bytes) -> bytes:
    """``data`` encrypted as MS-LSAD 5.1.2 has it: its length and the version 1 before it, DES by blocks of 8 bytes.

    Each block has the next 7 bytes of the 16 of the key; where they do not suffice, the last 7 that there are, and the
    key begins anew. That is obscurity today: what protects the password on its way is the session's own encryption.
    """
    text = struct.pack("<II", len(data), 1) + data
    text += bytes(-len(text) % 8)
    out, at = b"", 0
    for start in range(0, len(text), 8):
        if at + 7 > len(key):
            at = len(key) - at
        cipher = DES.new(transformKey(key[at : at + 7]), DES.MODE_ECB)  # noqa: S304 (the protocol's own)
        out += cipher.encrypt(text[start : start + 8])
        at += 7
    return out


def _description(buffer: bytes) -> str:
    # SERVICE_DESCRIPTION_WOW64 (MS-SCMR 2.2.34): an offset, then the text it points to.
    if len(buffer) < 6:
        return ""
    at = struct.unpack_from("<I", buffer)[0]
    if not 4 <= at < len(buffer):
        return ""
    return buffer[at:].decode("utf-16-le", "replace").split("\0")[0]
