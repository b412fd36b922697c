"""Why an account may not be tried, in words: how many failures of which limit, and until when. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from pusher.credentials.lockout.account_state import Answer, Stop
from pusher.credentials.lockout.budget import LockoutPolicy
from pusher.problems import Code, Problem, Stage, problem


def spent(answer: Answer, clear: str, store: str = "") -> Problem:
    """``clear``: the command that forgets the failures; ``store``: what counts them, as it may be shown."""
    said = f"{_used(answer, store)}, {_policy(answer.policy)}"
    if answer.free_at is not None and answer.policy.limit > 0:
        said += f"; free again at {_time(answer.free_at)}; earlier only where its count was reset "
        said += f"(it was unlocked, or has signed in since): {clear}"
    return problem(Code.LOCKOUT_BUDGET_SPENT, Stage.SIGN_IN, said)


def stopped_by(stop: Stop, answer: Answer, store: str = "") -> Problem:
    said = f"by {stop.code} at {_time(stop.moment.at)}, until this run ends; {_used(answer, store)}"
    return problem(Code.ACCOUNT_STOPPED, Stage.SIGN_IN, said)


def damaged(clear: str, store: str = "") -> Problem:
    """``clear``: the command that forgets the entry."""
    return problem(Code.BUDGET_DAMAGED, Stage.SIGN_IN, f"the entry{_of(store)}; to forget it: {clear}")


def _of(store: str) -> str:
    return f" of the store {store}" if store else ""


def _used(answer: Answer, store: str) -> str:
    said = (
        f"{answer.budget.failures} of {answer.policy.limit} failed sign-ins that the budget{_of(store)} allows are used"
    )
    if answer.cut_off:
        said += f", {answer.cut_off} of them cut off before a verdict came, which may have been none"
    if answer.beside:
        said += f" ({answer.beside} under another name of this user, which may be the same account: a realm would tell)"
    return said


def _policy(policy: LockoutPolicy) -> str:
    minutes = policy.window.total_seconds() / 60
    source = "assumed" if policy.assumed else "by the directory"
    return f"threshold {policy.threshold} and window {minutes:g} min {source}, reserve {policy.reserve}"


def _time(at: datetime) -> str:
    """To the second, and never before it."""
    return f"{at + timedelta(microseconds=999_999):%Y-%m-%d %H:%M:%S} UTC"
