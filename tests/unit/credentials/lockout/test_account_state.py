"""How an account stands: what counts, for how long, and what a directory's reading takes over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pusher.clock import Moment
from pusher.credentials.lockout.account_state import (
    HELD_AT_MOST,
    READING_HOLDS,
    AccountState,
    Answer,
    Reading,
    Request,
    Settled,
    ask,
    cleared,
    marked,
    read,
    settle,
    stopped,
)
from pusher.credentials.lockout.budget import LATE, LockoutPolicy, Result, Verdict
from pusher.credentials.lockout.process import Process
from pusher.credentials.lockout.refusal import spent, stopped_by

NOON = Moment(at=datetime(2026, 3, 1, 12, tzinfo=UTC), boot="b", uptime=1000.0)
POLICY = LockoutPolicy(threshold=5, reserve=2)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def process(pid: int) -> Process:
    return Process(host="h", place="b", pid=pid, started=1)


def request(*leases: str, pid: int = 1, run: str = "r", policy: LockoutPolicy = POLICY) -> Request:
    return Request(process=process(pid), run=run, policy=policy, leases=leases)


def asked(
    account_state: AccountState, wanted: Request, now: Moment = NOON, dead: int = 0
) -> tuple[AccountState, Answer]:
    return ask(account_state, wanted, now, lambda one: one.pid == dead)


def failed(
    account_state: AccountState, now: Moment = NOON, result: Result = Result.FAILED, lease: str = "x"
) -> AccountState:
    account_state, answer = asked(account_state, request(lease), now)
    assert answer.granted == (lease,)
    return settle(account_state, Settled(lease=lease, result=result), "r", now)


def used(account_state: AccountState, now: Moment = NOON, policy: LockoutPolicy = POLICY) -> int:
    return asked(account_state, request(policy=policy), now)[1].budget.failures


# Granting


def test_as_many_are_granted_as_there_is_room_for() -> None:
    account_state, answer = asked(AccountState(), request("a", "b", "c", "d", "e"))
    assert answer.granted == ("a", "b", "c")
    assert asked(account_state, request("f", pid=2))[1].verdict is Verdict.WAIT
    account_state = settle(account_state, Settled(lease="b", result=Result.OK), "r", NOON)
    assert asked(account_state, request("f", "g", pid=2))[1].granted == ("f",)


def test_who_waits_comes_first_and_who_gives_back_goes_to_the_end() -> None:
    policy = LockoutPolicy(threshold=3, reserve=2)
    account_state, _ = asked(AccountState(), request("a", policy=policy))
    account_state, answer = asked(account_state, request("b", pid=2, policy=policy))
    assert answer.verdict is Verdict.WAIT
    account_state, answer = asked(account_state, replace(request("c", policy=policy), keeps=frozenset("a")))
    assert answer.others_wait
    account_state = settle(account_state, Settled(lease="a", result=Result.OK), "r", NOON)
    account_state, answer = asked(account_state, request("c", policy=policy))
    assert (answer.verdict, answer.granted) == (Verdict.WAIT, ())
    account_state, answer = asked(account_state, request("b", pid=2, policy=policy))
    assert (answer.granted, answer.others_wait) == (("b",), True)


def test_a_waiter_that_is_heard_of_no_more_keeps_nobody_waiting() -> None:
    policy = LockoutPolicy(threshold=3, reserve=2)
    account_state, _ = asked(AccountState(), request("a", policy=policy))
    account_state, _ = asked(account_state, request("b", pid=2, policy=policy))
    account_state = settle(account_state, Settled(lease="a", result=Result.OK), "r", NOON)
    assert asked(account_state, request("c", pid=3, policy=policy), NOON.after(2 * SECOND))[1].granted == ()
    assert asked(account_state, request("c", pid=3, policy=policy), NOON.after(4 * SECOND))[1].granted == ("c",)
    assert asked(account_state, request("c", pid=3, policy=policy), NOON, dead=2)[1].granted == ("c",)


def test_a_place_is_kept_for_each_who_waits_and_the_rest_is_granted() -> None:
    policy = LockoutPolicy(threshold=4, reserve=2)
    account_state, _ = asked(AccountState(), request("a", "b", policy=policy))
    for _ in range(2):
        account_state, answer = asked(account_state, request("c", pid=2, policy=policy))
        assert (answer.verdict, answer.others_wait) == (Verdict.WAIT, False), "nobody else does"
    account_state = settle(account_state, Settled(lease="a", result=Result.OK), "r", NOON)
    assert asked(account_state, request("d", pid=3, policy=policy))[1].verdict is Verdict.WAIT
    account_state = settle(account_state, Settled(lease="b", result=Result.OK), "r", NOON)
    account_state, answer = asked(account_state, request("d", "e", pid=3, policy=policy))
    assert answer.granted == ("d",)
    account_state, answer = asked(account_state, request("c", pid=2, policy=policy))
    assert (answer.granted, account_state.waiters) == (("c",), ())


def test_who_has_one_or_wants_none_stands_in_no_queue() -> None:
    policy = LockoutPolicy(threshold=3, reserve=2)
    account_state, _ = asked(AccountState(), request("a", policy=policy))
    for wanted in (request("b", policy=policy), request(pid=2, policy=policy)):
        account_state, answer = asked(account_state, wanted)
        assert (answer.verdict, account_state.waiters) == (Verdict.WAIT, ())


# Counting


def test_a_failure_of_a_leave_that_is_not_known_any_more_counts() -> None:
    """Forgotten by the operator's word, or never granted: the domain has counted it."""
    for result, failures in ((Result.FAILED, 1), (Result.UNKNOWN, 1), (Result.OK, 0), (Result.HARMLESS, 0)):
        account_state = settle(AccountState(), Settled(lease="x", result=result, stop="account-disabled"), "r", NOON)
        assert (used(account_state), [stop.code for stop in account_state.stops]) == (failures, ["account-disabled"])


def test_all_that_was_counted_is_forgotten_and_told() -> None:
    account_state, mark = marked(failed(failed(AccountState()), lease="y"), NOON)
    account_state = read(account_state, mark, Reading(threshold=9, window=MINUTE, bad_count=4, complete=False), NOON)
    account_state, forgotten = cleared(account_state)
    assert (forgotten, used(account_state)) == (6, 0)
    assert cleared(account_state)[1] == 0


def test_failures_are_a_chain() -> None:
    """A domain's window begins anew with each of them: the first counts as long as the last."""
    horizon = POLICY.horizon
    account_state = failed(failed(AccountState(), lease="x"), NOON.after(horizon), lease="y")
    assert used(account_state, NOON.after(2 * horizon)) == 2
    assert used(account_state, NOON.after(2 * horizon + SECOND)) == 0


def test_a_chain_may_last_for_days() -> None:
    patient, account_state = LockoutPolicy(threshold=9, reserve=2, window=timedelta(hours=13)), AccountState()
    for hours in (0, 25, 50):
        now = NOON.after(timedelta(hours=hours))
        account_state, _ = asked(account_state, request(f"l{hours}", policy=patient), now)
        account_state = settle(account_state, Settled(lease=f"l{hours}", result=Result.FAILED), "r", now)
    assert used(account_state, NOON.after(timedelta(hours=51)), patient) == 3


def test_a_sign_in_on_its_way_keeps_the_chain_alive() -> None:
    horizon = POLICY.horizon
    account_state = failed(AccountState())
    account_state, _ = asked(account_state, request("slow"), NOON.after(horizon))
    assert used(account_state, NOON.after(horizon + 2 * MINUTE)) == 1, (
        "it may have failed while the first still counted"
    )
    account_state = settle(
        account_state, Settled(lease="slow", result=Result.OK), "r", NOON.after(horizon + 2 * MINUTE)
    )
    assert used(account_state, NOON.after(horizon + 2 * MINUTE)) == 0


def test_a_clock_that_is_set_changes_nothing() -> None:
    account_state = failed(AccountState())
    for hours in (-1000, 1000):
        now = replace(NOON.after(MINUTE), at=NOON.at + timedelta(hours=hours))
        assert used(account_state, now) == 1
        later = replace(NOON.after(POLICY.horizon + SECOND), at=NOON.at + timedelta(hours=hours))
        assert used(account_state, later) == 0


def test_after_a_restart_the_clock_is_all_there_is() -> None:
    account_state = failed(AccountState())
    assert used(account_state, Moment(at=NOON.at + POLICY.horizon, boot="other", uptime=1)) == 1
    assert used(account_state, Moment(at=NOON.at + POLICY.horizon + SECOND, boot="other", uptime=1)) == 0


@pytest.mark.parametrize("result", [Result.OK, Result.HARMLESS])
def test_a_good_sign_in_forgives_nothing(result: Result) -> None:
    """The domain controller that let it in may not be the one that counts."""
    assert used(failed(failed(AccountState()), result=result, lease="y")) == 1


def test_told_twice_it_counts_once() -> None:
    account_state = failed(AccountState())
    for result in (Result.FAILED, Result.UNKNOWN):
        account_state = settle(account_state, Settled(lease="x", result=result), "r", NOON)
        assert used(account_state) == 1


def test_a_longer_reserve_of_another_run_still_finds_them() -> None:
    account_state, patient = failed(AccountState()), replace(POLICY, threshold=20, reserve=10)
    later = NOON.after(POLICY.horizon + SECOND)
    account_state, answer = asked(account_state, request(), later)
    assert answer.budget.failures == 0
    assert used(account_state, later, patient) == 1


# Lost leaves


def test_a_dead_process_has_failed_when_it_is_found() -> None:
    account_state, _ = asked(AccountState(), request("a", pid=7))
    account_state, answer = asked(account_state, request(), NOON.after(4 * MINUTE), dead=7)
    assert (answer.budget.failures, answer.budget.in_flight) == (1, 0)
    assert used(account_state, NOON.after(POLICY.horizon + 4 * MINUTE)) == 1, "it may have tried just before it died"


def test_a_process_that_died_long_ago_does_not_hold_up_the_next_day() -> None:
    account_state, _ = asked(AccountState(), request("a", pid=7))
    assert (
        used(asked(account_state, request(), NOON.after(timedelta(hours=12)), dead=7)[0], NOON.after(13 * 60 * MINUTE))
        == 0
    )


def test_a_lease_that_is_kept_too_long_has_failed_and_is_forgiven_when_it_went_well() -> None:
    account_state, _ = asked(AccountState(), request("a"))
    late = NOON.after(HELD_AT_MOST + SECOND)
    account_state, answer = asked(account_state, request(pid=2), late)
    assert answer.budget.failures == 1
    for result, count in ((Result.OK, 0), (Result.FAILED, 1)):
        assert used(settle(account_state, Settled(lease="a", result=result), "r", late), late) == count


def test_who_was_given_up_for_lost_is_told() -> None:
    account_state, _ = asked(AccountState(), request("a", "b"))
    in_time = NOON.after(HELD_AT_MOST)
    account_state, answer = asked(account_state, replace(request(), keeps=frozenset("a")), in_time)
    assert answer.kept == {"a"}
    account_state, answer = asked(account_state, replace(request(), keeps=frozenset("ab")), in_time.after(SECOND))
    assert answer.kept == {"a"}
    assert (answer.budget.failures, answer.budget.in_flight) == (1, 1)


def test_who_was_frozen_renews_nothing() -> None:
    """Meanwhile another name of the account may have been given its place, when the failure that it was counted as was
    out of the window: both together would be one too many."""
    account_state, _ = asked(AccountState(), request("a"))
    account_state, answer = asked(
        account_state, replace(request(), keeps=frozenset("a")), NOON.after(HELD_AT_MOST + SECOND)
    )
    assert answer.kept == frozenset()
    assert (answer.budget.failures, answer.budget.in_flight) == (1, 0)


def test_who_is_still_at_it_says_so() -> None:
    account_state, _ = asked(AccountState(), request("a"))
    later = NOON.after(HELD_AT_MOST)
    account_state, _ = asked(account_state, replace(request(), keeps=frozenset("a")), later)
    assert used(account_state, later.after(HELD_AT_MOST)) == 0


# The directory's word


def reading(bad: int, threshold: int = 6, complete: bool = True) -> Reading:
    return Reading(threshold=threshold, window=timedelta(minutes=10), bad_count=bad, complete=complete)


def test_what_was_told_before_the_mark_is_in_the_count() -> None:
    account_state, mark = marked(failed(AccountState()), NOON)
    assert used(read(account_state, mark, reading(1), NOON)) == 1
    assert used(read(account_state, mark, reading(0), NOON)) == 0, "somebody has signed in since"
    assert used(read(account_state, mark, reading(0, complete=False), NOON)) == 1, "another's count may lack it"


def test_what_was_on_its_way_or_came_after_is_counted_beside_it() -> None:
    account_state, _ = asked(failed(AccountState()), request("flying"))
    account_state, mark = marked(account_state, NOON)
    account_state = failed(account_state, lease="after")
    account_state = settle(account_state, Settled(lease="flying", result=Result.FAILED), "r", NOON)
    assert used(read(account_state, mark, reading(1), NOON)) == 3


def test_an_unknown_end_may_be_counted_late() -> None:
    account_state = failed(AccountState(), result=Result.UNKNOWN)
    at_once, mark = marked(account_state, NOON.after(LATE))
    assert used(read(at_once, mark, reading(0), NOON.after(LATE))) == 1
    later, mark = marked(account_state, NOON.after(LATE + SECOND))
    assert used(read(later, mark, reading(0), NOON.after(LATE + SECOND))) == 0


def test_a_reading_that_was_overtaken_is_not_kept() -> None:
    account_state, old = marked(AccountState(), NOON)
    account_state, new = marked(failed(account_state), NOON)
    account_state = read(account_state, new, reading(1), NOON)
    assert used(read(account_state, old, reading(0), NOON)) == 1


def test_its_count_may_be_as_new_as_its_answer() -> None:
    account_state, mark = marked(AccountState(), NOON)
    account_state = read(account_state, mark, reading(1), NOON.after(5 * MINUTE))
    for minutes, count in ((26, 1), (28, 0)):
        assert used(account_state, NOON.after(minutes * MINUTE)) == count


def test_a_mark_outlives_an_account_of_which_nothing_is_known() -> None:
    account_state, _ = marked(AccountState(), NOON)
    assert not account_state.is_blank


def test_the_directorys_policy_holds_for_a_day() -> None:
    account_state, mark = marked(AccountState(), NOON)
    account_state = read(account_state, mark, reading(0, threshold=10), NOON)
    for later, limit, assumed in ((READING_HOLDS, 8, False), (READING_HOLDS + SECOND, 3, True)):
        policy = asked(account_state, request(), NOON.after(later))[1].policy
        assert (policy.limit, policy.assumed) == (limit, assumed)


def test_where_the_domain_locks_nobody_its_count_means_nothing() -> None:
    account_state, mark = marked(AccountState(), NOON)
    answer = asked(read(account_state, mark, reading(57, threshold=0), NOON), request("a"))[1]
    assert (answer.granted, answer.policy) == (("a",), POLICY)


# Stops and words


def test_a_count_of_nothing_is_no_part_of_the_chain() -> None:
    horizon = replace(POLICY, window=30 * MINUTE).horizon
    account_state, mark = marked(failed(AccountState()), NOON)
    nothing = Reading(threshold=5, window=30 * MINUTE, bad_count=0, complete=False)
    account_state = read(account_state, mark, nothing, NOON.after(horizon - MINUTE))
    assert used(account_state, NOON.after(horizon - MINUTE)) == 1
    assert used(account_state, NOON.after(horizon + MINUTE)) == 0


def test_the_first_reason_of_a_run_is_kept() -> None:
    account_state = stopped(stopped(AccountState(), "r", "wrong-password", NOON), "r", "account-locked", NOON)
    account_state = stopped(account_state, "other", "account-locked", NOON)
    assert [(stop.run, stop.code) for stop in account_state.stops] == [
        ("r", "wrong-password"),
        ("other", "account-locked"),
    ]


def test_a_stop_holds_for_its_run() -> None:
    account_state = stopped(stopped(AccountState(), "r", "account-locked", NOON), "r", "wrong-password", NOON)
    answer = asked(account_state, request("a"))[1]
    assert answer.verdict is Verdict.STOPPED
    assert answer.stop is not None
    assert answer.stop.code == "account-locked", "the first reason is kept"
    assert asked(account_state, request("a", run="another"))[1].granted == ("a",)


def test_the_words_say_how_many_of_which_and_until_when() -> None:
    policy = LockoutPolicy(threshold=3, reserve=2)
    account_state = stopped(failed(AccountState()), "r", "wrong-password", NOON)
    answer = asked(account_state, request("a", run="b", policy=policy))[1]
    assert spent(answer, "clear it").message.endswith(
        ": 1 of 1 failed sign-ins that the budget allows are used, threshold 3 and window 30 min assumed, reserve 2;"
        " free again at 2026-03-01 13:02:00 UTC; earlier only where its count was reset (it was unlocked, or"
        " has signed in since): clear it"
    )
    account_state, mark = marked(account_state, NOON)
    answer = asked(read(account_state, mark, reading(4), NOON), request("a", run="b"))[1]
    assert answer.verdict is Verdict.SPENT
    assert "4 of 4 failed" in spent(answer, "clear it").message
    assert "threshold 6 and window 10 min by the directory" in spent(answer, "clear it").message
    answer = asked(account_state, request("a", policy=policy))[1]
    assert answer.stop is not None
    assert (
        "by wrong-password at 2026-03-01 12:00:00 UTC, until this run ends; 1 of 1"
        in stopped_by(answer.stop, answer).message
    )


def test_the_words_say_what_was_cut_off() -> None:
    """A killed pusher's sign-in counts, though nothing need be wrong: who reads it looks elsewhere."""
    policy = LockoutPolicy(threshold=4, reserve=2)
    account_state, _ = asked(failed(AccountState()), request("killed", pid=7, policy=policy))
    account_state, answer = asked(account_state, request("a", policy=policy), dead=7)
    assert answer.cut_off == 1
    assert (
        "2 of 2 failed sign-ins that the budget allows are used, 1 of them cut off before a verdict came, which may "
        "have been none, threshold 4"
    ) in spent(answer, "clear it").message
    account_state, answer = asked(beside(AccountState(), account_state), request("a", policy=policy))
    assert answer.cut_off == 1, "under another name, too"
    account_state = settle(failed(AccountState()), Settled(lease="x", result=Result.FAILED), "r", NOON)
    assert "cut off" not in spent(asked(account_state, request("a", policy=policy))[1], "clear it").message


def test_a_reserve_that_leaves_nothing_is_free_never() -> None:
    answer = asked(AccountState(), request("a", policy=LockoutPolicy(threshold=2, reserve=2)))[1]
    assert "0 of 0" in spent(answer, "clear it").message
    assert "free again" not in spent(answer, "clear it").message


def test_a_window_without_end() -> None:
    account_state, mark = marked(AccountState(), NOON)
    endless = Reading(threshold=5, window=timedelta.max, bad_count=3)
    answer = asked(
        read(account_state, mark, endless, NOON), request("a", policy=LockoutPolicy(threshold=3, reserve=998))
    )[1]
    assert answer.verdict is Verdict.SPENT


# Other names that may be the same account's


def beside(account_state: AccountState, *others: AccountState) -> AccountState:
    return replace(account_state, beside=others)


def test_what_stands_under_another_name_counts_and_is_kept_there() -> None:
    other = failed(AccountState())
    account_state, answer = asked(beside(AccountState(), other), request("a", "b", "c"))
    assert (answer.budget.failures, answer.beside, answer.granted) == (1, 1, ("a", "b"))
    assert account_state.failures == ()
    full, answer = asked(beside(AccountState(), account_state, other), request("d"))
    assert (answer.verdict, answer.budget.in_flight, answer.granted) == (Verdict.WAIT, 2, ())
    assert full.held == ()


def test_a_failure_is_kept_alive_by_one_under_another_name() -> None:
    """The domain, too, starts its window anew with each."""
    horizon = POLICY.horizon
    first = failed(AccountState())
    half, later = NOON.after(horizon * 0.7), NOON.after(horizon * 1.4)
    assert used(first, later) == 0
    second = failed(beside(AccountState(), first), half)
    assert used(beside(replace(second, beside=()), first), later) == 2
    flying, answer = asked(AccountState(), request("y"), NOON.after(horizon - MINUTE))
    assert answer.granted == ("y",)
    assert used(beside(first, flying), NOON.after(horizon + MINUTE)) == 1, "it may have failed when it was granted"
    late = failed(AccountState(), NOON.after(timedelta(days=20) - horizon / 2))
    tidy, _ = asked(beside(first, late), request(), NOON.after(timedelta(days=20)))
    assert tidy.failures == (), "it is forgotten once nothing keeps it"


def test_whatever_locks_earlier_and_counts_longer() -> None:
    strict = Reading(threshold=4, window=timedelta(hours=2), bad_count=0)
    lax = Reading(threshold=50, window=MINUTE, bad_count=0)

    def told(reading: Reading) -> AccountState:
        account_state, mark = marked(AccountState(), NOON)
        return read(account_state, mark, reading, NOON)

    policies = {
        "another's": (AccountState(), told(strict), (4, timedelta(hours=2))),
        "both": (told(lax), told(strict), (4, timedelta(hours=2))),
        "its own": (told(lax), AccountState(), (50, MINUTE)),
        "the assumed": (AccountState(), told(lax), (5, POLICY.window)),
    }
    for name, (mine, other, expected) in policies.items():
        policy = asked(beside(mine, other), request())[1].policy
        assert (policy.threshold, policy.window) == expected, name
