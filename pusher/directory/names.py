"""Distinguished names (RFC 4514) and the DNS names in them. Pure.

What must not live here: looking anything up.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pusher.config.wording import Wrong, shown

_TYPE = re.compile(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*", re.ASCII)
_HEX_STRING = re.compile(r"#(?:[0-9A-Fa-f]{2})+")
_HEX_PAIR = re.compile(r"[0-9A-Fa-f]{2}")
_SPECIAL = '"+,;<>\\'
_ESCAPABLE = _SPECIAL + " #="
_MAX_DN = 8192

EXPECTED = "a distinguished name such as OU=Servers,DC=corp,DC=example"


@dataclass(frozen=True, slots=True)
class Rdn:
    """A relative distinguished name; several parts where it is written with ``+``."""

    parts: tuple[tuple[str, str], ...]

    @property
    def type(self) -> str:
        return self.parts[0][0]

    @property
    def value(self) -> str:
        return self.parts[0][1]


Dn = tuple[Rdn, ...]
"""From the object upwards; types in lower case, values without their escapes."""


def parse_dn(text: str) -> Dn:
    """The name that ``text`` writes; raises Wrong. The empty text is the root's empty name."""
    if len(text) > _MAX_DN:
        raise Wrong("a distinguished name that is too long", EXPECTED)
    return _Reader(text).dn() if text.strip() else ()


def escape_dn_value(value: str) -> str:
    """``value`` as the value of an RDN (RFC 4514 2.4)."""
    text = "".join(f"\\{c}" if c in _SPECIAL else "\\00" if c == "\0" else c for c in value)
    if text[:1] in {"#", " "}:
        text = "\\" + text
    if len(value) > 1 and value.endswith(" "):
        text = text[:-1] + "\\ "
    return text


def format_dn(dn: Dn) -> str:
    """The text of a name."""
    return ",".join("+".join(f"{kind.upper()}={escape_dn_value(value)}" for kind, value in rdn.parts) for rdn in dn)


def normalised(text: str) -> str:
    """The same text for every spelling of one name (Active Directory does not know case); raises Wrong."""
    return format_dn(parse_dn(text)).casefold()


def domain_of(text: str) -> str:
    """``corp.example`` of a name that ends in ``DC=corp,DC=example``; empty where it does not."""
    labels: list[str] = []
    for rdn in reversed(parse_dn(text)):
        if rdn.type != "dc":
            break
        labels.insert(0, rdn.value)
    return ".".join(labels)


def base_of(domain: str) -> str:
    """``DC=corp,DC=example`` of ``corp.example``."""
    return ",".join(f"DC={escape_dn_value(label)}" for label in domain.split("."))


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def dn(self) -> Dn:
        rdns = [self._rdn()]
        while self._at < len(self._text):
            self._take(",;")  # ";" of RFC 2253's ancestors is read, as Active Directory does
            rdns.append(self._rdn())
        return tuple(rdns)

    def _rdn(self) -> Rdn:
        parts = [self._part()]
        while self._text[self._at : self._at + 1] == "+":
            self._at += 1
            parts.append(self._part())
        return Rdn(tuple(parts))

    def _part(self) -> tuple[str, str]:
        self._skip_spaces()
        kind = _TYPE.match(self._text, self._at)
        if kind is None:
            raise self._wrong()
        self._at = kind.end()
        self._skip_spaces()
        self._take("=")
        self._skip_spaces()
        return kind[0].lower(), self._value()

    def _value(self) -> str:
        hexadecimal = _HEX_STRING.match(self._text, self._at)
        if hexadecimal is not None:
            self._at = hexadecimal.end()
            self._skip_spaces()
            return hexadecimal[0]
        data = bytearray()
        solid = 0  # trailing spaces that are not escaped do not count
        while self._at < len(self._text) and self._text[self._at] not in ",;+":
            character = self._text[self._at]
            self._at += 1
            if character == "\\":
                data += self._escaped()
                solid = len(data)
                continue
            if character in _SPECIAL or character == "\0":
                raise self._wrong()
            data += character.encode()
            if character != " ":
                solid = len(data)
        try:
            value = bytes(data[:solid]).decode()
        except UnicodeDecodeError as error:
            raise self._wrong() from error
        if not value:
            raise self._wrong()
        return value

    def _escaped(self) -> bytes:
        pair = _HEX_PAIR.match(self._text, self._at)
        if pair is not None:
            self._at = pair.end()
            return bytes.fromhex(pair[0])
        character = self._text[self._at : self._at + 1]
        if not character or character not in _ESCAPABLE:
            raise self._wrong()
        self._at += 1
        return character.encode()

    def _take(self, wanted: str) -> None:
        character = self._text[self._at : self._at + 1]
        if not character or character not in wanted:
            raise self._wrong()
        self._at += 1

    def _skip_spaces(self) -> None:
        while self._text[self._at : self._at + 1] == " ":
            self._at += 1

    def _wrong(self) -> Wrong:
        return Wrong(f"{shown(self._text)} is no distinguished name", EXPECTED)
