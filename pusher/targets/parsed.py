"""What every inventory reader hands over: groups, hosts and settings as written, each with its place.

Here live frozen values and the small checks that all formats share. What must not live here: reading a format,
and what follows from several groups together (``groups``, ``inventory``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from pusher.config.wording import Wrong, shown
from pusher.models import Source, TransportKind, WinrmSettings
from pusher.problems import Code
from pusher.targets.ranges import (
    AddressBlock,
    Pattern,
    is_host_name,
    parse_address,
    parse_host_address,
    parse_pattern,
)
from pusher.targets.sites import Subnet

_NOTHING: Mapping[str, str] = MappingProxyType({})
_LABEL = re.compile(r"[\w][\w.-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}", re.ASCII)
RESERVED_VARIABLES = frozenset({"name", "site"})

LABEL = "letters, digits, dots, hyphens and underscores, at most 64"
VARIABLE = "a word of letters, digits and underscores"
TRANSPORTS = "a list of smb and winrm"
PORT = "a port number from 1 to 65535"
FINGERPRINT = "a certificate's SHA-256 as 64 hexadecimal digits, with or without colons"
SCHEME = "https or http"
MACHINE = "the machine's own name, such as ws501.corp.example or WS501"


class Form(StrEnum):
    """How an inventory is written."""

    OWN = "YAML"
    CSV = "CSV"
    LIST = "a plain list"
    ANSIBLE_INI = "Ansible INI"
    ANSIBLE_YAML = "Ansible YAML"
    ANSIBLE_JSON = "Ansible JSON"


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What defaults, a group or a host say about machines; None: nothing.

    ``aliases``: other names that the inventory has for a host. ``affixes``: what stands before and after those names in
    the names of a range, so that each of its hosts has its own alias.
    """

    address: str | None = None
    machine: str | None = None
    aliases: tuple[str, ...] = ()
    affixes: tuple[str, str] | None = None
    site: str | None = None
    site_source: Source | None = None
    port: int | None = None
    transports: tuple[TransportKind, ...] | None = None
    winrm: WinrmSettings | None = None
    domain_controller_allowed: bool | None = None
    variables: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


NO_SETTINGS = Settings()


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What the directory (or an export of it, or Ansible's variables) says of a computer.

    ``code``: the catalogue's, for one that is left out, and ``why``.
    """

    is_domain_controller: bool = False
    code: Code | None = None
    why: str = ""


NO_FINDING = Finding()


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedHost:
    """One line of an inventory: a name or a range; or a computer of the directory."""

    pattern: Pattern
    source: Source
    settings: Settings = NO_SETTINGS
    finding: Finding = NO_FINDING


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A name or pattern with its place."""

    text: str
    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryQuery:
    """Which computers of the directory a group means; ``stale_after`` in seconds, ``group`` counts nested members."""

    base: Named
    source: Source
    filter: Named | None = None
    group: Named | None = None
    one_level: bool = False
    stale_after: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedGroup:
    """A group; ``name`` is empty for the hosts that stand in no group.

    ``directory``: the computers that it has besides ``hosts``, once the directory was asked.
    """

    name: str
    source: Source
    hosts: tuple[ParsedHost, ...] = ()
    children: tuple[Named, ...] = ()
    excludes: tuple[Named, ...] = ()
    settings: Settings = NO_SETTINGS
    directory: DirectoryQuery | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ParsedInventory:
    """A whole inventory as written."""

    file: str
    form: Form
    groups: tuple[ParsedGroup, ...]
    defaults: Settings = NO_SETTINGS
    nameservers: tuple[str, ...] = ()
    certificate_authority: Named | None = None
    subnets: tuple[Subnet, ...] = ()
    notes: tuple[str, ...] = ()


def parsed_host(
    text: str, source: Source, settings: Settings = NO_SETTINGS, finding: Finding = NO_FINDING
) -> ParsedHost:
    """A host's line; raises Wrong."""
    pattern = parse_pattern(text)
    if settings.machine is not None and not pattern.is_single:
        raise Wrong(f"{shown(text)} is many machines with one name of their own", "a machine only beside a single name")
    if settings.address is not None:
        if isinstance(pattern, AddressBlock) or pattern.is_address:
            raise Wrong(f"{shown(text)} is an address and has another one", "a name, or one address")
        if not pattern.is_single:
            raise Wrong(f"{shown(text)} is many machines with one address", "an address only beside a single name")
    return ParsedHost(pattern=pattern, source=source, settings=settings, finding=finding)


def machine_name(text: str) -> str:
    """What a machine calls itself: its DNS name, or its plain one; raises Wrong."""
    if parse_address(text) is not None or not is_host_name(text):
        raise Wrong(f"{shown(text)} is not what a machine calls itself", MACHINE)
    return text.removesuffix(".")


def label(text: str, what: str) -> str:
    """The name of a group or site, which also has to work in ``group:NAME`` and ``site:NAME``; raises Wrong."""
    if not _LABEL.fullmatch(text):
        raise Wrong(f"{shown(text)} cannot be the name of a {what}", LABEL)
    return text


def site_label(text: str) -> str:
    """The name of a site; raises Wrong."""
    return label(text, "site")


def variable_name(text: str) -> str:
    """The name of a variable, which has to work as ``{name}`` in a package's command; raises Wrong."""
    if text in RESERVED_VARIABLES:
        raise Wrong(f"{shown(text)} is a name that every target has already", "another name for the variable")
    if not _VARIABLE.fullmatch(text):
        raise Wrong(f"{shown(text)} cannot be the name of a variable", VARIABLE)
    return text


def transports(names: list[str]) -> tuple[TransportKind, ...]:
    """An order of transports; raises Wrong."""
    known = {kind.value: kind for kind in TransportKind}
    for name in names:
        if name not in known:
            raise Wrong(f"{shown(name)} is not a transport", TRANSPORTS)
    if not names:
        raise Wrong("is an empty list", TRANSPORTS)
    if len(set(names)) != len(names):
        raise Wrong("names a transport twice", TRANSPORTS)
    return tuple(known[name] for name in names)


def port(text: str) -> int:
    """A port number written as text; raises Wrong."""
    if not re.fullmatch(r"[0-9]{1,5}", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise Wrong(f"{shown(text)} is not a port", PORT)
    return int(text)


def fingerprint(text: str) -> str:
    """A certificate's SHA-256 in any usual spelling, as 64 hexadecimal digits in lower case; raises Wrong."""
    digits = text.lower().removeprefix("sha256:").replace(":", "").replace(" ", "")
    if not re.fullmatch("[0-9a-f]{64}", digits, re.ASCII):
        raise Wrong(f"{shown(text)} is not a fingerprint", FINGERPRINT)
    return digits


def domain_controller(text: str) -> bool:
    """``allow`` or ``refuse``; raises Wrong."""
    if text not in {"allow", "refuse"}:
        raise Wrong(f"{shown(text)} is not a choice", "allow or refuse")
    return text == "allow"


def nameserver(text: str) -> str:
    """``ip``, ``ip:port`` or ``[ip]:port``, normalised; raises Wrong."""
    expected = "an address such as 10.0.0.53, 10.0.0.53:5353 or [2001:db8::53]:53"
    if parse_address(text) is not None:
        return parse_host_address(text)
    host, colon, number = text.rpartition(":")
    if not colon or parse_address(host.removeprefix("[").removesuffix("]")) is None:
        raise Wrong(f"{shown(text)} is not a name server", expected)
    address = parse_host_address(host.removeprefix("[").removesuffix("]"))
    bracketed = host.startswith("[") and host.endswith("]")
    if (":" in address) != bracketed:
        raise Wrong(f"{shown(text)} is not a name server", expected)
    return f"{host}:{port(number)}"
