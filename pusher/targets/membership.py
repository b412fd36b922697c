"""Which lines of an inventory contain a name or an address, answered without expanding a range.

Here lives the index that lets ``inventory`` merge and deduplicate lazily: a million addresses in one block cost
one interval. What must not live here: settings, selection, files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from pusher.targets.ranges import AddressBlock, NamePattern, Pattern, canonical_name, parse_address


class MembershipIndex:
    """Numbers of the patterns (their place in the sequence) that contain a name; always in rising order."""

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._singles: dict[str, tuple[int, ...]] = {}
        self._ranges: dict[tuple[str, str], list[tuple[int, NamePattern]]] = {}
        blocks: dict[int, list[tuple[int, int, int]]] = {4: [], 6: []}
        for number, pattern in enumerate(patterns):
            if pattern.is_single:
                name = canonical_name(next(iter(pattern)))
                self._singles[name] = (*self._singles.get(name, ()), number)
            elif isinstance(pattern, AddressBlock):
                blocks[pattern.version].append((pattern.first, pattern.last, number))
            else:
                self._ranges.setdefault((pattern.prefix, pattern.suffix), []).append((number, pattern))
        # Few distinct pairs of lengths exist, however many ranges: a name is cut once for each pair.
        self._cuts = sorted({(len(prefix), len(suffix)) for prefix, suffix in self._ranges})
        self._blocks = {version: _Intervals(found) for version, found in blocks.items()}
        self.has_ranges = any(not pattern.is_single for pattern in patterns)

    def containing(self, canonical: str) -> tuple[int, ...]:
        """The patterns that contain a canonical name (an address is a name too)."""
        found = self._singles.get(canonical, ())
        if not self.has_ranges:
            return found
        more: list[int] = []
        for before, after in self._cuts:
            if before + after > len(canonical):
                continue
            key = (canonical[:before], canonical[len(canonical) - after :])
            more += [n for n, pattern in self._ranges.get(key, ()) if pattern.contains(canonical)]
        if canonical[0] in "0123456789" or ":" in canonical:
            address = parse_address(canonical)
            if address is not None:
                more += self._blocks[address.version].holding(int(address))
        return tuple(sorted((*found, *more))) if more else found

    @property
    def single_names(self) -> tuple[str, ...]:
        """The canonical names that stand in the inventory one by one."""
        return tuple(self._singles)


class _Intervals:
    """Intervals that may overlap; finds those that hold a point."""

    def __init__(self, intervals: list[tuple[int, int, int]]) -> None:
        self._sorted = sorted(intervals)
        self._starts = [first for first, _, _ in self._sorted]
        self._reach: list[int] = []
        for _, last, _ in self._sorted:
            self._reach.append(max(last, self._reach[-1]) if self._reach else last)

    def holding(self, point: int) -> list[int]:
        found: list[int] = []
        at = bisect_right(self._starts, point) - 1
        while at >= 0 and self._reach[at] >= point:
            if self._sorted[at][1] >= point:
                found.append(self._sorted[at][2])
            at -= 1
        return found
