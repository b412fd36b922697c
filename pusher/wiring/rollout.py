"""The waves of a run, as its options ask for them. What must not live here: when a wave opens (``queue.waves``)."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from pusher.config.durations import parse_duration
from pusher.config.wording import Wrong
from pusher.models import Target, WavePlan
from pusher.problems import BadInput
from pusher.queue.waves import Rollout, assign
from pusher.settings import Options

_PERCENTS = "percents that rise to 100, such as 1,10,50,100"
_STOP_AT = "0% to 99%, or never"
STOP_AT = 0.1
"""The part of a wave's verdicts that may be failures, where nothing else is said."""
_MOST = 100


def rollout_of(options: Options) -> Rollout | None:
    """None: the run goes out at once. BadInput where the options do not add up."""
    if options.waves is None and options.stop_at is None:
        for name in ("canary", "soak"):
            if getattr(options, name) is not None:
                raise BadInput(None, f"--{name} is for a run in waves", "--waves with it")
        return None
    percents = _percents(options.waves) if options.waves is not None else (100.0,)
    return Rollout(percents=percents, soak=_soak(options.soak), stop_above=_stop_above(options.stop_at))


def wave_plan(run: str, rollout: Rollout | None, canary: str | None, targets: list[Target]) -> WavePlan | None:
    """Who is in which wave. BadInput where the canary group has none of the targets."""
    if rollout is None:
        return None
    canaries = frozenset(target.name for target in targets if canary in target.groups)
    if canary is not None and not canaries:
        raise BadInput(None, f"--canary {canary} has none of this run's machines", "a group of the inventory")
    wave_of = assign(run, (target.name for target in targets), rollout.percents, canaries)
    return WavePlan(rollout=rollout.to_json(), wave_of=wave_of, count=len(rollout.percents))


def _percents(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise BadInput(None, f"--waves {text[:80]} is no list of percents", _PERCENTS) from None
    if not found[0] > 0 or found[-1] != 100 or any(not one < other for one, other in pairwise(found)):
        raise BadInput(None, f"--waves {text[:80]} does not rise to 100", _PERCENTS)
    if len(found) > _MOST:
        raise BadInput(None, f"--waves has {len(found)} waves", f"at most {_MOST}")
    return found


def _soak(text: str | None) -> timedelta:
    if text is None:
        return timedelta()
    try:
        return timedelta(seconds=parse_duration(text))
    except (Wrong, OverflowError):
        raise BadInput(None, f"--soak {text[:80]} is not a duration", 'a duration such as "30m" or "2h"') from None


def _stop_above(text: str | None) -> float | None:
    if text is None:
        return STOP_AT
    if text == "never":
        return None
    number = text.removesuffix("%")
    if number == text or not number.replace(".", "", 1).isdecimal() or not number.isascii() or float(number) >= 100:
        raise BadInput(None, f"--stop-at {text[:80]} is no part of a wave", _STOP_AT)
    return float(number) / 100
