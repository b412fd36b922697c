"""The approach to one target: a route is followed until it is proven who answers there. Nothing of any account is sent.

Only this may be repeated freely. What must not live here: which routes there are (``routes``), what a machine must say
to be the one that is meant (``identity``), accounts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from pusher.models import Stage, Target
from pusher.problems import Code, ProblemError, problem
from pusher.push.context import RunContext
from pusher.push.identity import mismatch
from pusher.push.recorder import Recorder
from pusher.push.routes import Route, open_routes, routes_to
from pusher.transports.port import Link, PeerIdentity

T = TypeVar("T")

_PAUSE = 0.5
"""Seconds, at most, before a route that was closed for the moment is tried once more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """A connection, and who has proven to answer on it."""

    route: Route
    link: Link
    who: PeerIdentity


class Approach:
    """Of one attempt: it has one connection at a time, which ``close`` closes however far it came."""

    def __init__(self, context: RunContext, target: Target, address: str, recorder: Recorder) -> None:
        self._context, self._target, self._address, self._recorder = context, target, address, recorder
        self._link: Link | None = None

    async def routes(self) -> list[Route]:
        """Those of which a port answers; ProblemError, told of the first of them, where there is none."""
        self._recorder.stage(Stage.REACH, is_shown=False)
        routes = routes_to(self._context, self._target, self._address)
        if not routes:
            raise ProblemError(problem(Code.NO_TRANSPORT, detail=", ".join(self._target.transports)))
        self._recorder.goes_by(routes[0].transport.kind)
        try:
            return await _twice(
                lambda: self._recorder.timed(
                    "connect", open_routes(routes, self._context.limits.connect), is_step=False
                )
            )
        except ProblemError as error:
            self._recorder.transport_failed(routes[0].transport.kind, error.problem)
            raise

    async def connect(self, route: Route) -> Contact:
        """A fresh connection by ``route`` to the machine that is meant; ProblemError where another one answers."""
        link = await self._open(route)
        return Contact(route=route, link=link, who=await self._prove_identity(link))

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()

    async def _open(self, route: Route) -> Link:
        self._link = None
        self._link = await _twice(
            lambda: self._recorder.timed("connect", route.transport.open(route.endpoint, self._context.limits))
        )
        return self._link

    async def _prove_identity(self, link: Link) -> PeerIdentity:
        """Before any secret leaves."""
        self._recorder.stage(Stage.IDENTIFY)
        who = await self._recorder.timed("identify", link.identify())
        wrong = mismatch(self._target, self._address, who)
        if wrong:
            raise ProblemError(problem(Code.WRONG_HOST, detail=wrong))
        self._recorder.answered(who.machine)
        said = [who.machine or "no name", f"build {who.build or 'unknown'}", who.dialect, who.proof]
        self._recorder.happened("identity", ", ".join(part for part in said if part))
        return who


async def _twice(connecting: Callable[[], Awaitable[T]]) -> T:
    """Its result; begun once more, after a pause, where what went wrong may pass.

    By hand: tenacity keeps the error together with the frames that it came through, a cycle for each host.
    """
    try:
        return await connecting()
    except ProblemError as error:
        if not error.problem.row.passing:
            raise
    await asyncio.sleep(random.uniform(0, _PAUSE))  # noqa: S311 - so that not all of a site come back at once
    return await connecting()
