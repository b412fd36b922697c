"""Waves: a run reaches a few hosts first, then more, and stops by itself where too many of them fail. Pure.

A wave is held until all before it have passed; then it is open, its hosts are pushed to, and it ends in one of two
ways:

* Every host of it is done, or does not answer and waits: the wave soaks for a while, and has passed.
* More have failed than the limit allows, whatever the rest still come to: it is stopped, at once and not at its end.

A host that does not answer is neither a success nor a failure, and holds up no wave. It goes on waiting, and counts in
the wave that is open when it ends. One that is parked on an account is no failure either, but its wave waits for it.
What must not live here: who counts, and what happens to the hosts of a wave that is stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

from pusher.models import Wave, WaveState
from pusher.models import WaveCounts as Counts
from pusher.queue.jitter import share

__all__ = ["Counts", "Rollout", "Wave", "WaveState", "advance", "assign", "has_failed", "resume", "sizes"]

LEAST_VERDICTS = 10
"""Of fewer nothing is concluded, unless they are all that the wave has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """How a run goes out. ``percents``: of its hosts, how many the waves have reached by then, rising to 100.

    ``soak``: how long a wave is watched before the next one opens. ``stop_above``: the part of a wave's verdicts, 0 to
    1, that may be failures; None: it never stops. Raises ValueError where the percents do not rise to 100.
    """

    percents: tuple[float, ...] = (100,)
    soak: timedelta = timedelta(0)
    stop_above: float | None = None

    def __post_init__(self) -> None:
        if not self.percents or self.percents[-1] != 100 or self.percents[0] <= 0:
            raise ValueError("percents of waves begin above 0 and end with 100")
        if any(one >= other for one, other in pairwise(self.percents)):
            raise ValueError("percents of waves rise")
        if self.stop_above is not None and not 0 <= self.stop_above < 1:
            raise ValueError("the part of failures that stops a wave is from 0 to less than 1")

    def to_json(self) -> dict[str, Any]:
        return {
            "percents": list(self.percents),
            "soak_seconds": self.soak.total_seconds(),
            "stop_above": self.stop_above,
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Rollout:
        """What ``to_json`` made. KeyError, TypeError or ValueError for anything else."""
        return cls(
            percents=tuple(written["percents"]),
            soak=timedelta(seconds=written["soak_seconds"]),
            stop_above=written["stop_above"],
        )


def sizes(hosts: int, percents: Sequence[float]) -> tuple[int, ...]:
    """How many hosts each wave has: together, up to each wave, the percent of all, rounded up.

    Of few hosts some waves have none; the first has one at least.
    """
    # As it is written: 0.14 % of 5,000 hosts are 7, and not the 8 that floats come to.
    reached = [math.ceil(Fraction(str(percent)) * hosts / 100) for percent in percents]
    return tuple(after - before for before, after in pairwise((0, *reached)))


def assign(
    run: str, hosts: Iterable[str], percents: Sequence[float], canaries: Set[str] = frozenset()
) -> dict[str, int]:
    """The number of each host's wave: ``canaries`` first, then by chance, which is the same for a run each time.

    By chance, for the first percent of an inventory is one site, and the first of each run the same unlucky people.
    """
    order = sorted(set(hosts), key=lambda host: (host not in canaries, share(run, host), host))
    places = iter(order)
    return {
        next(places): number for number, size in enumerate(sizes(len(order), percents), start=1) for _ in range(size)
    }


def advance(waves: Sequence[Wave], counts: Mapping[int, Counts], rollout: Rollout, now: datetime) -> tuple[Wave, ...]:
    """The waves of a run as they stand ``now``; ``counts`` by the waves' numbers, none for a wave without hosts.

    What is done with it: hosts of an open wave may be pushed to; those of a held or stopped one may not.
    """
    found: list[Wave] = []
    for wave in sorted(waves, key=lambda one: one.number):
        held = wave.state is WaveState.HELD
        if held and all(before.state is WaveState.PASSED for before in found):
            wave = replace(wave, state=WaveState.OPEN, opened_at=now)
        found.append(_judged(wave, counts.get(wave.number, Counts(size=0)), rollout, now))
    return tuple(found)


def resume(
    waves: Sequence[Wave], counts: Mapping[int, Counts], through: int = 0, now: datetime | None = None
) -> tuple[Wave, ...]:
    """The waves, with the one that was stopped open again. Its failures so far are forgiven: they stop it no more.

    ``through``: those up to this number are open, too, whatever has become of those before them.
    """
    return tuple(_resumed(wave, counts, through, now) for wave in waves)


def _resumed(wave: Wave, counts: Mapping[int, Counts], through: int, now: datetime | None) -> Wave:
    if wave.state is WaveState.STOPPED:
        failed = counts[wave.number].failed if wave.number in counts else 0
        return replace(wave, state=WaveState.OPEN, soak_until=None, forgiven=failed)
    if wave.state is WaveState.HELD and wave.number <= through:
        return replace(wave, state=WaveState.OPEN, opened_at=now)
    return wave


def has_failed(counts: Counts, stop_above: float | None, forgiven: int = 0) -> bool:
    """Whether more fail than may, even if all that are to come succeed. Those ``forgiven`` are left out."""
    failed = max(counts.failed - forgiven, 0)
    verdicts = counts.succeeded + failed
    if stop_above is None or (verdicts < LEAST_VERDICTS and counts.to_come > 0):
        return False
    return failed > Fraction(str(stop_above)) * (verdicts + counts.to_come)


def _judged(wave: Wave, counts: Counts, rollout: Rollout, now: datetime) -> Wave:
    if wave.state not in {WaveState.OPEN, WaveState.SOAKING}:
        return wave
    if has_failed(counts, rollout.stop_above, wave.forgiven):
        return replace(wave, state=WaveState.STOPPED)
    if wave.state is WaveState.OPEN and counts.to_come == 0:
        wave = replace(wave, state=WaveState.SOAKING, soak_until=now + rollout.soak)
    if wave.state is WaveState.SOAKING and (wave.soak_until is None or wave.soak_until <= now):
        return replace(wave, state=WaveState.PASSED)
    return wave
