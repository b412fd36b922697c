"""Host ranges and address blocks: counted exactly, expanded lazily, and asked whether they contain a name.

Here live pure values. What must not live here: files, DNS, groups.
Forms: ``ws[001:250].paris.example`` (also with a step, letters and several brackets, as in Ansible),
``10.9.0.0/26`` (IPv4 network and broadcast addresses left out), ``10.9.0.10-10.9.0.99`` and ``10.9.0.10-99``.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass

from pusher.config.wording import Wrong, plain, shown
from pusher.targets.spelling import name_in

MAX_TARGETS = 1_000_000
"""An inventory larger than this is refused: 20,000 machines are the product's size, and a /8 is a slip."""

NAME_OR_ADDRESS = "a host name, a range such as ws[001:250].corp.example, an IP address or a block such as 10.9.0.0/26"

_MAX_SPANS = 8
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", re.ASCII)
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_RANGE_FORM = "a range such as [001:250], [1:99:2] or [a:f]"


@dataclass(frozen=True, slots=True)
class Span:
    """One bracket: numbers from ``first`` to at most ``last``; ``width`` pads with zeros; or letters."""

    first: int
    last: int
    step: int = 1
    width: int = 0
    letters: bool = False

    @property
    def count(self) -> int:
        return (self.last - self.first) // self.step + 1

    def text(self, number: int) -> str:
        """The text of the ``number``-th value."""
        value = self.first + number * self.step
        return chr(value) if self.letters else f"{value:0{self.width}d}"

    def contains(self, text: str) -> bool:
        if self.letters:
            # Host names do not know case: ``[A:F]`` contains ``c``.
            return len(text) == 1 and any(self._holds(ord(c)) for c in (text.lower(), text.upper()))
        if not _DIGITS.fullmatch(text):
            return False
        value = int(text)
        return self._holds(value) and f"{value:0{self.width}d}" == text

    def _holds(self, value: int) -> bool:
        return self.first <= value <= self.last and (value - self.first) % self.step == 0

    @property
    def lengths(self) -> range:
        """How long its texts can be."""
        return range(len(self.text(0)), len(self.text(self.count - 1)) + 1)


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A name with any number of brackets; no bracket: one name. ``is_address``: the names are IPv4 addresses."""

    text: str
    parts: tuple[str | Span, ...]
    is_address: bool = False

    @property
    def count(self) -> int:
        total = 1
        for part in self.parts:
            if isinstance(part, Span):
                total *= part.count
        return total

    @property
    def is_single(self) -> bool:
        return all(isinstance(part, str) for part in self.parts)

    @property
    def may_repeat(self) -> bool:
        """True where two brackets side by side could give one name twice (``[1:11][1:11]`` gives 111 twice)."""
        return any(
            isinstance(left, Span) and isinstance(right, Span) and len(left.lengths) > 1
            for left, right in zip(self.parts, self.parts[1:], strict=False)
        )

    @property
    def prefix(self) -> str:
        """The fixed text before the first bracket, canonical."""
        first = self.parts[0]
        return first.lower() if isinstance(first, str) else ""

    @property
    def suffix(self) -> str:
        """The fixed text after the last bracket, canonical."""
        last = self.parts[-1]
        return last.lower() if isinstance(last, str) else ""

    def __iter__(self) -> Iterator[str]:
        return _expand(self.parts)

    def contains(self, canonical: str) -> bool:
        """Whether a canonical name is one of this pattern's."""
        return _matches(self.parts, canonical)


@dataclass(frozen=True, slots=True)
class AddressBlock:
    """Addresses from ``first`` to ``last``."""

    text: str
    first: int
    last: int
    version: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    @property
    def is_single(self) -> bool:
        return self.first == self.last

    def __iter__(self) -> Iterator[str]:
        make = ipaddress.IPv4Address if self.version == 4 else ipaddress.IPv6Address
        return (str(make(value)) for value in range(self.first, self.last + 1))


Pattern = NamePattern | AddressBlock


def canonical_name(name: str) -> str:
    """The one spelling by which names are compared: lower case, no trailing dot, addresses normalised."""
    address = parse_address(name)
    if address is not None:
        return str(address)
    return name.removesuffix(".").lower()


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that ``text`` is, or None. An IPv4 address written as IPv6 counts as IPv4; zones are refused."""
    if not text or text[0] not in "0123456789abcdefABCDEF:" or "%" in text:
        return None
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_host_name(name: str) -> bool:
    """Whether ``name`` can be looked up as a name.

    A last label of digits is refused: the C library reads ``10.1`` and ``0x7f.1`` as addresses (10.0.0.1), so a
    mistyped address would push to another machine.
    """
    labels = name.removesuffix(".").split(".")
    return (
        len(name) <= 253
        and all(_LABEL.fullmatch(label) for label in labels)
        and not _NUMERIC_LABEL.fullmatch(labels[-1])
    )


def parse_host_address(text: str) -> str:
    """An address of one machine, normalised."""
    address = parse_address(text)
    if address is None:
        raise Wrong(f"{shown(text)} is not an IP address", "an address such as 10.1.2.7")
    if address.is_multicast or address.is_unspecified or str(address) == "255.255.255.255":
        raise Wrong(f"{shown(text)} is no address of a single machine", "an address such as 10.1.2.7")
    return str(address)


def parse_pattern(text: str) -> Pattern:
    """The pattern that ``text`` is, or surely means; raises Wrong."""
    text = name_in(text)
    if not text.isascii():
        raise Wrong(f"{shown(text)} is not a host name", "an international name in its xn-- form")
    if "/" in text:
        return _network(text)
    address = parse_address(text)
    if address is not None:
        parse_host_address(text)
        return AddressBlock(str(address), int(address), int(address), address.version)
    block = _dashed(text)
    if block is not None:
        return block
    return _name_pattern(text)


def _network(text: str) -> AddressBlock:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as exc:
        raise Wrong(f"{shown(text)} is not a block of addresses", "a block such as 10.9.0.0/26") from exc
    host = text.partition("/")[0]
    if "%" in text or parse_address(host) is None:
        raise Wrong(f"{shown(text)} is not a block of addresses", "a block such as 10.9.0.0/26")
    if int(ipaddress.ip_address(host)) != int(network.network_address):
        raise Wrong(f"{shown(text)} is not the beginning of its block", f"{network}, or the address {host} alone")
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.version == 4 and network.prefixlen < 31:
        first, last = first + 1, last - 1
    elif network.version == 6 and network.prefixlen < 127:
        first += 1  # the subnet-router anycast address is nobody's
    return AddressBlock(text, first, last, network.version)


def _dashed(text: str) -> AddressBlock | None:
    left, dash, right = text.partition("-")
    if not dash:
        return None
    first = parse_address(left.strip())
    if first is None:
        return None
    right = right.strip()
    if first.version == 4 and _DIGITS.fullmatch(right):
        right = f"{left.strip().rpartition('.')[0]}.{right}"
    last = parse_address(right)
    expected = "a range such as 10.9.0.10-10.9.0.99"
    if last is None or last.version != first.version:
        raise Wrong(f"{shown(text)} is not a range of addresses", expected)
    if int(last) < int(first):
        raise Wrong(f"{shown(text)} ends before it begins", expected)
    return AddressBlock(text, int(first), int(last), first.version)


def _name_pattern(text: str) -> NamePattern:
    parts = tuple(_parts(text.removesuffix(".")))
    spans = [part for part in parts if isinstance(part, Span)]
    if len(spans) > _MAX_SPANS:
        raise Wrong(f"{shown(text)} has {len(spans)} ranges", f"at most {_MAX_SPANS}")
    smallest = "".join(part if isinstance(part, str) else part.text(0) for part in parts)
    largest = "".join(part if isinstance(part, str) else part.text(part.count - 1) for part in parts)
    if spans and parse_address(smallest) is not None and parse_address(largest) is not None:
        return NamePattern(text, parts, is_address=True)
    for example in dict.fromkeys((smallest, largest)):
        if not is_host_name(example):
            of = f" (it gives {shown(example)})" if spans else ""
            raise Wrong(f"{shown(text)} is neither a host name nor an IP address{of}", NAME_OR_ADDRESS)
    return NamePattern(text, parts)


def _parts(text: str) -> Iterator[str | Span]:
    rest = text
    while rest:
        before, bracket, after = rest.partition("[")
        if "]" in before:
            raise Wrong(f"{shown(text)} has a ] without its [", _RANGE_FORM)
        if before:
            yield before
        if not bracket:
            return
        inside, close, rest = after.partition("]")
        if not close:
            raise Wrong(f"{shown(text)} has a [ without its ]", _RANGE_FORM)
        yield _span(inside, text)


def _span(inside: str, text: str) -> Span:
    fields = inside.split(":")
    wrong = Wrong(f"[{plain(inside)}] in {shown(text)} is not a range", _RANGE_FORM)
    if len(fields) not in {2, 3}:
        raise wrong
    step = 1
    if len(fields) == 3:
        if not _DIGITS.fullmatch(fields[2]) or int(fields[2]) < 1:
            raise wrong
        step = int(fields[2])
    begin, end = fields[0] or "0", fields[1]
    if _DIGITS.fullmatch(begin) and _DIGITS.fullmatch(end):
        padded = len(begin) > 1 and begin[0] == "0"
        if padded and len(begin) != len(end):
            raise Wrong(f"[{plain(inside)}] in {shown(text)} pads its ends differently", "both ends equally long")
        span = Span(int(begin), int(end), step, len(begin) if padded else 0)
    elif re.fullmatch(r"[a-z]:[a-z]|[A-Z]:[A-Z]", f"{begin}:{end}"):
        span = Span(ord(begin), ord(end), step, 0, letters=True)
    else:
        raise wrong
    if span.last < span.first:
        raise Wrong(f"[{plain(inside)}] in {shown(text)} ends before it begins", _RANGE_FORM)
    return span


def _expand(parts: tuple[str | Span, ...]) -> Iterator[str]:
    """Every text, the last bracket running fastest; nothing but the current one is held."""
    if not parts:
        yield ""
        return
    head, tail = parts[0], parts[1:]
    if isinstance(head, str):
        for rest in _expand(tail):
            yield head + rest
        return
    for number in range(head.count):
        text = head.text(number)
        for rest in _expand(tail):
            yield text + rest


def _matches(parts: tuple[str | Span, ...], text: str) -> bool:
    if not parts:
        return not text
    head, tail = parts[0], parts[1:]
    if isinstance(head, str):
        return text.startswith(head.lower()) and _matches(tail, text[len(head) :])
    return any(
        head.contains(text[:length]) and _matches(tail, text[length:]) for length in head.lengths if length <= len(text)
    )
