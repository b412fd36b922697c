"""The ways to a target: which transports, in which order, and when the next one is worth a try.

A way is a transport with the endpoint it would connect to. What must not live here: connecting, accounts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from pusher.models import Status, Target, TransportKind
from pusher.problems import CATALOGUE, NextMove, Problem, ProblemError, Stage
from pusher.push.context import RunContext
from pusher.transports.port import Endpoint, Transport

_STAGES = list(Stage)


@dataclass(frozen=True, kw_only=True, slots=True)
class Route:
    """A transport and where it leads."""

    transport: Transport
    endpoint: Endpoint


def routes_to(context: RunContext, target: Target, address: str) -> list[Route]:
    """Every way that this run has: the one that --transport asks for, or those of the inventory, in its order."""
    return routes_over(context.transports, context.only, target, address)


def routes_over(
    transports: Mapping[TransportKind, Transport], only: TransportKind | None, target: Target, address: str
) -> list[Route]:
    """Every way over the transports given; ``only``: by no other than this one."""
    kinds = target.transports if only is None else (only,)
    return [
        Route(transport=transports[kind], endpoint=_endpoint(target, address, kind))
        for kind in kinds
        if kind in transports
    ]


async def open_routes(routes: list[Route], seconds: float) -> list[Route]:
    """The ways of which a port answers; ProblemError where there is none: what is wrong with the first."""
    found = await asyncio.gather(*(route.transport.probe(route.endpoint, seconds) for route in routes))
    answering = [route for route, wrong in zip(routes, found, strict=True) if wrong is None]
    if not answering and found[0] is not None:
        raise ProblemError(found[0])
    return answering


def worth_another(found: Problem) -> bool:
    """True where another transport may get further: the problem is this transport's, not an account's."""
    unreachable = CATALOGUE[found.code].status is Status.UNREACHABLE and found.stage in (Stage.REACH, Stage.IDENTIFY)
    return found.next_move is NextMove.NEXT_TRANSPORT or unreachable


def most_advanced(one: Problem | None, other: Problem) -> Problem:
    """Of two problems the one that came further: it says more about what is missing."""
    return other if one is None or _reached(other) > _reached(one) else one


def _reached(found: Problem) -> tuple[int, bool]:
    return _STAGES.index(found.stage), CATALOGUE[found.code].status is not Status.UNREACHABLE


def _endpoint(target: Target, address: str, kind: TransportKind) -> Endpoint:
    if kind is TransportKind.SMB:
        return Endpoint(host=target.own_name, address=address, port=target.port or 0)
    route = target.winrm
    return Endpoint(
        host=target.own_name, address=address, port=route.port or 0, scheme=route.scheme, fingerprint=route.fingerprint
    )
