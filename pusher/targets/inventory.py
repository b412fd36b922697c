"""The inventory: every target of a run, lazily, each with the reason why it is in or out.

Here live ``load_inventory`` and ``Inventory``: duplicates, the bound on size, what the options may name. What must not
live here: the formats (each has its reader), merging lines (``entries``), look-ups, anything that contacts a machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from pusher.config.wording import hint, listed, nearest, plain, shown
from pusher.models import DOMAIN_CONTROLLERS, Source, Target
from pusher.problems import BadInput, Code
from pusher.targets.entries import entries_of, first_of, given
from pusher.targets.formats import read_inventory
from pusher.targets.groups import Effective, GroupGraph
from pusher.targets.membership import MembershipIndex
from pusher.targets.parsed import ParsedGroup, ParsedInventory, Settings
from pusher.targets.ranges import MAX_TARGETS, canonical_name, parse_address
from pusher.targets.selection import EVERYTHING, Decision, Selector, Subject, Term, parse_selector
from pusher.targets.sites import SiteTable

_FEW = 5000


@dataclass(frozen=True, kw_only=True, slots=True)
class Selected:
    """A target and the decision about it."""

    target: Target
    decision: Decision


def load_inventory(path: Path) -> Inventory:
    """The inventory in a file of any format that is understood; raises BadInput, contacts nothing."""
    return Inventory(read_inventory(path))


class Inventory:
    """Targets in the order of the file. Nothing is expanded before it is asked for, and nothing kept after."""

    def __init__(self, parsed: ParsedInventory) -> None:
        self.parsed = parsed
        self.file = parsed.file
        self.nameservers = parsed.nameservers
        self.certificate_authority = parsed.certificate_authority
        self._groups = GroupGraph(parsed)
        self._entries = entries_of(parsed)
        if not self._entries and not self.directory_groups:
            raise BadInput(Source(file=parsed.file), "the inventory lists no host", "at least one host or range")
        self._refuse_too_many()
        self.sites = SiteTable.of(parsed.subnets)
        self._index = MembershipIndex([entry.pattern for entry in self._entries])
        self._addresses = given(self._entries, lambda settings: settings.address)
        self._machines = given(self._entries, lambda settings: settings.machine and canonical_name(settings.machine))
        self._default_site = parsed.defaults.site
        self._settled: dict[tuple[int, ...], tuple[Settings, Effective]] = {}
        self._refuse_contradictions()
        self.notes = (*parsed.notes, *self._own_notes())

    @property
    def group_names(self) -> tuple[str, ...]:
        """The groups in the order of the file; and the directory's own, where it has some here."""
        own = any(entry.finding.is_domain_controller for entry in self._entries)
        return (*self._groups.names, *((DOMAIN_CONTROLLERS,) if own else ()))

    @property
    def site_names(self) -> frozenset[str]:
        """Every site that the inventory names."""
        hosts = (entry.settings.site for entry in self._entries)
        return self._groups.sites | self.sites.names | {site for site in hosts if site}

    def bears(self, name: str) -> bool:
        """Whether a target is meant by that name, as it is written; an address may be one that is not known yet."""
        return parse_address(name) is not None or self._has(canonical_name(name))

    def _has(self, literal: str) -> bool:
        """Whether a target is meant by just that canonical name."""
        if self._index.containing(literal) or literal in self._machines:
            return True
        return any(canonical_name(alias) == literal for entry in self._entries for alias in entry.settings.aliases)

    @property
    def some_names(self) -> tuple[str, ...]:
        """Names of hosts that are listed one by one, to find what a mistyped one may have meant."""
        return self._index.single_names[:_FEW]

    @property
    def directory_groups(self) -> tuple[ParsedGroup, ...]:
        """The groups whose computers are not known yet: ``directory_query.expand`` asks for them, before a run."""
        return tuple(group for group in self.parsed.groups if group.directory is not None)

    def count(self) -> int:
        """How many targets ``targets`` yields, those left out included; no expansion."""
        return sum(entry.pattern.count for entry in self._entries)

    def selector(
        self, limit: str | Sequence[str] | None = None, exclude: str | Sequence[str] | None = None
    ) -> Selector:
        """The selector of the options; a group, site or host that they name outright has to exist.

        A mistyped ``--exclude`` would otherwise push to the very machine that it was meant to spare.
        """
        selector = parse_selector(limit, exclude, self.group_names)
        for option, sparing, term in selector.terms:
            if term.subject is not Subject.HOST:
                self._refuse_unknown_label(option, sparing, term)
            elif term.literal is None:
                self._refuse_glob_of_groups(option, term)
            elif not self._is_known(term.literal):
                raise self._unknown_host(option, sparing, term, selector)
        return selector

    def targets(self, selector: Selector = EVERYTHING) -> Iterator[Selected]:
        """Every target with its decision, also those that are out. Not before the directory's groups are expanded."""
        if self.directory_groups:
            raise RuntimeError(f"groups of {self.file} wait for the directory")
        return self._targets(selector)

    def _targets(self, selector: Selector) -> Iterator[Selected]:
        for number, entry in enumerate(self._entries):
            repeats = getattr(entry.pattern, "may_repeat", False)
            seen: set[str] = set()
            for name in entry.pattern:
                canonical = canonical_name(name)
                members = self._index.containing(canonical)
                target = self._target(name, canonical, members)
                if members[0] < number or canonical in seen:
                    decision = self._duplicate(canonical, self._entries[members[0]].source)
                else:
                    decision = self._decide(target, canonical, members, selector)
                if repeats:
                    seen.add(canonical)
                yield Selected(target=target, decision=decision)

    def spared(self, target: Target, selector: Selector) -> Decision | None:
        """What takes out a target of which the address and site are known by now; None: nothing does.

        Asked once its name is resolved: a block or a site could not be held against the name alone.
        """
        canonical = canonical_name(target.name)
        members = self._index.containing(canonical)
        why = self._exclusion(target, members, selector) or selector.taken_away(target)
        for same, name, other_members in self._same_machine(target, canonical) if why is None else ():
            other = self._target(name, name, other_members)
            if same == "address" and _ports(other) != _ports(target):
                continue  # forwarded ports, as in _decide
            if (excluded := self._exclusion(other, other_members, selector)) is not None:
                why = f"same {same} as {name}, which is {excluded}"
                break
        return None if why is None else Decision(included=False, why=why, code=Code.EXCLUDED)

    # -- one target -----------------------------------------------------------------------------------------

    def _target(self, name: str, canonical: str, members: tuple[int, ...]) -> Target:
        settings, effective = self._settle(members)
        address = settings.address
        if address is None and parse_address(canonical) is not None:
            address = canonical
        site = settings.site or effective.site
        if site is None and address is not None:
            site = self.sites.site_of(address)
        variables = effective.variables
        if settings.variables:
            variables = MappingProxyType({**variables, **settings.variables})
        allowed = settings.domain_controller_allowed
        groups = effective.names
        if self._is_domain_controller(members) and DOMAIN_CONTROLLERS not in groups:
            groups = (*groups, DOMAIN_CONTROLLERS)
        return Target(
            name=name,
            address=address,
            port=settings.port or effective.port,
            site=site,
            transports=settings.transports or effective.transports,
            winrm=settings.winrm or effective.winrm,
            machine=settings.machine,
            aliases=(*settings.aliases, *_within(name, settings.affixes)),
            groups=groups,
            variables=variables,
            domain_controller_allowed=effective.domain_controller_allowed if allowed is None else allowed,
            source=self._entries[members[0]].source,
        )

    def _settle(self, members: tuple[int, ...]) -> tuple[Settings, Effective]:
        """The host's own settings (first line wins) and its groups'; remembered only where many hosts share them."""
        known = self._settled.get(members)
        if known is not None:
            return known
        entries = [self._entries[number] for number in members]
        direct = entries[0].groups
        if len(entries) > 1:
            direct = tuple(sorted({number for entry in entries for number in entry.groups}))
        settings = first_of([entry.settings for entry in entries])
        found = settings, self._groups.effective(direct)
        if not any(entry.pattern.is_single for entry in entries):
            self._settled[members] = found
        return found

    def _decide(self, target: Target, canonical: str, members: tuple[int, ...], selector: Selector) -> Decision:
        excluded = self._exclusion(target, members, selector)
        decision = selector.decide(target) if excluded is None else None
        found = self._finding(target, members)
        if decision is not None and found is not None:
            return found if decision.included else decision
        for same, name, other_members in self._same_machine(target, canonical):
            other = self._target(name, name, other_members)
            if same == "address" and _ports(other) != _ports(target):
                continue  # forwarded ports: several machines behind one address
            other_excluded = self._exclusion(other, other_members, selector)
            if excluded is None and other_excluded is not None:
                excluded = f"same {same} as {name}, which is {other_excluded}"
            if decision is None or not decision.included:
                continue
            earlier = other_members[0] < members[0]
            other_found = self._finding(other, other_members)
            if other_found is not None:
                # A bare address means no more than the host that the inventory knows there. A name of its own may be
                # another machine behind one address, where all that is known is that Ansible connects otherwise.
                bare = same == "machine" or parse_address(canonical) is not None
                if bare or (earlier and other_found.code != Code.OTHER_CONNECTION):
                    found = replace(other_found, why=f"same {same} as {name}: {other_found.why}")
            elif earlier and other_excluded is None and selector.decide(other).included:
                return self._duplicate(name, self._entries[other_members[0]].source)
        if excluded is not None:
            return Decision(included=False, why=excluded, code=Code.EXCLUDED)
        assert decision is not None
        if not decision.included:
            return decision
        if found is not None:
            return found
        place = f"group {', '.join(target.groups)}" if target.groups else "listed"
        limited = f"; {decision.why}" if selector.limit else ""
        return Decision(included=True, why=f"{place} ({target.source}){limited}")

    def _finding(self, target: Target, members: tuple[int, ...]) -> Decision | None:
        """Why the directory, or what Ansible connects by, leaves the target out under any of its names, or None."""
        aliases = {canonical_name(alias) for alias in target.aliases}
        known = (number for name in aliases for number in self._index.containing(name))
        for number in (*members, *known):
            finding = self._entries[number].finding
            if finding.code is not None:
                return Decision(included=False, why=finding.why, code=finding.code)
        if self._is_domain_controller(members) and not target.domain_controller_allowed:
            why = "the directory says that it is one, and the inventory does not allow it"
            return Decision(included=False, why=why, code=Code.DOMAIN_CONTROLLER_REFUSED)
        return None

    def _is_domain_controller(self, members: tuple[int, ...]) -> bool:
        return any(self._entries[number].finding.is_domain_controller for number in members)

    def _exclusion(self, target: Target, members: tuple[int, ...], selector: Selector) -> str | None:
        for exclude in self._settle(members)[1].excludes:
            if exclude.term.spares(target):
                return exclude.why
        return selector.exclusion(target)

    def _same_machine(self, target: Target, canonical: str) -> Iterator[tuple[str, str, tuple[int, ...]]]:
        """The other names of the inventory for this machine: what they share, the name, and where it is listed."""
        own = canonical_name(target.own_name)
        shared = [("address", name) for name in self._addresses.get(target.address or "", ())]
        shared += [("address", target.address)] if target.address is not None else []
        shared += [("machine", name) for name in (*self._machines.get(own, ()), own)]
        for same, name in shared:
            if name != canonical:
                members = self._index.containing(name)
                if members:
                    yield same, name, members

    @staticmethod
    def _duplicate(name: str, source: Source) -> Decision:
        return Decision(included=False, why=f"duplicate of {name} ({source})", code=Code.DUPLICATE)

    # -- checks of the options ------------------------------------------------------------------------------

    def _refuse_unknown_label(self, option: str, sparing: bool, term: Term) -> None:
        """A group or site that there is not."""
        what, known = term.subject.value, self.group_names
        if term.subject is Subject.SITE:
            known = tuple(sorted(self.site_names))
        if term.literal is None or term.literal in {name.lower() for name in known}:
            return
        near = "" if sparing else hint(term.literal, known)
        found = f"{shown(term.text)} names no {what} of {self.file}{near}"
        raise BadInput(Source(file=option), found, f"a {what} of the inventory: {listed(known) or 'it has none'}")

    def _unknown_host(self, option: str, sparing: bool, term: Term, selector: Selector) -> BadInput:
        """What to write instead of a name that no host bears.

        What spares a machine gets no "did you mean": whoever took a wrong one would spare that, and push to the one
        that he meant. Nor is a machine named that another pattern spares.
        """
        found = f"{shown(term.text)} names no host of {self.file}"
        for kind, names in (("group", self.group_names), ("site", tuple(self.site_names))):
            same = next((name for name in names if name.lower() == term.literal), None)
            if same is not None:
                return BadInput(Source(file=option), f"{found}, but a {kind}", f"{kind}:{same}")
        if sparing:
            expected = "a host of the inventory as pusher resolve prints it, or a glob such as ws01*"
            return BadInput(Source(file=option), found, expected)
        spared = [t for _, spares, t in selector.terms if spares] + [e.term for e in self._groups.excludes]
        hosts = {
            name: name
            for name in self._index.single_names[:_FEW]
            if not any(t.subject is Subject.HOST and t.spares(Target(name=name)) for t in spared)
        }
        meant = {name: f"group:{name}" for name in self.group_names} | hosts
        near = nearest(term.literal or "", meant)
        found += f" (did you mean {plain(meant[near])}?)" if near is not None else ""
        return BadInput(Source(file=option), found, "a host of the inventory, or a glob such as ws01*")

    def _refuse_glob_of_groups(self, option: str, term: Term) -> None:
        """In Ansible a glob means groups too; here it would match nothing, and spare nothing."""
        same = next((name for name in self.group_names if term.accepts(name.lower())), None)
        if same is None or any(term.spares(selected.target) for selected in self._targets(EVERYTHING)):
            return
        found = f"{shown(term.text)} matches no host of {self.file}, but the group {same}"
        raise BadInput(Source(file=option), found, f"group:{plain(term.text)}")

    # -- checks at loading ----------------------------------------------------------------------------------

    def _refuse_too_many(self) -> None:
        total = 0
        for entry in self._entries:
            total += entry.pattern.count
            if total > MAX_TARGETS:
                largest = max(self._entries, key=lambda e: e.pattern.count)
                found = f"the inventory has more than {MAX_TARGETS:,} targets ({shown(largest.pattern.text)} alone "
                raise BadInput(largest.source, f"{found}{largest.pattern.count:,})", "smaller ranges")

    def _refuse_contradictions(self) -> None:
        """A host in two groups of different sites is refused now, not in the middle of a push."""
        if len(self._groups.sites) < 2:
            return
        for entry in self._entries:
            for name in entry.pattern:
                settings, effective = self._settle(self._index.containing(canonical_name(name)))
                if settings.site is None and effective.conflict is not None:
                    (first, source), (second, other) = effective.conflict
                    found = f"{name} is in two groups that contradict: {first} ({source}), {second}"
                    raise BadInput(other, found, "one site, or a site on the host itself")

    def _own_notes(self) -> Iterator[str]:
        if self.sites and self._default_site is not None:
            yield f"{self.file}: defaults.site gives every target a site, so the subnets under sites have no effect"
        for exclude in self._groups.excludes:
            literal = exclude.term.literal
            if literal is None or exclude.term.subject is not Subject.HOST or self._is_known(literal):
                continue
            same = next((name for name in self.group_names if name.lower() == literal), None)
            if same is not None and not self.directory_groups:
                found = f"exclude {shown(exclude.term.text)} names no host of the inventory, but a group"
                raise BadInput(exclude.source, found, f"group:{same}")
            yield f"{exclude.source}: exclude {shown(exclude.term.text)} names no host of the inventory"

    def _is_known(self, literal: str) -> bool:
        if literal in self._addresses or self._has(literal):
            return True
        bare = "." not in literal
        for entry in self._entries:
            others = (*entry.settings.aliases, *([entry.settings.machine] if entry.settings.machine else []))
            if bare and any(_bare(name) == literal for name in others):
                return True
            affixes = entry.settings.affixes
            if (bare or affixes) and any(
                literal in ((_bare(name),) if bare else ()) or literal in map(canonical_name, _within(name, affixes))
                for name in entry.pattern
            ):
                return True
        return False


def _ports(target: Target) -> tuple[int | None, int | None]:
    return target.port, target.winrm.port


def _bare(name: str) -> str:
    return canonical_name(name).partition(".")[0]


def _within(name: str, affixes: tuple[str, str] | None) -> tuple[str, ...]:
    """The alias of a host of a range: its name without what stands around it."""
    if affixes is None:
        return ()
    before, after = affixes
    if len(name) <= len(before) + len(after) or not (name.startswith(before) and name.endswith(after)):
        return ()
    return (name[len(before) : len(name) - len(after)],)
