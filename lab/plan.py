"""Which hosts a lab has: names, addresses and scenarios, from the defaults, a count or a file.

Here: values and their checks. Not here: anything that runs.
"""

from __future__ import annotations

import ipaddress
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lab.scenarios import SCENARIOS, Kind, Scenario

DOMAIN = "lab.test"
DNS_PORT = 5353
DEFAULT_NETWORK = "127.0.20.0/24"
_EXTRA_HEALTHY = 2


class PlanError(Exception):
    """The wish for hosts cannot be met; the message says where and why."""


@dataclass(frozen=True, kw_only=True)
class HostSpec:
    """One wished host."""

    name: str
    scenario: Scenario = field(default_factory=lambda: SCENARIOS["healthy"])
    joined: bool = False  # a member of the lab's directory, which the lab then has (see lab/domain)


@dataclass(frozen=True, kw_only=True)
class Addresses:
    """Who gets which address of the lab's network: hosts from the first, the servers the last."""

    network: ipaddress.IPv4Network

    @classmethod
    def of(cls, text: str) -> Addresses:
        try:
            network = ipaddress.IPv4Network(text)
        except ValueError as exc:
            raise PlanError(f"--network {text}: {exc}; expected for example {DEFAULT_NETWORK}") from exc
        if not network.is_loopback or network.num_addresses < 8:
            raise PlanError(f"--network {text}: expected at least a /29 within 127.0.0.0/8")
        return cls(network=network)

    @property
    def dns(self) -> str:
        return str(self.network.broadcast_address - 1)

    @property
    def controller(self) -> str:
        """The domain controller's, where the lab has one."""
        return str(self.network.broadcast_address - 3)

    @property
    def room(self) -> int:
        """For how many hosts there are addresses in a lab without a directory."""
        return self.network.num_addresses - 3

    def room_for(self, specs: Sequence[HostSpec]) -> int:
        return self.room - (2 if any(spec.joined for spec in specs) else 0)

    def host(self, number: int) -> str:
        """The address of the host with that number, from 1."""
        return str(self.network.network_address + number)


def healthy(count: int) -> list[HostSpec]:
    return [HostSpec(name=_name(number)) for number in range(1, count + 1)]


def members(count: int) -> list[HostSpec]:
    """Healthy hosts that are members of the directory."""
    return [HostSpec(name=f"ms{number:02d}", joined=True) for number in range(1, count + 1)]


def every_scenario() -> list[HostSpec]:
    """Each scenario once, and two more healthy hosts at the end."""
    rows = [*SCENARIOS.values(), *[SCENARIOS["healthy"]] * _EXTRA_HEALTHY]
    return [HostSpec(name=_name(number), scenario=row) for number, row in enumerate(rows, 1)]


def from_file(path: Path) -> list[HostSpec]:
    """Hosts from a TOML file of `[[host]]` tables: scenario, and optionally name and count."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise PlanError(f"{path}: {exc.strerror}") from exc
    except tomllib.TOMLDecodeError as exc:
        raise PlanError(f"{path}: {exc}") from exc
    tables = content.get("host")
    if not isinstance(tables, list) or not tables or set(content) != {"host"}:
        raise PlanError(f'{path}: expected one or more tables like\n[[host]]\nscenario = "healthy"\ncount = 2')
    specs: list[HostSpec] = []
    for number, table in enumerate(tables, 1):
        specs += _from_table(f"{path}: [[host]] number {number}", table, len(specs))
    check(specs)
    return specs


def _from_table(where: str, table: Mapping[str, object], already: int) -> Sequence[HostSpec]:
    unknown = set(table) - {"scenario", "name", "count", "joined"}
    if unknown:
        raise PlanError(f"{where}: unknown key {sorted(unknown)[0]!r}; known are scenario, name, count, joined")
    scenario, count, name = table.get("scenario", "healthy"), table.get("count", 1), table.get("name")
    joined = table.get("joined", False)
    if scenario not in SCENARIOS:
        raise PlanError(f"{where}: no scenario {scenario!r}; `python -m lab scenarios` lists them")
    if not isinstance(count, int) or count < 1:
        raise PlanError(f"{where}: count {count!r} is no number above 0")
    if name is not None and (not isinstance(name, str) or count != 1):
        raise PlanError(f"{where}: a name is a string and goes with one host, not with a count of {count}")
    if not isinstance(joined, bool):
        raise PlanError(f"{where}: joined {joined!r} is neither true nor false")
    row = SCENARIOS[str(scenario)]
    names = [name or _name(already + number) for number in range(1, count + 1)]
    return [HostSpec(name=each, scenario=row, joined=joined) for each in names]


def check(specs: Sequence[HostSpec]) -> None:
    """Refuse what could not be started."""
    names = [spec.name for spec in specs]
    for name in names:
        if not (name.isascii() and name.isalnum() and name == name.lower() and 1 <= len(name) <= 15):
            raise PlanError(f"host name {name!r}: expected 1 to 15 lower-case letters and digits")
        if names.count(name) > 1:
            raise PlanError(f"host name {name!r} is given twice")
    for spec in specs:
        if spec.joined and spec.scenario.kind is not Kind.WINDOWS:
            raise PlanError(f"{spec.name}: {spec.scenario.name} is no host that could join")
    kinds = {spec.scenario.kind for spec in specs}
    if Kind.STALE in kinds and stale_target(specs) is None:
        raise PlanError("the scenario stale-name needs a healthy host for its record to lead to")


def stale_target(specs: Sequence[HostSpec]) -> str | None:
    """The host that stale records lead to: the first healthy one."""
    return next((spec.name for spec in specs if spec.scenario.name == "healthy"), None)


def _name(number: int) -> str:
    return f"ws{number:02d}"
