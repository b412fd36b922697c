"""What Ansible's two inventory formats have in common: hosts, groups, and which variables mean something here.

Here lives the collector that both readers fill. What must not live here: reading INI or YAML.

``ansible_host`` gives the address, or the name to be looked up. ``site`` (or ``pusher_site``), ``pusher_port``,
``pusher_transports`` and ``pusher_domain_controller`` are settings; other variables with a plain value fill a
package's placeholders. Everything else of Ansible's own (connection, user, password, ``ansible_port``, which is
WinRM's or SSH's) is ignored, and said so by name, never by value.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from pusher.config import Wrong, hint, listed, shown
from pusher.models import Source
from pusher.problems import BadInput
from pusher.targets import drafts
from pusher.targets.drafts import Draft, GroupDraft, HostDraft, Named, Settings
from pusher.targets.ranges import is_host_name, parse_address, parse_host_address
from pusher.targets.selection import ALIAS_VARIABLE

T = TypeVar("T")

Variables = Mapping[str, tuple[str | None, Source]]
"""Names with value and place; None: a value that is not plain text (a list, a vault)."""

_OWN = ("pusher_site", "pusher_port", "pusher_transports", "pusher_domain_controller")
_WHOLE = frozenset({"all", "ungrouped"})


@dataclass(slots=True)
class _Group:
    source: Source
    hosts: dict[str, Source] = field(default_factory=dict)
    children: dict[str, Source] = field(default_factory=dict)
    variables: dict[str, tuple[str | None, Source]] = field(default_factory=dict)


class Collector:
    """Takes an inventory in as Ansible reads it: mentions add up, the later value of a variable wins."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._groups: dict[str, _Group] = {}
        self._hosts: dict[str, dict[str, tuple[str | None, Source]]] = {}
        self._ignored: dict[str, None] = {}
        self._ports = False

    def group(self, name: str, source: Source) -> None:
        """A group is named."""
        if name not in self._groups:
            if name not in _WHOLE:
                self._checked(lambda: drafts.label(name, "group"), source)
            self._groups[name] = _Group(source)

    def has_group(self, name: str) -> bool:
        """Whether the group was named."""
        return name in self._groups

    @property
    def group_names(self) -> tuple[str, ...]:
        return tuple(self._groups)

    def host(self, group: str, text: str, variables: Variables, source: Source) -> None:
        """A host or range of hosts stands in a group; ``NAME:PORT`` is understood, and the port ignored."""
        before, colon, port = text.rpartition(":")
        if colon and port.isdigit() and parse_address(text) is None and "]" not in port:
            text, self._ports = before, True
        self._groups[group].hosts.setdefault(text, source)
        self._hosts.setdefault(text, {}).update(variables)

    def child(self, group: str, child: str, source: Source) -> None:
        """A group stands in another one."""
        self._groups[group].children.setdefault(child, source)

    def variables(self, group: str, variables: Variables) -> None:
        """Variables of a group."""
        self._groups[group].variables.update(variables)

    def draft(self) -> Draft:
        """What was collected."""
        groups = tuple(self._group_draft(name, group) for name, group in self._groups.items())
        everyone = self._groups.get("all")
        defaults = self._settings(everyone.variables)[0] if everyone is not None else drafts.NO_SETTINGS
        return Draft(file=self._file, groups=groups, defaults=defaults, notes=self._notes())

    # -- translation ----------------------------------------------------------------------------------------

    def _group_draft(self, name: str, group: _Group) -> GroupDraft:
        whole = name in _WHOLE
        settings, host = self._settings(group.variables)
        if settings.address is not None or host is not None:
            raise BadInput(group.variables["ansible_host"][1], "ansible_host stands at a group", "it at single hosts")
        children = group.children
        if name == "all":  # every group is below it, said or not; but what is said has to exist
            children = {child: source for child, source in children.items() if child not in self._groups}
        return GroupDraft(
            # The two groups that Ansible adds by itself: being in them says nothing about a host.
            name="" if whole else name,
            source=group.source,
            hosts=tuple(self._host_draft(text, source) for text, source in group.hosts.items()),
            children=tuple(
                Named(text=child, source=source) for child, source in children.items() if child != "ungrouped"
            ),
            settings=drafts.NO_SETTINGS if name == "all" else settings,  # those of all are the defaults
        )

    def _host_draft(self, text: str, source: Source) -> HostDraft:
        variables = self._hosts[text]
        settings, host = self._settings(variables)
        if host is not None:
            if "[" in text:
                found = f"{shown(text)} is many machines with one ansible_host"
                raise BadInput(variables["ansible_host"][1], found, "ansible_host only beside a single name")
            settings = dataclasses.replace(settings, variables={**settings.variables, ALIAS_VARIABLE: text})
        return self._checked(lambda: drafts.host_draft(host or text, source, settings), source)

    def _settings(self, variables: Variables) -> tuple[Settings, str | None]:
        """Settings, and the name to look up where ``ansible_host`` is one."""
        settings, host = drafts.NO_SETTINGS, None
        plain: dict[str, str] = {}
        for name, (value, source) in variables.items():
            if value is None or "{{" in value:
                self._ignored[name] = None
            elif name == "ansible_host":
                address, host = self._checked(partial(_address_or_name, value), source)
                settings = dataclasses.replace(settings, address=address)
            elif name in {"site", *_OWN}:
                settings = self._own_setting(settings, name, value, source)
            elif name.startswith("pusher_"):
                raise BadInput(source, f"{shown(name)} is not a setting{hint(name, _OWN)}", listed(_OWN))
            elif name.startswith("ansible_"):
                self._ignored[name] = None
            else:
                try:
                    plain[drafts.variable_name(name)] = value
                except Wrong:
                    self._ignored[name] = None
        return dataclasses.replace(settings, variables=plain), host

    def _own_setting(self, settings: Settings, name: str, value: str, source: Source) -> Settings:
        if name in {"site", "pusher_site"}:
            site = self._checked(lambda: drafts.site_label(value), source)
            return dataclasses.replace(settings, site=site, site_source=source)
        if name == "pusher_port":
            return dataclasses.replace(settings, port=self._checked(lambda: drafts.port(value), source))
        if name == "pusher_transports":
            words = value.replace(",", " ").split()
            return dataclasses.replace(settings, transports=self._checked(lambda: drafts.transports(words), source))
        leave = self._checked(lambda: drafts.domain_controller(value), source)
        return dataclasses.replace(settings, domain_controller_allowed=leave)

    def _notes(self) -> tuple[str, ...]:
        notes: list[str] = []
        if self._ports:
            notes.append(f"{self._file}: the ports behind host names are Ansible's connection ports and are ignored")
        if self._ignored:
            names = listed(sorted(self._ignored), last="and")
            notes.append(f"{self._file}: Ansible variables that say nothing to pusher are ignored: {names}")
        return tuple(notes)

    @staticmethod
    def _checked(convert: Callable[[], T], source: Source) -> T:
        try:
            return convert()
        except Wrong as exc:
            raise BadInput(source, exc.found, exc.expected) from exc


def _address_or_name(text: str) -> tuple[str | None, str | None]:
    if parse_address(text) is not None:
        return parse_host_address(text), None
    if is_host_name(text):
        return None, text
    raise Wrong(f"ansible_host {shown(text)} is neither an address nor a host name", "an IP address or a host name")
