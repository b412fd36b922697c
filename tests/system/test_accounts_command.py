"""`pusher accounts test` against the lab's domain controller, whose own counter tells what each trial has cost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.domain import Domain
from tests.contract.lab_domain import started
from tests.system.command import Ended, Pusher

pytestmark = pytest.mark.lab

WRONG = "Qx7-this-is-not-it"
RESERVE = 4  # of the domain's threshold of 5: one failure is spared


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    with started(tmp_path_factory.mktemp("domain")) as domain:
        yield domain


class Bench:
    """The command in a folder of its own, over a store of its own."""

    def __init__(self, domain: Domain, folder: Path) -> None:
        self.domain, self.folder = domain, folder
        self.pusher = Pusher(folder=folder, environment=domain.naming_environment)
        self.wrong = folder / "wrong"
        self.wrong.touch(mode=0o600)
        self.wrong.write_text(WRONG, encoding="utf-8")

    def account(self, user: str, secret: str | None = None, name: str | None = None) -> str:
        """By its own secret, unless another is given."""
        reference = secret or f"file:{self.domain.secret_file(user)}"
        named = name or f"{user}@{self.domain.domain}"
        return f'[[account]]\nname = "{user}"\nuser = \'{named}\'\nsecret = "{reference}"\n'

    def test(
        self, *accounts: str, reader: str | None = "reader", readers_secret: Path | None = None, json: bool = True
    ) -> Ended:
        text = "".join(accounts) + f"[lockout]\nreserve = {RESERVE}\nassume_threshold = 5\n"
        if reader is not None:
            domain = self.domain
            text += (
                f'[directory]\ndomain = "{domain.domain}"\nserver = "{domain.fqdn}"\n'
                f'user = "{reader}@{domain.domain}"\n'
                f'secret = "file:{readers_secret or domain.secret_file(reader)}"\n'
            )
        (self.folder / "accounts.toml").write_text(text, encoding="utf-8")
        ended = self.pusher.reading("accounts", "test", *(["--json"] if json else []))
        said = ended.everything_said()
        for user in ("push1", "push2", "push3", "strict1", "dis1", "reader"):
            assert self.domain.password(user) not in said
        assert WRONG not in said
        return ended

    def judged(self, user: str) -> int:
        """Sign-ins of the user that the domain controller has seen so far."""
        return sum(user in seen.user for seen in self.domain.log())


@pytest.fixture
def bench(domain: Domain, tmp_path: Path) -> Iterator[Bench]:
    domain.reset()
    yield Bench(domain, tmp_path)
    domain.reset()


def only(ended: Ended) -> dict[str, Any]:
    (line,) = ended.lines or [{"nothing on stdout": ended.stderr}]
    return line


def test_the_right_password_works_and_costs_nothing(bench: Bench) -> None:
    ended = bench.test(bench.account("push1"))
    line = only(ended)
    assert (ended.status, line["works"], line["code"]) == (0, True, None), ended.everything_said()
    assert line["directory"] == {
        "code": None, "threshold": 5, "window_seconds": 1800.0, "policy": "the domain's policy", "bad_count": 0,
        "counted_by": bench.domain.fqdn, "locked": False, "disabled": False, "expired": False,
        "password_expired": False, "must_change": False,
    }  # fmt: skip
    assert (line["budget"]["failures"], line["budget"]["in_flight"], line["tries_left"]) == (0, 0, 1)
    assert bench.domain.bad_password_count("push1") == 0


def test_a_wrong_password_is_counted_once_and_not_spent_again(bench: Bench) -> None:
    account = bench.account("push2", f"file:{bench.wrong}")
    ended = bench.test(account)
    assert (ended.status, only(ended)["code"]) == (1, "wrong-password"), ended.everything_said()
    assert only(ended)["budget"]["failures"] == 1
    assert bench.domain.bad_password_count("push2") == 1
    for _ in range(2):
        ended = bench.test(account)
        line = only(ended)
        assert (ended.status, line["code"], line["tries_left"]) == (1, "lockout-budget-spent", 0)
        assert (line["directory"]["bad_count"], line["budget"]["failures"]) == (1, 1), "it is counted once"
    assert bench.domain.bad_password_count("push2") == 1


def test_so_it_is_without_a_directory(bench: Bench) -> None:
    account = bench.account("push2", f"file:{bench.wrong}")
    codes = [only(bench.test(account, reader=None))["code"] for _ in range(2)]
    assert codes == ["wrong-password", "lockout-budget-spent"]
    assert bench.domain.bad_password_count("push2") == 1


def test_a_failure_of_its_people_is_in_the_budget(bench: Bench) -> None:
    """Of which pusher's own store knows nothing: it is another one."""
    (bench.folder / "elsewhere").mkdir()
    elsewhere = Bench(bench.domain, bench.folder / "elsewhere")
    assert only(elsewhere.test(bench.account("push2", f"file:{bench.wrong}")))["code"] == "wrong-password"
    line = only(bench.test(bench.account("push2")))
    assert (line["code"], line["directory"]["bad_count"]) == ("lockout-budget-spent", 1)
    assert bench.domain.bad_password_count("push2") == 1


def test_a_locked_account_is_not_tried(bench: Bench) -> None:
    since_1601 = int(time.time() + 11_644_473_600) * 10_000_000
    bench.domain.modify(
        f"dn: CN=push3,OU=Push,{bench.domain.base_dn}\nchangetype: modify\n"
        f"replace: lockoutTime\nlockoutTime: {since_1601}\n"
    )
    assert bench.domain.is_locked("push3")
    before, count = bench.judged("push3"), bench.domain.bad_password_count("push3")
    ended = bench.test(bench.account("push3"))
    line = only(ended)
    assert (ended.status, line["code"], line["directory"]["locked"]) == (1, "account-locked", True), line
    assert (bench.judged("push3"), bench.domain.bad_password_count("push3")) == (before, count)


@pytest.mark.parametrize(
    ("user", "code"),
    [("dis1", "account-disabled"), ("exp1", "account-expired"), ("must1", "password-must-change")],
)
def test_an_account_that_cannot_sign_in_is_not_tried(bench: Bench, user: str, code: str) -> None:
    before = bench.judged(user)
    ended = bench.test(bench.account(user, f"file:{bench.wrong}"))
    assert (ended.status, only(ended)["code"]) == (1, code), ended.everything_said()
    assert (bench.judged(user), bench.domain.bad_password_count(user)) == (before, 0)


def test_a_fine_grained_policy_leaves_less(bench: Bench) -> None:
    """Its threshold is 4, and 4 are reserved. Its NetBIOS name is the directory's to know."""
    line = only(bench.test(bench.account("strict1", name=f"{bench.domain.netbios}\\strict1")))
    assert (line["code"], line["principal"]) == ("lockout-budget-spent", f"strict1@{bench.domain.realm}")
    assert (line["directory"]["threshold"], line["budget"]["limit"]) == (4, 0)
    assert "Strict-Push" in line["directory"]["policy"]


def test_a_policy_that_is_hidden_is_assumed(bench: Bench) -> None:
    line = only(bench.test(bench.account("strict1"), reader="nolaps"))
    assert line["directory"]["threshold"] == 3
    assert "assumed" in line["directory"]["policy"]


def test_a_wrong_password_of_the_reader_is_spent_once_and_takes_no_account_away(bench: Bench) -> None:
    for _ in range(3):
        line = only(bench.test(bench.account("push1"), readers_secret=bench.wrong))
        assert (line["works"], line["directory"]["code"]) == (True, "directory-sign-in-failed")
        assert line["budget"]["assumed"] is True
    assert bench.domain.bad_password_count("reader") == 1


def test_a_keytab_and_a_page_for_people(bench: Bench) -> None:
    ended = bench.test(bench.account("push3", f"keytab:{bench.domain.keytab('push3')}"), json=False)
    assert ended.status == 0, ended.everything_said()
    assert "works" in ended.stdout and "locks at 5 failures within 30 min" in ended.stdout


def test_a_domain_controller_that_is_away(bench: Bench) -> None:
    """Nothing is known, and nothing is spent."""
    bench.domain.stop()
    try:
        ended = bench.test(bench.account("push1"))
    finally:
        bench.domain.start()
    line = only(ended)
    assert (ended.status, line["code"]) == (1, "no-logon-servers"), ended.everything_said()
    assert line["directory"]["code"] == "directory-unreachable"
    assert (line["budget"]["failures"], line["budget"]["in_flight"]) == (0, 0)
    assert only(bench.test(bench.account("push1")))["works"] is True
