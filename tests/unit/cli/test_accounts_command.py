"""``pusher accounts test`` as it is typed, over a domain in memory: what it says, what it costs, how it ends."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pusher.cli.app import main
from pusher.clock import moment, utc_now
from pusher.credentials.accounts_file import AccountsFile
from pusher.credentials.kerberos.memory import MemoryKerberos
from pusher.credentials.kerberos.tickets import Ticket
from pusher.credentials.lockout.account_state import Request, ask
from pusher.credentials.lockout.budget import AccountKey, LockoutPolicy, Result, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.lockout.ledger import Ledger, changed
from pusher.credentials.lockout.process import this_process
from pusher.directory.memory import MemoryDirectory
from pusher.models import Account, Protocol, Secret
from pusher.problems import Problem, ProblemError
from pusher.settings import open_default_store
from pusher.wiring.lockout import guard_of
from tests.unit.credentials.domain_in_memory import REALM, STATES, directory

SECRET = "Kx7-never-to-be-seen"
READER = "Rz4-nor-is-this"
DIRECTORY = """[directory]
domain = "corp.example"
user = "reader@corp.example"
secret = "env:READER"
"""


def account(user: str = "svc@corp.example", secret: str = "env:PUSH", name: str = "push", more: str = "") -> str:
    return f'[[account]]\nname = "{name}"\nuser = \'{user}\'\nsecret = "{secret}"\n{more}\n'


@dataclass(frozen=True, kw_only=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Bench:
    """The command in a folder of its own. The domain's passwords are ``SECRET``, unless ``password`` is another."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capsys = folder, monkeypatch, capsys
        self.password = SECRET
        self.found: MemoryDirectory | None = None
        self.made: type[MemoryKerberos] = MemoryKerberos
        self.kerberos: list[MemoryKerberos] = []
        self.directories: list[MemoryDirectory] = []
        monkeypatch.setenv("PUSH", SECRET)
        monkeypatch.setenv("READER", READER)
        monkeypatch.setattr("pusher.wiring.sign_in.Krb5", self._kerberos)
        monkeypatch.setattr("pusher.wiring.directory.ldap_directory", self._directory)
        monkeypatch.chdir(folder)

    def _kerberos(self, _: object) -> MemoryKerberos:
        users = {f"{name}@{REALM}": self.password for name in ("svc", "old", *STATES)}
        self.kerberos.append(self.made(utc_now, users, own=f"HOST$@{REALM}"))
        return self.kerberos[-1]

    def _directory(self, *given: Any) -> MemoryDirectory:
        self.directories.append((self.found or directory()).within(given[-1]))
        return self.directories[-1]

    def write(self, text: str, name: str = "accounts.toml") -> None:
        (self.folder / name).write_text(text)

    @property
    def asked(self) -> int:
        return sum(len(kerberos.asked) for kerberos in self.kerberos)

    def run(self, *arguments: str, command: str = "test") -> Said:
        typed = ["pusher", "accounts", command, "--store", str(self.folder / "store.sqlite"), *arguments]
        self._monkeypatch.setattr("sys.argv", typed)
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        for secret in (SECRET, READER, self.password):
            assert secret not in said.out + said.err
        return Said(status=int(ended.value.code or 0), out=said.out, err=said.err)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Bench]:
    made = Bench(tmp_path, monkeypatch, capsys)
    yield made
    assert all(kerberos.closed for kerberos in made.kerberos)
    assert all(found.closed for found in made.directories if found.signed_in)


def test_all_that_can_be_tested_work(bench: Bench) -> None:
    bench.write(account() + account(".\\adm", name="local") + "[fallback]\nenabled = true\n" + DIRECTORY)
    said = bench.run()
    assert (said.status, bench.asked, said.err) == (0, 1, "")
    for words in ("works", "not tested", "(this process)", "locks at 5 failures within 30 min", "own identity"):
        assert words in said.out
    assert said.out.index("push") < said.out.index("local") < said.out.index("own-identity")


def test_one_that_does_not_work(bench: Bench) -> None:
    bench.write(account("account-locked@corp.example", name="locked") + account() + DIRECTORY)
    said = bench.run()
    assert (said.status, bench.asked) == (1, 1)
    assert "account-locked" in said.out
    assert "Unlock it and find what locks it" in said.out
    assert "works" in said.out


def test_a_wrong_password_is_not_spent_again(bench: Bench) -> None:
    bench.write(account())
    bench.password = "another"
    said = bench.run("--json")
    assert (said.status, bench.asked, said.lines[0]["code"]) == (1, 1, "wrong-password")
    assert said.lines[0]["budget"] == {
        "failures": 1, "own_failures": 1, "in_flight": 0, "limit": 1, "threshold": 3, "reserve": 2, "assumed": True,
        "free_at": said.lines[0]["budget"]["free_at"],
    }  # fmt: skip
    assert said.lines[0]["budget"]["free_at"].endswith("Z")
    said = bench.run()
    assert (said.status, bench.asked) == (1, 1)
    assert "lockout-budget-spent" in said.out
    assert "1 of 1 failures used" in said.out and "free again at" in said.out


def test_json_has_one_object_a_line(bench: Bench) -> None:
    bench.write(account("account-disabled@corp.example", name="off") + account(".\\a", "laps:", "laps") + DIRECTORY)
    first, second = bench.run("--json").lines
    assert (first["account"], first["works"], first["code"], first["secret"]) == (
        "off",
        False,
        "account-disabled",
        "env",
    )
    assert first["principal"] == f"account-disabled@{REALM}"
    assert first["directory"]["disabled"] is True
    assert (first["directory"]["threshold"], first["directory"]["window_seconds"]) == (5, 1800.0)
    assert (second["works"], second["code"], second["directory"], second["budget"]) == (None, None, None, None)
    assert first.keys() == second.keys()
    assert first["remedy"] and second["message"]


def test_a_directory_that_is_away_is_told(bench: Bench) -> None:
    bench.found = directory(fails={"": "directory-unreachable"})
    bench.write(account() + DIRECTORY)
    said = bench.run()
    assert said.status == 0
    assert "directory-unreachable" in said.out and "the assumed policy holds" in said.out
    assert bench.run("--json").lines[0]["directory"] == {"code": "directory-unreachable"}


def test_the_reader_is_not_locked_out_by_trials(bench: Bench) -> None:
    bench.found = directory(fails={"": "directory-sign-in-failed"})
    bench.write(account() + DIRECTORY)
    for _ in range(3):
        assert bench.run("--json").lines[0]["directory"] == {"code": "directory-sign-in-failed"}
    assert bench.found.signed_in == 1


def test_a_secret_that_cannot_be_read_is_told_of_each_account(bench: Bench) -> None:
    bench.write(account(secret="env:NOBODY") + account(secret="file:nothing", name="second") + account(name="third"))
    said = bench.run("--json")
    assert [line["code"] for line in said.lines] == ["secret-unreadable", "secret-unreadable", None]
    assert "NOBODY" in said.lines[0]["message"]
    assert said.status == 1


@pytest.mark.parametrize(
    ("make", "arguments", "words"),
    [
        (lambda bench: None, (), "there is no accounts.toml in this folder; expected --accounts FILE"),
        (lambda bench: None, ("--accounts", "missing.toml"), "missing.toml"),
        (lambda bench: bench.write("[[account]]\nname = 3\n"), (), "accounts.toml:2:"),
        (lambda bench: bench.write(account(secret=SECRET)), (), "secret is no reference to a secret"),
        (
            lambda bench: bench.write(account() + DIRECTORY.replace("READER", "NOBODY")),
            (),
            "names the environment variable NOBODY",
        ),
        (
            lambda bench: bench.write(account() + DIRECTORY + 'server = "dc1.corp.example"\nca = "accounts.toml"\n'),
            (),
            "holds no certificate",
        ),
    ],
)
def test_bad_input_contacts_nobody(
    bench: Bench, make: Callable[[Bench], None], arguments: tuple[str, ...], words: str
) -> None:
    make(bench)
    said = bench.run(*arguments)
    assert (said.status, said.out) == (2, "")
    assert words in said.err
    assert len(said.err.splitlines()) == 1
    assert (bench.kerberos, bench.directories) == ([], [])
    assert not (bench.folder / "store.sqlite").exists()


def test_ctrl_c_ends_it_and_counts_what_was_on_its_way(bench: Bench) -> None:
    """Silence after a password was given: the domain may have counted it."""

    class Interrupting(MemoryKerberos):
        async def by_password(self, principal: str, secret: Secret) -> Ticket:
            if principal.startswith("old"):
                signal.raise_signal(signal.SIGINT)
                await asyncio.Event().wait()
            return await super().by_password(principal, secret)

    bench.made = Interrupting
    bench.write(account(name="first") + account("old@corp.example", name="second") + account(name="third"))
    said = bench.run()
    assert said.status == 130
    assert said.err.splitlines()[-1] == "Interrupted; 2 accounts were not tested."
    assert "first" in said.out and "works" in said.out and "third" not in said.out
    bench.made = MemoryKerberos
    assert [line["code"] for line in bench.run("--json").lines] == [None, "lockout-budget-spent", None]


def test_the_file_may_be_another(bench: Bench) -> None:
    bench.write(account(), "others.toml")
    assert bench.run("--accounts", "others.toml").status == 0


def test_the_help_has_an_example(bench: Bench) -> None:
    said = bench.run("--help")
    assert said.status == 0
    words = " ".join(said.out.split())
    assert "pusher accounts test --accounts accounts.toml" in words
    assert "0 all that can be tested work, 1 some do not, 2 bad input" in words


def clearing(bench: Bench, *arguments: str) -> Said:
    return bench.run(*arguments, command="clear")


def test_what_the_domain_has_forgotten_is_forgotten(bench: Bench) -> None:
    """A wrong secret costs the budget its one failure; corrected, the account waits, or is cleared."""
    bench.write(account() + account("old@corp.example", name="old"))
    bench.password = "another"
    assert (bench.run().status, bench.asked) == (1, 2)
    bench.password = SECRET
    assert (bench.run().status, bench.asked) == (1, 2), "the budget is spent"
    said = clearing(bench, "PUSH", "--yes")
    assert (said.status, said.out) == (0, "push: 1 failure forgotten.\n")
    again = bench.run("--json")
    assert [(line["account"], line["works"]) for line in again.lines] == [("push", True), ("old", False)], (
        "the other one is as it was"
    )


def test_another_name_of_the_same_account_that_still_counts_is_told(bench: Bench) -> None:
    bench.write(account() + account("CORPORATION\\svc", name="other"))
    bench.password = "not it"
    assert bench.run().status == 1
    said = clearing(bench, "other", "--yes")
    assert (said.status, said.out) == (
        0,
        "other: 0 failures forgotten.\n"
        "1 failure of push (svc@corp.example), which may be the same account, still counts: "
        "clear that too, or tell them apart by realm.\n"
        f"  pusher accounts clear 'corp\\svc' --store {bench.folder / 'store.sqlite'}\n",
    )
    bench.write(account("CORPORATION\\svc", name="other"))
    assert "of a name that is not in this file, which" in clearing(bench, "other", "--yes").out
    bench.write(account() + account("CORPORATION\\svc", name="other"))
    assert [clearing(bench, name, "--yes", "--json").lines for name in ("push", "other")] == [
        [
            {
                "account": "push",
                "user": "svc@corp.example",
                "forgotten": 1,
                "still_counted_under_another_name": 0,
                "released": 0,
            }
        ],
        [
            {
                "account": "other",
                "user": "CORPORATION\\svc",
                "forgotten": 0,
                "still_counted_under_another_name": 0,
                "released": 0,
            }
        ],
    ]


SPENT = [
    ("CORP\\svc-agent", "corp\\svc-agent", None),
    ("CORP\\o'neill & co", "corp\\o'neill & co", None),
    ("svc-agent@ad.corp.example", "ad\\svc-agent", None),
    ("svc+agent@corp.example", "svc+agent@corp", None),
    (".\\the agent", ".\\the agent", "ws01.corp.example"),
]


async def failing_once(guard: LockoutGuard, key: AccountKey) -> Problem:
    """The words of the refusal that follows."""
    async with guard.lease(key) as lease:
        lease.settle(Result.FAILED)
    with pytest.raises(ProblemError) as refused:
        async with guard.lease(key):
            pass
    return refused.value.problem


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(("user", "written", "host"), SPENT)
def test_the_command_of_a_refusal_works_as_it_is_printed(
    bench: Bench, user: str, written: str, host: str | None, listed: bool
) -> None:
    """Whoever uses the account: a service's stands in no accounts file, or another account of that user does."""
    if listed:
        realm = "" if host else 'realm = "ELSEWHERE.EXAMPLE"'
        bench.write(account("USER", more=realm).replace("'USER'", json.dumps(user)))
    place = str(bench.folder / "another store.sqlite")
    key = account_key(Account(name="a", user=user, secret="", protocol=Protocol.NTLM), host or "")
    with closing(open_default_store(place)) as store:
        guard = guard_of(AccountsFile.own_identity_only(), store, place)
        message = asyncio.run(failing_once(guard, key)).message
    words = message[message.index("pusher accounts clear") :]
    (line,) = bench.run("--json", "--store", place, command="budget").lines
    assert line == {
        "user": written, "host": host, "failures": 1, "cut_off": 0, "in_flight": 0, "limit": 1,
        "free_at": line["free_at"], "clear": words,
    }  # fmt: skip
    page = bench.run("--store", place, command="budget").out
    assert words in page.splitlines() and (host or "its domain") in page and "1 of 1" in page
    said = clearing(bench, *shlex.split(words)[3:], "--yes")
    assert (said.status, said.out) == (0, f"{written}: 1 failure forgotten.\n"), said.err
    assert bench.run("--json", "--store", place, command="budget").lines == []
    assert "No account has failed" in bench.run("--store", place, command="budget").out


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            f"postgresql+psycopg://pusher:{SECRET}@db.corp.example/pusher?sslmode=require",
            "postgresql+psycopg://pusher@db.corp.example/pusher?sslmode=require",
        ),
        (
            f"postgresql+psycopg://db.corp.example:6432/pusher?password={SECRET}&user=u%20v",
            "postgresql+psycopg://db.corp.example:6432/pusher?user=u+v",
        ),
    ],
)
def test_the_command_of_a_refusal_works_as_printed_and_shows_no_password_of_the_store(
    bench: Bench, url: str, shown: str
) -> None:
    """PostgreSQL's own library asks the environment and ~/.pgpass for a password that is not said."""
    with closing(open_default_store(str(bench.folder / "store.sqlite"))) as store:
        command = guard_of(AccountsFile.own_identity_only(), store, url).clear_command(
            AccountKey(entry="s", domain="c")
        )
    assert SECRET not in command
    assert shlex.split(command) == ["pusher", "accounts", "clear", "c\\s", "--store", shown]


def test_an_entry_that_cannot_be_understood_keeps_no_other_from_being_cleared(bench: Bench) -> None:
    bench.write(account())
    bench.password = "another"
    assert bench.run().status == 1
    with closing(open_default_store(str(bench.folder / "store.sqlite"))) as store:
        asyncio.run(spoilt(store.ledger))
    assert clearing(bench, "push", "--yes").out == "push: 1 failure forgotten.\n"
    assert [line["user"] for line in bench.run("--json", command="budget").lines] == ["corp\\one-more"]


async def spoilt(ledger: Ledger, entry: str = "one-more") -> None:
    await ledger.change(entry, lambda _: ({"corp": {"failures": "of another version"}}, None))


@pytest.mark.parametrize("written", [None, "{", "5", "null", '"text"', "[]", '{"": 1}'])
@pytest.mark.parametrize(
    ("user", "entry", "host"), [("svc@corp.example", "svc", []), (".\\adm", "ws01\\adm", ["ws01"])]
)
def test_an_entry_that_cannot_be_understood_is_cleared_once_it_is_said_what_is_lost(
    bench: Bench, written: str | None, user: str, entry: str, host: list[str]
) -> None:
    bench.write(account(user))
    place = bench.folder / "store.sqlite"
    with closing(open_default_store(str(place))) as store:
        asyncio.run(spoilt(store.ledger, entry))
        asyncio.run(spoilt(store.ledger))
    if written is not None:
        with closing(sqlite3.connect(place)) as connection, connection:
            connection.execute("UPDATE lockout SET standing = ? WHERE account = ?", (written, entry))
    found = Account(name="push", user=user, secret="", protocol=Protocol.NTLM)
    key = account_key(found, "".join(host))

    async def tried() -> str:
        with closing(open_default_store(str(place))) as store:
            try:
                async with guard_of(AccountsFile.own_identity_only(), store, str(place)).lease(key) as lease:
                    lease.settle(Result.OK)
            except ProblemError as error:
                assert f"of the store {place}" in error.problem.message
                return error.problem.message.partition("to forget it: ")[2]
            return ""

    command = asyncio.run(tried())
    rows = {line["clear"]: line for line in bench.run("--json", command="budget").lines}
    assert (len(rows), {row["failures"] for row in rows.values()}) == (2, {None})
    page = bench.run(command="budget").out
    (row,) = (row for row in rows.values() if row["user"].endswith(entry[-3:]))
    assert row["clear"] in page.splitlines()
    where = ["--host", *host] if host else []
    assert clearing(bench, "push", *where).status == 2
    assert asyncio.run(tried()) == command, "nobody has been asked, so nothing was forgotten"
    said = clearing(bench, *shlex.split(command if written is None else row["clear"])[3:], "--yes")
    assert (said.status, "cannot be understood. How often it has failed" in said.err) == (0, True)
    assert said.out.endswith(": all of its entry forgotten.\n")
    assert asyncio.run(tried()) == ""
    assert len(bench.run("--json", command="budget").lines) == 1, "the other one is as it was"


def test_a_machines_own_account_whose_sign_in_a_kill_cut_off(bench: Bench) -> None:
    """What the README promises of it: the message has the time, an hour and two minutes, and the way out works."""
    place, policy = str(bench.folder / "store.sqlite"), LockoutPolicy(threshold=3, reserve=2)
    key, killed = AccountKey(entry="ws01.corp.example\\adm"), this_process()
    asked = Request(process=replace(killed, started=killed.started - 1), run="", policy=policy, leases=("killed",))

    async def refused(guard: LockoutGuard) -> tuple[str, datetime, datetime]:
        before = utc_now()
        with pytest.raises(ProblemError) as found:
            async with guard.lease(key):
                pass
        return found.value.problem.message, before, utc_now()

    async def granted(guard: LockoutGuard) -> None:
        async with guard.lease(key) as lease:
            lease.settle(Result.OK)

    async def on_its_way(ledger: Ledger) -> None:
        await changed(ledger, key, lambda account_state: ask(account_state, asked, moment(), lambda _: False))

    with closing(open_default_store(place)) as store:
        guard = guard_of(AccountsFile.own_identity_only(), store, place)
        asyncio.run(on_its_way(store.ledger))
        message, before, after = asyncio.run(refused(guard))
        used = f"1 of 1 failed sign-ins that the budget of the store {place} allows are used"
        assert f"{used}, 1 of them cut off before a verdict" in message
        until = re.search(r"free again at (\S+ \S+) UTC", message)
        assert until is not None
        at = datetime.fromisoformat(f"{until[1]}+00:00") - timedelta(minutes=62)
        assert before <= at <= after + timedelta(seconds=1)
        command = shlex.split(message[message.index("pusher accounts clear") :])
        assert clearing(bench, *command[3:], "--yes").out == ".\\adm: 1 failure forgotten.\n"
        asyncio.run(granted(guard))


def test_a_user_that_the_file_has_is_cleared_by_its_realm_too(bench: Bench) -> None:
    bench.write(account("CORP\\svc", more='realm = "AD.CORP.EXAMPLE"'))
    place = str(bench.folder / "store.sqlite")
    with closing(open_default_store(place)) as store:
        guard = guard_of(AccountsFile.own_identity_only(), store, place)
        asyncio.run(failing_once(guard, AccountKey(entry="svc", domain="ad")))
    assert clearing(bench, "corp\\SVC", "--yes").out == "corp\\SVC: 1 failure forgotten.\n"
    said = clearing(bench, "corp\\svc", "--yes").out
    assert said.startswith("corp\\svc: 0 failures forgotten.\nNothing was counted under that name. ")


@pytest.mark.parametrize("host", ["WS01.corp.example", "ws01.corp.example.", " ws01.CORP.example", "ws01", "10.0.0.1"])
def test_a_machines_own_account_is_cleared_on_that_machine(bench: Bench, host: str) -> None:
    bench.write(account(".\\Adm", name="local"))
    machine = host.strip().lower().rstrip(".")

    def spent(*machines: str) -> None:
        with closing(open_default_store(str(bench.folder / "store.sqlite"))) as store:
            guard = LockoutGuard(LockoutPolicy(threshold=3, reserve=2), store.ledger)
            for one in machines:
                asyncio.run(failing(guard, AccountKey(entry=f"{one}\\adm")))

    async def failing(guard: LockoutGuard, key: AccountKey) -> None:
        async with guard.lease(key) as lease:
            lease.settle(Result.UNKNOWN)

    spent(machine, "another")
    said = clearing(bench, "local", "--host", host, "--yes")
    assert (said.status, said.out) == (0, "local: 1 failure forgotten.\n")
    said = clearing(bench, "local", "--host", "another", "--yes", "--json")
    assert said.lines[0]["forgotten"] == 1, "the other machine's is still there"


@pytest.mark.parametrize(
    ("more", "noted"),
    [("", True), (DIRECTORY, False)],
)
def test_how_far_the_budget_sees_is_said(bench: Bench, more: str, noted: bool) -> None:
    bench.write(account() + more)
    said = bench.run()
    assert said.status == 0
    assert (
        f"note: the lockout budget knows the failed sign-ins of the store {bench.folder / 'store.sqlite'} only"
        in said.err
    ) is noted
    bench.write(account(".\\adm"))
    assert bench.run().err == ""


@pytest.mark.parametrize("name", ["push", "local"])
def test_a_host_is_of_a_local_account_and_only_of_one(bench: Bench, name: str) -> None:
    bench.write(account() + account(".\\adm", name="local"))
    host = "ws01" if name == "push" else " "
    said = clearing(bench, name, "--host", host, "--yes")
    assert (said.status, said.out) == (2, "")
    assert ("which counts its failures for all machines" if name == "push" else "--host MACHINE") in said.err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("posh", "did you mean push?"),
        ("posh", "or a user: user@domain, DOMAIN\\user, or .\\user"),
        ("CORP\\svc", "--yes"),
        (".\\svc", "so each machine counts its failures; expected --host MACHINE"),
        ("local", "so each machine counts its failures; expected --host MACHINE"),
        ("own-identity", "is the process's own"),
        ("push", "--yes"),
    ],
)
def test_what_cannot_be_cleared(bench: Bench, name: str, words: str) -> None:
    bench.write(account() + account(".\\adm", name="local") + "[fallback]\nenabled = true\n")
    said = clearing(bench, name)
    assert (said.status, said.out) == (2, "")
    assert words in said.err
    assert not (bench.folder / "store.sqlite").exists()
