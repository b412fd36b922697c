"""The process of one host: the first of its PID namespace, and the supervisor that answers for the host.

    python -m lab.host --order FILE --listener smb=FD --listener http=FD --listener https=FD --control FD --go FD

Started by fleet.py inside new mount, PID, UTS, IPC and network namespaces. The first process reaps what is
orphaned, as an init does; its child boots the host, opens its ports once the host answers, and serves the
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

from lab import boot, control, endpoint, procs
from lab.boot import DISK, EGRESS, HELPER, HOME, LOGS, RUNNER, Booted
from lab.endpoint import Endpoint
from lab.fault_proxy import Fault, FaultProxy, Plan
from lab.order import Order
from lab.processes import reap_until_end_of, wait_for_go
from lab.samba import KEEPER, SERVER_PORT
from lab.winrm import HTTP_PORT, HTTPS_PORT

if TYPE_CHECKING:
    from lab.lockholder import LockHolder, WineHolder

log = logging.getLogger("lab.host")

_READY_LIMIT = 60.0
_LOCK_FILE = r"pusher\LabAgent.lock"


class Host:
    """What the control socket can ask for."""

    def __init__(self, order: Order, listeners: dict[str, socket.socket]) -> None:
        """`listeners` by the name of what they lead to: smb, http, https."""
        self._order = order
        config = endpoint.config(order, disk=DISK, home=HOME, logs=LOGS, helper=HELPER, runner=RUNNER, egress=EGRESS)
        self._endpoint = Endpoint(config, boot.wine_environment(), LOGS / "winrm.err")
        self._proxies = {
            "smb": FaultProxy(
                listeners["smb"], lambda: socket.create_connection(("127.0.0.1", SERVER_PORT)), procs.kill_peer
            ),
            "http": FaultProxy(listeners["http"], lambda: self._endpoint.connect(HTTP_PORT)),
            "https": FaultProxy(listeners["https"], lambda: self._endpoint.connect(HTTPS_PORT)),
        }
        self._open = {"smb": order.smb, "http": order.winrm.http, "https": order.winrm.https}
        self._booted: Booted | None = None
        self._lock_holder: LockHolder | None = None
        self._wine_holder: WineHolder
        self._trouble: str | None = None
        self._done = threading.Event()

    def start(self) -> None:
        """Boot; whatever goes wrong is what `ready` answers."""
        began = time.monotonic()
        try:
            self._booted = boot.boot(self._order)
            log.info("parts run after %.2f s", time.monotonic() - began)
            if self._order.asked_over_winrm:
                self._endpoint.start()
            self._wait_until_it_answers(self._booted)
            if self._order.lock_held:
                self.hold(_LOCK_FILE, delete_on_close=True)
            if self._order.link is not None:
                self.link(**self._order.link)
            for name, is_open in self._open.items():
                if is_open:
                    self._proxies[name].open()
            log.info("ready after %.2f s", time.monotonic() - began)
        except Exception as exc:
            log.exception("the host did not start")
            self._trouble = f"{type(exc).__name__}: {exc}"
        self._done.set()

    def _wait_until_it_answers(self, booted: Booted) -> None:
        """Ready means: a service's state was had over SMB, so every part of the way works."""
        password_file = boot.KEEPER_FILE
        password_file.touch(mode=0o600)
        # The host's own account: without its name a member would ask the directory for it.
        text = f"username = {KEEPER}\npassword = {self._order.passwords[KEEPER]}\ndomain = {self._order.name.upper()}\n"
        password_file.write_text(text, encoding="utf-8")
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
        from lab.lockholder import LockHolder, WineHolder  # an SMB client, which few hosts need

        if self._lock_holder is None:
            self._lock_holder = LockHolder(rf"{self._order.name.upper()}\{KEEPER}", self._order.passwords[KEEPER])
            self._wine_holder = WineHolder(HELPER, boot.wine_environment())
        self._lock_holder.hold(path, delete_on_close=delete_on_close)
        self._wine_holder.hold(path)

    def release(self, path: str) -> None:
        if self._lock_holder is not None:
            self._wine_holder.release(path)
            self._lock_holder.release(path)

    def ready(self) -> None:
        self._done.wait()
        if self._trouble is not None:
            raise boot.BootError(self._trouble)

    def link(self, fault: str, way: str | None = None, **how: Any) -> None:
        """`way` is smb, http or https; None is each of them that can have the fault."""
        plan = Plan(fault=Fault(fault), **how)
        if way is None:
            of_smb = plan.fault is Fault.KILL_SMBD or plan.after_messages
            for each in [self._proxies["smb"]] if of_smb else self._proxies.values():
                each.link(plan)
        else:
            self._proxies[way].link(plan)

    def heal(self) -> None:
        for each in self._proxies.values():
            each.heal()

    def cut_winrm(self) -> int:
        return self._proxies["http"].cut() + self._proxies["https"].cut()

    def winrm(self, **behaviour: Any) -> None:
        self._endpoint.ask("behave", **behaviour)

    def shells(self) -> Any:
        return self._endpoint.ask("shells")

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


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.host", description=__doc__)
    parser.add_argument("--order", type=Path, required=True)
    parser.add_argument("--listener", action="append", required=True, metavar="NAME=FD")
    for descriptor in ("--control", "--go"):
        parser.add_argument(descriptor, type=int, required=True)
    arguments = parser.parse_args()
    wait_for_go(arguments.go)
    child = os.fork()
    if child:
        return reap_until_end_of(child)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    named = (listener.partition("=") for listener in arguments.listener)
    listeners = {name: socket.socket(fileno=int(number)) for name, _, number in named}
    host = Host(Order.read(arguments.order), listeners)
    calls: dict[str, Callable[..., Any]] = {
        call.__name__: call
        for call in (
            *(host.ready, host.link, host.heal, host.kill_smbd_children),
            *(host.hold, host.release, host.shut_down, host.processes, host.services),
            *(host.winrm, host.cut_winrm, host.shells),
        )
    }
    control.serve(socket.socket(fileno=arguments.control), calls)
    host.start()
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
