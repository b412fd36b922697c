"""What Ansible's inventory formats have in common: hosts, groups, and who inherits what.

Here lives the collector that all their readers fill. What must not live here: reading INI, YAML or JSON, and what a
variable means (``ansible_variables``).

How a host is reached is settled here, as Ansible settles it: its own variables before those of its groups, a group
before those above it; among groups of one height the later name in the alphabet, unless ``ansible_group_priority``
says otherwise. Everything else is inherited by the rules of all inventories (``groups``).
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace

from pusher.config.wording import Wrong, listed, plain
from pusher.models import Source
from pusher.problems import BadInput
from pusher.targets import parsed
from pusher.targets.ansible_variables import (
    INHERITED,
    Fact,
    Facts,
    Place,
    Variables,
    checked,
    finding_of,
    place_of,
    settings_of,
    way_of,
)
from pusher.targets.membership import MembershipIndex
from pusher.targets.parsed import (
    NO_FINDING,
    NO_SETTINGS,
    Finding,
    Form,
    Named,
    ParsedGroup,
    ParsedHost,
    ParsedInventory,
    Settings,
)
from pusher.targets.ranges import Pattern, canonical_name, parse_address, parse_pattern

_WHOLE = frozenset({"all", "ungrouped"})
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
"""Where Ansible itself runs: the place of many hosts that are reached by something else than their address."""
_PRIORITY = "ansible_group_priority"


@dataclass(slots=True)
class _Group:
    source: Source
    hosts: dict[str, Source] = field(default_factory=dict)
    children: dict[str, Source] = field(default_factory=dict)
    variables: dict[str, tuple[str | None, Source]] = field(default_factory=dict)


class Collector:
    """Takes an inventory in as Ansible reads it: mentions add up, the later value of a variable wins."""

    def __init__(self, file: str, form: Form) -> None:
        self._file, self._form = file, form
        self._groups: dict[str, _Group] = {}
        self._hosts: dict[str, dict[str, tuple[str | None, Source]]] = {}
        self._ports: dict[str, tuple[str, Source]] = {}

    def group(self, name: str, source: Source) -> None:
        """A group is named."""
        if name not in self._groups:
            if name not in _WHOLE:
                checked(lambda: parsed.label(name, "group"), source)
            self._groups[name] = _Group(source)

    @property
    def group_names(self) -> tuple[str, ...]:
        return tuple(self._groups)

    def host(self, group: str, text: str, variables: Variables, source: Source) -> None:
        """A host or range of hosts stands in a group; ``NAME:PORT`` is understood as ``ansible_port``."""
        before, colon, port = text.rpartition(":")
        if colon and before and port.isdigit() and parse_address(text) is None and "]" not in port:
            text = before
            self._ports.setdefault(text, (port, source))
        self._groups[group].hosts.setdefault(text, source)
        self._hosts.setdefault(text, {}).update(variables)

    def host_variables(self, text: str, variables: Variables) -> None:
        """Variables of a host, said apart from its groups; of one that is in no group they say nothing."""
        if text in self._hosts:
            self._hosts[text].update(variables)

    def child(self, group: str, child: str, source: Source) -> None:
        """A group stands in another one."""
        self._groups[group].children.setdefault(child, source)

    def variables(self, group: str, variables: Variables) -> None:
        """Variables of a group."""
        self._groups[group].variables.update(variables)

    def parsed(self) -> ParsedInventory:
        """What was collected."""
        return _Translation(self._file, self._form, self._groups, self._hosts, self._ports).parsed()


class _Translation:
    """From what was collected to a ``ParsedInventory``."""

    def __init__(
        self,
        file: str,
        form: Form,
        groups: dict[str, _Group],
        hosts: dict[str, dict[str, tuple[str | None, Source]]],
        ports: dict[str, tuple[str, Source]],
    ) -> None:
        self._file, self._form = file, form
        self._groups, self._hosts, self._ports = groups, hosts, ports
        self._ignored: set[str] = set()
        self._used: set[str] = set()
        self._ports_used: set[str] = set()
        self._unnamed: list[str] = []
        self._inheritance = _Inheritance(groups)
        self._translated: dict[str, ParsedHost | None] = {}

    def parsed(self) -> ParsedInventory:
        groups = tuple(self._group(name, group) for name, group in self._groups.items())
        everyone = self._groups.get("all")
        defaults = self._settings(everyone.variables) if everyone is not None else NO_SETTINGS
        return ParsedInventory(file=self._file, form=self._form, groups=groups, defaults=defaults, notes=self._notes())

    def _group(self, name: str, group: _Group) -> ParsedGroup:
        settings = self._settings(group.variables)
        children = group.children
        if name == "all":  # every group is below it, said or not; but what is said has to exist
            children = {child: source for child, source in children.items() if child not in self._groups}
        hosts = [self._host(text, source) for text, source in group.hosts.items()]
        return ParsedGroup(
            # The two groups that Ansible adds by itself: being in them says nothing about a host.
            name="" if name in _WHOLE else name,
            source=group.source,
            hosts=tuple(host for host in hosts if host is not None),
            children=tuple(
                Named(text=child, source=source) for child, source in children.items() if child != "ungrouped"
            ),
            settings=NO_SETTINGS if name == "all" else settings,  # those of all are the defaults
        )

    def _settings(self, variables: Variables, *, of_host: bool = False) -> Settings:
        settings, ignored = settings_of(variables, of_host=of_host)
        self._ignored |= ignored
        return settings

    def _host(self, text: str, source: Source) -> ParsedHost | None:
        """The host as it is in this group: the same everywhere but for its place."""
        if text not in self._translated:
            self._translated[text] = self._made(text, source)
        made = self._translated[text]
        return None if made is None else replace(made, source=source)

    def _made(self, text: str, source: Source) -> ParsedHost | None:
        own = self._hosts[text]
        facts = self._facts(text)
        finding = finding_of(facts)
        settings = self._settings(own, of_host=True)
        if finding is not NO_FINDING:
            return self._spared(text, source, replace(settings, machine=None), finding, facts)
        place = place_of(text, facts)
        way, used = way_of(facts)
        self._used |= used
        if used and "ansible_port" not in own:
            self._ports_used.add(text)
        settings = replace(_placed(settings, place), winrm=way.winrm, transports=settings.transports or way.transports)
        return checked(lambda: parsed.parsed_host(place.text, source, settings), source)

    def _spared(
        self, text: str, source: Source, settings: Settings, finding: Finding, facts: Facts
    ) -> ParsedHost | None:
        """A host that is none of ours, under the name and address by which another line may mean it too.

        Where it is need not be readable; then its own name alone is known. It is left out by that as well.
        """
        places = [Place(text=text)]
        with contextlib.suppress(BadInput):
            place = place_of(text, facts)
            if not {place.text.lower(), place.settings.address} & _HERE:
                places.insert(0, place)
        for place in places:
            with contextlib.suppress(Wrong):
                return parsed.parsed_host(place.text, source, _placed(settings, place), finding)
        self._unnamed.append(text)  # a name that no machine of ours has
        return None

    def _facts(self, text: str) -> Facts:
        facts = dict(self._inheritance.of(text))
        if text in self._ports:
            value, source = self._ports[text]
            facts["ansible_port"] = Fact(value=value, source=source)
        own = self._hosts[text].items()
        facts.update({name: Fact(value=value, source=source) for name, (value, source) in own if name in INHERITED})
        return facts

    def _notes(self) -> tuple[str, ...]:
        notes: list[str] = []
        if set(self._ports) - self._ports_used:
            notes.append(f"{self._file}: the ports behind host names are Ansible's connection ports and are ignored")
        if ignored := self._ignored - self._used:
            names = listed(sorted(ignored), last="and")
            notes.append(f"{self._file}: Ansible variables that say nothing to pusher are ignored: {names}")
        if self._unnamed:
            names = listed((plain(text) for text in self._unnamed), last="and")
            notes.append(
                f"{self._file}: hosts of other connections, whose names are no host names, are passed over: {names}"
            )
        return tuple(notes)


def _placed(settings: Settings, place: Place) -> Settings:
    return replace(
        settings,
        address=place.settings.address,
        aliases=place.settings.aliases,
        affixes=place.settings.affixes,
        variables={**settings.variables, **place.settings.variables},
    )


class _Inheritance:
    """What a host has from its groups of the variables that say how it is reached."""

    def __init__(self, groups: dict[str, _Group]) -> None:
        self._groups = groups
        self._parents: dict[str, list[str]] = {name: [] for name in groups}
        for name, group in groups.items():
            for child in group.children:
                if child in self._parents:
                    self._parents[child].append(name)
        self._direct: dict[str, set[str]] = {}
        for name, group in groups.items():
            for text in group.hosts:
                self._direct.setdefault(text, set()).add(name)
        self._ranges: list[str] = []
        self._index: MembershipIndex | None = None
        self._known: dict[frozenset[str], Facts] = {}
        self._depths: dict[str, int] = {}
        self._any = any(INHERITED & group.variables.keys() for group in groups.values())

    def of(self, text: str) -> Facts:
        if not self._any:
            return {}
        direct = frozenset(self._direct[text] | self._by_range(text))
        known = self._known.get(direct)
        if known is None:
            known = self._known[direct] = self._work_out(direct)
        return known

    def _by_range(self, text: str) -> set[str]:
        """The groups in which the host stands by a range too."""
        if self._index is None:
            patterns: list[Pattern] = []
            for listed_text in self._direct:
                if "[" in listed_text:
                    try:
                        patterns.append(parse_pattern(listed_text))
                    except Wrong:
                        continue  # refused with its place, once it is its turn
                    self._ranges.append(listed_text)
            self._index = MembershipIndex(patterns)
        if "[" in text or not self._ranges or not text:
            return set()
        found = self._index.containing(canonical_name(text))
        return {group for number in found for group in self._direct[self._ranges[number]]}

    def _work_out(self, direct: frozenset[str]) -> Facts:
        above: set[str] = {"all"} & self._groups.keys()
        queue = list(direct)
        while queue:
            name = queue.pop()
            if name not in above:
                above.add(name)
                queue.extend(self._parents[name])
        facts: dict[str, Fact] = {}
        for name in sorted(above, key=lambda name: (self._depth(name), self._priority(name), name)):
            for variable, (value, source) in self._groups[name].variables.items():
                if variable in INHERITED:
                    facts[variable] = Fact(value=value, source=source, inherited=True)
        return facts

    def _depth(self, name: str) -> int:
        """How far below ``all``, by the longest way; a circle, which is refused later, ends the count."""
        if name == "all":
            return 0
        if name not in self._depths:
            self._depths[name] = 1
            self._depths[name] = 1 + max((self._depth(parent) for parent in self._parents[name]), default=0)
        return self._depths[name]

    def _priority(self, name: str) -> int:
        value, _ = self._groups[name].variables.get(_PRIORITY, (None, None))
        return int(value) if value is not None and value.isdecimal() and len(value) < 10 else 1
