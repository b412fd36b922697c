"""A whole lab: its state on disk, starting and ending all of it.

State folder: `lab.json` (what is to run), `zone.json` (names), `dns.json` (the DNS server's process), `secrets/`,
`hosts/NAME/` (each host's disk, logs, control socket and process). `down` removes all of it. Caches lie elsewhere.

Not here: one host from outside (handle.py) or inside (host.py), what pusher is given (inventory.py).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from lab import control, disk, inventory, kernel, plan, processes
from lab.build import Built, build_all, default_cache
from lab.handle import Host, LabError
from lab.order import Order
from lab.plan import DNS_PORT, DOMAIN, Addresses, HostSpec
from lab.samba import KEEPER
from lab.scenarios import OLDER_VERSION, Account, Kind, Preinstalled, Scenario

Progress = Callable[[str], None]

_PORT, _UNPRIVILEGED_PORT = 445, 10445
_SECRETS = {"push-2026": "pushadm", "push-2025": "oldadm", "clerk": "clerk"}
_PROBE = "overlay-probe"
_AT_ONCE = 4 * (os.cpu_count() or 1)


def default_state() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "pusher-lab"


class Lab:
    """A lab by its state folder, running or not. Several may run at once, each with its own network."""

    def __init__(
        self,
        state: Path,
        network: str = plan.DEFAULT_NETWORK,
        inventory_dir: Path | None = None,
        *,
        cache: Path | None = None,
        progress: Progress = lambda line: None,
    ) -> None:
        """Without `inventory_dir` no inventory, accounts or package is written."""
        self.state = state.absolute()
        self._network = network
        self.inventory_dir = inventory_dir.absolute() if inventory_dir is not None else None
        Addresses.of(network)  # refuse a bad one at once
        self._cache = cache or default_cache()
        self._progress = progress
        self._built: Built | None = None
        self._overlay = False
        self._building = threading.Lock()

    @property
    def hosts(self) -> dict[str, Host]:
        """The hosts of the running lab by name; none when it is down."""
        content = self._content()
        return {row["name"]: self._host(row, int(content["port"])) for row in content["hosts"]} if content else {}

    @property
    def network(self) -> str:
        """The running lab's, or the one it is to have."""
        content = self._content()
        return str(content["network"]) if content else self._network

    @property
    def _addresses(self) -> Addresses:
        return Addresses.of(self.network)

    @property
    def nameserver(self) -> str:
        return f"{self._addresses.dns}:{DNS_PORT}"

    @property
    def is_up(self) -> bool:
        """Whether every process of the lab runs."""
        hosts = [host for host in self.hosts.values() if host.has_process]
        return self._content() is not None and self._dns_runs() and all(host.mark for host in hosts)

    def secret(self, name: str) -> str:
        """The password of push-2026 (pushadm), push-2025 (oldadm) or clerk (no administrator anywhere)."""
        return self._secret_path(name).read_text(encoding="utf-8")

    def up(self, specs: Sequence[HostSpec], *, fresh: bool = False) -> bool:
        """Start the hosts; False when just these are up already. With `fresh` whatever runs is ended first."""
        plan.check(specs)
        if len(specs) > Addresses.of(self._network).room:
            raise LabError(f"{len(specs)} hosts do not fit into {self._network}; choose a larger --network")
        self.state.mkdir(parents=True, exist_ok=True)
        with self._alone():
            if not fresh and self._is_up_already(specs):
                return False
            self._end()
            try:
                self._start(specs)
            except BaseException:
                self._end()
                raise
        return True

    def down(self) -> None:
        """End every process of the lab and remove its files. No-op when there is nothing."""
        if self.state.exists():
            with self._alone():
                self._end()

    # -- starting ---------------------------------------------------------------------------------------

    def _is_up_already(self, specs: Sequence[HostSpec]) -> bool:
        content = self._content()
        if content is None:
            return False
        if self.is_up:
            wanted = [(spec.name, spec.scenario) for spec in specs]
            if content["network"] == self._network and wanted == [(h.name, h.scenario) for h in self.hosts.values()]:
                return True
            raise LabError("the lab is up with other hosts; `--fresh` starts anew")
        if any(host.mark for host in self.hosts.values()):
            ended = [host.name for host in self.hosts.values() if host.has_process and not host.mark]
            raise LabError(f"the lab is up in part ({', '.join(ended) or 'dns'} ended); `--fresh` starts anew")
        return False  # what was written is of a lab that a reboot has ended

    def _start(self, specs: Sequence[HostSpec]) -> None:
        self._build()
        port = self._port()
        self._make_secrets()
        rows = [
            {"name": spec.name, "address": self._address(number, specs), "scenario": spec.scenario.to_json()}
            for number, spec in enumerate(specs, 1)
        ]
        content = {
            "network": self.network,
            "port": port,
            "inventory": str(self.inventory_dir) if self.inventory_dir else None,
            "hosts": rows,
        }
        processes.write_atomically(self.state / "lab.json", json.dumps(content, indent=1))
        self._start_dns()
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            for _ in pool.map(self._start_host, self.hosts.values()):
                pass
        if self.inventory_dir is not None:
            assert self._built is not None
            inventory.write(
                self.inventory_dir,
                hosts=list(self.hosts.values()),
                nameserver=self.nameserver,
                secrets={name: self._secret_path(name) for name in _SECRETS},
                agent=self._built.agent,
            )

    def _start_host(self, host: Host) -> None:
        began = time.monotonic()
        host.start()
        self._progress(f"{host.name:6} {host.address:15} {host.scenario.name:22} {time.monotonic() - began:5.1f} s")

    def _build(self) -> Built:
        with self._building:  # hosts may be reset by several threads at once
            if self._built is None:
                built = build_all(self._cache, self._progress)
                self._overlay = disk.overlay_works(self.state / _PROBE)
                self._built = built
            return self._built

    def _address(self, number: int, specs: Sequence[HostSpec]) -> str:
        """Of the host with that number; a stale name has another's."""
        if specs[number - 1].scenario.kind is Kind.STALE:
            number = 1 + [spec.name for spec in specs].index(str(plan.stale_target(specs)))
        return self._addresses.host(number)

    def _port(self) -> int:
        """445, or 10445 where this user may not listen on it."""
        try:
            _bound(self._addresses.host(1), _PORT).close()
        except PermissionError:
            return _UNPRIVILEGED_PORT
        return _PORT

    def _make_secrets(self) -> None:
        (self.state / "secrets").mkdir(mode=0o700)
        for name in _SECRETS:
            processes.write_atomically(self._secret_path(name), secrets.token_urlsafe(18), mode=0o600)

    def _start_dns(self) -> None:
        pairs = [(host.fqdn, host.address, host.scenario.kind) for host in self.hosts.values()]
        zone = {
            "addresses": {name: address for name, address, _ in pairs},
            "pointers": {address: name for name, address, kind in pairs if kind is not Kind.STALE},
        }
        processes.write_atomically(self.state / "zone.json", json.dumps(zone, indent=1))
        udp = _bound(self._addresses.dns, DNS_PORT, socket.SOCK_DGRAM)
        tcp = _bound(self._addresses.dns, DNS_PORT)
        with udp, tcp:
            tcp.listen(64)
            command = [sys.executable, "-m", "lab.dns", "--zone", str(self.state / "zone.json")]
            processes.spawn(
                [*command, "--udp", str(udp.fileno()), "--tcp", str(tcp.fileno())],
                self._dns_record,
                self.state / "dns.log",
                keep=[udp.fileno(), tcp.fileno()],
                env=_environment(),
            )

    def _boot(self, host: Host, fresh: bool) -> None:
        """Start a host's process; it answers on its control socket from then on."""
        logs = host.folder / "log"
        logs.mkdir(parents=True, exist_ok=True)
        with _bound(host.address, host.port) as listener, control.listen(host.folder / "control.sock") as asked:
            if host.scenario.kind is Kind.WINDOWS:
                order = host.folder / "order.json"
                self._order(host, fresh).write(order)
                command = [*kernel.unshare_command(), sys.executable, "-m", "lab.host", "--order", str(order)]
            else:
                command = [sys.executable, "-m", "lab.strange", "--kind", host.scenario.kind]
                command += ["--folder", str(host.folder)]
            processes.spawn(
                [*command, "--listener", str(listener.fileno()), "--control", str(asked.fileno())],
                host.record,
                logs / "host.log",
                keep=[listener.fileno(), asked.fileno()],
                env=_environment(),
            )

    def _order(self, host: Host, fresh: bool) -> Order:
        built, scenario = self._build(), host.scenario
        if fresh:
            disk.make(host.folder, None if self._overlay else built.template)
        passwords = {user: self.secret(name) for name, user in _SECRETS.items()}
        if not scenario.second_account:
            del passwords["oldadm"]
        passwords[KEEPER] = secrets.token_urlsafe(18)
        if scenario.account is Account.CHANGED:
            passwords["pushadm"] = secrets.token_urlsafe(18)
        return Order(
            name=host.name,
            domain=DOMAIN,
            folder=str(host.folder),
            template=str(built.template),
            relay=str(built.relay),
            overlay=self._overlay,
            passwords=passwords,
            account=scenario.account,
            second_account=scenario.second_account,
            admin_share=scenario.admin_share,
            encryption=scenario.encryption,
            preinstalled=_preinstalled(scenario, built),
            fresh=fresh,
            link=asdict(scenario.link) if scenario.link else None,
            lock_held=scenario.lock_held,
        )

    # -- ending -----------------------------------------------------------------------------------------

    def _end(self) -> None:
        """End what the records name, not what a plan says: an `up` may have been killed at any point."""
        folders = [path.parent for path in self.state.glob("hosts/*/process.json")]
        records = [folder / "process.json" for folder in folders] + [self._dns_record]
        marks = [mark for record in records if (mark := processes.read_mark(record)) is not None]
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            for _ in pool.map(processes.end, marks):
                pass
        processes.wait_for_unrecorded(self.state)
        content = self._content()
        if content and content["inventory"]:
            inventory.remove(Path(content["inventory"]))
        for name in ("hosts", "secrets", _PROBE):
            if (self.state / name).exists():
                shutil.rmtree(self.state / name)
        for name in ("lab.json", "zone.json", "dns.json", "dns.log"):
            processes.remove_written(self.state / name)

    # -- state ------------------------------------------------------------------------------------------

    @property
    def _dns_record(self) -> Path:
        return self.state / "dns.json"

    def _dns_runs(self) -> bool:
        return processes.running(self._dns_record) is not None

    def _secret_path(self, name: str) -> Path:
        return self.state / "secrets" / name

    def _content(self) -> dict[str, Any] | None:
        try:
            content: dict[str, Any] = json.loads((self.state / "lab.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return content

    def _host(self, row: dict[str, Any], port: int) -> Host:
        name = str(row["name"])
        return Host(
            name=name,
            domain=DOMAIN,
            address=str(row["address"]),
            port=port,
            scenario=Scenario.from_json(row["scenario"]),
            folder=self.state / "hosts" / name,
            boot=self._boot,
        )

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One `up` or `down` at a time; the kernel frees the lock however its holder ends."""
        with (self.state / "lock").open("w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _bound(address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A bound socket, not listening yet."""
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((address, port))
    except OSError as exc:
        made.close()
        if exc.errno == errno.EADDRINUSE:
            raise LabError(f"{address}:{port} is taken: {_who_has(address)}") from exc
        raise
    return made


def _who_has(address: str) -> str:
    """Which lab has an address, known by its DNS server's command line."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError):  # it has ended, or has no files any more
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            if "lab.dns" in command:
                state = Path(command[command.index("--zone") + 1]).parent
                network = Addresses.of(json.loads((state / "lab.json").read_text(encoding="utf-8"))["network"])
                if IPv4Address(address) in network.network:
                    return f"by another lab; `python -m lab down --state {state}` ends it, --network avoids it"
    return "by a lab without its files, or by a server on every address (Debian's own ends with: systemctl stop smbd)"


def _environment() -> dict[str, str]:
    """For our own processes: they import the lab from where this one was imported."""
    return {
        "PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH")])),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _preinstalled(scenario: Scenario, built: Built) -> dict[str, str] | None:
    """The service LabAgent that is there before anybody pushes: just as a push would have left it, or another's."""
    ours = {
        "place": "windows/labagent/labagent.exe",
        "display_name": "Lab agent",
        "command": inventory.SERVICE_COMMAND.format(site=inventory.SITE, fault="none"),
    }
    match scenario.preinstalled:
        case Preinstalled.NONE:
            return None
        case Preinstalled.CURRENT:
            return {**ours, "executable": str(built.agent)}
        case Preinstalled.OLDER:
            return {**ours, "executable": str(built.agents[OLDER_VERSION])}
        case Preinstalled.FOREIGN:
            return {
                "place": "Program Files/Contoso/contosoagent.exe",
                "display_name": "Contoso agent",
                "command": r'"C:\Program Files\Contoso\contosoagent.exe" --site contoso',
                "executable": str(built.agent),
            }
