"""One engine a process: what it opens, how often, and what its runs share, one after the other and at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pusher.clock import utc_now
from pusher.credentials.kerberos.memory import MemoryKerberos
from pusher.credentials.kerberos.settings import FILE
from pusher.directory.memory import MemoryDirectory, entry
from pusher.models import Verb
from pusher.problems import BadInput, Code, ProblemError
from pusher.push.context import Stop
from pusher.settings import Options
from pusher.store import Store, open_store
from pusher.wiring.engine import Engine, open_engine
from pusher.wiring.inventory import inventory_of
from pusher.wiring.run_plan import prepare_run
from pusher.wiring.run_resources import RunResources, open_run
from tests.unit.push.harness import Watching

BASE = "DC=corp,DC=example"
ACCOUNTS = """[[account]]
name = "push"
user = "svc@corp.example"
secret = "env:PUSH"
"""
READER = """[directory]
domain = "corp.example"
user = "reader@corp.example"
secret = "env:PUSH"
"""


class Place:
    """A folder with files of an operator; the domain's password is not the one that they say."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.kerberos: list[MemoryKerberos] = []
        self.opened: list[str] = []
        self.found = MemoryDirectory([entry(BASE)])
        monkeypatch.setenv("PUSH", "not-the-right-one")
        monkeypatch.delenv("KRB5_CONFIG", raising=False)
        monkeypatch.setattr("pusher.wiring.sign_in.Krb5", self._kerberos)
        monkeypatch.setattr("pusher.wiring.directory.ldap_directory", lambda *given: self.found.within(given[-1]))
        monkeypatch.setattr("pusher.wiring.engine.open_default_store", self._store)
        (folder / "accounts.toml").write_text(ACCOUNTS)
        (folder / "i.yaml").write_text("version: 1\ngroups: {a: {hosts: [pc1.corp.example]}}\n")

    def _kerberos(self, _: object) -> MemoryKerberos:
        self.kerberos.append(MemoryKerberos(utc_now, {"svc@CORP.EXAMPLE": "right"}, own="HOST$@CORP.EXAMPLE"))
        return self.kerberos[-1]

    def _store(self, url: str | None) -> Store:
        assert url is not None
        self.opened.append(url)
        return open_store(url)

    @property
    def options(self) -> Options:
        return Options(
            inventory=self.folder / "i.yaml", store=str(self.folder / "store.sqlite"), log=self.folder / "log"
        )

    def engine(self) -> Iterator[Engine]:
        with open_engine(self.options.store, self.options.log) as engine:
            yield engine

    @property
    def asked(self) -> int:
        """How often a domain controller was."""
        return sum(len(one.asked) for one in self.kerberos)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


@pytest.fixture
def engine(place: Place) -> Iterator[Engine]:
    yield from place.engine()


async def tried(run: RunResources) -> str:
    """What a sign-in by the run's account comes to."""
    async with run.dispatcher(Watching(), lambda _: None, Stop()) as dispatcher:
        context = dispatcher._context
        try:
            await context.tickets.ticket(context.accounts[0])
        except ProblemError as error:
            return error.problem.code
        finally:
            await context.tickets.close()
    return "signed in"


def test_what_nobody_needs_is_not_opened(place: Place, engine: Engine) -> None:
    prepare_run(place.options, Verb.CHECK, engine)
    assert (engine.is_open, place.opened) == (False, [])
    assert {path.name for path in place.folder.iterdir()} == {"accounts.toml", "i.yaml"}


def test_runs_one_after_the_other_have_one_engine_and_one_budget(place: Place, engine: Engine) -> None:
    """Threshold 3 is assumed, with a reserve of 2: one failure, whoever makes it."""
    codes = []
    for _ in range(2):
        with open_run(prepare_run(place.options, Verb.CHECK, engine), engine) as run:
            codes.append(asyncio.run(tried(run)))
    assert codes == ["wrong-password", "lockout-budget-spent"]
    assert (place.asked, place.opened) == (1, [place.options.store])
    assert all(one.closed for one in place.kerberos), "no ticket outlives its run"


def test_runs_at_once_have_one_engine_and_one_budget(place: Place, engine: Engine) -> None:
    async def at_once(*runs: RunResources) -> list[str]:
        return list(await asyncio.gather(*map(tried, runs)))

    with ExitStack() as stack:
        plans = [prepare_run(place.options, Verb.CHECK, engine) for _ in range(2)]
        one, other = (stack.enter_context(open_run(plan, engine)) for plan in plans)
        assert one.run.id != other.run.id
        assert (one.store, one.redactor) == (other.store, other.redactor)
        codes = asyncio.run(at_once(one, other))
    assert sorted(codes) == ["lockout-budget-spent", "wrong-password"]
    assert (place.asked, place.opened) == (1, [place.options.store])


def test_a_run_that_ends_takes_nothing_from_another(place: Place, engine: Engine) -> None:
    """Without its setting Kerberos would ask for what DNS says, and prove the wrong machine."""
    first, second = (open_run(prepare_run(place.options, Verb.CHECK, engine), engine) for _ in range(2))
    with second as run:
        first.__enter__()
        first.__exit__(None, None, None)
        assert os.environ["KRB5_CONFIG"].partition(":")[0] == str(FILE)
        run.begin()
        assert engine.store().run(run.run.id) is not None


def test_all_is_closed_with_the_engine(place: Place) -> None:
    with open_engine(place.options.store, place.options.log) as engine:
        with open_run(prepare_run(place.options, Verb.CHECK, engine), engine) as run:
            run.begin()
        assert "KRB5_CONFIG" in os.environ
    assert "KRB5_CONFIG" not in os.environ
    with pytest.raises(ProblemError, match="has ended"):
        engine.store().end_run(run.run.id, utc_now())


def test_who_reads_the_directory_is_counted_where_the_run_counts(place: Place, engine: Engine) -> None:
    """One store for both, opened once."""
    (place.folder / "accounts.toml").write_text(ACCOUNTS + READER)
    (place.folder / "i.yaml").write_text(f"version: 1\ngroups:\n  all:\n    directory: {{base: '{BASE}'}}\n")
    place.found = MemoryDirectory([entry(BASE)], fails={"": Code.DIRECTORY_SIGN_IN_FAILED})
    for _ in range(2):
        with pytest.raises(ProblemError, match="directory-sign-in-failed"):
            prepare_run(place.options, Verb.CHECK, engine)
        with pytest.raises(ProblemError, match="directory-sign-in-failed"):
            inventory_of(place.options, engine)
    assert (place.found.signed_in, place.opened) == (1, [place.options.store])


def test_a_log_that_cannot_be_written_is_bad_input(place: Place) -> None:
    with open_engine(place.options.store, place.folder) as engine, pytest.raises(BadInput, match="the log"):
        open_run(prepare_run(place.options, Verb.CHECK, engine), engine).__enter__()
