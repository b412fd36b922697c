"""The ways to a target: which transports, in which order, and when the next one is worth a try.

A way is a transport with the endpoint it would connect to. What must not live here: connecting, accounts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from pusher.models import Status, Target, TransportKind
from pusher.problems import CATALOGUE, NextMove, Problem, Stage
from pusher.scheduler.job import Job
from pusher.transports.port import Endpoint, Transport

_STAGES = list(Stage)


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A transport and where it leads."""

    transport: Transport
    endpoint: Endpoint


def ways_to(job: Job, target: Target, address: str) -> list[Way]:
    """Every way that this run has: the one that --transport asks for, or those of the inventory, in its order."""
    return ways_over(job.transports, job.only, target, address)


def ways_over(
    transports: Mapping[TransportKind, Transport], only: TransportKind | None, target: Target, address: str
) -> list[Way]:
    """Every way over the transports given; ``only``: by no other than this one."""
    kinds = target.transports if only is None else (only,)
    return [
        Way(transport=transports[kind], endpoint=_endpoint(target, address, kind))
        for kind in kinds
        if kind in transports
    ]


async def open_ways(ways: list[Way], seconds: float) -> list[Way]:
    """The ways of which a port answers; where there is none, the first one, which then tells what is wrong.

    One way alone is not asked: opening it says as much.
    """
    if len(ways) < 2:
        return ways
    answers = await asyncio.gather(*(way.transport.answers(way.endpoint, seconds) for way in ways))
    return [way for way, answers_there in zip(ways, answers, strict=True) if answers_there] or ways[:1]


def worth_another(found: Problem) -> bool:
    """True where another transport may get further: the problem is this transport's, not an account's."""
    unreachable = CATALOGUE[found.code].status is Status.UNREACHABLE and found.stage in (Stage.REACH, Stage.IDENTIFY)
    return found.next_move is NextMove.NEXT_TRANSPORT or unreachable


def further(one: Problem | None, other: Problem) -> Problem:
    """Of two problems the one that came further: it says more about what is missing."""
    return other if one is None or _reached(other) > _reached(one) else one


def _reached(found: Problem) -> tuple[int, bool]:
    return _STAGES.index(found.stage), CATALOGUE[found.code].status is not Status.UNREACHABLE


def _endpoint(target: Target, address: str, kind: TransportKind) -> Endpoint:
    if kind is TransportKind.SMB:
        return Endpoint(host=target.own_name, address=address, port=target.port or 0)
    way = target.winrm
    return Endpoint(
        host=target.own_name, address=address, port=way.port or 0, scheme=way.scheme, fingerprint=way.fingerprint
    )
