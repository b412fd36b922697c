"""Work that may hang for ever (a file server, a keyring), in a thread that nobody has to wait for in the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def in_own_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns, or raises. Cancelled: nobody waits for it any more, and the process may end without it."""
    loop = asyncio.get_running_loop()
    told: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: BaseException | None) -> None:
        if told.done():
            return
        if error is not None:
            told.set_exception(error)
        else:
            told.set_result(result)  # type: ignore[arg-type]

    def working() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as raised:  # whoever waits is told, whatever it is
            error = raised
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=working, name="opening", daemon=True).start()
    return await told
