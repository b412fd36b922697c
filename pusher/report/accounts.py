"""``pusher accounts``: which accounts work, what the directory and the ledger say of them, and what to do.

A rich renderable that fits 80 columns, and a record for ``--json``. What must not live here: trying anything
(``credentials.accounts.trial``). Of a secret there is nothing here but the scheme of its reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from pusher.credentials.accounts.trial import Found, Trial
from pusher.credentials.lockout.account_state import Answer, Cleared
from pusher.models import Account
from pusher.report.record import Record
from pusher.report.style import facts, indented, plain
from pusher.report.tables import keep_whole, table
from pusher.report.text import failures, hosts, iso, visible, when

_STYLE: Mapping[Found, str] = MappingProxyType(
    {Found.WORKS: "green", Found.FAILS: "bold red", Found.NOT_TESTED: "yellow"}
)


def accounts_page(trials: Sequence[Trial]) -> RenderableType:
    """The accounts in the order given: a line for each, and below what is known of each."""
    if not trials:
        return Text("The accounts file lists no accounts.")
    made = table("account", "user", "protocol", "secret", "result", "tries left")
    keep_whole(made, 0, (visible(one.account.name) for one in trials), 20)
    keep_whole(made, 1, (visible(one.account.user) for one in trials), 24)
    for column in (2, 3, 5):
        made.columns[column].no_wrap = True
    made.columns[5].justify = "right"
    for one in trials:
        left = _left(one.account_state)
        made.add_row(
            plain(one.account.name),
            plain(one.account.user or "(this process)"),
            Text(one.account.protocol.value),
            Text(one.secret),
            _result(one),
            Text("-" if left is None else str(left)),
        )
    return Group(made, *(part for one in trials for part in (Text(), Text(visible(one.account.name), style="bold"),
                                                              indented(facts(_facts(one))))))  # fmt: skip


def _result(one: Trial) -> Text:
    word = one.problem.code if one.problem is not None else one.found.value.replace("-", " ")
    return Text(word, style=_STYLE[one.found])


def _facts(one: Trial) -> list[tuple[str, RenderableType]]:
    rows: list[tuple[str, RenderableType]] = []
    if one.principal is not None:
        rows.append(("principal", plain(one.principal)))
    if (said := _directory_words(one)) is not None:
        rows.append(("directory", plain(said)))
    if one.account_state is not None:
        rows.append(("budget", plain(_budget_words(one, one.account_state))))
    if one.words:
        rows.append(("result", plain(one.words)))
    if one.problem is not None:
        rows += [("problem", plain(one.problem.message)), ("remedy", plain(one.problem.remedy))]
    return rows


def _directory_words(one: Trial) -> str | None:
    if one.account.is_own_identity or one.account.is_local:
        return None
    if one.seen is None:
        return "not asked: the accounts file has no [directory], or nothing was to be tried"
    if one.seen.why_not is not None:
        return f"not read ({one.seen.why_not.code}: {one.seen.why_not.message}); the assumed policy holds"
    state = one.seen.state
    if state is None:
        return "not asked: the account is of another domain than [directory]"
    rule = (
        f"locks at {failures(state.threshold)} within {_minutes(state.window)}" if state.threshold else "locks nobody"
    )
    now = [f"{failures(state.bad)} counted when asked, by {state.counted_by}", *_states(one)]
    return f"{rule} ({state.policy}); {', '.join(now)}"


def _states(one: Trial) -> list[str]:
    state = one.seen.state if one.seen is not None else None
    if state is None:
        return []
    words = {
        "locked": state.locked,
        "disabled": state.disabled,
        "expired": state.expired,
        "password expired": state.password_expired,
        "password must be changed": state.must_change,
    }
    return [word for word, is_so in words.items() if is_so]


def _budget_words(one: Trial, account_state: Answer) -> str:
    policy, budget = account_state.policy, account_state.budget
    said = f"{budget.failures} of {policy.limit} failures used"
    directory, own = _shares(one, account_state)
    if directory is not None and budget.failures:
        said += f" ({directory} by the directory's count, {own} by pusher's)"
    if budget.in_flight:
        said += f", {budget.in_flight} sign-ins on their way"
    if budget.failures and account_state.free_at is not None and policy.limit:
        said += f"; free again at {when(account_state.free_at + timedelta(milliseconds=999))}"
    source = "assumed" if policy.assumed else "by the directory"
    return f"{said}; threshold {policy.threshold} {source}, reserve {policy.reserve}"


def _shares(one: Trial, account_state: Answer) -> tuple[int | None, int]:
    """What the directory counted when it was asked, and what pusher's own ledger counts beside it."""
    state = one.seen.state if one.seen is not None else None
    failures = account_state.budget.failures
    if state is None or not state.threshold:
        return None, failures
    directory = min(state.bad, failures)
    return directory, failures - directory


def _left(account_state: Answer | None) -> int | None:
    return account_state.budget.room(account_state.policy) if account_state is not None else None


def _minutes(seconds: float) -> str:
    minutes = seconds / 60
    return f"{minutes:g} min" if minutes < 60 * 24 * 365 else "a time without end"


def account_record(one: Trial) -> Record:
    """One line of ``--json``. ``works`` is null for what was not tested; None of the rest is a secret."""
    found = one.problem
    return {
        "account": one.account.name,
        "user": one.account.user,
        "protocol": one.account.protocol.value,
        "secret": one.secret,
        "principal": one.principal,
        "works": None if one.found is Found.NOT_TESTED else one.found is Found.WORKS,
        "code": found.code if found else None,
        "message": found.message if found else one.words or None,
        "remedy": found.remedy if found else None,
        "tries_left": _left(one.account_state),
        "directory": _directory_record(one),
        "budget": _budget_record(one),
    }


def _directory_record(one: Trial) -> dict[str, Any] | None:
    """Null where it was not asked."""
    if one.seen is None or (one.seen.state is None and one.seen.why_not is None):
        return None
    state = one.seen.state
    if state is None:
        return {"code": one.seen.why_not.code if one.seen.why_not else None}
    return {
        "code": None,
        "threshold": state.threshold,
        "window_seconds": state.window,
        "policy": state.policy,
        "bad_count": state.bad,
        "counted_by": state.counted_by,
        "locked": state.locked,
        "disabled": state.disabled,
        "expired": state.expired,
        "password_expired": state.password_expired,
        "must_change": state.must_change,
    }


def _budget_record(one: Trial) -> dict[str, Any] | None:
    if (account_state := one.account_state) is None:
        return None
    return {
        "failures": account_state.budget.failures,
        "own_failures": _shares(one, account_state)[1],
        "in_flight": account_state.budget.in_flight,
        "limit": account_state.policy.limit,
        "threshold": account_state.policy.threshold,
        "reserve": account_state.policy.reserve,
        "assumed": account_state.policy.assumed,
        "free_at": iso(account_state.free_at)
        if account_state.free_at is not None and account_state.budget.failures
        else None,
    }


def cleared_words(account: Account, cleared: Cleared, beside: Mapping[str, Account | None], budget: str) -> list[str]:
    """What ``accounts clear`` has done. ``beside``: what may be the same account's other names, each by the command
    that clears it, with the account of the file that it is. ``budget``: the command that lists all that is counted."""
    lost = cleared.forgotten is None
    said = [f"{visible(account.name)}: {'all of its entry' if lost else failures(cleared.forgotten or 0)} forgotten."]
    if cleared.beside:
        names = [
            f"{visible(one.name)} ({visible(one.user)})" if one is not None else "a name that is not in this file"
            for one in beside.values()
        ]
        said.append(
            f"{failures(cleared.beside)} of {' and '.join(names)}, which may be the same account, still "
            f"count{'s' if cleared.beside == 1 else ''}: clear that too, or tell them apart by realm."
        )
        said += [f"  {visible(command)}" for command in beside]
    elif cleared.forgotten == 0:
        said.append(f"Nothing was counted under that name. To see what this store counts: {budget}")
    return said


def lost_words(account: Account) -> str:
    """What is said before an entry is forgotten that cannot be understood."""
    return (
        f"The entry that counts {visible(account.user)} in the store cannot be understood. How often it has failed, "
        "and what is on its way, is lost with it, also of other accounts of that user name: pusher then spends their "
        "whole budget anew."
    )


def released_words(released: int) -> list[str]:
    """Of machines of queued runs that waited for an account, and wait for a worker now."""
    return [f"{hosts(released)} that waited for it in the queue: ready for a worker."] if released else []


def cleared_record(account: Account, cleared: Cleared, released: int) -> Record:
    """The line of ``accounts clear --json``. ``forgotten`` is null where nobody knows how many there were."""
    return {
        "account": account.name,
        "user": account.user,
        "forgotten": cleared.forgotten,
        "still_counted_under_another_name": cleared.beside,
        "released": released,
    }


@dataclass(frozen=True, slots=True)
class Counted:
    """What the ledger counts of ``user``, on the machine ``host`` where it is that one's own. ``clear`` forgets it.

    ``answer`` None: its entry cannot be understood.
    """

    user: str
    host: str | None
    answer: Answer | None
    clear: str


def budget_page(rows: Sequence[Counted], store: str) -> RenderableType:
    """Every account of which ``store`` counts anything, by name. Their commands are lines of their own."""
    if not rows:
        return plain(f"No account has failed sign-ins that count in the store {store}.")
    made = table("user", "counted by", "failures", "free again")
    for row in rows:
        if row.answer is None:
            refused = Text("not understood: it is tried nowhere", style="bold red")
            made.add_row(plain(row.user), plain(row.host or "its domain"), refused, Text("when it is cleared"))
            continue
        free = row.answer.free_at
        made.add_row(
            plain(row.user),
            plain(row.host or "its domain"),
            Text(_counted_words(row.answer)),
            Text(when(free + timedelta(milliseconds=999)) if free is not None and row.answer.policy.limit else "-"),
        )
    return Group(plain(f"Counted in the store {store}:"), Text(), made, Text())


def _counted_words(answer: Answer) -> str:
    said = f"{answer.budget.failures} of {answer.policy.limit}"
    if answer.cut_off:
        said += f", {answer.cut_off} cut off"
    return said + (f", {answer.budget.in_flight} on their way" if answer.budget.in_flight else "")


def counted_record(row: Counted) -> Record:
    """One line of ``accounts budget --json``. ``host`` is null for a domain account; ``failures``, and all that is
    counted, where the entry cannot be understood."""
    answer = row.answer
    if answer is None:
        counted = dict.fromkeys(("failures", "cut_off", "in_flight", "limit", "free_at"))
        return {"user": row.user, "host": row.host, **counted, "clear": row.clear}
    return {
        "user": row.user,
        "host": row.host,
        "failures": answer.budget.failures,
        "cut_off": answer.cut_off,
        "in_flight": answer.budget.in_flight,
        "limit": answer.policy.limit,
        "free_at": iso(answer.free_at) if answer.free_at is not None else None,
        "clear": row.clear,
    }
