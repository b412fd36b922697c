"""The lines of an inventory, each name or range once: the same words under another group are the same line.

Here lives that merging, pure. What must not live here: expansion, what a host's groups give it (``groups``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pusher.config.wording import shown
from pusher.models import Source
from pusher.problems import BadInput
from pusher.targets.parsed import NO_FINDING, Finding, ParsedHost, ParsedInventory, Settings
from pusher.targets.ranges import Pattern, canonical_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A name or range of the inventory, with every group that lists it in the same words."""

    pattern: Pattern
    groups: tuple[int, ...]
    settings: Settings
    source: Source
    finding: Finding = NO_FINDING


def entries_of(parsed: ParsedInventory) -> tuple[Entry, ...]:
    """The lines in order; the same words under another group are the same line with one group more."""
    entries: list[Entry] = []
    seen: dict[str, int] = {}
    addressed: dict[tuple[str, str], tuple[str, Source]] = {}
    listed = [(number, host) for number, group in enumerate(parsed.groups) for host in group.hosts]
    # The order of the file, which a table of hosts with a column of groups does not have by its groups.
    listed.sort(key=lambda item: (item[1].source.line, item[1].source.column))
    for number, host in listed:
        key = canonical_name(host.pattern.text)
        _refuse_second(host, key, addressed)
        at = seen.get(key)
        if at is not None and number not in entries[at].groups:
            known = entries[at]
            entries[at] = Entry(
                pattern=known.pattern,
                groups=(*known.groups, number),
                settings=first_of([known.settings, host.settings]),
                source=known.source,
                finding=_first_finding(known.finding, host.finding),
            )
            continue
        seen[key] = len(entries)
        entries.append(
            Entry(
                pattern=host.pattern,
                groups=(number,),
                settings=host.settings,
                source=host.source,
                finding=host.finding,
            )
        )
    return tuple(entries)


def _first_finding(one: Finding, other: Finding) -> Finding:
    """What several groups' queries say of one computer: the first reason to leave it out counts."""
    if other is NO_FINDING or other == one:
        return one
    said = one if one.code is not None else other
    is_one = one.is_domain_controller or other.is_domain_controller
    return Finding(is_domain_controller=is_one, code=said.code, why=said.why)


def _refuse_second(host: ParsedHost, key: str, known: dict[tuple[str, str], tuple[str, Source]]) -> None:
    """One name is one machine: it has one address, and calls itself one thing."""
    for what, a_what, said in (
        ("address", "the address", host.settings.address),
        ("machine", "the machine", host.settings.machine),
    ):
        if said is None:
            continue
        first, source = known.setdefault((what, key), (said, host.source))
        if canonical_name(first) != canonical_name(said):
            found = f"{shown(key)} has {a_what} {said} here and {first} in {source}"
            raise BadInput(host.source, found, f"one {what}")


def given(entries: tuple[Entry, ...], said: Callable[[Settings], str | None]) -> dict[str, tuple[str, ...]]:
    """The names of the entries by what they say of themselves."""
    found: dict[str, tuple[str, ...]] = {}
    for entry in entries:
        key = said(entry.settings)
        if key:
            name = canonical_name(entry.pattern.text)
            if name not in found.get(key, ()):
                found[key] = (*found.get(key, ()), name)
    return found


def first_of(all_settings: list[Settings]) -> Settings:
    """What the first that says something says, for each setting; aliases and variables add up."""
    merged = all_settings[0]
    for settings in all_settings[1:]:
        allowed = merged.domain_controller_allowed
        merged = Settings(
            address=merged.address or settings.address,
            machine=merged.machine or settings.machine,
            aliases=tuple(dict.fromkeys((*merged.aliases, *settings.aliases))),
            affixes=merged.affixes or settings.affixes,
            site=merged.site or settings.site,
            site_source=merged.site_source or settings.site_source,
            port=merged.port or settings.port,
            transports=merged.transports or settings.transports,
            winrm=merged.winrm or settings.winrm,
            domain_controller_allowed=settings.domain_controller_allowed if allowed is None else allowed,
            variables={**settings.variables, **merged.variables},
        )
    return merged
