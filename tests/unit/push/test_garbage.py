"""An attempt leaves nothing for Python's search for garbage, which would stop the loop for all other targets."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pusher.models import Outcome, Status, Target, Verb
from pusher.problems import Code
from pusher.push.attempt import Reached, attempt, reach
from pusher.push.context import RunContext
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryTransport, User
from pusher.transports.port import Limits
from tests.unit.push.harness import ADMIN, make_context, make_host, shared_run
from tests.unit.push.stories import ADDRESS, ended


@contextmanager
def _kept_garbage() -> Iterator[None]:
    """What a search finds from now on is kept in ``gc.garbage``, and none is made before it is asked for."""
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        yield
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _ours(found: list[Any]) -> list[str]:
    """What of it is pusher's: its objects, and the frames of its functions and coroutines."""
    names = []
    for one in found:
        frame = getattr(one, "cr_frame", None) or getattr(one, "tb_frame", None) or one
        module = getattr(frame, "f_globals", {}).get("__name__") or type(one).__module__
        if str(module).startswith("pusher."):
            names.append(f"{module}: {one!r:.100}")
    return names


async def _one(context: RunContext, name: str) -> Outcome:
    target = Target(name=name)
    reached = await reach(context, target, ADDRESS, 1)
    if isinstance(reached, Reached):
        return await attempt(context, target, ADDRESS, 1, reached)
    return reached


@pytest.mark.parametrize(
    ("host", "faults", "verb", "ends"),
    [
        ({}, (), Verb.CHECK, (Status.READY, None)),
        ({}, (), Verb.PUSH, (Status.INSTALLED, None)),
        ({"mute": True}, (), Verb.PUSH, (Status.UNREACHABLE, Code.TIMED_OUT)),
        ({"refuses": Code.PORT_CLOSED}, (), Verb.PUSH, (Status.UNREACHABLE, Code.PORT_CLOSED)),
        ({}, (Fault(how=How.DROP, call="open"),), Verb.CHECK, (Status.READY, None)),
        ({"users": {}}, (), Verb.PUSH, (Status.FAILED, Code.WRONG_PASSWORD)),
        (
            {"users": {ADMIN: User(password="right", administrator=False)}},
            (),
            Verb.CHECK,
            (Status.FAILED, Code.NOT_ADMINISTRATOR),
        ),
        ({}, (Fault(how=How.DROP, call="start_service"),), Verb.PUSH, (Status.FAILED, Code.CONNECTION_LOST)),
        ({}, (Fault(how=How.FAIL, call="put", code=Code.DISK_FULL),), Verb.PUSH, (Status.FAILED, Code.DISK_FULL)),
        ({}, (Fault(how=How.FAIL, call="rename", code=Code.FILE_IN_USE),), Verb.PUSH, (Status.INSTALLED, None)),
    ],
    ids=["ready", "installed", "silent", "closed", "lost", "refused", "no-rights", "dropped", "disk-full", "held"],
)
def test_an_attempt_leaves_no_garbage(
    store: Store, host: dict[str, Any], faults: tuple[Fault, ...], verb: Verb, ends: tuple[Status, Code | None]
) -> None:
    machine = make_host(**host)
    transport = MemoryTransport({ADDRESS: machine}, *faults)

    async def story() -> tuple[Outcome, list[str]]:
        # The run's own things are kept: it is one, and its targets are many.
        context = make_context(store, transport, run=shared_run(store), verb=verb, limits=Limits(connect=0.01))
        with _kept_garbage():
            outcome = await _one(context, machine.name)
            gc.collect()
            return outcome, _ours(gc.garbage)

    outcome, left = asyncio.run(story())
    assert ended(outcome) == ends
    assert left == []
