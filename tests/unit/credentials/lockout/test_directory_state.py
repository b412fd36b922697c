"""What is read of an account's lockout, on a directory in memory: policy, counter, and the worst where it is hidden."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from pusher.credentials.lockout.directory_state import ASSUMED_WINDOW, LockoutState, read_state
from pusher.directory.memory import MemoryDirectory, Value, Values, entry
from pusher.directory.port import Entry
from pusher.models import Account, Protocol
from pusher.problems import ProblemError

BASE = "DC=corp,DC=example"
SERVER = f"CN=DC1,CN=Servers,CN=HQ,CN=Sites,CN=Configuration,{BASE}"
PSO = f"CN=Strict,CN=Password Settings Container,CN=System,{BASE}"
NOW = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
HALF_HOUR = -18_000_000_000


def ticks(at: datetime) -> int:
    return int((at - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000


def domain(**changes: Value) -> Entry:
    given: dict[str, Values] = {"lockoutThreshold": 5, "lockOutObservationWindow": HALF_HOUR,
                                "fSMORoleOwner": f"CN=NTDS Settings,{SERVER}", **changes}  # fmt: skip
    return entry(BASE, {name: value for name, value in given.items() if value != ""})


def user(**changes: Value) -> Entry:
    given: dict[str, Values] = {
        "objectClass": "user", "sAMAccountName": "svc-push", "userPrincipalName": "svc-push@corp.example",
        "userAccountControl": 512, "badPwdCount": 0, "msDS-User-Account-Control-Computed": 0,
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }  # fmt: skip
    return entry(f"CN=svc-push,{BASE}", {name: value for name, value in given.items() if value != ""})


def account(name: str = "svc-push@corp.example") -> Account:
    return Account(name="push", user=name, secret="env:X", protocol=Protocol.KERBEROS)


def directory(*entries: Entry, at_pdc: list[Entry] | bool | None = False, **given: object) -> MemoryDirectory:
    present = {one.dn for one in entries}
    rest = [one for one in (domain(), user()) if one.dn not in present]
    servers: dict[str, list[Entry] | None] = {}
    if not isinstance(at_pdc, bool):
        servers["dc1.corp.example"] = at_pdc
    return MemoryDirectory(
        [*entries, *rest, entry(SERVER, {"dNSHostName": "dc1.corp.example"})],
        root={"currentTime": f"{NOW:%Y%m%d%H%M%S}.0Z"},
        servers=servers,
        **given,  # type: ignore[arg-type]
    )


async def read(found: MemoryDirectory, name: str = "svc-push@corp.example") -> LockoutState:
    # A clock of ours that is a day off: the server's own counts.
    return await read_state(found, BASE, account(name), lambda: NOW - timedelta(days=1))


async def test_the_domains_policy() -> None:
    state = await read(directory(user(badPwdCount=2, badPasswordTime=ticks(NOW - timedelta(minutes=5)))))
    assert (state.threshold, state.window, state.bad) == (5, 1800, 2)
    assert (state.locked, state.disabled, state.policy) == (False, False, "the domain's policy")
    assert state.counted_by == "dc1.corp.example"


async def test_a_domain_that_never_locks() -> None:
    assert (await read(directory(domain(lockoutThreshold=0)))).threshold == 0


@pytest.mark.parametrize(("minutes", "bad"), [(29, 4), (31, 0), (-60, 4)])
async def test_a_counter_past_its_window_is_none(minutes: int, bad: int) -> None:
    when = ticks(NOW - timedelta(minutes=minutes))
    assert (await read(directory(user(badPwdCount=4, badPasswordTime=when)))).bad == bad


async def test_a_count_without_its_time_stands() -> None:
    assert (await read(directory(user(badPwdCount=4)))).bad == 4
    assert (await read(directory(user(badPwdCount=4, badPasswordTime=0)))).bad == 4


async def test_a_window_without_end_forgets_nothing() -> None:
    when = ticks(NOW - timedelta(days=300))
    state = await read(directory(domain(lockOutObservationWindow=-(2**63)), user(badPwdCount=4, badPasswordTime=when)))
    assert state.bad == 4


@pytest.mark.parametrize("hidden", ["lockoutThreshold", "lockOutObservationWindow"])
async def test_a_policy_that_is_hidden_is_assumed_at_its_worst(hidden: str) -> None:
    state = await read(directory(domain(**{hidden: ""})))
    assert (state.threshold, state.window) == (3, ASSUMED_WINDOW)
    assert "assumed" in state.policy


@pytest.mark.parametrize("nonsense", ["-1", "x", "999999999"])
async def test_so_is_one_that_makes_no_sense(nonsense: str) -> None:
    assert (await read(directory(domain(lockoutThreshold=nonsense)))).threshold == 3


async def test_a_fine_grained_policy_goes_before() -> None:
    pso = entry(PSO, {"msDS-LockoutThreshold": 7, "msDS-LockoutObservationWindow": HALF_HOUR * 2})
    state = await read(directory(pso, user(msDS_ResultantPSO=PSO)))
    assert (state.threshold, state.window) == (7, 3600)
    assert PSO in state.policy


@pytest.mark.parametrize("how", ["absent", "bare", "denied"])
async def test_one_that_is_hidden_is_assumed_at_its_worst(how: str) -> None:
    """Ordinary accounts see that a policy applies, and may not read it."""
    entries = [user(msDS_ResultantPSO=PSO, badPwdCount=2, badPasswordTime=ticks(NOW - timedelta(minutes=40)))]
    if how != "absent":
        entries.append(entry(PSO))
    state = await read(directory(*entries, fails={PSO: "directory-denied"} if how == "denied" else {}))
    assert (state.threshold, state.window) == (3, ASSUMED_WINDOW)
    assert state.bad == 2, "its window may be longer than the domain's"
    assert "assumed" in state.policy and PSO in state.policy


async def test_its_window_is_no_shorter_than_the_domains() -> None:
    longer = ASSUMED_WINDOW * 3
    entries = [user(msDS_ResultantPSO=PSO), domain(lockOutObservationWindow=-int(longer * 10_000_000))]
    assert (await read(directory(*entries))).window == longer


async def test_the_count_is_the_pdc_emulators() -> None:
    recent = ticks(NOW - timedelta(minutes=1))
    found = directory(user(badPwdCount=0), at_pdc=[user(badPwdCount=3, badPasswordTime=recent)])
    state = await read(found)
    assert (state.bad, state.threshold, state.counted_by) == (3, 5, "dc1.corp.example")


@pytest.mark.parametrize("hidden", ["", "x", -1])
async def test_a_count_that_may_not_be_read_is_none_that_our_own_failures_are_in(hidden: Value) -> None:
    """It is of another property set than the account's state: who reads the one may lack the other."""
    state = await read(directory(user(badPwdCount=hidden)))
    assert (state.exact, state.bad, state.threshold) == (False, 0, 3)
    assert "may not be read" in state.counted_by and "the count may be more" in state.policy


async def test_a_pdc_emulator_that_is_away_leaves_less_to_spend() -> None:
    state = await read(directory(user(badPwdCount=1), at_pdc=None))
    assert (state.threshold, state.bad) == (3, 1)
    assert "PDC emulator" in state.counted_by and "the count may be more" in state.policy


async def test_an_account_that_the_pdc_emulator_does_not_know_is_not_asked_for_elsewhere() -> None:
    renamed = user(sAMAccountName="svc-old", userPrincipalName="svc-old@corp.example")
    with pytest.raises(ProblemError) as caught:
        await read(directory(at_pdc=[renamed]))
    assert caught.value.problem.code == "no-such-account"


@pytest.mark.parametrize("owner", ["", "nonsense", "CN=NTDS Settings", "CN=NTDS Settings,CN=Gone,DC=corp,DC=example"])
async def test_so_does_one_that_nobody_names(owner: str) -> None:
    assert (await read(directory(domain(fSMORoleOwner=owner)))).threshold == 3


async def test_never_locking_needs_no_count() -> None:
    assert (await read(directory(domain(lockoutThreshold=0), at_pdc=None))).threshold == 0


@pytest.mark.parametrize(
    ("changes", "locked"),
    [
        ({"msDS_User_Account_Control_Computed": 0x10}, True),
        ({"msDS_User_Account_Control_Computed": 0, "lockoutTime": 5}, False),  # it has ended by itself
        ({"msDS_User_Account_Control_Computed": "", "lockoutTime": 5}, True),
        ({"msDS_User_Account_Control_Computed": "", "lockoutTime": 0}, False),
    ],
)
async def test_locked(changes: dict[str, Value], locked: bool) -> None:
    assert (await read(directory(user(**changes)))).locked is locked


@pytest.mark.parametrize(
    ("changes", "states"),
    [
        ({}, (False, False, False)),
        ({"accountExpires": ticks(NOW - timedelta(minutes=1))}, (True, False, False)),
        ({"accountExpires": ticks(NOW + timedelta(minutes=1))}, (False, False, False)),
        ({"accountExpires": 0x7FFFFFFFFFFFFFFF}, (False, False, False)),
        ({"accountExpires": 0}, (False, False, False)),
        ({"msDS_User_Account_Control_Computed": 0x800000, "pwdLastSet": 5}, (False, True, False)),
        ({"msDS_User_Account_Control_Computed": 0x800000, "pwdLastSet": 0}, (False, False, True)),
        ({"msDS_User_Account_Control_Computed": 0, "pwdLastSet": 0}, (False, False, False)),  # it never expires
        ({"msDS_User_Account_Control_Computed": "", "pwdLastSet": 0}, (False, False, False)),
    ],
)
async def test_what_else_keeps_an_account_out(changes: dict[str, Value], states: tuple[bool, bool, bool]) -> None:
    state = await read(directory(user(**changes)))
    assert (state.expired, state.password_expired, state.must_change) == states


async def test_disabled() -> None:
    assert (await read(directory(user(userAccountControl=514)))).disabled


@pytest.mark.parametrize("name", ["CORP\\svc-push", "SVC-PUSH@corp.example", "svc-push@CORP.EXAMPLE"])
async def test_the_account_by_any_of_its_names(name: str) -> None:
    assert (await read(directory(user(badPwdCount=1)), name)).bad == 1


async def test_an_explicit_upn_goes_before_anothers_implicit_one() -> None:
    other = entry(
        f"CN=other,{BASE}",
        {"sAMAccountName": "x1", "userPrincipalName": "svc-push@corp.example", "userAccountControl": 512,
         "badPwdCount": 4},
    )  # fmt: skip
    found = directory(user(userPrincipalName="old@corp.example", badPwdCount=1), other)
    assert (await read(found)).bad == 4


async def test_another_suffix_is_no_implicit_upn() -> None:
    with pytest.raises(ProblemError) as caught:
        await read(directory(), "svc-push@other.example")
    assert caught.value.problem.code == "no-such-account"


async def test_a_name_is_never_a_filter() -> None:
    with pytest.raises(ProblemError) as caught:
        await read(directory(), "CORP\\*")
    assert caught.value.problem.code == "no-such-account"


async def test_nothing_readable_is_no_state() -> None:
    with pytest.raises(ProblemError) as caught:
        await read(directory(user(userAccountControl="")))
    assert caught.value.problem.code == "directory-denied"


@pytest.mark.parametrize("code", ["directory-unreachable", "directory-sign-in-failed", "clock-skew"])
async def test_a_directory_that_does_not_answer(code: str) -> None:
    with pytest.raises(ProblemError) as caught:
        await read(directory(fails={"": code}))
    assert caught.value.problem.code == code


@pytest.mark.parametrize("name", [".\\admin", ""])
async def test_only_domain_accounts(name: str) -> None:
    with pytest.raises(ValueError, match="no domain"):
        await read(directory(), name)
