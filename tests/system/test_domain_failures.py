"""What a run comes to where an account or its domain controller is not well: a code, and nothing spent blindly."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.domain.recipe import STRICT_POLICY
from tests.system.command import Ended
from tests.system.memory_domain import RESERVE, WRONG, Fleet, Ground, account_state

krb5 = pytest.importorskip("krb5", reason="Kerberos is not installed here: it is in the extra kerberos")
pytestmark = pytest.mark.lab

TARGETS = 3
QUICK = ("--per-subnet", "0", "--attempts", "1")
AES256 = 18
OTHER = "push1@OTHER.LAB.TEST"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with account_state(tmp_path_factory.mktemp("domain"), tmp_path_factory.mktemp("ground")) as ground:
        yield ground


@pytest.fixture
def fleet(ground: Ground, request: pytest.FixtureRequest) -> Fleet:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    return ground.fleet(name, TARGETS, deadline=5.0)


def pushed(ground: Ground, fleet: Fleet, accounts: Path) -> Ended:
    return fleet.pusher(accounts, ground.environment).push(fleet.inventory, *QUICK)


def codes(ended: Ended) -> set[str | None]:
    assert len(ended.outcomes) == TARGETS, ended.everything_said()
    return {line["code"] for line in ended.outcomes.values()}


@pytest.mark.parametrize(
    ("user", "told", "read"),
    [
        ("exp1", "account-locked", "account-expired"),
        ("dis1", "account-locked", "account-disabled"),
        ("must1", "password-expired", "password-must-change"),
    ],
)
def test_an_account_that_may_not_sign_in(ground: Ground, fleet: Fleet, user: str, told: str, read: str) -> None:
    """By the directory exactly and without a sign-in; else by the KDC, which has one number for several reasons."""
    accounts = ground.accounts(fleet.folder / "a.toml", user, directory="reader")
    before = len(ground.judged(user))
    assert codes(pushed(ground, fleet, accounts)) == {read, "account-stopped"}
    assert len(ground.judged(user)) == before
    accounts = ground.accounts(fleet.folder / "b.toml", user)
    assert codes(pushed(ground, fleet, accounts)) == {told, "account-stopped"}
    assert len(ground.judged(user)) - before == 1
    assert fleet.seen() == []
    assert ground.domain.bad_password_count(user) == 0


@pytest.mark.parametrize("protocol", ["kerberos", "ntlm"])
def test_a_controller_that_is_gone(ground: Ground, fleet: Fleet, protocol: str) -> None:
    """NTLM goes on to the hosts, unproven: what they say costs nothing either."""
    ground.domain.reset("push1")
    judged = len(ground.domain.log())
    accounts = ground.accounts(fleet.folder / "a.toml", "push1", protocol=protocol, directory="reader")
    ground.domain.stop()
    try:
        ended = pushed(ground, fleet, accounts)
    finally:
        ground.domain.start()
    assert codes(ended) == {"no-logon-servers"}, ended.everything_said()
    assert bool(fleet.seen()) is (protocol == "ntlm")
    assert len(ground.domain.log()) == judged
    assert ground.domain.bad_password_count("push1") == 0
    if protocol == "kerberos":  # nothing was counted: there is room for all that the threshold leaves
        ground.serve(fleet)
        assert codes(pushed(ground, fleet, accounts)) == {None}


def test_a_controller_that_is_silent(ground: Ground, fleet: Fleet) -> None:
    """The deadline of five seconds ends the question; the password had not left, so nothing is counted."""
    ground.domain.reset("push1")
    judged = len(ground.domain.log())
    accounts = ground.accounts(fleet.folder / "a.toml", "push1")
    ground.domain.freeze()
    try:
        ended = pushed(ground, fleet, accounts)
    finally:
        ground.domain.thaw()
    assert codes(ended) == {"no-logon-servers"}, ended.everything_said()
    assert fleet.seen() == []
    assert len(ground.domain.log()) == judged
    assert ground.domain.bad_password_count("push1") == 0


def test_a_keytab_of_another_realm(ground: Ground, fleet: Fleet) -> None:
    """Nothing is sent: the file says so."""
    judged = len(ground.judged("push1"))
    keytab = fleet.folder / "other.keytab"
    context = krb5.init_context()
    key = krb5.c_string_to_key(context, AES256, WRONG.encode(), OTHER.encode())
    principal = krb5.parse_name_flags(context, OTHER.encode())
    krb5.kt_add_entry(context, krb5.kt_resolve(context, f"FILE:{keytab}".encode()), principal, 1, 0, key)
    ended = pushed(ground, fleet, ground.accounts(fleet.folder / "a.toml", "push1", secret=f"keytab:{keytab}"))
    assert codes(ended) == {"keytab-wrong-realm", "account-stopped"}, ended.everything_said()
    assert fleet.seen() == []
    assert len(ground.judged("push1")) == judged


def test_a_keytab_of_the_account(ground: Ground, fleet: Fleet) -> None:
    ground.domain.reset("push1")
    ground.serve(fleet)
    secret = f"keytab:{ground.domain.keytab('push1')}"
    ended = pushed(ground, fleet, ground.accounts(fleet.folder / "a.toml", "push1", secret=secret))
    assert codes(ended) == {None}, ended.everything_said()
    assert len(fleet.seen("asked")) == TARGETS


def test_a_ticket_cache(ground: Ground, fleet: Fleet) -> None:
    """That somebody else fills: used as long as it is good, and never more than that."""
    ground.domain.reset("push1")
    ground.serve(fleet)
    cache = fleet.folder / "cache"
    accounts = ground.accounts(fleet.folder / "a.toml", "push1", secret=f"ccache:{cache}")
    judged = len(ground.judged("push1"))
    for seconds in (600, 1):
        subprocess.run(
            ["kinit", "-c", cache, "-l", f"{seconds}s", f"push1@{ground.domain.realm}"],
            env={"PATH": "/usr/bin:/bin", **ground.domain.environment},
            input=ground.domain.password("push1"),
            text=True,
            capture_output=True,
            timeout=30,
            check=True,
        )
        if seconds == 600:
            assert codes(pushed(ground, fleet, accounts)) == {None}
    time.sleep(2.5)
    assert codes(pushed(ground, fleet, accounts)) == {"ticket-expired", "account-stopped"}
    assert len(fleet.seen("asked")) == TARGETS
    assert len(ground.judged("push1")) - judged == 2, "both by kinit"


@pytest.mark.parametrize(
    ("reader", "threshold"), [("reader", STRICT_POLICY.threshold), ("push1", 3)], ids=["seen", "hidden"]
)
def test_a_fine_grained_policy(ground: Ground, fleet: Fleet, reader: str, threshold: int) -> None:
    """Run after run with a wrong password, over one store, until nothing is spent any more.

    Where the policy may not be read, a threshold of 3 is assumed, whatever the accounts file would have assumed.
    """
    ground.domain.reset("strict1")
    before = ground.counted("strict1")
    accounts = ground.accounts(
        fleet.folder / "a.toml", "strict1", password=WRONG, directory=reader, threshold=STRICT_POLICY.threshold + 5
    )
    for _ in range(threshold - RESERVE):
        assert "wrong-password" in codes(pushed(ground, fleet, accounts))
    assert codes(pushed(ground, fleet, accounts)) == {"lockout-budget-spent"}
    assert ground.counted("strict1") - before == threshold - RESERVE == ground.domain.bad_password_count("strict1")
    assert not ground.domain.is_locked("strict1")
