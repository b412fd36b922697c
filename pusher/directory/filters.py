"""LDAP filters (RFC 4515): escaping, parsing, and deciding about one entry. Pure.

What must not live here: a directory. Which rule an attribute is compared by depends on a schema; here numbers are
compared as numbers where both sides are, and everything else as text without case, as nearly every attribute of
Active Directory is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from pusher.config.wording import Wrong, shown
from pusher.directory.port import Entry

BIT_AND = "1.2.840.113556.1.4.803"
BIT_OR = "1.2.840.113556.1.4.804"
IN_CHAIN = "1.2.840.113556.1.4.1941"
"""Active Directory's matching rules (MS-ADTS 3.1.1.3.4.4)."""

EXPECTED = "an LDAP filter such as (operatingSystem=Windows Server*)"

_MAX_DEPTH = 50
_MAX_FILTER = 16_384
_ITEM = re.compile(
    r"(?P<attribute>[A-Za-z0-9][A-Za-z0-9.;-]*)?"
    r"(?P<dn>:dn)?(?::(?P<rule>[A-Za-z0-9][A-Za-z0-9.-]*))?(?P<operator>:=|~=|>=|<=|=)",
    re.ASCII,
)
_VALUE = re.compile(r"(?:[^()\\\x00]|\\[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(rb"\\([0-9A-Fa-f]{2})")

Chain = Callable[[str, str, bytes], bool]
"""(object's DN, attribute, DN): whether the second is reached from the first along the attribute."""


def escape_filter_value(value: str | bytes) -> str:
    """``value`` as a literal value in a filter, whatever it holds (RFC 4515 3)."""
    data = value.encode() if isinstance(value, str) else value
    return "".join(f"\\{b:02x}" if b in b"\\*()\x00" or b >= 0x80 else chr(b) for b in data)


class Operator(Enum):
    EQUAL = "="
    APPROXIMATE = "~="
    AT_LEAST = ">="
    AT_MOST = "<="
    EXTENDED = ":="


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """A comparison. ``pieces`` are the texts between stars: one for a plain value, ``(b"", b"")`` for presence."""

    attribute: str
    operator: Operator
    pieces: tuple[bytes, ...]
    rule: str | None = None


class Junction(Enum):
    AND = "&"
    OR = "|"
    NOT = "!"


@dataclass(frozen=True, kw_only=True, slots=True)
class Branch:
    """Filters joined; NOT has one."""

    junction: Junction
    filters: tuple[Filter, ...]


Filter = Item | Branch


def parse_filter(text: str) -> Filter:
    """The filter that ``text`` writes; raises Wrong, which says at which character."""
    if len(text) > _MAX_FILTER:
        raise Wrong("an LDAP filter that is too long", f"at most {_MAX_FILTER:,} characters")
    reader = _Reader(text)
    found = reader.filter(0)
    reader.end()
    return found


def matches(filter: Filter, entry: Entry, chain: Chain = lambda *_: False) -> bool:
    """Whether ``entry`` is one of those that the filter means."""
    if isinstance(filter, Branch):
        inner = (matches(one, entry, chain) for one in filter.filters)
        if filter.junction is Junction.NOT:
            return not next(inner)
        return all(inner) if filter.junction is Junction.AND else any(inner)
    values = entry.attributes.get(filter.attribute, ())
    if filter.rule == IN_CHAIN:
        return chain(entry.dn, filter.attribute, filter.pieces[0])
    return any(_holds(filter, value) for value in values)


def _holds(item: Item, value: bytes) -> bool:
    if item.rule in {BIT_AND, BIT_OR}:
        ours, theirs = _number(item.pieces[0]), _number(value)
        if ours is None or theirs is None:
            return False
        return theirs & ours == ours if item.rule == BIT_AND else theirs & ours != 0
    if item.operator in {Operator.AT_LEAST, Operator.AT_MOST}:
        return _ordered(item, value)
    if len(item.pieces) > 1:
        return _has_pieces(item.pieces, value)
    return _folded(value) == _folded(item.pieces[0]) or _is_category(item, value)


def _is_category(item: Item, value: bytes) -> bool:
    """``objectCategory=computer`` stands for the category's whole name (MS-ADTS 3.1.1.3.1.3.5)."""
    short = b"=" not in item.pieces[0] and item.attribute == "objectcategory"
    return short and _folded(value).startswith(f"cn={_folded(item.pieces[0])},")


def _ordered(item: Item, value: bytes) -> bool:
    ours, theirs = _number(item.pieces[0]), _number(value)
    if ours is not None and theirs is not None:
        return theirs >= ours if item.operator is Operator.AT_LEAST else theirs <= ours
    left, right = _folded(value), _folded(item.pieces[0])
    return left >= right if item.operator is Operator.AT_LEAST else left <= right


def _has_pieces(pieces: tuple[bytes, ...], value: bytes) -> bool:
    text = _folded(value)
    first, *middle, last = (_folded(piece) for piece in pieces)
    if not text.startswith(first):
        return False
    at = len(first)
    for piece in middle:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(text) - len(last) >= at and text.endswith(last)


def _folded(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape").casefold()


def _number(value: bytes) -> int | None:
    return int(value) if re.fullmatch(rb"-?[0-9]{1,20}", value) else None


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def filter(self, depth: int) -> Filter:
        if depth > _MAX_DEPTH:
            raise self._wrong("is nested too deep")
        self._take("(", "an opening parenthesis")
        sign = self._text[self._at : self._at + 1]
        found: Filter
        if sign and sign in "&|!":
            self._at += 1
            found = self._branch(Junction(sign), depth)
        else:
            found = self._item()
        self._take(")", "a closing parenthesis")
        return found

    def end(self) -> None:
        if self._text[self._at :].strip():
            raise self._wrong("goes on after its end")

    def _branch(self, junction: Junction, depth: int) -> Branch:
        inner = [self.filter(depth + 1)]
        while self._peek() == "(":
            if junction is Junction.NOT:
                raise self._wrong("negates more than one filter")
            inner.append(self.filter(depth + 1))
        return Branch(junction=junction, filters=tuple(inner))

    def _item(self) -> Item:
        head = _ITEM.match(self._text, self._at)
        if head is None:
            raise self._wrong("has no attribute and comparison here")
        operator, rule = Operator(head["operator"]), head["rule"]
        extended = operator is Operator.EXTENDED
        if (not extended and (rule or head["dn"])) or (not head["attribute"] and not (extended and rule)):
            raise self._wrong("has no attribute and comparison here")
        self._at = head.end()
        body = _VALUE.match(self._text, self._at)
        assert body is not None, "the empty text matches"
        self._at = body.end()
        pieces = tuple(_unescaped(piece) for piece in body[0].split("*"))
        if len(pieces) > 1 and operator is not Operator.EQUAL:
            raise self._wrong(f"has a star after {operator.value}")
        return Item(attribute=(head["attribute"] or "").lower(), operator=operator, pieces=pieces, rule=rule)

    def _peek(self) -> str:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _take(self, wanted: str, called: str) -> None:
        if self._peek() != wanted:
            raise self._wrong(f"wants {called} here")
        self._at += 1

    def _wrong(self, why: str) -> Wrong:
        return Wrong(f"the LDAP filter {shown(self._text)} {why} (character {self._at + 1})", EXPECTED)


def _unescaped(piece: str) -> bytes:
    return _ESCAPE.sub(lambda pair: bytes.fromhex(pair[1].decode()), piece.encode())
