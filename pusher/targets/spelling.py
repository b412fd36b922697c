"""The machine's name in what other tools write for one: read where it is certain, else told what to write instead.

Here live pure functions over the text of one entry. What must not live here: ranges and blocks (``ranges``), lines.
"""

from __future__ import annotations

import ipaddress
import re

from pusher.config.wording import Wrong, shown

# A byte order mark in mid-text, zero-width spaces and joiners, soft hyphens, marks of direction: what pages, chats and
# spreadsheets leave in a name that is copied out of them. Nobody sees them, and no name has them.
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00ad\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
_HIDDEN = re.compile(f"[{_INVISIBLE}]")
_QUOTES = ('""', "''", "``", "\u201c\u201d", "\u201e\u201c", "\u2018\u2019")
_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]/\\]+):[0-9]{1,5}", re.ASCII)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://(?:[^/@]*@)?(\[[^\]]*\]|[^/:?#]*)", re.ASCII)
_ALONE = "; a port stands in the column port of a CSV file, or beside the name in YAML"


def name_in(text: str) -> str:
    """The name or address that ``text`` surely means; raises Wrong where it is written as something else.

    Around it are passed over: what cannot be seen, quotation marks, the ``\\\\`` before a server and the ``$`` behind a
    computer's account, the brackets of an IPv6 address. Text that is none of these is handed back.
    """
    name = trimmed(text)
    if len(name) > 2 and f"{name[0]}{name[-1]}" in _QUOTES:
        name = trimmed(name[1:-1])
    hidden = _HIDDEN.search(name)
    if hidden is not None:
        found = f"{shown(text)} has the invisible character U+{ord(hidden[0]):04X} in it"
        raise Wrong(found, f"{shown(_HIDDEN.sub('', name))}, typed anew")
    if name.startswith("\\\\"):
        name = _server(name, text)
    _refuse_more_than_a_name(name, text)
    if len(name) > 1 and name.endswith("$") and name.isascii():
        name = name[:-1]
    if name.startswith("[") and name.endswith("]") and is_ipv6(name[1:-1]):
        name = name[1:-1]
    return name


def trimmed(text: str) -> str:
    """Text without what cannot be seen around it."""
    return text.strip(_INVISIBLE + " \t\xa0")


def is_ipv6(text: str) -> bool:
    """Whether ``text`` is an IPv6 address."""
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _server(name: str, text: str) -> str:
    server, separator, _ = name[2:].partition("\\")
    if separator or not server:
        raise Wrong(f"{shown(text)} is a path on a server", f"the server alone: {shown(server or 'SRV1')}")
    return server


def _refuse_more_than_a_name(name: str, text: str) -> None:
    url = _URL.match(name)
    if url is not None:
        raise Wrong(f"{shown(text)} is a URL", f"the name in it: {shown(url[1])}")
    if "\\" in name:
        machine = name.rpartition("\\")[2]
        raise Wrong(f"{shown(text)} has a domain before the name", f"{shown(machine)}, or its DNS name")
    if "@" in name:
        raise Wrong(f"{shown(text)} has a user before the name", f"{shown(name.rpartition('@')[2])} alone")
    if name[-1:] in {",", ";"}:
        raise Wrong(f"{shown(text)} ends with a separator", f"{shown(name.rstrip(',;'))} alone")
    if name.count("/") == 1 and name.endswith("/"):
        raise Wrong(f"{shown(text)} ends with a slash", f"{shown(name[:-1])} alone")
    port = _PORT.fullmatch(name)
    if port is not None and not is_ipv6(name):
        raise Wrong(f"{shown(text)} has a port", f"{shown(port[1].strip('[]'))} alone{_ALONE}")
