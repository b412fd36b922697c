"""The pusher command, ended by SIGKILL at a point of its work that is named on the command line.

    python -P crash.py POINT push INVENTORY …

No hook of the product is used: the calls that lie around a point are wrapped from here. Points:

- ``opened``            the journal has just been opened
- ``STEP:intent``       the intent of a step has just become durable, nothing of the step has happened
- ``STEP:effect``       the step has happened, which no mark tells yet
- ``STEP:done``         that has just become durable
- ``STEP:before-undo``  as an undo has just happened, which no mark tells yet
- ``copying``           a part of a large file has been copied
- ``renamed:N``         the N-th rename of a file has just happened
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

from pusher.cli import main
from pusher.models import Mark
from pusher.store import Store
from pusher.transports.smb.files import Files

LARGE = 1 << 20
BEFORE = {Mark.DONE: "effect", Mark.UNDONE: "before-undo"}
AFTER = {Mark.INTENT: "intent", Mark.DONE: "done"}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(point: str) -> None:
    """Wrap what lies around the point."""
    open_journal, mark, mark_done = Store.open_journal, Store.mark, Store.mark_done
    put, rename = Files.put, Files.rename
    renames = 0

    async def opening(store: Store, **journal: Any) -> Any:
        opened = await open_journal(store, **journal)
        if point == "opened":
            die()
        return opened

    async def marking(store: Store, journal: str, step: str, kind: Mark, at: Any) -> None:
        if point == f"{step}:{BEFORE.get(kind)}":
            die()
        await mark(store, journal, step, kind, at)
        if point == f"{step}:{AFTER.get(kind)}":
            die()

    def marking_done(store: Store, journal: str, step: str, at: Any) -> Any:
        if point == f"{step}:{BEFORE[Mark.DONE]}":
            die()
        posted = mark_done(store, journal, step, at)
        if point == f"{step}:{AFTER[Mark.DONE]}":
            posted.result(30)
            die()
        return posted

    async def putting(files: Files, path: Any, data: memoryview, beat: Callable[[int], None]) -> None:
        def beating(count: int) -> None:
            if point == "copying" and len(data) > LARGE:
                die()
            beat(count)

        await put(files, path, data, beating)

    async def renaming(files: Files, path: Any, to: Any) -> None:
        nonlocal renames
        await rename(files, path, to)
        renames += 1
        if point == f"renamed:{renames}":
            die()

    for owner, name, wrapped in (
        (Store, "open_journal", opening),
        (Store, "mark", marking),
        (Store, "mark_done", marking_done),
        (Files, "put", putting),
        (Files, "rename", renaming),
    ):
        patch.object(owner, name, wrapped).start()


if __name__ == "__main__":
    die_at(sys.argv.pop(1))
    main()
