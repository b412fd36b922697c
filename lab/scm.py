"""The service manager's pipe: stands between smbd and Wine's services.exe, which serves MS-SCMR itself.

Wine decodes the calls, keeps the service database, guards the rights of open handles and runs the services.
Ours is only what Wine leaves out or gets wrong, each a named function below:

- `open_mask`: the caller's rights (Wine refuses nobody);
- `ask_status_ex`, `status_from_ex`: QueryServiceStatus, which services.exe does not implement, asked as
  QueryServiceStatusEx;
- `config_as_windows`: QueryServiceConfigW, whose image path Wine gives back as it was written, and Windows expanded;
- call ids (Wine answers every bind with call id 1) and fragment sizes (Wine announces its own): whole calls
  are passed on, so each side sees its own ids and sizes.

One thread a pipe. Not here: bytes of PDUs (dcerpc.py), of the handshake (npa.py), rights (access.py).
"""

from __future__ import annotations

import logging
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from lab import access, dcerpc, npa
from lab.dcerpc import Call, Pdu, Type
from lab.logons import INVALID_ACCOUNT, Logons
from lab.scenarios import WINDOWS

log = logging.getLogger("lab.scm")

ACCESS_DENIED = 5
OBJECT_NAME_NOT_FOUND = 0xC0000034
AUTHENTICATION_TYPE_NOT_RECOGNIZED = 8

_STARTS = 3
_INTERNAL_ERROR = struct.pack("<I", 1359)
_CHANGE, _CREATE, _OPEN, _START = (
    11,
    12,
    16,
    19,
)  # RChangeServiceConfigW, RCreateServiceW, ROpenServiceW, RStartServiceW
_DELETE = 2
_QUERY_SERVICE_STATUS = 6
_QUERY_SERVICE_CONFIG = 17
_QUERY_SERVICE_STATUS_EX = 40
# The calls that open a handle; the wanted access is the last parameter of each.
_OPENING = {
    15: access.SERVICE_MANAGER,  # ROpenSCManagerW
    27: access.SERVICE_MANAGER,  # ROpenSCManagerA
    16: access.SERVICE,  # ROpenServiceW
    28: access.SERVICE,  # ROpenServiceA
}
_HANDLE_SIZE = 20
_CONFIG_FIXED = 36
_STATUS_SIZE, _STATUS_PROCESS_SIZE = 28, 36
_LARGEST_FRAGMENT = 4280
_LARGEST_CALL = 1 << 20


def open_mask(call: Call, caller: npa.Caller) -> Call | None:
    """The opening call with the mask the caller is granted; None where the caller has no such right."""
    wanted = struct.unpack_from("<I", call.stub, len(call.stub) - 4)[0]
    mask = access.granted(_OPENING[call.opnum], wanted, administrator=caller.is_administrator)
    return None if mask is None else replace(call, stub=call.stub[:-4] + struct.pack("<I", mask))


def opened_service(stub: bytes) -> str:
    """The name in an ROpenServiceW, a string behind the manager's handle; read by hand, as every host is asked at its
    start and NDR structures are slow to import."""
    if len(stub) < _HANDLE_SIZE + 12:
        return ""
    count = int.from_bytes(stub[_HANDLE_SIZE + 8 : _HANDLE_SIZE + 12], "little")
    start = _HANDLE_SIZE + 12
    return stub[start : start + 2 * count].decode("utf-16-le", "replace").rstrip("\0")


def ask_status_ex(call: Call) -> Call:
    """QueryServiceStatus as the call that services.exe does implement."""
    parameters = struct.pack("<II", 0, _STATUS_PROCESS_SIZE)  # SC_STATUS_PROCESS_INFO, size of the buffer
    return replace(call, opnum=_QUERY_SERVICE_STATUS_EX, stub=call.stub[:_HANDLE_SIZE] + parameters)


def status_from_ex(stub: bytes) -> bytes:
    """The answer of QueryServiceStatusEx as that of QueryServiceStatus: SERVICE_STATUS and the error code."""
    has_status = len(stub) >= 4 + _STATUS_PROCESS_SIZE + 8
    status = stub[4 : 4 + _STATUS_SIZE] if has_status else bytes(_STATUS_SIZE)
    return status + stub[-4:]


def as_windows(image_path: str, windows: str) -> str:
    """An image path as Windows' service manager gives it back: its environment's names expanded. Wine's own programs
    are where Windows is."""
    drive = windows[:2]
    names = {
        **dict.fromkeys(("systemroot", "windir"), windows),
        "systemdrive": drive,
        "programfiles": f"{drive}\\Program Files",
        "programfiles(x86)": f"{drive}\\Program Files (x86)",
        "programdata": f"{drive}\\ProgramData",
    }
    expanded = re.sub("%([^%]+)%", lambda name: names.get(name[1].lower(), name[0]), image_path)
    return re.sub(r'^("?)[Cc]:\\[Ww]indows\\', lambda start: f"{start[1]}{windows}\\", expanded)


def config_as_windows(stub: bytes, windows: str) -> bytes:
    """The answer of QueryServiceConfigW with its image path expanded: QUERY_SERVICE_CONFIGW's first string."""
    if len(stub) < _CONFIG_FIXED + 12 + 8 or not int.from_bytes(stub[12:16], "little"):
        return stub
    count = int.from_bytes(stub[_CONFIG_FIXED + 8 : _CONFIG_FIXED + 12], "little")
    start, end = _CONFIG_FIXED + 12, _CONFIG_FIXED + 12 + 2 * count
    text = stub[start:end].decode("utf-16-le")
    made = as_windows(text.rstrip("\0"), windows) + "\0"
    data = struct.pack("<III", len(made), 0, len(made)) + made.encode("utf-16-le")
    return stub[:_CONFIG_FIXED] + data + bytes(-len(data) % 4) + stub[end + -end % 4 :]


def unsealed(data: bytes, key: bytes) -> str | None:
    """A password as it comes in the service manager's calls (MS-LSAD 5.1.2); None where it is none by that key."""
    from Cryptodome.Cipher import DES
    from impacket.crypto import transformKey

    text, rest = b"", key
    for start in range(0, len(data) // 8 * 8, 8):
        if len(rest) < 7:
            rest = key[len(rest) :]
        cipher = DES.new(transformKey(rest[:7]), DES.MODE_ECB)  # noqa: S304 (the protocol's own)
        text, rest = text + cipher.decrypt(data[start : start + 8]), rest[7:]
    if len(text) < 8 or text[4:8] != b"\1\0\0\0":
        return None
    return text[8 : 8 + int.from_bytes(text[:4], "little")].decode("utf-16-le", "replace").rstrip("\0")


class _Messages:
    """PDUs over smbd's socket, where each message has its length in front."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rb")
        self._connection = connection
        self._pending = b""

    def handshake(self) -> bytes:
        size = self._exactly(4)
        return size + self._exactly(int.from_bytes(size, "big"))

    def answer(self, data: bytes) -> None:
        self._connection.sendall(data)

    def receive(self) -> Pdu | None:
        """The next PDU; None when the client has closed the pipe. A PDU may come in several writes."""
        while len(self._pending) < dcerpc.HEADER_SIZE or len(self._pending) < dcerpc.announced_size(self._pending):
            head = self._stream.read(2)
            if len(head) < 2:
                return None
            self._pending += self._exactly(int.from_bytes(head, "little"))
        size = dcerpc.announced_size(self._pending)
        data, self._pending = self._pending[:size], self._pending[size:]
        return dcerpc.parse(data)

    def send(self, pdu: Pdu) -> None:
        self._connection.sendall(npa.message(pdu.pack()))

    def _exactly(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) < count:
            raise ConnectionError("smbd closed the connection in mid-message")
        return data


class _Wine:
    """PDUs over the relay's connection to services.exe."""

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rb")
        self._connection = connection

    def send(self, pdu: Pdu) -> None:
        self._connection.sendall(pdu.pack())

    def receive(self) -> Pdu:
        header = self._stream.read(dcerpc.HEADER_SIZE)
        if len(header) < dcerpc.HEADER_SIZE:
            raise ConnectionError("the service manager closed its pipe")
        return dcerpc.parse(header + self._stream.read(dcerpc.announced_size(header) - len(header)))

    def bind(self, bind: Pdu) -> Pdu:
        self.send(bind)
        return self.receive()

    def call(self, call: Call) -> Pdu | bytes:
        """The whole answer's stub, or the fault."""
        for fragment in dcerpc.split_request(call, _LARGEST_FRAGMENT):
            self.send(fragment)
        stub = b""
        while True:
            pdu = self.receive()
            if pdu.type == Type.FAULT:
                return pdu
            stub += dcerpc.response_stub(pdu)
            if pdu.is_last:
                return stub


class _Pipe:
    """One opened pipe, from the handshake to the closing."""

    def __init__(self, client: _Messages, wine: _Wine, caller: npa.Caller, windows: str, logons: Logons | None) -> None:
        self._windows, self._logons = windows, logons
        self._opened: dict[bytes, str] = {}  # the services of handles
        self._client = client
        self._wine = wine
        self._caller = caller
        self._largest = _LARGEST_FRAGMENT
        self._fragments: list[Call] = []

    def run(self) -> None:
        while (pdu := self._client.receive()) is not None:
            match pdu.type:
                case Type.BIND | Type.ALTER_CONTEXT:
                    self._bind(pdu)
                case Type.REQUEST:
                    self._request(pdu)
                case _:  # cancels and the like ask for nothing
                    log.info("ignored a PDU of type %d", pdu.type)

    def _bind(self, bind: Pdu) -> None:
        if bind.auth_length:
            # Signed calls could not be passed on; over SMB the session itself protects them.
            self._client.send(dcerpc.bind_nak(bind, AUTHENTICATION_TYPE_NOT_RECOGNIZED))
            return
        answer = self._wine.bind(bind)
        if answer.type in (Type.BIND_ACK, Type.ALTER_CONTEXT_RESPONSE):
            transmit, receive = (min(size, _LARGEST_FRAGMENT) for size in dcerpc.fragment_sizes(bind))
            self._largest = receive
            answer = dcerpc.with_fragment_sizes(answer, receive, transmit)
        self._client.send(replace(answer, call_id=bind.call_id))

    def _request(self, pdu: Pdu) -> None:
        self._fragments.append(dcerpc.request_fragment(pdu))
        if sum(len(fragment.stub) for fragment in self._fragments) > _LARGEST_CALL:
            raise dcerpc.PduError("a call of more than 1 MiB")
        if pdu.is_last:
            call, self._fragments = dcerpc.join(self._fragments), []
            answer = self._perform(call)
            if isinstance(answer, Pdu):
                self._client.send(replace(answer, call_id=call.call_id))
                return
            for fragment in dcerpc.split_response(call, answer, self._largest):
                self._client.send(fragment)

    def _perform(self, call: Call) -> Pdu | bytes:
        if call.opnum in _OPENING:
            allowed = open_mask(call, self._caller)
            log.info("%s: opnum %d %s", self._caller.user, call.opnum, "allowed" if allowed else "denied")
            if allowed is None:
                return bytes(_HANDLE_SIZE) + struct.pack("<I", ACCESS_DENIED)
            answer = self._wine.call(allowed)
            if self._logons is not None and call.opnum == _OPEN and isinstance(answer, bytes):
                self._opened[answer[:_HANDLE_SIZE]] = opened_service(call.stub)
            return answer
        log.info("%s: opnum %d", self._caller.user, call.opnum)
        if self._logons is not None and call.opnum in (_CREATE, _CHANGE, _START):
            return self._with_logon(call, self._logons)
        if call.opnum == _QUERY_SERVICE_STATUS:
            answer = self._wine.call(ask_status_ex(call))
            return answer if isinstance(answer, Pdu) else status_from_ex(answer)
        if call.opnum == _QUERY_SERVICE_CONFIG:
            answer = self._wine.call(call)
            return answer if isinstance(answer, Pdu) else config_as_windows(answer, self._windows)
        if call.opnum == _START:
            return self._start(call)
        answer = self._wine.call(call)
        if self._logons is not None and call.opnum == _DELETE and answer == bytes(4):
            self._logons.forget(self._opened.get(call.stub[:_HANDLE_SIZE], ""))
        return answer

    def _start(self, call: Call) -> Pdu | bytes:
        """Once more where Wine's new process died before it ran anything, a race of Wine's (NtCreateUserProcess says
        STATUS_INTERNAL_ERROR then): the service is still stopped, and nothing of it has been run."""
        for _ in range(_STARTS):
            answer = self._wine.call(call)
            if answer != _INTERNAL_ERROR:
                break
            log.info("Wine could not begin a process")
        return answer

    def _with_logon(self, call: Call, logons: Logons) -> Pdu | bytes:
        """A call about a service whose account and password count, as Wine does not take them."""
        if call.opnum == _START:
            refused = logons.refuses_start(self._opened.get(call.stub[:_HANDLE_SIZE], ""))
            return struct.pack("<I", refused) if refused else self._start(call)
        from impacket.dcerpc.v5 import scmr  # NDR structures, slow to import and seldom needed

        asked = (scmr.RCreateServiceW if call.opnum == _CREATE else scmr.RChangeServiceConfigW)(call.stub)
        account, sealed = _text(asked["lpServiceStartName"]), b"".join(asked["lpPassword"] or [])
        password = unsealed(sealed, self._caller.session_key) if sealed else None
        refused = logons.refuses_account(account) or (INVALID_ACCOUNT if sealed and password is None else 0)
        if refused:
            tag = struct.pack("<I", 0)
            return tag + (bytes(_HANDLE_SIZE) if call.opnum == _CREATE else b"") + struct.pack("<I", refused)
        answer = self._wine.call(call)
        if isinstance(answer, bytes) and answer[-4:] == bytes(4):
            if call.opnum == _CREATE:
                name = _text(asked["lpServiceName"])
                self._opened[answer[-4 - _HANDLE_SIZE : -4]] = name
                logons.keep(name, account, password)
            elif account:
                logons.keep(self._opened.get(call.stub[:_HANDLE_SIZE], ""), account, password)
        return answer


def _text(value: object) -> str:
    return str(value).rstrip("\0") if value else ""


class ServiceManagerPipe:
    """Serves the Unix socket that smbd looks for when a client opens \\PIPE\\svcctl."""

    def __init__(
        self,
        path: Path,
        connect: Callable[[], socket.socket],
        windows: str = WINDOWS,
        logons: Logons | None = None,
    ) -> None:
        """`connect` opens the way to services.exe; an OSError from it means that there is none. `windows`: where
        Windows says that it is. `logons`: who may log on as a service (None: everybody)."""
        self._windows, self._logons = windows, logons
        self._connect = connect
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(64)

    def start(self) -> None:
        threading.Thread(target=self._accept, name="svcctl", daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                client = _Messages(connection)
                caller = npa.parse_request(client.handshake())
                try:
                    upstream = self._connect()
                except OSError:
                    log.exception("the service manager is gone")
                    client.answer(npa.reply(OBJECT_NAME_NOT_FOUND))
                    return
                with upstream:
                    client.answer(npa.reply())
                    log.info("opened by %s, administrator: %s", caller.user, caller.is_administrator)
                    _Pipe(client, _Wine(upstream), caller, self._windows, self._logons).run()
            except (npa.HandshakeError, dcerpc.PduError):
                log.exception("closed a pipe that cannot be served")
            except OSError as exc:
                log.info("pipe ended: %s", exc)
