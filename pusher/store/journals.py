"""Journals of hosts: the intent of each step is durable before its effect. What a step means is the install room's."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, insert, or_, select, update

from pusher.models import Claim, Journal, JournalStep, Mark
from pusher.store.database import Repository, unless_there
from pusher.store.schema import journal_steps, journals
from pusher.store.work import ClaimLostError, hold
from pusher.store.writer import Row

_OPENED = insert(journals)
_MARKED = unless_there(journal_steps)
_CLOSED = update(journals).where(journals.c.id == bindparam("its_id")).values(closed_as=bindparam("closed_as"))


class Journals(Repository):
    """What is written of one is durable when the call returns.

    ``claim``: by which the target is worked on, where it came from the queue; ClaimLostError where it is good no more,
    and nothing is written.
    """

    async def open_journal(
        self,
        *,
        host: str,
        service: str,
        run: str,
        target: str,
        before: Mapping[str, Any],
        at: datetime,
        claim: Claim | None = None,
    ) -> Journal:
        journal = Journal(id=secrets.token_hex(8), run=run, target=target, before=before)
        row = {
            "id": journal.id, "host": host.lower(), "service": service.lower(), "run": run, "target": target,
            "before": dict(before), "opened_at": at,
        }  # fmt: skip
        await self._write(Row(_OPENED, row), claim)
        return journal

    async def mark(self, journal: str, step: str, mark: Mark, at: datetime, claim: Claim | None = None) -> None:
        """A mark that is there already stays as it is."""
        row = {"journal": journal, "step": step, "mark": mark.value, "at": at}
        await self._write(Row(_MARKED[self._database.dialect], row), claim)

    async def close_journal(self, journal: str, closed_as: str, claim: Claim | None = None) -> None:
        await self._write(Row(_CLOSED, {"its_id": journal, "closed_as": closed_as}), claim)

    async def _write(self, row: Row, claim: Claim | None) -> None:
        if claim is None:
            await self._database.writer.write(row)
        elif not await self._database.writer.ask(partial(_held, row, claim)):
            raise ClaimLostError(claim)

    def open_journals(
        self, host: str, service: str, *, target: str = "", under: Collection[str] | None = ()
    ) -> list[Journal]:
        """Journals that no one closed: the marks of a push that was killed, oldest first.

        Those of ``host``; and of those of the inventory's ``target``, such as are kept under one of the names ``under``
        (None: under whatever name).
        """
        return self._read(_of(host, service, target, under).where(journals.c.closed_as.is_(None)))

    def closed_journals(
        self, host: str, service: str, closed_as: str, *, target: str = "", under: Collection[str] | None = ()
    ) -> list[Journal]:
        """Journals of pushes that ended so; whose, as of ``open_journals``."""
        return self._read(_of(host, service, target, under).where(journals.c.closed_as == closed_as))

    def _read(self, query: Select[Any]) -> list[Journal]:
        with self._database.reading() as connection:
            return [
                Journal(
                    id=row["id"],
                    run=row["run"],
                    target=row["target"],
                    before=row["before"],
                    steps=tuple(_steps(connection, row["id"])),
                )
                for row in connection.execute(query).mappings()
            ]


def _held(row: Row, claim: Claim, connection: Connection) -> bool:
    if not hold(connection, claim):
        return False
    connection.execute(row.statement, dict(row.values))
    return True


def _of(host: str, service: str, target: str, under: Collection[str] | None) -> Select[Any]:
    its: ColumnElement[bool] = journals.c.target == target
    if under is not None:
        its = and_(its, journals.c.host.in_([name.lower() for name in under]))
    return (
        select(journals)
        .where(or_(journals.c.host == host.lower(), its), journals.c.service == service.lower())
        .order_by(journals.c.opened_at)
    )


def _steps(connection: Connection, journal: str) -> Iterator[JournalStep]:
    table = journal_steps.c
    query = select(table.step, table.mark).where(table.journal == journal).order_by(table.id)
    for step, mark in connection.execute(query):
        yield JournalStep(step=step, mark=Mark(mark))
