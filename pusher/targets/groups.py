"""What a host's groups say together: host over child group over parent group over defaults.

Here lives the graph of groups, pure. What must not live here: hosts, selection, files.
Among groups of which neither is above the other, the first in the file wins; two different sites there are
refused, because a site decides which worker pushes. ``domain_controller`` is allowed only where nobody refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

from pusher.config.wording import hint, listed, shown
from pusher.models import Source, TransportKind, WinrmSettings
from pusher.problems import BadInput
from pusher.targets.parsed import ParsedInventory, Settings
from pusher.targets.selection import GroupExclude, parse_group_exclude

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Effective:
    """The settings that a set of groups gives a host. ``conflict``: the places of two sites that contradict."""

    names: tuple[str, ...]
    site: str | None
    conflict: tuple[tuple[str, Source], tuple[str, Source]] | None
    port: int | None
    transports: tuple[TransportKind, ...]
    winrm: WinrmSettings
    domain_controller_allowed: bool
    variables: Mapping[str, str]
    excludes: tuple[GroupExclude, ...]


class GroupGraph:
    """The groups of a ``ParsedInventory``, checked: every child exists, nothing stands above itself."""

    def __init__(self, parsed: ParsedInventory) -> None:
        self._groups = parsed.groups
        self._defaults = parsed.defaults
        self._numbers = {group.name: number for number, group in enumerate(parsed.groups)}
        parents: dict[int, list[int]] = {number: [] for number in range(len(parsed.groups))}
        for number, group in enumerate(parsed.groups):
            for child in group.children:
                if child.text not in self._numbers:
                    found = f"{shown(child.text)} is not a group{hint(child.text, self._numbers)}"
                    raise BadInput(child.source, found, f"one of the groups {listed(self.names)}")
                parents[self._numbers[child.text]].append(number)
        self._parents = parents
        self._refuse_circles()
        self._ancestors: dict[int, frozenset[int]] = {}
        self._excludes = tuple(
            tuple(parse_group_exclude(item, group.name) for item in group.excludes) for group in self._groups
        )
        self._known: dict[tuple[int, ...], Effective] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The groups' names in the order of the file."""
        return tuple(group.name for group in self._groups if group.name)

    @property
    def excludes(self) -> tuple[GroupExclude, ...]:
        """Every group's exclusions."""
        return tuple(exclude for excludes in self._excludes for exclude in excludes)

    @property
    def sites(self) -> frozenset[str]:
        """Every site that a group or the defaults name."""
        return frozenset(s.site for s in (self._defaults, *(g.settings for g in self._groups)) if s.site)

    def effective(self, direct: tuple[int, ...]) -> Effective:
        """What the groups ``direct`` (numbers, of one host) give."""
        known = self._known.get(direct)
        if known is None:
            known = self._known[direct] = self._work_out(direct)
        return known

    # -- working it out -------------------------------------------------------------------------------------

    def _work_out(self, direct: tuple[int, ...]) -> Effective:
        above: set[int] = set()
        for number in direct:
            above |= self._above(number)
        ordered = (*sorted(direct), *sorted(above - set(direct)))
        sites = self._deciding(ordered, lambda s: s.site)
        variables: dict[str, str] = dict(self._defaults.variables)
        for name in {name for number in ordered for name in self._groups[number].settings.variables}:
            variables[name] = self._deciding(ordered, lambda s, n=name: s.variables.get(n))[0][1]  # type: ignore[misc]
        allowed = [allowed for _, allowed in self._deciding(ordered, lambda s: s.domain_controller_allowed)]
        ports = self._deciding(ordered, lambda s: s.port)
        transports = self._deciding(ordered, lambda s: s.transports)
        winrm = self._deciding(ordered, lambda s: s.winrm)
        defaults = self._defaults
        return Effective(
            names=tuple(self._groups[number].name for number in ordered if self._groups[number].name),
            site=sites[0][1] if sites else defaults.site,
            conflict=self._conflict(sites),
            port=ports[0][1] if ports else defaults.port,
            transports=transports[0][1] if transports else defaults.transports or tuple(TransportKind),
            winrm=winrm[0][1] if winrm else defaults.winrm or WinrmSettings(),
            domain_controller_allowed=bool(allowed) and all(allowed),
            variables=MappingProxyType(variables),
            excludes=tuple(exclude for number in ordered for exclude in self._excludes[number]),
        )

    def _deciding(self, groups: tuple[int, ...], value: Callable[[Settings], T | None]) -> list[tuple[int, T]]:
        """The groups that say something and have no group below them that does, in the order of the file."""
        saying: dict[int, T] = {}
        for number in groups:
            said = value(self._groups[number].settings)
            if said is not None:
                saying[number] = said
        return [
            (number, said)
            for number, said in sorted(saying.items(), key=lambda item: item[0])
            if not any(number in self._above(other) for other in saying)
        ]

    def _conflict(self, sites: list[tuple[int, str]]) -> tuple[tuple[str, Source], tuple[str, Source]] | None:
        for number, site in sites[1:]:
            if site != sites[0][1]:
                return self._said(sites[0][0], sites[0][1]), self._said(number, site)
        return None

    def _said(self, number: int, site: str) -> tuple[str, Source]:
        group = self._groups[number]
        return f"groups.{group.name} says site {site}", group.settings.site_source or group.source

    def _above(self, number: int) -> frozenset[int]:
        """Every group above ``number``, however far."""
        known = self._ancestors.get(number)
        if known is None:
            found: set[int] = set()
            queue = list(self._parents[number])
            while queue:
                parent = queue.pop()
                if parent not in found:
                    found.add(parent)
                    queue.extend(self._parents[parent])
            known = self._ancestors[number] = frozenset(found)
        return known

    def _refuse_circles(self) -> None:
        """Peels off groups whose children are all peeled; what is left goes in a circle."""
        left = {n: {self._numbers[child.text] for child in group.children} for n, group in enumerate(self._groups)}
        free = [number for number, children in left.items() if not children]
        while free:
            number = free.pop()
            for parent in set(self._parents[number]):
                left[parent].discard(number)
                if not left[parent]:
                    free.append(parent)
        if not any(left.values()):
            return
        walk: list[int] = [min(number for number, children in left.items() if children)]
        while walk[-1] not in walk[:-1]:
            walk.append(min(child for child in left[walk[-1]] if left[child]))
        circle = walk[walk.index(walk[-1]) :]
        closing = self._groups[circle[0]]
        child = next(c for c in closing.children if self._numbers[c.text] == circle[1])
        names = " > ".join(self._groups[number].name for number in circle)
        raise BadInput(child.source, f"the groups go in a circle: {names}", "children that do not lead back")
