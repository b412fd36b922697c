"""A TCP proxy that injects faults: joins the connections from outside to a server of the host.

One for each port. The listening socket was bound in the ordinary network namespace, the servers (smbd, the WinRM
endpoint) listen in the host's own; a process of the host that has inherited the socket is the only way in. Without a
fault bytes are spliced in the kernel; a connection with a fault is copied by hand, since its bytes are counted.

Faults, by name (`link`): each strikes once so many bytes, or whole SMB messages, of a connection have gone
towards the host; 0 strikes with the first byte. None is spent on a connection on which nothing is said (a port probe).

- `stall`      nothing more goes towards the host, the connection stays open; answers still come back
- `reset`      the client's connection is reset
- `kill-smbd`  the smbd process that serves the connection is killed
- `refuse`     connections are refused (with `times`: accepted and reset, since only we can count those)
- `delay`      every piece towards the host waits `ms`

Not here: which host has which fault (scenarios.py), who asks for it (control.py).
"""

from __future__ import annotations

import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

log = logging.getLogger("lab.fault_proxy")

_PIECE = 1 << 18
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Fault(StrEnum):
    STALL = "stall"
    RESET = "reset"
    KILL_SMBD = "kill-smbd"
    REFUSE = "refuse"
    DELAY = "delay"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A fault that waits for connections."""

    fault: Fault
    after: int = 0
    after_messages: int = 0
    ms: int = 0
    times: int | None = None  # for so many connections; None: until healed


class ByteBudget:
    """Lets a number of bytes pass."""

    def __init__(self, count: int) -> None:
        self._left = count

    @property
    def spent(self) -> bool:
        return self._left == 0

    def passing(self, data: bytes) -> int:
        """How many of the bytes pass."""
        count = min(len(data), self._left)
        self._left -= count
        return count


class MessageBudget:
    """Lets a number of SMB messages pass, each with its 4-byte length in front."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._head = b""
        self._body = 0

    @property
    def spent(self) -> bool:
        return self._left == 0

    def passing(self, data: bytes) -> int:
        at = 0
        while at < len(data) and self._left:
            if self._body == 0:
                take = min(4 - len(self._head), len(data) - at)
                self._head += data[at : at + take]
                at += take
                if len(self._head) < 4:
                    break
                self._body, self._head = int.from_bytes(self._head[1:], "big"), b""
            take = min(self._body, len(data) - at)
            self._body -= take
            at += take
            if self._body == 0:
                self._left -= 1
        return at


class FaultProxy:
    """Accepts on `listener` and joins each connection to what `connect` returns."""

    def __init__(
        self,
        listener: socket.socket,
        connect: Callable[[], socket.socket],
        kill_server: Callable[[socket.socket], None] = lambda server: None,
    ) -> None:
        """`kill_server` ends the server process at the other end of a connection made by `connect`."""
        self._listener = listener
        self._connect = connect
        self._kill_server = kill_server
        self._lock = threading.Lock()
        self._joined: list[tuple[socket.socket, socket.socket]] = []
        self._plan: Plan | None = None
        self._opened = False
        self._listens = threading.Event()

    def open(self) -> None:
        """Start to listen; until then the kernel refuses connections, as with a machine that still boots."""
        with self._lock:
            self._opened = True
            self._listen_or_not()
        threading.Thread(target=self._accept, name="fault-proxy", daemon=True).start()

    def link(self, plan: Plan) -> None:
        """Apply a fault to the connections from now on."""
        with self._lock:
            self._plan = plan
            self._listen_or_not()

    def heal(self) -> None:
        """No fault for the connections from now on."""
        with self._lock:
            self._plan = None
            self._listen_or_not()

    def cut(self) -> int:
        """Reset every connection that is open; how many there were."""
        with self._lock:
            for client, server in self._joined:
                _cut(client)
                _shut(server)
            return len(self._joined)

    def _listen_or_not(self) -> None:
        refused = self._plan is not None and self._plan.fault is Fault.REFUSE and self._plan.times is None
        if self._opened and not refused and not self._listens.is_set():
            self._listener.listen(128)
            self._listens.set()
        elif refused and self._listens.is_set():
            self._listens.clear()
            # Linux: a listening socket that is shut down keeps its address and may listen again.
            self._listener.shutdown(socket.SHUT_RD)

    def _accept(self) -> None:
        while True:
            self._listens.wait()
            try:
                client, _ = self._listener.accept()
            except OSError:  # shut down while we waited
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _next_plan(self) -> Plan | None:
        with self._lock:
            plan = self._plan
            if plan is not None and plan.times is not None:
                self._plan = replace(plan, times=plan.times - 1) if plan.times > 1 else None
            return plan

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            waits = self._plan is not None and self._plan.fault is not Fault.REFUSE
        # No fault is spent on a port probe.
        plan = self._next_plan() if not waits or _says_anything(client) else None
        if plan is not None and plan.fault is Fault.REFUSE:
            _reset(client)
            return
        try:
            server = self._connect()
        except OSError:
            log.exception("the host's server does not listen")
            _reset(client)
            return
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._joined.append((client, server))
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        if plan is None:
            _pump(client, server)
        else:
            self._faulty(client, server, plan)
        back.join()
        with self._lock:  # a descriptor that is closed may be another's at once
            self._joined.remove((client, server))
            server.close()
            client.close()

    def _faulty(self, client: socket.socket, server: socket.socket, plan: Plan) -> None:
        """The way towards the host with a fault on it."""
        if plan.fault is Fault.DELAY:
            _pump_delayed(client, server, plan.ms / 1000)
            return
        budget = MessageBudget(plan.after_messages) if plan.after_messages else ByteBudget(plan.after)
        if not _pump_within(client, server, budget):
            return
        log.info("fault: %s", plan.fault)
        match plan.fault:
            case Fault.STALL:
                _wait_for_hangup(client)
                _shut(server)
            case Fault.RESET:
                _cut(client)  # the reset goes out with the close, once the other direction has ended
                _shut(server)
            case Fault.KILL_SMBD:
                self._kill_server(server)
                _pump(client, server)


def _says_anything(client: socket.socket) -> bool:
    """Whether a first byte comes before the end; clients of SMB and HTTP speak first."""
    try:
        return bool(client.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until it ends, then end the target's direction too."""
    read, write = os.pipe()
    try:
        while count := os.splice(source.fileno(), write, _PIECE):
            while count:
                count -= os.splice(read, target.fileno(), count)
        _end(target)
    except OSError:  # one of the two was cut: neither is of use any more
        _cut(source)
        _cut(target)
    finally:
        os.close(read)
        os.close(write)


def _wait(seconds: float) -> None:
    time.sleep(seconds)


def _pump_delayed(source: socket.socket, target: socket.socket, seconds: float) -> None:
    try:
        while data := source.recv(_PIECE):
            _wait(seconds)
            target.sendall(data)
        _end(target)
    except OSError:
        _cut(source)
        _cut(target)


def _pump_within(source: socket.socket, target: socket.socket, budget: ByteBudget | MessageBudget) -> bool:
    """Pass on what the budget lets pass; False when the connection ended before the budget was spent."""
    try:
        while not budget.spent:
            data = source.recv(_PIECE)
            if not data:
                _end(target)
                return False
            target.sendall(data[: budget.passing(data)])
    except OSError:
        _cut(source)
        _cut(target)
        return False
    return True


def _wait_for_hangup(end: socket.socket) -> None:
    """Until the peer has closed or reset; what it sent before that is left unread."""
    watch = select.poll()
    watch.register(end, select.POLLRDHUP)
    watch.poll()


def _end(target: socket.socket) -> None:
    """Pass an end of stream on; one that is to be reset must not see an orderly end first."""
    if target.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, len(_RESET_ON_CLOSE)) != _RESET_ON_CLOSE:
        target.shutdown(socket.SHUT_WR)


def _shut(end: socket.socket) -> None:
    """Wakes whoever waits on the socket; closing it would not."""
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _cut(end: socket.socket) -> None:
    """Have the socket reset when it is closed, and wake whoever reads from it."""
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        end.shutdown(socket.SHUT_RD)


def _reset(end: socket.socket) -> None:
    _cut(end)
    end.close()
