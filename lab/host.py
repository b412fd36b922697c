"""The process of one host: the first of its PID namespace, and the supervisor that answers for the host.

    python -m lab.host --order FILE --listener FD --control FD --go FD

Started by fleet.py inside new mount, PID, UTS, IPC and network namespaces. The first process reaps what is
orphaned, as an init does; its child boots the host, opens the gate once the host answers, and serves the
control socket. Ending the first process ends all of it.
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab import boot, control, gate, procs
from lab.boot import HOME, LOGS, Booted
from lab.order import Order
from lab.processes import wait_for_go
from lab.samba import KEEPER, SERVER_PORT

if TYPE_CHECKING:
    from lab.lockholder import LockHolder

log = logging.getLogger("lab.host")

_READY_LIMIT = 60.0
_LOCK_FILE = r"Temp\pusher\LabAgent.lock"


class Host:
    """What the control socket can ask for."""

    def __init__(self, order: Order, listener: socket.socket) -> None:
        self._order = order
        self._gate = gate.Gate(listener, lambda: socket.create_connection(("127.0.0.1", SERVER_PORT)), procs.kill_peer)
        self._booted: Booted | None = None
        self._lock_holder: LockHolder | None = None
        self._trouble: str | None = None
        self._done = threading.Event()

    def start(self) -> None:
        """Boot; whatever goes wrong is what `ready` answers."""
        began = time.monotonic()
        try:
            self._booted = boot.boot(self._order)
            log.info("parts run after %.2f s", time.monotonic() - began)
            self._wait_until_it_answers(self._booted)
            if self._order.lock_held:
                self.hold(_LOCK_FILE, delete_on_close=True)
            if self._order.link is not None:
                self.link(**self._order.link)
            self._gate.open()
            log.info("ready after %.2f s", time.monotonic() - began)
        except Exception as exc:
            log.exception("the host did not start")
            self._trouble = f"{type(exc).__name__}: {exc}"
        self._done.set()

    def _wait_until_it_answers(self, booted: Booted) -> None:
        """Ready means: a service's state was had over SMB, so every part of the way works."""
        password_file = HOME / "keeper"
        password_file.touch(mode=0o600)
        password_file.write_text(f"username = {KEEPER}\npassword = {self._order.passwords[KEEPER]}\n", encoding="utf-8")
        service, wanted = ("LabAgent", "running") if self._order.preinstalled else ("RpcSs", None)
        limit = time.monotonic() + _READY_LIMIT
        while True:
            state = booted.samba.service_state(service, password_file)
            if state is not None and wanted in (None, state):
                return
            for name, child in booted.children.items():
                if child.poll() is not None:
                    raise boot.BootError(f"{name} ended with code {child.returncode}; see {LOGS}")
            if time.monotonic() > limit:
                raise boot.BootError(f"{service} is {state or 'not to be had'} after {_READY_LIMIT:.0f} s")
            time.sleep(0.05)

    def hold(self, path: str, delete_on_close: bool = False) -> None:
        from lab.lockholder import LockHolder  # an SMB client, which few hosts need

        if self._lock_holder is None:
            self._lock_holder = LockHolder(KEEPER, self._order.passwords[KEEPER])
        self._lock_holder.hold(path, delete_on_close=delete_on_close)

    def release(self, path: str) -> None:
        if self._lock_holder is not None:
            self._lock_holder.release(path)

    def ready(self) -> None:
        self._done.wait()
        if self._trouble is not None:
            raise boot.BootError(self._trouble)

    def link(self, fault: str, **how: Any) -> None:
        self._gate.link(gate.Plan(fault=gate.Fault(fault), **how))

    def heal(self) -> None:
        self._gate.heal()

    def kill_smbd_children(self) -> int:
        return procs.kill_all()

    def shut_down(self) -> None:
        boot.shut_down_wine()

    def processes(self) -> list[dict[str, Any]]:
        return [asdict(process) for process in procs.processes()]

    def services(self) -> list[dict[str, Any]]:
        from lab.services import list_services  # NDR structures, slow to import and seldom needed

        if self._booted is None:
            raise boot.BootError("the host has not booted")
        return [asdict(service) for service in list_services(self._booted.relay_port)]


def _reap_until_end_of(child: int) -> int:
    """An init's one duty. Returns the exit code of the supervisor."""
    while True:
        pid, status = os.wait()
        if pid == child:
            return os.waitstatus_to_exitcode(status)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.host", description=__doc__)
    parser.add_argument("--order", type=Path, required=True)
    for descriptor in ("--listener", "--control", "--go"):
        parser.add_argument(descriptor, type=int, required=True)
    arguments = parser.parse_args()
    wait_for_go(arguments.go)
    child = os.fork()
    if child:
        return _reap_until_end_of(child)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    host = Host(Order.read(arguments.order), socket.socket(fileno=arguments.listener))
    calls: dict[str, Callable[..., Any]] = {
        call.__name__: call
        for call in (
            *(host.ready, host.link, host.heal, host.kill_smbd_children),
            *(host.hold, host.release, host.shut_down, host.processes, host.services),
        )
    }
    control.serve(socket.socket(fileno=arguments.control), calls)
    host.start()
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
