"""Who answers at a target's address, as it says itself: nobody is signed in, and nothing of any account is sent.

Here lives that question, over the first transport that answers it. What must not live here: what follows from the
answer (``identity``), where the question is printed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from pusher.models import Target, TransportKind
from pusher.problems import Code, Problem, ProblemError, Stage, problem
from pusher.push.routes import Route, most_advanced, open_routes, routes_over
from pusher.transports.port import Limits, Link, PeerIdentity, Transport

_PATIENCE = 4
"""Times the connect timeout that one transport may take, connecting, TLS and the question together."""


async def ask(
    transports: Mapping[TransportKind, Transport],
    only: TransportKind | None,
    target: Target,
    address: str,
    limits: Limits,
) -> PeerIdentity:
    """Who answers; ProblemError where nobody does, or says no name."""
    routes = _routes(transports, only, target, address)
    if routes:
        routes = await open_routes(routes, limits.connect)
    worst: Problem | None = None
    for route in routes:
        try:
            who = await _ask(route, limits)
        except ProblemError as error:
            worst = most_advanced(worst, error.problem)
        else:
            if who.machine:
                return who
            worst = most_advanced(worst, problem(Code.IDENTITY_UNPROVEN, Stage.IDENTIFY))
    raise ProblemError(worst or problem(Code.NO_TRANSPORT, detail=", ".join(target.transports)))


def _routes(
    transports: Mapping[TransportKind, Transport], only: TransportKind | None, target: Target, address: str
) -> list[Route]:
    """Those of a push, and plain HTTP last: no secret goes there, and a label is in no certificate."""
    routes = routes_over(transports, only, target, address)
    plain = [
        Route(transport=route.transport, endpoint=replace(route.endpoint, scheme="http", fingerprint=None))
        for route in routes
        if route.transport.kind is TransportKind.WINRM and not route.endpoint.port and route.endpoint.scheme is None
    ]
    return [*routes, *plain]


async def _ask(route: Route, limits: Limits) -> PeerIdentity:
    link: Link | None = None
    try:
        async with asyncio.timeout(_PATIENCE * limits.connect):
            link = await route.transport.open(route.endpoint, limits)
            return await link.identify()
    except TimeoutError as error:
        raise ProblemError(problem(Code.TIMED_OUT, Stage.IDENTIFY, "asking who answers")) from error
    finally:
        if link is not None:
            await link.close()
