"""The service manager over MS-SCMR: blocking, one bound pipe.

A service handle that stays open keeps a deleted service in the database (ERROR_SERVICE_MARKED_FOR_DELETE), so
handles are closed as soon as they are used; only the one that watches a service's status is kept, until something
else is asked. A password of a service's account is encrypted with the session's key besides, and goes out on an
encrypted session only. Sources: MS-SCMR 3.1.4; access rights 2.2.19; MS-LSAD 5.1.2 (secrets).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from Cryptodome.Cipher import DES
from impacket.crypto import transformKey
from impacket.dcerpc.v5 import scmr
from impacket.dcerpc.v5.ndr import NULL
from impacket.dcerpc.v5.rpcrt import DCERPCException

from pusher.models import Secret
from pusher.problems import Code, ProblemError
from pusher.remote.paths import SystemFolders, windows_of
from pusher.transports.codes import Operation, from_win32, of
from pusher.transports.port import ServiceConfig, ServiceState, ServiceStatus, StartType
from pusher.transports.smb.faults import guarded

T = TypeVar("T")

_NOT_FOUND, _ALREADY_RUNNING, _NOT_ACTIVE, _MARKED = 1060, 1056, 1062, 1072
_QUERY = scmr.SERVICE_QUERY_CONFIG | scmr.SERVICE_QUERY_STATUS
_DELETE = 0x00010000
_NO_CHANGE = 0xFFFFFFFF
_DESCRIPTION, _DELAYED = 1, 3
_UNSUPPORTED = {50, 87, 120, 124, 1783}
_MAX_CONFIG = 8192
_STATUS_PROCESS = struct.Struct("<9I")
"""SERVICE_STATUS_PROCESS (MS-SCMR 2.2.49)."""
_WINDOWS_OWN = ("RpcSs", "EventLog", "LanmanServer")
"""Services of every Windows whose program is in its System32."""


class ServiceManager:
    """Service calls on one bound svcctl pipe; raises ProblemError only.

    ``key``: the session's key as applications have it (MS-SMB2 3.2.1.3, Session.ApplicationKey); None where what is
    sent is not encrypted.
    """

    def __init__(self, bound: Callable[[], Any], key: Callable[[], bytes | None]) -> None:
        self._bind, self._key = bound, key
        self._rpc: Any = None
        self._manager: Any = None
        self._watched: tuple[str, Any] | None = None
        self._folders: SystemFolders | None = None

    def open(self) -> None:
        """Bind and open the manager with the right to create services; the proof of that right."""
        if self._manager is None:
            access = scmr.SC_MANAGER_CONNECT | scmr.SC_MANAGER_CREATE_SERVICE

            def work() -> Any:
                self._rpc = self._rpc or self._bind()
                return scmr.hROpenSCManagerW(self._rpc, dwDesiredAccess=access)["lpScHandle"]

            self._manager = guarded(Operation.SERVICE_MANAGER, work)

    def status(self, name: str) -> ServiceStatus | None:
        """One call while the same service is watched: its handle is kept until anything else is asked."""
        self.open()

        def work() -> ServiceStatus | None:
            if self._watched is None or self._watched[0] != name:
                self._unwatch()
                handle = self._open_service(name, scmr.SERVICE_QUERY_STATUS)
                if handle is None:
                    return None
                self._watched = (name, handle)
            return self._status_process(self._watched[1])

        return guarded(Operation.SERVICE, work, name)

    def config(self, name: str) -> ServiceConfig | None:
        def work(service: Any) -> ServiceConfig:
            raw = scmr.hRQueryServiceConfigW(self._rpc, service)["lpServiceConfig"]
            delayed = self._config2(service, _DELAYED)
            return ServiceConfig(
                image_path=_text(raw["lpBinaryPathName"]),
                display_name=_text(raw["lpDisplayName"]),
                start_type=StartType(raw["dwStartType"]),
                account=_text(raw["lpServiceStartName"]),
                delayed=len(delayed) >= 4 and struct.unpack_from("<I", delayed)[0] != 0,
                description=_description(self._config2(service, _DESCRIPTION)),
            )

        return self._with_service(name, _QUERY, work)

    def folders(self) -> SystemFolders:
        """Where Windows is: the manager gives the image paths of Windows' own services back expanded.

        It answers where the Remote Registry is disabled. Where it does not tell, Windows is where nearly all have it.
        """
        if self._folders is None:
            told = (self._with_service(name, scmr.SERVICE_QUERY_CONFIG, self._image_path) for name in _WINDOWS_OWN)
            found = (windows_of(path) for path in told if path is not None)
            self._folders = next((folders for folders in found if folders is not None), SystemFolders())
        return self._folders

    def _image_path(self, service: Any) -> str:
        return _text(scmr.hRQueryServiceConfigW(self._rpc, service)["lpServiceConfig"]["lpBinaryPathName"])

    def create(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        self.open()

        def work() -> None:
            password = self._sealed(secret, name)
            service = scmr.hRCreateServiceW(
                self._rpc,
                self._manager,
                name + "\0",
                config.display_name + "\0",
                lpBinaryPathName=config.image_path + "\0",
                dwStartType=int(config.start_type),
                dwErrorControl=scmr.SERVICE_ERROR_NORMAL,
                lpServiceStartName=config.account + "\0",
                lpPassword=password,
                dwPwSize=len(password or b""),
            )["lpServiceHandle"]
            try:
                self._set_extras(service, config)
            finally:
                scmr.hRCloseServiceHandle(self._rpc, service)

        guarded(Operation.SERVICE, work, f"creating {name}")

    def configure(self, name: str, config: ServiceConfig, secret: Secret | None = None) -> None:
        def work(service: Any) -> None:
            password, account = self._sealed(secret, name), config.account
            there = _text(scmr.hRQueryServiceConfigW(self._rpc, service)["lpServiceConfig"]["lpServiceStartName"])
            scmr.hRChangeServiceConfigW(
                self._rpc,
                service,
                dwStartType=int(config.start_type),
                lpBinaryPathName=config.image_path + "\0",
                # Named again without its password an account would lose it.
                lpServiceStartName=NULL if secret is None and there.lower() == account.lower() else account + "\0",
                lpPassword=password,
                dwPwSize=len(password or b""),
                lpDisplayName=config.display_name + "\0",
            )
            self._set_extras(service, config)

        self._must(name, scmr.SERVICE_CHANGE_CONFIG | scmr.SERVICE_QUERY_CONFIG, work)

    def start(self, name: str) -> None:
        def work(service: Any) -> None:
            try:
                scmr.hRStartServiceW(self._rpc, service)
            except DCERPCException as error:
                if error.error_code != _ALREADY_RUNNING:
                    raise

        self._must(name, scmr.SERVICE_START | scmr.SERVICE_QUERY_STATUS, work, Operation.START)

    def stop(self, name: str) -> bool:
        def work(service: Any) -> bool:
            try:
                scmr.hRControlService(self._rpc, service, scmr.SERVICE_CONTROL_STOP)
            except DCERPCException as error:
                if error.error_code == _NOT_ACTIVE:
                    return False
                raise
            return True

        return bool(self._with_service(name, scmr.SERVICE_STOP | scmr.SERVICE_QUERY_STATUS, work))

    def delete(self, name: str) -> bool:
        def work(service: Any) -> bool:
            try:
                scmr.hRDeleteService(self._rpc, service)
            except DCERPCException as error:
                if error.error_code != _MARKED:
                    raise
            return True

        return bool(self._with_service(name, _DELETE, work))

    def close(self) -> None:
        """Close the manager's handle and the pipe; never raises."""
        self._unwatch()
        rpc, manager, self._rpc, self._manager = self._rpc, self._manager, None, None
        with suppress(Exception):
            if manager is not None:
                scmr.hRCloseServiceHandle(rpc, manager)
            if rpc is not None:
                rpc.disconnect()

    def _must(self, name: str, access: int, work: Callable[[Any], T], operation: Operation = Operation.SERVICE) -> T:
        result = self._with_service(name, access, lambda service: (work(service),), operation)
        if result is None:
            raise ProblemError(of(Code.SERVICE_MISSING, operation, name))
        return result[0]

    def _with_service(
        self, name: str, access: int, work: Callable[[Any], T], operation: Operation = Operation.SERVICE
    ) -> T | None:
        self.open()

        def whole() -> T | None:
            with self._handle(name, access) as service:
                return None if service is None else work(service)

        return guarded(operation, whole, name)

    @contextmanager
    def _handle(self, name: str, access: int) -> Iterator[Any]:
        self._unwatch()
        service = self._open_service(name, access)
        try:
            yield service
        finally:
            if service is not None:
                with suppress(Exception):
                    scmr.hRCloseServiceHandle(self._rpc, service)

    def _open_service(self, name: str, access: int) -> Any:
        """A handle; None where no such service exists."""
        try:
            return scmr.hROpenServiceW(self._rpc, self._manager, name + "\0", access)["lpServiceHandle"]
        except DCERPCException as error:
            if error.error_code == _NOT_FOUND:
                return None
            raise

    def _unwatch(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            with suppress(Exception):
                scmr.hRCloseServiceHandle(self._rpc, watched[1])

    def _status_process(self, service: Any) -> ServiceStatus:
        """QueryServiceStatusEx (MS-SCMR 3.1.4.40): the status, and the process where there is one."""
        request = scmr.RQueryServiceStatusEx()
        request["hService"], request["InfoLevel"] = service, scmr.SC_STATUS_PROCESS_INFO
        request["cbBufSize"] = _STATUS_PROCESS.size
        raw = b"".join(self._rpc.request(request)["lpBuffer"])
        _, state, _, win32_exit, service_exit, checkpoint, wait_hint, process, _ = _STATUS_PROCESS.unpack_from(raw)
        return ServiceStatus(
            state=ServiceState(state),
            win32_exit=win32_exit,
            service_exit=service_exit,
            checkpoint=checkpoint,
            wait_hint=wait_hint,
            process=process,
        )

    def _config2(self, service: Any, level: int) -> bytes:
        """QueryServiceConfig2W (MS-SCMR 3.1.4.36); empty where the server does not know the level."""
        request = scmr.RQueryServiceConfig2W()
        request["hService"], request["dwInfoLevel"], request["cbBufSize"] = service, level, _MAX_CONFIG
        try:
            return b"".join(self._rpc.request(request)["lpBuffer"])
        except DCERPCException as error:
            if error.error_code in _UNSUPPORTED:
                return b""
            raise

    def _sealed(self, secret: Secret | None, name: str) -> Any:
        """The password as the service manager takes it; NULL where there is none."""
        if secret is None:
            return NULL
        key = self._key()
        if key is None:
            raise ProblemError(of(Code.SESSION_NOT_ENCRYPTED, Operation.SERVICE, name))
        return sealed(f"{secret.reveal()}\0".encode("utf-16-le"), key)

    def _set_extras(self, service: Any, config: ServiceConfig) -> None:
        self._change2(service, _DESCRIPTION, config.description)
        if config.delayed:
            self._change2(service, _DELAYED, config.delayed)

    def _change2(self, service: Any, level: int, value: str | bool) -> None:
        """ChangeServiceConfig2W (MS-SCMR 3.1.4.35)."""
        request = scmr.RChangeServiceConfig2W()
        request["hService"] = service
        request["Info"]["dwInfoLevel"] = level
        request["Info"]["Union"]["tag"] = level
        if level == _DESCRIPTION:
            request["Info"]["Union"]["psd"]["lpDescription"] = f"{value}\0"
        else:
            request["Info"]["Union"]["psda"]["fDelayedAutostart"] = int(bool(value))
        try:
            self._rpc.request(request)
        except DCERPCException as error:
            # Servers that do not know the level keep the service without it; nothing depends on it.
            if error.error_code not in _UNSUPPORTED:
                raise ProblemError(from_win32(int(error.error_code or 0), Operation.SERVICE, "description")) from error


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


def _text(value: Any) -> str:
    return str(value).rstrip("\0") if value else ""


def _description(buffer: bytes) -> str:
    # SERVICE_DESCRIPTION_WOW64 (MS-SCMR 2.2.34): an offset, then the text it points to.
    if len(buffer) < 6:
        return ""
    at = struct.unpack_from("<I", buffer)[0]
    if not 4 <= at < len(buffer):
        return ""
    return buffer[at:].decode("utf-16-le", "replace").split("\0")[0]
