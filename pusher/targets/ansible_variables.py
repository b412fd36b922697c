"""What Ansible's variables say of a host: its address, its connection, and settings of our own. Pure.

What must not live here: groups and who inherits from whom (``ansible``), reading INI, YAML or JSON.

``ansible_host``, and the older and the narrower spellings of it, give the address or the name to be looked up; a
template is filled in where ``inventory_hostname`` alone is in it. ``ansible_connection`` tells what is no Windows
machine. A port of WinRM's that is not one of the usual two is kept, since it is another machine's behind one address.
``site`` (or ``pusher_site``), ``pusher_machine``, ``pusher_port``, ``pusher_transports`` and
``pusher_domain_controller`` are settings; other variables with a plain value fill a package's placeholders. Everything
else of Ansible's own (user, password, kind of sign-in) is ignored, and said so by name, never by value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from pusher.config.wording import Wrong, hint, listed, shown
from pusher.models import Source, TransportKind, WinrmSettings
from pusher.problems import BadInput, Code
from pusher.targets import parsed
from pusher.targets.parsed import NO_FINDING, NO_SETTINGS, Finding, Settings
from pusher.targets.ranges import is_host_name, parse_address, parse_host_address

T = TypeVar("T")

Variables = Mapping[str, tuple[str | None, Source]]
"""Names with value and place; None: a value that is not plain text (a list, a vault)."""

ALIAS = "inventory_hostname"
"""Ansible's name for the name that stands in the inventory."""

_OWN = ("pusher_site", "pusher_port", "pusher_transports", "pusher_domain_controller", "pusher_machine")
_NARROW, _WIDE = ("ansible_winrm_host", "ansible_psrp_host"), ("ansible_host", "ansible_ssh_host")
_CONNECTION, _SHELL = "ansible_connection", "ansible_shell_type"
_PORTS = ("ansible_winrm_port", "ansible_psrp_port", "ansible_port")
_SCHEMES = ("ansible_winrm_scheme", "ansible_psrp_protocol")
INHERITED = frozenset({*_NARROW, *_WIDE, _CONNECTION, _SHELL, *_PORTS, *_SCHEMES, "pusher_transports"})
"""Variables that say how a host is reached, so that what its groups say has to be known with the host."""

_BY_WINRM = frozenset({"winrm", "psrp"})
_BY_SSH = frozenset({"ssh", "smart", "paramiko", "paramiko_ssh", "libssh"})
_ELSEWHERE = _BY_SSH | {
    "local", "network_cli", "netconf", "httpapi", "grpc", "napalm", "persistent",
    "docker", "docker_api", "podman", "buildah", "kubectl", "oc", "lxc", "lxd", "incus", "libvirt_lxc",
    "proxmox_pct_remote", "chroot", "jail", "zone", "iocage", "nspawn", "qubes", "wsl",
}  # fmt: skip
"""Connections that lead to no Windows machine. By aws_ssm, vmware_tools and others either is reached: those stay in."""
_WINDOWS_SHELLS = frozenset({"cmd", "powershell", "pwsh"})
_USUAL_PORTS = frozenset({"5985", "5986", "22"})  # 22: a rest of a template for Linux

_TEMPLATE = re.compile(r"\{[{%#]")
_FILLED = re.compile(
    r"\{\{-?\s*(inventory_hostname(?:_short)?)\s*((?:\|\s*(?:lower|upper|trim)\s*(?:\(\))?\s*)*)-?\}\}"
)
_ADDRESS = (
    "an IP address, a host name, or a template of inventory_hostname alone, as {{ inventory_hostname }}.corp.example"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """The value of a variable for one host; ``inherited``: from a group."""

    value: str | None
    source: Source
    inherited: bool = False


Facts = Mapping[str, Fact]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """The name (or range) under which a host is a target, and the settings that follow from where it is."""

    text: str
    settings: Settings = NO_SETTINGS


def is_template(value: str | None) -> bool:
    return value is not None and _TEMPLATE.search(value) is not None


# -- how a host is reached ---------------------------------------------------------------------------------------


def finding_of(facts: Facts) -> Finding:
    """Whether the inventory itself says that the host is not reached as a Windows machine.

    ``pusher_transports`` says that it is, whatever Ansible reaches it by.
    """
    fact = facts.get(_CONNECTION)
    if fact is None or "pusher_transports" in facts:
        return NO_FINDING
    if fact.value is None or is_template(fact.value):
        # It may be no Windows machine: what is not pushed to can be pushed to tomorrow.
        why = f"{_CONNECTION} is a template, which is not evaluated ({fact.source})"
        return Finding(code=Code.OTHER_CONNECTION, why=why)
    plugin = _plugin(fact.value)
    shell = facts.get(_SHELL)
    windows = plugin in _BY_SSH and shell is not None and (shell.value or "").lower() in _WINDOWS_SHELLS
    if plugin not in _ELSEWHERE or windows:
        return NO_FINDING
    return Finding(code=Code.OTHER_CONNECTION, why=f"{_CONNECTION} is {shown(fact.value)} ({fact.source})")


def place_of(text: str, facts: Facts) -> Place:
    """Where ``text`` is to be found; raises BadInput at the variable that says so."""
    said = _address_fact(facts)
    if said is None:
        return Place(text=text)
    variable, fact = said
    value = fact.value
    if value is None:
        raise BadInput(fact.source, f"{variable} is no plain text", _ADDRESS)
    if is_template(value):
        return _filled(text, variable, value, fact.source)
    if fact.inherited:
        raise BadInput(fact.source, f"{variable} stands at a group", "it at single hosts")
    if "[" in text:
        found = f"{shown(text)} is many machines with one {variable}"
        raise BadInput(fact.source, found, f"{variable} only beside a single name")
    return _single(text, variable, value, fact.source)


def way_of(facts: Facts) -> tuple[Settings, frozenset[str]]:
    """WinRM's port where it is an unusual one, and the variables that say so.

    Behind such a port stands one of several machines of an address, so that SMB's own port would be another one's.
    """
    fact = facts.get(_CONNECTION)
    if fact is None or _plugin(fact.value or "") not in _BY_WINRM:
        return NO_SETTINGS, frozenset()
    named = next((name for name in _PORTS if name in facts), None)
    port = facts[named] if named is not None else None
    if named is None or port is None or port.value is None or is_template(port.value) or port.value in _USUAL_PORTS:
        return NO_SETTINGS, frozenset()
    number = checked(partial(parsed.port, port.value), port.source)
    scheme = next((name for name in _SCHEMES if name in facts and facts[name].value in {"http", "https"}), None)
    settings = Settings(winrm=WinrmSettings(port=number, scheme=facts[scheme].value if scheme else None))
    if "pusher_transports" not in facts:
        settings = replace(settings, transports=(TransportKind.WINRM,))
    return settings, frozenset({named, *({scheme} if scheme else ())})


def _plugin(value: str) -> str:
    """``winrm`` for ``ansible.builtin.winrm`` too."""
    return value.strip().rpartition(".")[2].lower()


def _address_fact(facts: Facts) -> tuple[str, Fact] | None:
    """The variable that Ansible connects by: that of the connection's own before the general one."""
    for names in (_NARROW, _WIDE):
        said = [(name, facts[name]) for name in names if name in facts]
        if len({fact.value for _, fact in said}) > 1:
            (first, one), (second, other) = said
            found = f"{second} is {_told(other)}, and {first} is {_told(one)} ({one.source})"
            raise BadInput(other.source, found, "one address")
        if said:
            return said[0]
    return None


def _told(fact: Fact) -> str:
    return "no plain text" if fact.value is None else shown(fact.value)


def _single(text: str, variable: str, value: str, source: Source) -> Place:
    """A name with its address, or with the name that is looked up instead."""
    if parse_address(value) is not None:
        address = checked(partial(parse_host_address, value), source)
        if address == text:
            return Place(text=text)
        if is_host_name(text) or parse_address(text) is not None:
            return Place(text=text, settings=Settings(address=address))
        # A label that no machine could bear: nothing to look up, and nothing to hold against the challenge.
        return Place(text=address, settings=_known_as(text))
    if is_host_name(value):
        return Place(text=value, settings=NO_SETTINGS if value == text else _known_as(text))
    raise BadInput(source, f"{variable} {shown(value)} is neither an address nor a host name", _ADDRESS)


def _known_as(alias: str) -> Settings:
    return Settings(aliases=(alias,), variables={ALIAS: alias})


def _filled(text: str, variable: str, template: str, source: Source) -> Place:
    """The template with ``inventory_hostname`` filled in; of a range with the range, so that it stays one."""
    many = "[" in text
    before, _, rest = template.partition("{{")
    found = _FILLED.match("{{" + rest)
    if not many and found is not None:
        value = _FILLED.sub(lambda match: _value(match, text), template)
        if not is_template(value):
            return _single(text, variable, value, source)
    after = ("{{" + rest)[found.end() :] if found is not None else ""
    if found is None or is_template(before) or is_template(after):
        raise BadInput(source, f"{variable} {shown(template)} is a template that cannot be filled in here", _ADDRESS)
    if found[1] != ALIAS and "." in text:
        raise BadInput(source, f"{variable} {shown(template)} cuts the names of the range {shown(text)}", _ADDRESS)
    if "[" in before + after:
        raise BadInput(source, f"{variable} {shown(template)} has a bracket", _ADDRESS)
    inside = _value(found, text)
    if not before and not after:
        return Place(text=inside)
    return Place(text=f"{before}{inside}{after}", settings=Settings(affixes=(before, after)))


def _value(match: re.Match[str], text: str) -> str:
    value = text if match[1] == ALIAS else text.partition(".")[0]
    for word in re.findall("lower|upper", match[2]):
        value = value.lower() if word == "lower" else value.upper()
    return value


# -- settings -----------------------------------------------------------------------------------------------------


def settings_of(variables: Variables, *, of_host: bool) -> tuple[Settings, frozenset[str]]:
    """Settings of our own and placeholders, and the names of the variables that say nothing here."""
    settings, ignored = NO_SETTINGS, set()
    plain: dict[str, str] = {}
    for name, (value, source) in variables.items():
        if name.startswith("pusher_"):
            settings = _own_setting(settings, name, value, source, of_host)
        elif name in {*_NARROW, *_WIDE, _CONNECTION, _SHELL}:
            continue
        elif value is None or is_template(value) or name.startswith("ansible_"):
            ignored.add(name)
        elif name == "site":
            settings = _own_setting(settings, name, value, source, of_host)
        else:
            try:
                plain[parsed.variable_name(name)] = value
            except Wrong:
                ignored.add(name)
    return replace(settings, variables=plain), frozenset(ignored)


def _own_setting(settings: Settings, name: str, value: str | None, source: Source, of_host: bool) -> Settings:
    if name not in {"site", *_OWN}:
        raise BadInput(source, f"{shown(name)} is not a setting{hint(name, _OWN)}", listed(_OWN))
    if value is None or is_template(value):
        what = "a template, which is not evaluated" if value is not None else "no plain text"
        raise BadInput(source, f"{name} is {what}", "the value itself")
    if name == "pusher_machine":
        if not of_host:
            raise BadInput(source, f"{name} stands at a group", "it at single hosts")
        return replace(settings, machine=checked(lambda: parsed.machine_name(value), source))
    if name in {"site", "pusher_site"}:
        return replace(settings, site=checked(lambda: parsed.site_label(value), source), site_source=source)
    if name == "pusher_port":
        return replace(settings, port=checked(lambda: parsed.port(value), source))
    if name == "pusher_transports":
        words = value.replace(",", " ").split()
        return replace(settings, transports=checked(lambda: parsed.transports(words), source))
    return replace(settings, domain_controller_allowed=checked(lambda: parsed.domain_controller(value), source))


def checked(convert: Callable[[], T], source: Source) -> T:
    """What ``convert`` gives; what it refuses is refused at ``source``."""
    try:
        return convert()
    except Wrong as exc:
        raise BadInput(source, exc.found, exc.expected) from exc
