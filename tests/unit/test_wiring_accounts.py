"""A run whose accounts file has a [directory]: accounts are read before they are tried, LAPS passwords come from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import structlog

from pusher.clock import utc_now
from pusher.credentials.kerberos.memory import MemoryKerberos
from pusher.directory.memory import MemoryDirectory, entry
from pusher.models import Account, Target, Verb
from pusher.problems import BadInput, ProblemError
from pusher.push.context import RunContext, Stop
from pusher.settings import Options
from pusher.wiring.engine import open_engine
from pusher.wiring.run_plan import prepare_run
from pusher.wiring.run_resources import open_run
from tests.unit.credentials.domain_in_memory import BASE, REALM, directory
from tests.unit.push.harness import Watching

SECRET, READER, LAPS = "Kx7-never-to-be-seen", "Rz4-nor-is-this", "Lw2-of-one-machine"
PUSH = '[[account]]\nname = "push"\nuser = "{user}@corp.example"\nsecret = "env:PUSH"\n'
LOCAL = '[[account]]\nname = "laps"\nuser = \'.\\adm\'\nsecret = "laps:"\n'
DIRECTORY = '[directory]\ndomain = "corp.example"\nuser = "reader@corp.example"\nsecret = "env:READER"\n'


class Bench:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.found = directory()
        self.opened = 0
        self.notes: list[str] = []
        self.kerberos = MemoryKerberos(utc_now, {f"svc@{REALM}": SECRET, f"account-locked@{REALM}": SECRET})
        monkeypatch.setenv("PUSH", SECRET)
        monkeypatch.setenv("READER", READER)
        monkeypatch.setattr("pusher.wiring.sign_in.Krb5", lambda _: self.kerberos)
        monkeypatch.setattr("pusher.wiring.directory.ldap_directory", self._directory)

    def _directory(self, *given: Any) -> MemoryDirectory:
        self.opened += 1
        return self.found.within(given[-1])

    def run(self, accounts: str, story: Callable[[RunContext, Account], Awaitable[None]]) -> list[dict[str, object]]:
        """Inside a run with the accounts; the lines of its log."""
        (self.folder / "accounts.toml").write_text(accounts)
        inventory = self.folder / "i.yaml"
        inventory.write_text("version: 1\ngroups: {a: {hosts: [pc1.corp.example]}}\n")
        log = self.folder / "log"
        options = Options(inventory=inventory, store=str(self.folder / "store.sqlite"), log=log)
        with (
            open_engine(options.store, options.log) as engine,
            open_run(prepare_run(options, Verb.CHECK, engine), engine, self.notes.append) as run,
        ):

            async def play() -> None:
                async with run.dispatcher(Watching(), lambda _: None, Stop()) as dispatcher:
                    context = dispatcher._context
                    try:
                        await story(context, context.accounts[0])
                    finally:
                        await context.tickets.close()

            asyncio.run(play())
        return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, monkeypatch)


async def code_of(asking: Awaitable[object]) -> str | None:
    try:
        await asking
    except ProblemError as error:
        return error.problem.code
    return None


def test_an_account_is_read_before_it_is_tried(bench: Bench) -> None:
    async def story(context: RunContext, account: Account) -> None:
        assert bench.found.searches == [], "nobody has asked for it yet"
        assert await code_of(context.tickets.ticket(account)) == "account-locked"

    bench.run(PUSH.format(user="account-locked") + DIRECTORY, story)
    assert (bench.kerberos.asked, bench.found.closed) == ([], True)


def test_without_a_directory_it_is_tried_as_it_was(bench: Bench) -> None:
    async def story(context: RunContext, account: Account) -> None:
        assert context.per_host is None
        await context.tickets.ticket(account)

    bench.run(PUSH.format(user="svc"), story)
    assert (len(bench.kerberos.asked), bench.opened) == (1, 0)


def test_a_directory_that_is_away_is_noted_in_the_log_and_said_once(bench: Bench) -> None:
    bench.found = directory(fails={"": "directory-unreachable"})

    async def story(context: RunContext, account: Account) -> None:
        for one in context.accounts:
            await code_of(context.tickets.ticket(one))

    other = PUSH.format(user="must-change").replace('"push"', '"other"')
    lines = bench.run(PUSH.format(user="svc") + other + DIRECTORY, story)
    told = [(line["event"], line["account"], line["code"]) for line in lines]
    assert told == [("account-not-read", name, "directory-unreachable") for name in ("push", "other")]
    (note,) = bench.notes
    assert note.startswith("the directory could not be asked about push (directory-unreachable: ")
    assert note.endswith("after 3 failures (assume_threshold)")


def test_laps_passwords_are_the_directorys_and_no_logs(bench: Bench) -> None:
    bench.found = MemoryDirectory(
        [
            entry(BASE),
            entry(f"CN=PC1,{BASE}", {"objectCategory": f"CN=Computer,CN=Schema,{BASE}", "ms-Mcs-AdmPwd": LAPS,
                                     "dNSHostName": "pc1.corp.example", "ms-Mcs-AdmPwdExpirationTime": 1}),
        ]
    )  # fmt: skip

    async def story(context: RunContext, account: Account) -> None:
        assert context.per_host is not None
        secret = await context.per_host.secret_for(account, Target(name="pc1.corp.example"))
        assert secret.reveal() == LAPS
        structlog.get_logger().info("said", detail=f"{LAPS} {READER} {SECRET}")

    (line,) = bench.run(LOCAL + PUSH.format(user="svc") + DIRECTORY, story)
    assert line["detail"] == "*** *** ***"


def test_the_readers_secret_is_read_before_anything_is_done(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("READER")

    async def story(context: RunContext, account: Account) -> None:
        raise AssertionError

    with pytest.raises(BadInput, match="READER"):
        bench.run(PUSH.format(user="svc") + DIRECTORY, story)
    assert not (bench.folder / "store.sqlite").exists()
