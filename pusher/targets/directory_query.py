"""Computers of the directory as targets: the one step that asks it, before a run.

Here lives ``expand``: what a group's query finds becomes hosts of that group, and the directory's subnets become
sites (MS-ADTS 6.1.1.2.2). What must not live here: LDAP (the port's adapters), reading the inventory's file.

Nothing is silently missing: a computer that is disabled or stale stays in the inventory, with the reason why it is
out; one whose name cannot be used is noted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from pusher.clock import Now, utc_now
from pusher.config.wording import Wrong, shown
from pusher.directory import values
from pusher.directory.filters import IN_CHAIN, escape_filter_value
from pusher.directory.names import domain_of, normalised, parse_dn
from pusher.directory.port import Directory, Entry, Scope
from pusher.models import Source
from pusher.problems import BadInput, Code, ProblemError
from pusher.targets.inventory import Inventory
from pusher.targets.parsed import (
    DirectoryQuery,
    Finding,
    Named,
    ParsedGroup,
    ParsedHost,
    ParsedInventory,
    parsed_host,
    site_label,
)
from pusher.targets.ranges import canonical_name
from pusher.targets.sites import Network, Subnet, parse_subnet

_COMPUTER = (
    "dNSHostName", "name", "sAMAccountName", "userAccountControl", "lastLogonTimestamp", "pwdLastSet", "whenCreated",
)  # fmt: skip
_ROOT = ("namingContexts", "configurationNamingContext")
_ANY = "(objectClass=*)"
_NOTED = 5
"""Objects that a note names one by one."""


async def expand(inventory: Inventory, directory: Directory, now: Now = utc_now) -> Inventory:
    """The inventory with the computers of its directory groups; other tasks run between pages.

    BadInput where the directory has no such base or group, or does not understand a filter; ProblemError where it
    does not answer.
    """
    if not inventory.directory_groups:
        return inventory
    contexts, configuration = await _root(directory)
    notes: list[str] = []
    subnets = await _subnets(directory, configuration, inventory.parsed, notes)
    groups = [await _group(directory, group, contexts, now(), notes) for group in inventory.parsed.groups]
    parsed = replace(
        inventory.parsed,
        groups=tuple(groups),
        subnets=(*inventory.parsed.subnets, *subnets),
        notes=(*inventory.parsed.notes, *notes),
    )
    if not any(group.hosts for group in groups):
        query = inventory.directory_groups[0].directory
        raise BadInput(query.source if query is not None else None, "the directory holds no computer that this means",
                       "a base, filter or group that means some")  # fmt: skip
    # Seconds of work for a large inventory; the event loop goes on meanwhile.
    return await asyncio.to_thread(Inventory, parsed)


async def _root(directory: Directory) -> tuple[frozenset[str], str | None]:
    """The naming contexts that the server holds, normalised, and the one of the configuration."""
    async for entry in directory.search("", _ANY, _ROOT, Scope.BASE):
        held = (value.decode("utf-8", "replace") for value in entry.attributes.get("namingcontexts", ()))
        return frozenset(filter(None, map(_normal, held))), values.text(entry, "configurationNamingContext")
    return frozenset(), None


# -- computers ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Found:
    """The computers of one query by their canonical names, in the order of the directory."""

    hosts: dict[str, ParsedHost] = field(default_factory=dict)
    nameless: list[str] = field(default_factory=list)
    shared: list[str] = field(default_factory=list)


async def _group(
    directory: Directory, group: ParsedGroup, contexts: frozenset[str], now: datetime, notes: list[str]
) -> ParsedGroup:
    query = group.directory
    if query is None:
        return group
    _refuse_elsewhere(query.base, contexts)
    if query.group is not None:
        _refuse_elsewhere(query.group, contexts)
        await _refuse_missing(directory, query.group)
    found = _Found()
    scope = Scope.ONE_LEVEL if query.one_level else Scope.SUBTREE
    try:
        async for entry in directory.search(query.base.text, filter_of(query), _COMPUTER, scope):
            _add(found, entry, query, now)
    except ProblemError as error:
        raise _of_query(error, query) from error
    place = f"{query.source}: group {group.name}"
    if not found.hosts:
        notes.append(f"{place}: the directory holds no computer that this means")
    notes += _named(f"{place}: without a usable DNS name", found.nameless)
    notes += _named(f"{place}: several computers of the directory share one DNS name", found.shared)
    return replace(group, hosts=(*group.hosts, *found.hosts.values()), directory=None)


def filter_of(query: DirectoryQuery) -> str:
    """The LDAP filter of a query."""
    own = query.filter.text if query.filter is not None else ""
    group = f"(memberOf:{IN_CHAIN}:={escape_filter_value(query.group.text)})" if query.group is not None else ""
    return f"(&(objectCategory=computer){own}{group})"


def _add(found: _Found, entry: Entry, query: DirectoryQuery, now: datetime) -> None:
    host = _host(entry, query.source)
    if host is None:
        found.nameless.append(entry.dn)
        return
    host = replace(host, finding=finding(entry, query.stale_after, now))
    key = canonical_name(host.pattern.text)
    known = found.hosts.get(key)
    if known is None:
        found.hosts[key] = host
        return
    found.shared.append(host.pattern.text)
    # A machine that was set up anew leaves its old object behind: the one in use counts. A domain controller stays one.
    said = host.finding if known.finding.code is not None else known.finding
    is_one = known.finding.is_domain_controller or host.finding.is_domain_controller
    found.hosts[key] = replace(known, finding=replace(said, is_domain_controller=is_one))


def _host(entry: Entry, source: Source) -> ParsedHost | None:
    """By dNSHostName; else by name and domain. A computer writes these itself: each is one name, never a range."""
    short = values.text(entry, "name") or (values.text(entry, "sAMAccountName") or "").rstrip("$")
    try:
        domain = domain_of(entry.dn)
    except Wrong:
        domain = ""
    for name in (values.text(entry, "dNSHostName"), f"{short}.{domain}" if domain else None):
        try:
            host = parsed_host(name or "", source)
        except Wrong:
            continue
        if host.pattern.is_single and not getattr(host.pattern, "is_address", True):
            return host
    return None


def finding(entry: Entry, stale_after: float | None, now: datetime) -> Finding:
    """Whether a computer is in use, and whether it is a domain controller."""
    flags = values.integer(entry, "userAccountControl") or 0
    is_one = bool(flags & values.DOMAIN_CONTROLLER)
    if flags & values.DISABLED:
        why = f"disabled in the directory: {shown(entry.dn)}"
        return Finding(is_domain_controller=is_one, code=Code.COMPUTER_DISABLED, why=why)
    if stale_after is not None:
        seen = [at for name in ("lastLogonTimestamp", "pwdLastSet") if (at := values.filetime(entry, name))]
        last = max(seen) if seen else values.generalized_time(entry, "whenCreated")
        if last is not None and now - last > timedelta(seconds=stale_after):
            how = "last seen" if seen else "never seen, and created"
            why = f"{how} by its domain on {last:%Y-%m-%d}: {shown(entry.dn)}"
            return Finding(is_domain_controller=is_one, code=Code.COMPUTER_STALE, why=why)
    return Finding(is_domain_controller=is_one)


# -- sites --------------------------------------------------------------------------------------------------


async def _subnets(
    directory: Directory, configuration: str | None, parsed: ParsedInventory, notes: list[str]
) -> list[Subnet]:
    """The directory's subnets; those that the inventory itself names stay as it says."""
    if configuration is None or parsed.defaults.site is not None:
        return []
    own = {subnet.network for subnet in parsed.subnets}
    found: dict[Network, Subnet] = {}
    bad: list[str] = []
    base = f"CN=Subnets,CN=Sites,{configuration}"
    try:
        async for entry in directory.search(base, "(objectClass=subnet)", ("cn", "siteObject"), Scope.ONE_LEVEL):
            subnet = _subnet(entry)
            if subnet is None:
                bad.append(entry.dn)
            elif subnet.network not in own:
                found[subnet.network] = subnet
    except ProblemError as error:
        if not error.problem.row.of_one_object:
            raise
        notes.append(f"{parsed.file}: the directory's sites cannot be read ({error.problem.code})")
    notes += _named(f"{parsed.file}: subnets of the directory that cannot be used", bad)
    return list(found.values())


def _subnet(entry: Entry) -> Subnet | None:
    text, site = values.text(entry, "cn"), values.text(entry, "siteObject")
    try:
        if text is None or site is None:
            return None
        return Subnet(network=parse_subnet(text), site=site_label(parse_dn(site)[0].value))
    except (Wrong, IndexError):
        return None


# -- what is wrong ------------------------------------------------------------------------------------------


def _refuse_elsewhere(name: Named, contexts: frozenset[str]) -> None:
    """A name of another domain would find nothing, and look like an empty OU."""
    own = normalised(name.text)
    if contexts and not any(own == context or own.endswith(f",{context}") for context in contexts):
        found = f"{shown(name.text)} is no name of the domain that [directory] reads"
        raise BadInput(name.source, found, "a name of that domain")


async def _refuse_missing(directory: Directory, group: Named) -> None:
    """A group that is not there would have no members, and nobody would be told."""
    try:
        async for _ in directory.search(group.text, "(objectClass=group)", ("objectClass",), Scope.BASE):
            return
    except ProblemError as error:
        if error.problem.code != Code.DIRECTORY_NO_SUCH_OBJECT:
            raise
    raise BadInput(group.source, f"the directory holds no group {shown(group.text)}", "the name of one")


def _of_query(error: ProblemError, query: DirectoryQuery) -> ProblemError | BadInput:
    code = error.problem.code
    if code == Code.DIRECTORY_NO_SUCH_OBJECT:
        return BadInput(query.base.source, f"the directory holds no {shown(query.base.text)}", "a base that is there")
    if code == Code.DIRECTORY_FILTER_WRONG and query.filter is not None:
        found = f"the directory does not understand {shown(query.filter.text)}"
        return BadInput(query.filter.source, found, "an LDAP filter over its own attributes")
    return error


def _named(what: str, objects: Iterable[str]) -> list[str]:
    names = list(dict.fromkeys(objects))
    if not names:
        return []
    more = f" and {len(names) - _NOTED:,} more" if len(names) > _NOTED else ""
    return [f"{what}: {', '.join(shown(name) for name in names[:_NOTED])}{more}"]


def _normal(text: str) -> str:
    try:
        return normalised(text)
    except Wrong:
        return ""
