"""A session that does nothing more once its target is somebody else's: each call makes sure of that first.

A worker that was frozen wakes in the middle of a step, and finds neither its connection broken nor, perhaps, its lock
gone. The store has been asked before the step began; by now only its own clock can tell. A call that was under way goes
to its end. What must not live here: whose a target is (``worker.lease``).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, cast

from pusher.transports.port import Session

_ALWAYS = frozenset({"close"})
"""Whoever has lost a target signs off all the same."""


def fenced(session: Session, require: Callable[[], None]) -> Session:
    """``require`` raises where nothing more may be done."""
    return cast(Session, _Fenced(session, require))


class _Fenced:
    """The session, whatever is asked of it."""

    __slots__ = ("_require", "_session")

    def __init__(self, session: Session, require: Callable[[], None]) -> None:
        self._session, self._require = session, require

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._session, name)
        if name in _ALWAYS or not inspect.iscoroutinefunction(found):
            return found
        return functools.partial(_asked, self._require, found)


async def _asked(
    require: Callable[[], None], call: Callable[..., Coroutine[Any, Any, Any]], *arguments: Any, **named: Any
) -> Any:
    require()
    return await call(*arguments, **named)
