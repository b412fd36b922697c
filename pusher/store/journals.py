"""Journals of hosts: the intent of each step is durable before its effect. What a step means is the install room's."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, insert, or_, select, update

from pusher.models import Claim, Journal, JournalStep, Mark
from pusher.store.claims import ClaimLostError, hold
from pusher.store.database import Repository, unless_there
from pusher.store.schema import journal_steps, journals
from pusher.store.writer import Row

_OPENED = insert(journals)
_MARKED = unless_there(journal_steps)
_CLOSED = update(journals).where(journals.c.id == bindparam("its_id")).values(closed_as=bindparam("closed_as"))


class Journals(Repository):
    """What is written of one is durable when the call returns, but for what is posted.

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
        await self._write(self._marked(journal, step, mark, at), claim)

    def mark_done(self, journal: str, step: str, at: datetime, claim: Claim | None = None) -> Future[Any]:
        """As ``mark``, but posted: it is durable when the next thing is that is waited for. The future tells how it
        went: who was killed before that finds a step of which it is not known whether it was done, and looks."""
        row = self._marked(journal, step, Mark.DONE, at)
        if claim is None:
            return self._database.writer.post(row)
        return _good(self._database.writer.post(partial(_held, row, claim)), claim)

    def _marked(self, journal: str, step: str, mark: Mark, at: datetime) -> Row:
        row = {"journal": journal, "step": step, "mark": mark.value, "at": at}
        return Row(_MARKED[self._database.dialect], row)

    async def close_journal(self, journal: str, closed_as: str, claim: Claim | None = None) -> None:
        await self._write(Row(_CLOSED, {"its_id": journal, "closed_as": closed_as}), claim)

    async def _write(self, row: Row, claim: Claim | None) -> None:
        if claim is None:
            await self._database.writer.write(row)
        elif not await self._database.writer.ask(partial(_held, row, claim)):
            raise ClaimLostError(claim)

    async def journals(
        self, host: str, service: str, closed_as: str | None, *, target: str = "", under: Collection[str] | None = ()
    ) -> list[Journal]:
        """Those of pushes that ended so, or that no one closed (None): the marks of one that was killed. Oldest first.

        Those of ``host``; and of those of the inventory's ``target``, such as are kept under one of the names ``under``
        (None: under whatever name).
        """
        query = _of(host, service, target, under).where(_is_closed(closed_as))
        return await self._database.aside(partial(self._read, query))

    def open_journals(
        self, host: str, service: str, *, target: str = "", under: Collection[str] | None = ()
    ) -> list[Journal]:
        """Those that no one closed, for callers without an event loop."""
        return self._read(_of(host, service, target, under).where(_is_closed(None)))

    def closed_journals(
        self, host: str, service: str, closed_as: str, *, target: str = "", under: Collection[str] | None = ()
    ) -> list[Journal]:
        """Those of pushes that ended so, for callers without an event loop."""
        return self._read(_of(host, service, target, under).where(_is_closed(closed_as)))

    def _read(self, query: Select[Any]) -> list[Journal]:
        return self._database.read(partial(_found, query))


def _found(query: Select[Any], connection: Connection) -> list[Journal]:
    """Two questions, however many journals there are: a far server takes its time for each."""
    rows = connection.execute(query).mappings().all()
    table, marked = journal_steps.c, defaultdict[str, list[JournalStep]](list)
    if rows:
        steps = select(table.journal, table.step, table.mark).where(table.journal.in_([row["id"] for row in rows]))
        for journal, step, mark in connection.execute(steps.order_by(table.id)):
            marked[journal].append(JournalStep(step=step, mark=Mark(mark)))
    return [
        Journal(
            id=row["id"], run=row["run"], target=row["target"], before=row["before"], steps=tuple(marked[row["id"]])
        )
        for row in rows
    ]


def _good(handed: Future[Any], claim: Claim) -> Future[Any]:
    """The same, with ClaimLostError where nothing was written."""
    told: Future[Any] = Future()

    def tell(done: Future[Any]) -> None:
        if (error := done.exception()) is not None:
            told.set_exception(error)
        elif not done.result():
            told.set_exception(ClaimLostError(claim))
        else:
            told.set_result(None)

    handed.add_done_callback(tell)
    return told


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


def _is_closed(closed_as: str | None) -> ColumnElement[bool]:
    return journals.c.closed_as.is_(None) if closed_as is None else journals.c.closed_as == closed_as
