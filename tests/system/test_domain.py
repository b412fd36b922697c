"""No account is locked out, by a real domain controller's own count and log.

The hosts are in memory and ask it (memory_fleet.py): 500 real ones do not fit on one machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from tests.system.command import Ended, Pusher, eventually
from tests.system.memory_domain import ALLOWED, WRONG, Fleet, Ground, account_state
from tests.system.sampling import Sampler

pytestmark = pytest.mark.lab

MANY, TARGETS = 500, 10
PUSHERS = 6
LEFT_ALONE = ("account-stopped", "lockout-budget-spent")
QUICK = ("--per-subnet", "0", "--attempts", "1")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with account_state(tmp_path_factory.mktemp("domain"), tmp_path_factory.mktemp("ground")) as ground:
        yield ground


@pytest.mark.parametrize("protocol", ["kerberos", "ntlm"])
def test_a_wrong_password_for_500_targets_costs_one_failure(ground: Ground, protocol: str) -> None:
    """And no host is asked anything: each of the others is told why it was left alone."""
    ground.domain.reset("push1")
    before = ground.counted("push1")
    fleet = ground.fleet(f"wrong-{protocol}", MANY)
    accounts = ground.accounts(fleet.folder / "wrong.toml", "push1", protocol=protocol, password=WRONG)
    ended = fleet.pusher(accounts, ground.environment).push(fleet.inventory, "--concurrency", "200", *QUICK)
    assert ended.status == 1, ended.stderr
    assert codes_of(ended) == {"wrong-password": 1, "account-stopped": MANY - 1}
    assert fleet.seen() == []
    assert ground.counted("push1") - before == 1
    assert ground.domain.bad_password_count("push1") == 1
    assert not ground.domain.is_locked("push1")


@pytest.mark.parametrize(
    ("protocol", "directory"),
    [("kerberos", "reader"), ("ntlm", None), ("ntlm", "reader")],
    ids=["kerberos", "ntlm-assumed", "ntlm-read"],
)
def test_the_password_is_changed_in_the_middle_of_a_run(ground: Ground, protocol: str, directory: str | None) -> None:
    """Tickets go on. NTLM fails where it is judged next, and no more often than the budget allows."""
    ground.domain.reset("push2")
    before, free, count = ground.counted("push2"), 10, 30
    fleet = ground.fleet(f"changed-{protocol}-{directory}", count, free=free)
    ground.serve(fleet)
    accounts = ground.accounts(fleet.folder / "changed.toml", "push2", protocol=protocol, directory=directory)
    pusher = fleet.pusher(accounts, ground.environment)
    with pusher.starting("push", fleet.inventory, "--concurrency", "20", *QUICK) as running:
        eventually(lambda: running.has_ended or len(fleet.seen("told")) >= free, "ten sign-ins", 60)
        ground.change_password("push2")
        fleet.go()
        ended = running.wait()
    failures, codes = ground.counted("push2") - before, codes_of(ended)
    if protocol == "kerberos":
        assert (codes, failures) == (Counter({None: count}), 0)
    else:
        assert codes[None] == free
        assert 1 <= failures <= ALLOWED
        assert codes["wrong-password"] == failures
        assert set(codes) <= {None, "wrong-password", *LEFT_ALONE}
    assert ground.domain.bad_password_count("push2") == failures
    assert not ground.domain.is_locked("push2")


@pytest.mark.parametrize(
    ("ways", "directory"),
    [
        pytest.param(("unproven",), None, id="unproven"),
        pytest.param(("kerberos", "ntlm"), None, id="two-names"),
        pytest.param(("kerberos", "unproven"), "reader", id="two-names-by-the-directory"),
        pytest.param(("kerberos", "unproven"), None, id="two-names-that-nobody-knows-for-one"),
    ],
)
def test_pushers_at_once_share_one_budget(ground: Ground, ways: Sequence[str], directory: str | None) -> None:
    """Two processes and four more over one store: each could spend one, and five lock the account.

    Where no pre-authentication check can be sent (``unproven``: the realm cannot be told) hosts see the password. An
    account that goes by two names is one: by the realm that the file gives, by what the directory says, or because it
    might be.
    """
    ground.domain.reset("push3")
    before = ground.counted("push3")
    fleet = ground.fleet(f"at-once-{'-'.join(ways)}-{directory}", TARGETS)
    pushers = sharing(ground, fleet, [ways[number % len(ways)] for number in range(PUSHERS)], directory)
    pushers[0].reading("runs")  # makes the store
    with ExitStack() as stack:
        running = [stack.enter_context(pusher.starting("push", fleet.inventory, *QUICK)) for pusher in pushers]
        codes = sum((codes_of(one.wait()) for one in running), Counter[str | None]())
    failures = ground.counted("push3") - before
    assert codes.total() == PUSHERS * TARGETS
    assert set(codes) <= {"wrong-password", *LEFT_ALONE}
    assert 1 <= failures <= ALLOWED
    assert codes["wrong-password"] == failures == ground.domain.bad_password_count("push3")
    assert not ground.domain.is_locked("push3")
    assert ways == ("kerberos", "unproven") or bool(fleet.seen()) is ("unproven" in ways)


def test_a_directory_makes_one_budget_of_many_stores(ground: Ground) -> None:
    """Each has a store of its own and knows nothing of the others: what the domain has counted is all there is."""
    ground.domain.reset("push3")
    before = ground.counted("push3")
    fleet = ground.fleet("many-stores", TARGETS)
    codes = Counter[str | None]()
    for number in range(ALLOWED + 2):
        (pusher,) = sharing(ground, fleet, ["kerberos"], "reader", store=f"store{number}.sqlite")
        codes += codes_of(pusher.push(fleet.inventory, *QUICK))
    assert codes["wrong-password"] == ground.counted("push3") - before == ALLOWED
    assert codes["lockout-budget-spent"] == 2 * TARGETS
    assert not ground.domain.is_locked("push3")
    assert fleet.seen() == []


@pytest.mark.parametrize("way", ["kerberos", "unproven"])
def test_a_pusher_that_is_killed_has_spent_what_it_had(ground: Ground, way: str) -> None:
    """The controller has counted, and the process dies before it could write that down: the next one knows."""
    ground.domain.reset("push3")
    before = ground.counted("push3")
    fleet = ground.fleet(f"killed-{way}", TARGETS, free=0, hold_answers=True)
    *killed, last = sharing(ground, fleet, [way] * (ALLOWED + 1))
    for pusher in killed:
        told = len(fleet.seen("told"))
        with pusher.starting("push", fleet.inventory, *QUICK) as running:
            # Its end without a word means that those before it had spent the budget: several were on their way in each.
            eventually(lambda: running.has_ended or len(fleet.seen("told")) > told, "a verdict", 60)  # noqa: B023
            if not running.has_ended:
                running.kill()
        if ground.counted("push3") - before >= ALLOWED:
            break
    assert ALLOWED >= ground.counted("push3") - before >= 1
    fleet.go()
    ended = last.push(fleet.inventory, *QUICK)
    assert codes_of(ended) == {"lockout-budget-spent": TARGETS}
    assert all("cut off before a verdict came" in line["message"] for line in ended.outcomes.values())
    failures = ground.counted("push3") - before
    assert 1 <= failures <= ALLOWED
    assert failures == ground.domain.bad_password_count("push3")
    assert not ground.domain.is_locked("push3")


@pytest.mark.parametrize("protocol", ["kerberos", "ntlm"])
def test_a_new_account_that_is_not_good_yet_falls_through_to_the_old_one(ground: Ground, protocol: str) -> None:
    """Rotation: pre-authentication costs the new one a single failure, and every host is done by the old one."""
    ground.domain.reset("push1", "push2")
    before = ground.counted("push1")
    fleet = ground.fleet(f"rotation-{protocol}", TARGETS)
    ground.serve(fleet)
    new = ground.accounts(fleet.folder / "new.toml", "push1", protocol=protocol, password=WRONG)
    old = ground.accounts(fleet.folder / "old.toml", "push2", protocol=protocol)
    table, _, _ = old.read_text().partition("[lockout]")
    new.write_text(new.read_text() + "\n" + table.replace("pushing", "old"))
    ended = fleet.pusher(new, ground.environment).push(fleet.inventory, *QUICK)
    assert codes_of(ended) == {None: TARGETS}, ended.everything_said()
    tried = Counter(one["code"] for line in ended.outcomes.values() for one in line["accounts_tried"])
    assert tried == {"wrong-password": 1, "account-stopped": TARGETS - 1, None: TARGETS}
    assert {line["account"] for line in ended.outcomes.values()} == {"old"}
    assert ground.counted("push1") - before == 1
    assert ground.domain.bad_password_count("push2") == 0


@pytest.mark.parametrize("protocol", ["kerberos", "ntlm"])
def test_nobody_is_told_a_password(ground: Ground, protocol: str) -> None:
    """Killed in the middle, so that the write-ahead log is there: not of the account, not of the directory's reader."""
    ground.domain.reset("push1")
    fleet = ground.fleet(f"secrets-{protocol}", TARGETS, free=TARGETS // 2)
    ground.serve(fleet)
    accounts = ground.accounts(fleet.folder / "a.toml", "push1", protocol=protocol, directory="reader")
    pusher = fleet.pusher(accounts, ground.environment)
    with (
        pusher.starting("push", fleet.inventory, *QUICK, json=False, looked_at=True) as running,
        Sampler(running.pid) as sampler,
    ):
        eventually(lambda: running.has_ended or len(fleet.seen("told")) >= TARGETS // 2, "sign-ins", 60)
        assert not running.has_ended
        running.kill()
        ended = running.wait()
    said = {str(number): text for number, text in enumerate(sampler.commands | sampler.environments)}
    said["said"] = (ended.stdout + ended.stderr).encode()
    assert any(path.name.endswith("-wal") for path in pusher.folder.iterdir())
    assert any(b"push" in command for command in sampler.commands)
    assert ground.leaks(said) == []


def sharing(
    ground: Ground, fleet: Fleet, ways: Sequence[str], directory: str | None = None, store: str = "shared.sqlite"
) -> list[Pusher]:
    """Pushers with one store and a wrong password of push3."""
    made = []
    for number, way in enumerate(ways):
        protocol = "ntlm" if way == "unproven" else way
        accounts = ground.accounts(
            fleet.folder / f"p{number}.toml",
            "push3",
            protocol=protocol,
            password=WRONG,
            directory=directory,
            realm=way != "unproven",
        )
        made.append(fleet.pusher(accounts, ground.environment, store=fleet.folder / store))
    return made


def codes_of(ended: Ended) -> Counter[str | None]:
    """How many targets ended with each code; one outcome each."""
    return Counter(line["code"] for line in ended.outcomes.values())
