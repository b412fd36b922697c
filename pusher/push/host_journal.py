"""A host's journal in the store, as the install driver sees it, and by what name a machine is known in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

from pusher.install.machine import COMMITTED
from pusher.models import Journal, Mark
from pusher.push.context import RunContext


class StoredHostJournal:
    """Journals of one service on one machine; every call is durable when it returns, ``DONE`` when the next one does.

    A write that fails is noted among the run's losses, and what was posted for this target before and failed is
    raised by the next call: all that was handed over earlier is decided by then.

    ``machine``: what the machine calls itself. A listener that takes no NTLM does not say it (None): then the name by
    which a ticket or a certificate has proven the machine stands for it, the inventory's. So that a push that was
    killed over one transport is found over the other, journals of the same ``target`` count as this machine's where
    either side did not know its own name; where both did, they have to be the same.
    """

    def __init__(self, context: RunContext, target: str, machine: str | None, service: str, address: str = "") -> None:
        self._context, self._target, self._machine, self._service = context, target, machine, service
        self._nameless = (target, address)  # an address is what earlier versions took for the name

    async def open(self, before: dict[str, object]) -> Journal:
        with self._noted(tells=False):  # who is told has the journal in hand, to close it
            return await self._context.store.open_journal(
                host=self._machine or self._target, service=self._service, run=self._context.run, target=self._target,
                before=before, at=self._context.now(),
            )  # fmt: skip

    async def mark(self, journal: Journal, step: StrEnum, mark: Mark) -> None:
        store, now = self._context.store, self._context.now()
        with self._noted():
            if mark is Mark.DONE:
                self._context.losses.watch(self._target, store.mark_done(journal.id, step.value, now))
            else:
                await store.mark(journal.id, step.value, mark, now)

    async def close(self, journal: Journal, closed_as: str) -> None:
        with self._noted():
            await self._context.store.close_journal(journal.id, closed_as)

    async def left_open(self) -> Sequence[Journal]:
        return await self._journals(None)

    async def committed(self) -> Sequence[Journal]:
        return await self._journals(COMMITTED)

    async def _journals(self, closed_as: str | None) -> Sequence[Journal]:
        with self._noted():
            return await self._context.store.journals(
                self._machine or self._target, self._service, closed_as,
                target=self._target, under=self._nameless if self._machine else None,
            )  # fmt: skip

    @contextmanager
    def _noted(self, *, tells: bool = True) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._context.losses.note(self._target, error)
            raise
        if tells:
            self._context.losses.tell(self._target)
