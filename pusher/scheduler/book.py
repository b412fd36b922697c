"""A host's journal in the store, as the install driver sees it."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pusher.scheduler.job import Job
from pusher.store import Journal, Mark


class HostBook:
    """Journals of one service on one machine; every call is durable when it returns."""

    def __init__(self, job: Job, target: str, host: str, service: str) -> None:
        self._job, self._target, self._host, self._service = job, target, host, service

    async def open(self, before: dict[str, object]) -> Journal:
        return await self._job.store.open_journal(
            host=self._host, service=self._service, run=self._job.run, target=self._target, before=before,
            at=self._job.now(),
        )  # fmt: skip

    async def mark(self, journal: Journal, step: StrEnum, mark: Mark) -> None:
        await self._job.store.mark(journal.id, step.value, mark, self._job.now())

    async def close(self, journal: Journal, closed_as: str) -> None:
        await self._job.store.close_journal(journal.id, closed_as)

    async def left_open(self) -> Sequence[Journal]:
        return self._job.store.open_journals(self._host, self._service)
