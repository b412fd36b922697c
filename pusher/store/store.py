"""One open store: the calls on every noun, together."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from pusher.clock import utc_now
from pusher.store.budget import BudgetLedger
from pusher.store.claims import Claims
from pusher.store.content import Content
from pusher.store.database import Database
from pusher.store.events import Events
from pusher.store.figures import Figures
from pusher.store.journals import Journals
from pusher.store.outcomes import Outcomes
from pusher.store.queries import Queries
from pusher.store.refusals import Refusals
from pusher.store.registry import Registry
from pusher.store.runs import Runs
from pusher.store.server_time import now_of
from pusher.store.upkeep import Upkeep
from pusher.store.waves import Waves
from pusher.store.work import Work
from pusher.store.workers import Workers


class Store(
    Runs, Outcomes, Events, Journals, Workers, Claims, Work, Waves, Content, Refusals, Upkeep, Figures, Queries
):
    """Writing goes through a thread that commits in batches; reading happens at once.

    Every call may raise StoreError (``store-…``). What is posted raises nothing: its future tells how it went.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.ledger = BudgetLedger(database)
        self.registry = Registry(database)

    @property
    def name(self) -> str:
        """What it is called in messages: its path or its URL, without a password."""
        return self._database.name

    @property
    def path(self) -> Path | None:
        """Its file; None where it is kept by a server."""
        return self._database.file.path if self._database.file is not None else None

    def clock_offset(self) -> timedelta:
        """How far its clock is ahead of this machine's, surely: what asking takes is no difference. It has one of its
        own where a server keeps it."""
        asked = utc_now()
        told = self._database.read(now_of)
        heard = utc_now()
        if told < asked:
            return told - asked
        return max(told - heard, timedelta())

    def close(self) -> None:
        """Commit what is left. Raises nothing: who handed something over has been told what became of it."""
        self._database.close()
