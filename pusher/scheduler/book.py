"""A host's journal in the store, as the install driver sees it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

from pusher.scheduler.job import Job
from pusher.store import Journal, Mark


class HostBook:
    """Journals of one service on one machine; every call is durable when it returns.

    A write that fails is noted among the run's losses, and what was posted for this target before and failed is
    raised by the next call: all that was handed over earlier is decided by then.
    """

    def __init__(self, job: Job, target: str, host: str, service: str) -> None:
        self._job, self._target, self._host, self._service = job, target, host, service

    async def open(self, before: dict[str, object]) -> Journal:
        with self._noted():
            return await self._job.store.open_journal(
                host=self._host, service=self._service, run=self._job.run, target=self._target, before=before,
                at=self._job.now(),
            )  # fmt: skip

    async def mark(self, journal: Journal, step: StrEnum, mark: Mark) -> None:
        with self._noted():
            await self._job.store.mark(journal.id, step.value, mark, self._job.now())

    async def close(self, journal: Journal, closed_as: str) -> None:
        with self._noted():
            await self._job.store.close_journal(journal.id, closed_as)

    async def left_open(self) -> Sequence[Journal]:
        with self._noted():
            return self._job.store.open_journals(self._host, self._service)

    @contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._job.losses.note(self._target, error)
            raise
        self._job.losses.tell(self._target)
