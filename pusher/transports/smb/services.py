"""The service manager over MS-SCMR: blocking, one bound pipe.

A service handle that stays open keeps a deleted service in the database (ERROR_SERVICE_MARKED_FOR_DELETE), so
handles are closed as soon as they are used; only the one that watches a service's status is kept, until something
else is asked. A password of a service's account is encrypted with the session's key besides, and goes out on an
encrypted session only. Sources: MS-SCMR 3.1.4; MS-LSAD 5.1.2 (secrets). What must not live here: how a call looks
(``scmr``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TypeVar

from Cryptodome.Cipher import DES
from impacket.crypto import transformKey

from pusher.models import Secret
from pusher.problems import Code, ProblemError
from pusher.remote.paths import SystemFolders, windows_of
from pusher.transports.codes import Operation, from_win32, of
from pusher.transports.port import ServiceConfig, ServiceState, ServiceStatus, StartType
from pusher.transports.smb import scmr
from pusher.transports.smb.errors import CallError
from pusher.transports.smb.faults import guarded
from pusher.transports.smb.pipe import Rpc

T = TypeVar("T")

_NOT_FOUND, _ALREADY_RUNNING, _NOT_ACTIVE, _MARKED = 1060, 1056, 1062, 1072
_QUERY = scmr.QUERY_CONFIG | scmr.QUERY_STATUS
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

    def __init__(self, bound: Callable[[], Rpc], key: Callable[[], bytes | None]) -> None:
        self._bind, self._key = bound, key
        self._rpc: Rpc | None = None
        self._manager: bytes | None = None
        self._watched: tuple[str, bytes] | None = None
        self._folders: SystemFolders | None = None

    def open(self) -> None:
        """Bind and open the manager with the right to create services; the proof of that right."""
        if self._manager is None:
            access = scmr.MANAGER_CONNECT | scmr.MANAGER_CREATE_SERVICE

            def work() -> bytes:
                self._rpc = self._rpc or self._bind()
                return scmr.handle_of(self._call(scmr.open_manager(access)))

            self._manager = guarded(Operation.SERVICE_MANAGER, work)

    def status(self, name: str) -> ServiceStatus | None:
        """One call while the same service is watched: its handle is kept until anything else is asked."""
        self.open()

        def work() -> ServiceStatus | None:
            if self._watched is None or self._watched[0] != name:
                self._unwatch()
                handle = self._open_service(name, scmr.QUERY_STATUS)
                if handle is None:
                    return None
                self._watched = (name, handle)
            return _status(self._call(scmr.query_status(self._watched[1])))

        return guarded(Operation.SERVICE, work, name)

    def config(self, name: str) -> ServiceConfig | None:
        def work(service: bytes) -> ServiceConfig:
            config, delayed = self._config(service), self._config2(service, scmr.DELAYED_AUTO_START)
            return ServiceConfig(
                image_path=config.image_path,
                display_name=config.display_name,
                start_type=StartType(config.start_type),
                account=config.account,
                delayed=len(delayed) >= 4 and struct.unpack_from("<I", delayed)[0] != 0,
                description=_description(self._config2(service, scmr.DESCRIPTION)),
            )

        return self._with_service(name, _QUERY, work)

    def folders(self) -> SystemFolders:
        """Where Windows is: the manager gives the image paths of Windows' own services back expanded.

        It answers where the Remote Registry is disabled. Where it does not tell, Windows is where nearly all have it.
        """
        if self._folders is None:
            told = (self._with_service(name, scmr.QUERY_CONFIG, self._image_path) for name in _WINDOWS_OWN)
            found = (windows_of(path) for path in told if path is not None)
            self._folders = next((folders for folders in found if folders is not None), SystemFolders())
        return self._folders

    def _image_path(self, service: bytes) -> str:
        return self._config(service).image_path

    def create(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        manager = self._opened()

        def work() -> None:
            call = scmr.create_service(
                manager,
                name,
                config.display_name,
                config.image_path,
                int(config.start_type),
                config.account,
                self._sealed(secret, name),
            )
            service = scmr.created_handle(self._call(call))
            try:
                self._set_extras(service, config)
            finally:
                self._call(scmr.close_handle(service))

        guarded(Operation.SERVICE, work, f"creating {name}")

    def configure(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        def work(service: bytes) -> None:
            password, account = self._sealed(secret, name), config.account
            there = self._config(service).account
            call = scmr.change_config(
                service,
                int(config.start_type),
                config.image_path,
                # Named again without its password an account would lose it.
                None if secret is None and there.lower() == account.lower() else account,
                password,
                config.display_name,
            )
            scmr.done(self._call(call))
            self._set_extras(service, config)

        self._must(name, scmr.CHANGE_CONFIG | scmr.QUERY_CONFIG, work)

    def start(self, name: str) -> None:
        def work(service: bytes) -> None:
            scmr.done(self._call(scmr.start_service(service)), _ALREADY_RUNNING)

        self._must(name, scmr.START | scmr.QUERY_STATUS, work, Operation.START)

    def stop(self, name: str) -> bool:
        def work(service: bytes) -> bool:
            return scmr.done(self._call(scmr.stop_service(service)), _NOT_ACTIVE) != _NOT_ACTIVE

        return bool(self._with_service(name, scmr.STOP | scmr.QUERY_STATUS, work))

    def delete(self, name: str) -> bool:
        def work(service: bytes) -> bool:
            scmr.done(self._call(scmr.delete_service(service)), _MARKED)
            return True

        return bool(self._with_service(name, scmr.DELETE, work))

    def close(self) -> None:
        """Close the manager's handle and the pipe; never raises."""
        self._unwatch()
        rpc, manager, self._manager = self._rpc, self._manager, None
        with suppress(Exception):
            if manager is not None:
                self._call(scmr.close_handle(manager))
        self._rpc = None
        with suppress(Exception):
            if rpc is not None:
                rpc.disconnect()

    def _opened(self) -> bytes:
        self.open()
        assert self._manager is not None
        return self._manager

    def _call(self, call: scmr.Call) -> bytes:
        assert self._rpc is not None
        return self._rpc.call(call.opnum, call.stub)

    def _must(self, name: str, access: int, work: Callable[[bytes], T], operation: Operation = Operation.SERVICE) -> T:
        result = self._with_service(name, access, lambda service: (work(service),), operation)
        if result is None:
            raise ProblemError(of(Code.SERVICE_MISSING, operation, name))
        return result[0]

    def _with_service(
        self, name: str, access: int, work: Callable[[bytes], T], operation: Operation = Operation.SERVICE
    ) -> T | None:
        self.open()

        def whole() -> T | None:
            with self._handle(name, access) as service:
                return None if service is None else work(service)

        return guarded(operation, whole, name)

    @contextmanager
    def _handle(self, name: str, access: int) -> Iterator[bytes | None]:
        self._unwatch()
        service = self._open_service(name, access)
        try:
            yield service
        finally:
            if service is not None:
                with suppress(Exception):
                    self._call(scmr.close_handle(service))

    def _open_service(self, name: str, access: int) -> bytes | None:
        """A handle; None where no such service exists."""
        answer = self._call(scmr.open_service(self._opened(), name, access))
        return None if scmr.done(answer, _NOT_FOUND) == _NOT_FOUND else scmr.handle_of(answer)

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            with suppress(Exception):
                self._call(scmr.close_handle(watched[1]))

    def _config(self, service: bytes) -> scmr.Config:
        answer = self._call(scmr.query_config(service, _ROOM))
        if scmr.done(answer, scmr.INSUFFICIENT_BUFFER) == scmr.INSUFFICIENT_BUFFER:
            answer = self._call(scmr.query_config(service, scmr.bytes_needed(answer)))
        return scmr.config_of(answer)

    def _config2(self, service: bytes, level: int) -> bytes:
        """Empty where the server does not know the level."""
        answer = self._call(scmr.query_config2(service, level, _ROOM))
        status = scmr.done(answer, scmr.INSUFFICIENT_BUFFER, *_UNSUPPORTED)
        if status in _UNSUPPORTED:
            return b""
        if status == scmr.INSUFFICIENT_BUFFER:
            answer = self._call(scmr.query_config2(service, level, scmr.bytes_needed(answer)))
        return scmr.buffer_of(answer)

    def _sealed(self, secret: Secret | None, name: str) -> bytes | None:
        """The password as the service manager takes it; None where there is none."""
        if secret is None:
            return None
        key = self._key()
        if key is None:
            raise ProblemError(of(Code.SESSION_NOT_ENCRYPTED, Operation.SERVICE, name))
        return sealed(f"{secret.reveal()}\0".encode("utf-16-le"), key)

    def _set_extras(self, service: bytes, config: ServiceConfig) -> None:
        self._change2(scmr.change_description(service, config.description))
        if config.delayed:
            self._change2(scmr.change_delayed(service, is_delayed=True))

    def _change2(self, call: scmr.Call) -> None:
        """Servers that do not know the level keep the service without it; nothing depends on it."""
        try:
            scmr.done(self._call(call), *_UNSUPPORTED)
        except CallError as error:
            raise ProblemError(from_win32(error.status, Operation.SERVICE, "description")) from error


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
