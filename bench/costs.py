"""``python -m bench costs``: what each verb costs a host over both transports, beside smbclient + net and impacket.

Client CPU is user and system time. ``command``: of a whole command for one host; ``a host``: what each further host
adds, from a command for ``HOSTS``. Medians of ``ROUNDS``. Requests: over SMB chains of requests that left together,
sign-in included; over WinRM HTTP requests. Bytes: of TCP, as the kernel counts them (TCP_INFO). Independent clients do
what a push does without its checks: sign in, copy, create the service, start it, look at it, stop it, delete it.
"""

from __future__ import annotations

import resource
import socket
import statistics
import struct
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from impacket.dcerpc.v5 import scmr, transport
from impacket.smbconnection import SMBConnection

from bench.__main__ import HOSTS, _push  # the same push, so that figures can be compared
from lab import Host, Lab, healthy
from pusher.models import TransportKind, Verb
from pusher.transports.smb.window import Window
from pusher.transports.smb.wire import Handover
from pusher.transports.smb.wire import Wire as SmbWire
from pusher.transports.winrm.wire import MAX_ANSWER, Answer
from pusher.transports.winrm.wire import Wire as WinrmWire

ROUNDS = 5
NETWORK = "127.0.62.0/24"
AIMS = {"push": 25, "check": 10, "unchanged": 10, "remove": 20}
"""Milliseconds of client CPU a host."""

_BYTES = struct.Struct("=QQ")
_BYTES_AT = 120
"""Of tcpi_bytes_acked and tcpi_bytes_received in struct tcp_info (linux/tcp.h)."""


@dataclass
class _Traffic:
    requests: int = 0
    sent: int = 0
    received: int = 0


_traffic = _Traffic()


def main() -> None:
    _count()
    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as name:
        folder = Path(name)
        lab = Lab(folder / "lab", NETWORK, folder, progress=lambda _: None)
        try:
            lab.up(healthy(HOSTS))
            print("| verb | transport | command ms | a host ms | aim ms | requests | sent kB | received kB |")
            print("| --- | --- | --- | --- | --- | --- | --- | --- |")
            for kind in TransportKind:
                for what, verb, before in (
                    ("check", Verb.CHECK, Verb.REMOVE),
                    ("push", Verb.PUSH, Verb.REMOVE),
                    ("unchanged", Verb.PUSH, Verb.PUSH),
                    ("remove", Verb.REMOVE, Verb.PUSH),
                ):
                    print(_row(folder, kind, what, verb, before), flush=True)
            host = lab.hosts["ws01"]
            for words, work in (
                ("smbclient + net", lambda: _by_samba(lab, host, folder)),
                ("impacket", lambda: _by_impacket(lab, host, folder)),
            ):
                print(f"| as a push, no checks | {words} | {_ms(work)} | | | | | |", flush=True)
        finally:
            lab.down()


def _row(folder: Path, kind: TransportKind, what: str, verb: Verb, before: Verb) -> str:
    def once(limit: list[str]) -> float:
        _push(folder, TransportKind.SMB, limit, before)
        _traffic.__init__()  # type: ignore[misc]
        return _cpu_of(lambda: _push(folder, kind, limit, verb))

    alone, traffic, many = list[float](), _traffic, list[float]()
    for number in range(ROUNDS + 1):
        cpu = once(["ws01.*"])
        figures = f"{traffic.requests} | {traffic.sent / 1000:.0f} | {traffic.received / 1000:.0f}"
        together = once([])
        if number:
            alone.append(cpu)
            many.append(together)
    one, all_of_them = statistics.median(alone), statistics.median(many)
    further = (all_of_them - one) / (HOSTS - 1)
    return f"| {what} | {kind.value} | {one * 1000:.0f} | {further * 1000:.1f} | {AIMS[what]} | {figures} |"


def _ms(work: Callable[[], None]) -> str:
    work()
    return f"{statistics.median(_cpu_of(work) for _ in range(ROUNDS)) * 1000:.0f}"


# -- independent clients -----------------------------------------------------------------------------------------

_SERVICE, _DESTINATION = "benchagent", "Temp\\benchagent.exe"


def _program(folder: Path) -> Path:
    return next((folder / "labagent").rglob("*.exe"))


def _by_samba(lab: Lab, host: Host, folder: Path) -> None:
    login = folder / "login"
    login.touch(mode=0o600)
    login.write_text(f"username = pushadm\npassword = {lab.secret('push-2026')}\n")

    def run(*command: str) -> None:
        subprocess.run([*command, "-p", str(host.port), "-A", str(login)], check=True, capture_output=True)

    def net(*arguments: str) -> None:
        run("net", "rpc", "service", *arguments, "-S", host.address)

    share = f"//{host.address}/ADMIN$"
    run("smbclient", share, "-c", f"put {_program(folder)} {_DESTINATION}")
    net("create", _SERVICE, _SERVICE, f"C:\\windows\\{_DESTINATION}")
    for what in ("start", "status", "stop", "delete"):
        net(what, _SERVICE)
    run("smbclient", share, "-c", f"rm {_DESTINATION}")


def _by_impacket(lab: Lab, host: Host, folder: Path) -> None:
    connection = SMBConnection(host.address, host.address, sess_port=host.port)
    connection.login("pushadm", lab.secret("push-2026"))
    with _program(folder).open("rb") as program:
        connection.putFile("ADMIN$", _DESTINATION, program.read)
    pipe = transport.SMBTransport(host.address, host.port, r"\svcctl", smb_connection=connection)
    rpc = pipe.get_dce_rpc()
    rpc.connect()
    rpc.bind(scmr.MSRPC_UUID_SCMR)
    manager = scmr.hROpenSCManagerW(rpc)["lpScHandle"]
    image = f"C:\\windows\\{_DESTINATION}"
    service = scmr.hRCreateServiceW(rpc, manager, f"{_SERVICE}\0", f"{_SERVICE}\0", lpBinaryPathName=f"{image}\0")
    handle = service["lpServiceHandle"]
    scmr.hRStartServiceW(rpc, handle)
    scmr.hRQueryServiceStatus(rpc, handle)
    scmr.hRControlService(rpc, handle, scmr.SERVICE_CONTROL_STOP)
    scmr.hRDeleteService(rpc, handle)
    scmr.hRCloseServiceHandle(rpc, handle)
    rpc.disconnect()
    connection.deleteFile("ADMIN$", _DESTINATION)
    connection.logoff()


# -- counting ----------------------------------------------------------------------------------------------------


def _cpu_of(work: Callable[[], None]) -> float:
    """Seconds, of this process and of those it has run."""
    before = _cpu()
    work()
    return _cpu() - before


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _count() -> None:
    """Have every connection to a lab host counted when it is closed, every HTTP request when it is made."""
    close, post, made, send = socket.socket.close, WinrmWire.post, SmbWire.__init__, SmbWire._send

    def closing(sock: socket.socket) -> None:
        if sock.fileno() >= 0 and sock.family == socket.AF_INET and sock.type == socket.SOCK_STREAM:
            told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
            sent, received = _BYTES.unpack_from(told, _BYTES_AT)
            _traffic.sent += sent
            _traffic.received += received
        close(sock)

    def posting(wire: WinrmWire, body: bytes, headers: Mapping[str, str], most: int = MAX_ANSWER) -> Answer:
        _traffic.requests += 1
        return post(wire, body, headers, most)

    def making(wire: SmbWire, handover: Handover, window: Window | None = None) -> None:
        _traffic.requests += handover.message  # each message of the sign-in had a number
        made(wire, handover, window)

    def sending(wire: SmbWire, *what: object) -> object:
        _traffic.requests += 1
        return send(wire, *what)  # type: ignore[arg-type]

    socket.socket.close = closing  # type: ignore[assignment, method-assign]
    WinrmWire.post = posting  # type: ignore[assignment, method-assign]
    SmbWire.__init__ = making  # type: ignore[assignment, method-assign]
    SmbWire._send = sending  # type: ignore[assignment, method-assign]
