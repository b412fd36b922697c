"""The process of the domain controller: the first of its PID namespace, and the supervisor that answers for it.

    /usr/bin/python3 -m lab.domain.controller --order FILE --control FD --go FD

Started by domain.py inside new mount, PID, UTS and IPC namespaces; the network is the machine's own, of which it takes
one loopback address. It is the system's Python, for Samba's bindings are the system's, and so imports nothing beyond
the standard library and those. Ending the first process ends all of it.

Everything lies under a private tmpfs on /run. Samba's compiled-in places are hidden: what the machine's own Samba has
is neither read nor written. Not here: the directory's content (directory.py, populate.py).
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab import control, kernel
from lab.domain import configuration, populate, recipe, snapshot
from lab.domain.configuration import CONFIGURATION, DISK, HOME, LOGS, PRIVATE, SAMBA
from lab.domain.order import Order
from lab.processes import reap_until_end_of, wait_for_go

log = logging.getLogger("lab.domain")

_CACHE = HOME / "cache"
_READY_LIMIT = 60.0
_STOP_LIMIT = 10.0
_HIDDEN = (Path("/var/lib/samba"), Path("/var/cache/samba"), Path("/var/log/samba"), Path("/etc/samba"))


class ControllerError(Exception):
    """The domain controller cannot be started; the message says why."""


class Controller:
    """What the control socket can ask for, besides what Directory can."""

    def __init__(self, order: Order) -> None:
        self.calls: dict[str, Callable[..., Any]] = {
            call.__name__: call for call in (self.ready, self.start, self.stop, self.freeze, self.thaw)
        }
        self._order = order
        self._samba: subprocess.Popen[bytes] | None = None
        self._trouble: str | None = None
        self._done = threading.Event()

    def boot(self) -> None:
        """Start; whatever goes wrong is what `ready` answers."""
        began = time.monotonic()
        try:
            _file_system(self._order)
            kernel.set_host_name(recipe.CONTROLLER)
            CONFIGURATION.write_text(configuration.server(self._order.address), encoding="utf-8")
            os.environ["KRB5_CONFIG"] = str(DISK / "krb5.conf")
            bulk = self._order.bulk
            there = snapshot.restore(_CACHE, snapshot.name(bulk), SAMBA, lambda: _make(bulk))
            log.info("%s after %.2f s", "snapshot unpacked" if there else "snapshot made", time.monotonic() - began)
            from lab.domain.directory import Directory  # Samba's bindings, once the files are there

            directory = Directory()
            directory.personalize(self._order.address, self._order.subnets, self._order.passwords, self._order.laps)
            _certificate(self._order)
            log.info("directory ready after %.2f s", time.monotonic() - began)
            self.start()
            self.calls.update({call.__name__: call for call in directory.calls})
            log.info("ready after %.2f s", time.monotonic() - began)
        except Exception as exc:
            log.exception("the domain controller did not start")
            self._trouble = f"{type(exc).__name__}: {exc}"
        self._done.set()

    def ready(self) -> None:
        self._done.wait()
        if self._trouble is not None:
            raise ControllerError(self._trouble)

    def start(self) -> None:
        """Start Samba; returns once every port answers. No-op where it runs."""
        if self._samba is not None and self._samba.poll() is None:
            return
        command = ["samba", "-s", str(CONFIGURATION), "--foreground", "--no-process-group", "--model=prefork"]
        with (LOGS / "samba.out").open("ab") as output:
            self._samba = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=_environment()
            )
        limit = time.monotonic() + _READY_LIMIT
        for port in configuration.TCP_PORTS:
            while not _answers(self._order.address, port):
                if self._samba.poll() is not None:
                    raise ControllerError(f"samba ended with code {self._samba.returncode}; see {LOGS}")
                if time.monotonic() > limit:
                    raise ControllerError(f"nothing answers on port {port} after {_READY_LIMIT:.0f} s; see {LOGS}")
                time.sleep(0.02)

    def stop(self) -> None:
        """End Samba and keep its files: every port is closed, as after a shutdown of the controller."""
        if self._samba is None:
            return
        self._samba.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._samba.wait(_STOP_LIMIT)
        limit = time.monotonic() + _STOP_LIMIT
        while others := _others():
            for pid in others:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > limit:
                raise ControllerError(f"{len(others)} of Samba's processes do not end")
            time.sleep(0.02)
        self._samba.poll()

    def freeze(self) -> None:
        """Every port takes connections and says nothing."""
        _signal_others(signal.SIGSTOP)

    def thaw(self) -> None:
        _signal_others(signal.SIGCONT)


def _make(bulk: int) -> None:
    for folder in configuration.FOLDERS:
        (SAMBA / folder).mkdir(mode=0o700 if folder == "private" else 0o755, parents=True)
    populate.make(bulk)


def _file_system(order: Order) -> None:
    """The private /run and what is bound into it. Handles are opened first: a folder may lie under /run."""
    sources = {DISK: order.folder, _CACHE: order.cache}
    handles = {place: os.open(source, os.O_PATH) for place, source in sources.items()}
    kernel.mount("tmpfs", Path("/run"), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for folder in (HOME, SAMBA, HOME / "etc", HOME / "home", HOME / "tmp", Path("/run/samba")):
        folder.mkdir()
    for place, handle in handles.items():
        place.mkdir()
        kernel.bind(Path(f"/proc/self/fd/{handle}"), place)
        os.close(handle)
    for place in _HIDDEN:
        if place.is_dir():
            kernel.mount("tmpfs", place, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV)
    names = f"{order.address} {recipe.CONTROLLER_FQDN} {recipe.CONTROLLER}\n127.0.0.1 localhost\n"
    resolver = f"nameserver {order.address}\nsearch {recipe.DNS_DOMAIN}\n"
    switch = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
    for name, text in {"hosts": names, "resolv.conf": resolver, "nsswitch.conf": switch}.items():
        kernel.private_file(HOME / "etc" / name, Path("/etc") / name, text)


def _certificate(order: Order) -> None:
    for name, text in {"ca.pem": order.authority, "cert.pem": order.certificate, "key.pem": order.key}.items():
        path = PRIVATE / "tls" / name
        path.touch(mode=0o600)
        path.write_text(text, encoding="ascii")


def _environment() -> dict[str, str]:
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(HOME / "home"),
        "TMPDIR": str(HOME / "tmp"),
        "KRB5_CONFIG": str(DISK / "krb5.conf"),
    }


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=2).close()
    except OSError:
        return False
    return True


def _others() -> list[int]:
    """Every process of the namespace but its first and this one, the dead that wait for their parent left out."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            letter = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
            if int(folder.name) not in (1, os.getpid()) and letter not in "ZX":
                found.append(int(folder.name))
    return found


def _signal_others(number: signal.Signals) -> None:
    for pid in _others():
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python3 -m lab.domain.controller", description=__doc__)
    parser.add_argument("--order", type=Path, required=True)
    for descriptor in ("--control", "--go"):
        parser.add_argument(descriptor, type=int, required=True)
    arguments = parser.parse_args()
    wait_for_go(arguments.go)
    child = os.fork()
    if child:
        return reap_until_end_of(child)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    controller = Controller(Order.read(arguments.order))
    control.serve(socket.socket(fileno=arguments.control), controller.calls)
    controller.boot()
    threading.Event().wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
