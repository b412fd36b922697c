"""Which targets a run takes: ``--limit``, ``--exclude`` and the groups' exclusions.

Here live pure values that decide about one target and say why. What must not live here: files, names' look-up.

A pattern is a glob on any of its names (what the machine calls itself and aliases are names too), on the given
address, or on ``group:NAME`` and ``site:NAME``; a block such as
``10.9.0.0/26``; a range such as ``ws[001:010].paris.example``; or, after ``~``, a regular expression that is
matched from the beginning, as Ansible does. A word without a dot also names the machine by its first label.
Commas separate; in a limit ``!`` takes away and ``&`` keeps only what also matches. What Ansible writes otherwise
(colons between patterns, ``@FILE``) is refused with what to write here: read as a name it would match nothing, and what
it was to spare would be pushed to.
"""

from __future__ import annotations

import enum
import fnmatch
import ipaddress
import re
import warnings
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from pusher.config.wording import Wrong, plain, shown
from pusher.models import Source, Target
from pusher.problems import BadInput, Code
from pusher.targets.parsed import Named
from pusher.targets.ranges import canonical_name, parse_address, parse_pattern

_GLOB = re.compile(r"[*?\[]")
_RANGE = re.compile(r"\[[^\]]*:[^\]]*\]")
_HEXADECIMAL = re.compile(r"(?=.*:.*:)[0-9A-Fa-f:.*?\[\]]*(?:/[0-9]{1,3})?")
"""What may be an IPv6 address, a block of them or a glob for some."""
_MAPPED = 96
"""Bits before an IPv4 address that is written as IPv6."""
_PREFIX = re.compile(r"(?:(?<=^)|(?<=[!&:, ]))(?:group|site):")
_EXPECTED = "a pattern such as ws0*.paris.example, group:paris, site:paris or ~ws(1|2)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Whether a target is in, and the reason in words.

    ``code`` is the catalogue's for a target that is left out; None for one that is in, or that --limit did not ask
    for: such a target is no part of the run at all.
    """

    included: bool
    why: str
    code: Code | None = None


class Subject(enum.Enum):
    """What a pattern is compared with."""

    HOST = "host"
    GROUP = "group"
    SITE = "site"


@dataclass(frozen=True, kw_only=True, slots=True)
class Term:
    """One pattern. ``literal`` is its text where it is a plain name that should exist."""

    text: str
    subject: Subject
    accepts: Callable[[str], bool]
    literal: str | None = None

    def spares(self, target: Target) -> bool:
        """``matches``, and where the term is a DNS name also a target of which only the first label is known."""
        if self.matches(target):
            return True
        label, dot, _ = (self.literal or "").partition(".")
        if self.subject is not Subject.HOST or not dot:
            return False
        return any("." not in name and label == canonical_name(name) for name in target.all_names)

    def matches(self, target: Target) -> bool:
        """Whether the target is one of those meant."""
        if self.subject is Subject.GROUP:
            return any(self.accepts(group.lower()) for group in target.groups)
        if self.subject is Subject.SITE:
            return target.site is not None and self.accepts(target.site.lower())
        names = [canonical_name(name) for name in target.all_names]
        known = [canonical_name(target.address)] if target.address is not None else []
        if any(self.accepts(name) for name in (*names, *known)):
            return True
        bare = self.literal is not None and "." not in self.literal
        return bare and any(name.partition(".")[0] == self.literal for name in names if parse_address(name) is None)


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupExclude:
    """A line under a group's ``exclude``."""

    term: Term
    group: str
    source: Source

    @property
    def why(self) -> str:
        return f"excluded by groups.{self.group}.exclude {shown(self.term.text)} ({self.source})"


class Sign(enum.Enum):
    """What a term of a limit does."""

    ADD = ""
    TAKE_AWAY = "!"
    KEEP = "&"


@dataclass(frozen=True, kw_only=True, slots=True)
class Selector:
    """``--limit`` and ``--exclude``, understood."""

    limit: tuple[tuple[Sign, Term], ...] = ()
    exclude: tuple[Term, ...] = ()

    def decide(self, target: Target) -> Decision:
        """Whether the options leave the target in.

        A pattern by site cannot be judged before a target's site is known; such a target is left out, since a
        push to a machine that the operator did not mean is worse than one missed.
        """
        excluded = self.exclusion(target)
        if excluded is not None:
            return Decision(included=False, why=excluded, code=Code.EXCLUDED)
        return self._limited(target)

    def takes(self, target: Target) -> bool:
        """Whether ``decide`` leaves the target in: for whoever asks of many, and tells nobody why."""
        if self.exclusion(target) is not None or self.taken_away(target) is not None:
            return False
        adding = [term for sign, term in self.limit if sign is Sign.ADD]
        keeping = (term for sign, term in self.limit if sign is Sign.KEEP)
        return (not adding or any(term.matches(target) for term in adding)) and all(
            term.matches(target) for term in keeping
        )

    def exclusion(self, target: Target) -> str | None:
        """Why ``--exclude`` takes the target out, or None."""
        for term in self.exclude:
            if term.subject is Subject.SITE and target.site is None:
                return f"--exclude {shown(term.text)} asks for its site, which is not known"
            if term.spares(target):
                return f"excluded by --exclude {shown(term.text)}"
        return None

    def _limited(self, target: Target) -> Decision:
        adding = [term for sign, term in self.limit if sign is Sign.ADD]
        why = "no limit"
        if adding:
            hit = next((term for term in adding if term.matches(target)), None)
            if hit is None:
                return Decision(included=False, why=f"not in --limit {self._limit_text}")
            why = f"matches --limit {shown(hit.text)}"
        if (taken := self.taken_away(target)) is not None:
            return Decision(included=False, why=taken)
        for sign, term in self.limit:
            if sign is Sign.KEEP and not term.matches(target):
                return Decision(included=False, why=f"does not match --limit {shown('&' + term.text)}")
        return Decision(included=True, why=why)

    def taken_away(self, target: Target) -> str | None:
        """Why a ``!`` of ``--limit`` takes the target out, or None."""
        for sign, term in self.limit:
            unknown = term.subject is Subject.SITE and target.site is None
            if sign is Sign.TAKE_AWAY and (unknown or term.spares(target)):
                return f"taken away by --limit {shown('!' + term.text)}"
        return None

    @property
    def _limit_text(self) -> str:
        return shown(",".join(sign.value + term.text for sign, term in self.limit))

    @property
    def terms(self) -> tuple[tuple[str, bool, Term], ...]:
        """Every term with the option it came from, and whether it is there to spare a machine."""
        return (
            *(("--limit", sign is Sign.TAKE_AWAY, term) for sign, term in self.limit),
            *(("--exclude", True, term) for term in self.exclude),
        )


EVERYTHING = Selector()


def parse_selector(
    limit: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    groups: Collection[str] = (),
) -> Selector:
    """The selector of the options' texts; an option given several times counts as if joined by commas.

    ``groups``: names of groups, to say how what is meant is written here.
    """
    limits: list[tuple[Sign, Term]] = []
    for text in _texts(limit, "--limit"):
        sign = next((s for s in (Sign.TAKE_AWAY, Sign.KEEP) if text.startswith(s.value)), Sign.ADD)
        limits.append((sign, _option_term(text, sign, "--limit", groups)))
    excludes = [_option_term(text, Sign.ADD, "--exclude", groups) for text in _texts(exclude, "--exclude")]
    return Selector(limit=tuple(limits), exclude=tuple(excludes))


def parse_group_exclude(item: Named, group: str) -> GroupExclude:
    """A group's exclusion; raises BadInput with its place."""
    try:
        _refuse_ansible(item.text, (), signs=False)
        return GroupExclude(term=parse_term(item.text), group=group, source=item.source)
    except Wrong as exc:
        raise BadInput(item.source, exc.found, exc.expected) from exc


def parse_term(text: str) -> Term:
    """The pattern that ``text`` is; raises Wrong."""
    subject, rest = Subject.HOST, text
    for prefixed in (Subject.GROUP, Subject.SITE):
        if text.startswith(f"{prefixed.value}:"):
            subject, rest = prefixed, text[len(prefixed.value) + 1 :]
    if not rest.strip():
        raise Wrong(f"{shown(text)} is an empty pattern", _EXPECTED)
    if rest.startswith("~"):
        return Term(text=text, subject=subject, accepts=_regex(rest[1:]))
    if subject is Subject.HOST:
        special = _block_or_range(rest)
        if special is not None:
            return Term(text=text, subject=subject, accepts=special)
        if rest == "all":
            return Term(text=text, subject=subject, accepts=lambda _: True)
    elif _RANGE.search(rest):
        raise Wrong(f"{shown(text)} has a range", _EXPECTED)
    if not _GLOB.search(rest):
        literal = canonical_name(rest) if subject is Subject.HOST else rest.lower()
        return Term(text=text, subject=subject, accepts=literal.__eq__, literal=literal)
    if any(mark in rest for mark in "!&,") and "[!" not in rest:
        raise Wrong(f"{shown(text)} is not a pattern", _EXPECTED)
    rest = rest.removesuffix(".") if subject is Subject.HOST else rest
    pattern = re.compile(fnmatch.translate(rest.lower()))
    return Term(text=text, subject=subject, accepts=lambda value: pattern.match(value) is not None)


def _refuse_ansible(text: str, groups: Collection[str], *, signs: bool) -> None:
    """Refuses what Ansible understands and this does not; ``signs``: whether ``!`` and ``&`` have a meaning here."""
    bare = text.lstrip("!& ")
    if bare.startswith("@"):
        found = f"{shown(text)} is a file of names in Ansible"
        raise Wrong(found, f'the names themselves, as in "$(paste -sd, {plain(bare[1:]) or "FILE"})"')
    rest = _PREFIX.sub("", text)
    if rest.lstrip("!& ").startswith("~"):
        return
    outside = _RANGE.sub("", rest).lstrip("!& ")
    if ":" in outside and not _HEXADECIMAL.fullmatch(outside):
        here = _translated(text, groups)
        if not signs and any(mark in here for mark in "!&"):
            raise Wrong(
                f"{shown(text)} is a pattern of Ansible's", "commas between patterns, and ! and & in --limit alone"
            )
        raise Wrong(f"{shown(text)} is a pattern of Ansible's", f"commas between patterns: {shown(here)}")


def _translated(text: str, groups: Collection[str]) -> str:
    """A pattern of Ansible's as it is written here: commas for colons, and a prefix before the name of a group."""
    by_fold = {name.lower(): name for name in groups}
    parts: list[str] = []
    for part in re.split(r"(?<!group)(?<!site):(?![^\[]*\])", text):
        name = part.lstrip("!& ")
        group = by_fold.get(name.lower())
        parts += [part if group is None else f"{part[: len(part) - len(name)]}group:{group}"] if name else []
    return ",".join(parts)


def _block_or_range(text: str) -> Callable[[str], bool] | None:
    if "/" in text:
        try:
            network = ipaddress.ip_network(text, strict=True)
        except ValueError as exc:
            raise Wrong(f"{shown(text)} is not a block of addresses", "a block such as 10.9.0.0/26") from exc
        mapped = getattr(network.network_address, "ipv4_mapped", None)
        if mapped is not None and network.prefixlen >= _MAPPED:
            network = ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED))

        def holds(value: str) -> bool:
            address = parse_address(value)
            return address is not None and address in network

        return holds
    if not _RANGE.search(text):
        return None
    if _GLOB.search(_RANGE.sub("", text)):
        raise Wrong(f"{shown(text)} mixes a range with a glob", "one or the other")
    pattern = parse_pattern(text)
    names = getattr(pattern, "contains", None)
    return names if callable(names) else None


def _regex(text: str) -> Callable[[str], bool]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's remarks on odd sets would reach the operator's terminal
            pattern = re.compile(text, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as exc:
        raise Wrong(f"{shown('~' + text)} is not a regular expression ({exc})", _EXPECTED) from exc
    return lambda value: pattern.match(value) is not None


def _option_term(text: str, sign: Sign, option: str, groups: Collection[str]) -> Term:
    signs = option == "--limit"
    try:
        _refuse_ansible(text, groups, signs=signs)
        if not signs and text[:1] in {Sign.TAKE_AWAY.value, Sign.KEEP.value}:
            raise Wrong(f"{shown(text)} begins with {text[0]}", "a pattern alone; ! and & are for --limit")
        return parse_term(text[len(sign.value) :].strip())
    except Wrong as exc:
        raise BadInput(Source(file=option), exc.found, exc.expected) from exc


def _texts(given: str | Sequence[str] | None, option: str) -> list[str]:
    found: list[str] = []
    for text in [given] if isinstance(given, str) else given or ():
        parts = [part.strip() for part in _split(text)]
        if not any(parts):
            raise BadInput(Source(file=option), "an empty pattern", _EXPECTED)
        found += [part for part in parts if part]
    return found


def _split(text: str) -> Iterable[str]:
    """Parts between commas; commas inside the brackets of a regular expression do not separate."""
    part, depth, regex = "", 0, False
    for character in text:
        if character == "," and not (regex and depth):
            yield part
            part, depth, regex = "", 0, False
            continue
        regex = regex or (character == "~" and part.strip("!& ") in {"", "group:", "site:"})
        depth += (character in "([{") - (character in ")]}")
        part += character
    yield part
