"""A whole lab: its state on disk, starting and ending all of it.

State folder: `lab.json` (what is to run), `zone.json` (names), `dns.json` (the DNS server's process), `secrets/`,
`certificates/`, `egress` and `egress.json` (how hosts reach servers on this machine),
`hosts/NAME/` (each host's disk, logs, control socket and process), `domain/` where hosts are members of a directory
(see lab/domain). `down` removes all of it. Caches lie elsewhere.

Not here: one host from outside (host_client.py) or inside (host.py), the servers that all hosts share (servers.py),
what pusher is given (inventory.py).
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lab import control, disk, inventory, kernel, plan, processes
from lab.build import Built, build_all, default_cache
from lab.domain import Domain, Laps, Member, recipe
from lab.host_client import Host, LabError
from lab.order import Order
from lab.plan import DNS_PORT, DOMAIN, Addresses, HostSpec
from lab.ports import bound
from lab.samba import KEEPER, LAPS_ACCOUNT
from lab.scenarios import CA, OLDER_VERSION, Account, Certificate, Kind, Preinstalled, Scenario
from lab.servers import Servers
from lab.winrm import HTTP_PORT, HTTPS_PORT

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
        self._servers = Servers(self.state)
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
    def domain(self) -> Domain | None:
        """The running lab's directory; None where no host is a member of one."""
        content = self._content()
        return self._directory() if content and any(row.get("joined") for row in content["hosts"]) else None

    def _directory(self) -> Domain:
        return Domain(
            self.state / "domain",
            self._addresses.controller,
            authorities=self._certificates,
            cache=self._cache,
            progress=self._progress,
        )

    @property
    def is_up(self) -> bool:
        """Whether every process of the lab runs."""
        hosts = [host for host in self.hosts.values() if host.has_process]
        ours = self._servers.are_up and (self.domain is None or self.domain.is_up)
        return self._content() is not None and ours and all(host.mark for host in hosts)

    def secret(self, name: str) -> str:
        """The password of push-2026 (pushadm), push-2025 (oldadm) or clerk (no administrator anywhere)."""
        return self._secret_path(name).read_text(encoding="utf-8")

    def up(self, specs: Sequence[HostSpec], *, fresh: bool = False) -> bool:
        """Start the hosts; False when just these are up already. With `fresh` whatever runs is ended first."""
        plan.check(specs)
        if len(specs) > Addresses.of(self._network).room_for(specs):
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
            wanted = [(spec.name, spec.scenario, spec.joined) for spec in specs]
            there = [(host.name, host.scenario, host.joined) for host in self.hosts.values()]
            if content["network"] == self._network and wanted == there:
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
        from lab import certificates  # slow to import, and each host's own process imports this module too

        certificates.make_authorities(self._certificates)
        rows = [
            {"name": spec.name, "address": self._address(number, specs), "scenario": spec.scenario.to_json()}
            | {"joined": spec.joined}
            for number, spec in enumerate(specs, 1)
        ]
        content = {
            "network": self.network,
            "port": port,
            "inventory": str(self.inventory_dir) if self.inventory_dir else None,
            "hosts": rows,
        }
        processes.write_atomically(self.state / "lab.json", json.dumps(content, indent=1))
        self._servers.start_dns(self._addresses.dns, list(self.hosts.values()))
        self._servers.start_egress_proxy()
        self._start_domain()
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
                ca=self.ca,
                for_members=self._for_members(),
            )

    def _for_members(self) -> inventory.DomainAccount | None:
        if (domain := self.domain) is None:
            return None
        return inventory.DomainAccount(user=f"{recipe.PUSHER}@{domain.realm}", secret=domain.secret_file(recipe.PUSHER))

    def _start_domain(self) -> None:
        """The directory, with an account for each host that is to join."""
        if self.domain is None:
            return
        self.domain.up()
        joining = [host for host in self.hosts.values() if host.joined]
        for number, host in enumerate(joining):
            # The first two by turns in a group, in a group in it, and with either kind of LAPS.
            kinds = (Laps.WINDOWS, Laps.LEGACY, Laps.NONE)
            groups = ((recipe.TARGETS,), (recipe.NESTED,), ())
            unit = recipe.PARIS if self.domain.site_of(host.address) == "Paris" else recipe.SEATTLE
            self.domain.add_member(
                Member(
                    name=host.name,
                    address=host.address,
                    unit=unit,
                    groups=groups[number % len(groups)],
                    laps=kinds[number % len(kinds)],
                )
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
            bound(self._addresses.host(1), _PORT).close()
        except PermissionError:
            return _UNPRIVILEGED_PORT
        return _PORT

    def _make_secrets(self) -> None:
        (self.state / "secrets").mkdir(mode=0o700)
        for name in _SECRETS:
            processes.write_atomically(self._secret_path(name), secrets.token_urlsafe(18), mode=0o600)

    def _boot(self, host: Host, fresh: bool) -> None:
        """Start a host's process; it answers on its control socket from then on."""
        logs = host.folder / "log"
        logs.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            asked = stack.enter_context(control.listen(host.folder / "control.sock"))
            listeners = {"smb": stack.enter_context(bound(host.address, host.port))}
            if host.scenario.kind is Kind.WINDOWS:
                for name, port in (("http", HTTP_PORT), ("https", HTTPS_PORT)):
                    listeners[name] = stack.enter_context(bound(host.address, port))
                order = host.folder / "order.json"
                self._order(host, fresh).write(order)
                command = [*kernel.unshare_command(), sys.executable, "-m", "lab.host", "--order", str(order)]
                for name, listener in listeners.items():
                    command += ["--listener", f"{name}={listener.fileno()}"]
            else:
                command = [sys.executable, "-m", "lab.misbehaving", "--kind", host.scenario.kind]
                command += ["--folder", str(host.folder), "--listener", str(listeners["smb"].fileno())]
            processes.spawn(
                [*command, "--control", str(asked.fileno())],
                host.record,
                logs / "host.log",
                keep=[asked.fileno(), *(listener.fileno() for listener in listeners.values())],
                env=processes.own_environment(),
            )

    def _order(self, host: Host, fresh: bool) -> Order:
        built, scenario = self._build(), host.scenario
        if fresh:
            disk.make(host.folder, None if self._overlay else built.template)
            self._make_certificates(host)
        passwords = {user: self.secret(name) for name, user in _SECRETS.items()}
        if not scenario.second_account:
            del passwords["oldadm"]
        passwords[KEEPER] = secrets.token_urlsafe(18)
        if scenario.account is Account.CHANGED:
            passwords["pushadm"] = secrets.token_urlsafe(18)
        membership = None
        if host.joined and self.domain is not None:
            membership = self.domain.membership
            if self.domain.has_laps(host.name):
                passwords[LAPS_ACCOUNT] = self.domain.laps_password(host.name)
        return Order(
            name=host.name,
            domain=host.domain,
            membership=membership,
            address=host.address,
            folder=str(host.folder),
            template=str(built.template),
            relay=str(built.relay),
            helper=str(built.helper),
            runner=str(built.runner),
            egress=str(self._servers.egress),
            interfaces=built.interfaces,
            overlay=self._overlay,
            passwords=passwords,
            account=scenario.account,
            second_account=scenario.second_account,
            admin_share=scenario.admin_share,
            encryption=scenario.encryption,
            preinstalled=_preinstalled(scenario, built),
            windows=scenario.windows,
            fresh=fresh,
            link=asdict(scenario.link) if scenario.link else None,
            lock_held=scenario.lock_held,
            smb=scenario.smb,
            winrm=scenario.winrm,
            asked_over_winrm="winrm" in scenario.transports,
        )

    def _make_certificates(self, host: Host) -> None:
        from lab import certificates

        winrm = host.scenario.winrm
        certificates.issue(self._certificates, host.fqdn, winrm.certificate, host.folder / "winrm.pem")
        if winrm.relay:
            certificates.issue(self._certificates, host.fqdn, Certificate.TRUSTED, host.folder / "relay.pem")

    # -- ending -----------------------------------------------------------------------------------------

    def _end(self) -> None:
        """End what the records name, not what a plan says: an `up` may have been killed at any point."""
        folders = [path.parent for path in self.state.glob("hosts/*/process.json")]
        records = [folder / "process.json" for folder in folders] + self._servers.records
        marks = [mark for record in records if (mark := processes.read_mark(record)) is not None]
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            for _ in pool.map(processes.end, marks):
                pass
        if (self.state / "domain").exists():
            self._directory().down()
        processes.wait_for_unrecorded(self.state)
        content = self._content()
        if content and content["inventory"]:
            inventory.remove(Path(content["inventory"]))
        for name in ("hosts", "secrets", "certificates", "domain", _PROBE):
            if (self.state / name).exists():
                shutil.rmtree(self.state / name)
        processes.remove_written(self.state / "lab.json")
        self._servers.remove()

    # -- state ------------------------------------------------------------------------------------------

    @property
    def _certificates(self) -> Path:
        return self.state / "certificates"

    @property
    def ca(self) -> Path:
        """The authority that signs the certificates of the hosts' HTTPS listeners, in PEM."""
        return self._certificates / CA

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
            domain=recipe.DNS_DOMAIN if row.get("joined") else DOMAIN,
            joined=bool(row.get("joined")),
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
