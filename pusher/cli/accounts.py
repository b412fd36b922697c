"""``pusher accounts``: which accounts work, within the lockout budget; and forgetting failures that are forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from pusher.config import hint, shown
from pusher.credentials.budget import AccountKey, account_key
from pusher.credentials.guard import LockoutGuard
from pusher.credentials.standing import Cleared
from pusher.credentials.trial import Found, Trial
from pusher.models import Account, Source
from pusher.problems import BadInput
from pusher.report.accounts import account_record, accounts_page, cleared_record, cleared_words
from pusher.report.record import write_line
from pusher.report.style import console_for
from pusher.scheduler.identity import is_address
from pusher.settings import open_default_store
from pusher.store import Store
from pusher.wiring.accounts import accounts_to_test
from pusher.wiring.examination import Examination
from pusher.wiring.lockout import budget_note, lockout_policy

OK, SOME_FAIL, INTERRUPTED = 0, 1, 130


def try_accounts(file: Path | None, store: str | None, as_json: bool) -> int:
    """Try every account of the file once; the command's exit status. BadInput before anything is contacted."""
    accounts, read = accounts_to_test(file)
    examination, trials = Examination(read), list[Trial]()
    if (note := budget_note(read)) is not None:
        print(f"note: {note}", file=sys.stderr)
    interrupted = False
    with contextlib.closing(open_default_store(store)) as opened:
        try:
            asyncio.run(_try_all(accounts, examination, opened, trials, as_json))
        except KeyboardInterrupt:
            interrupted = True  # a sign-in that was on its way is in the ledger
    if not as_json and (trials or not interrupted):
        console_for(sys.stdout).print(accounts_page(trials))
    if interrupted:
        print(f"Interrupted; {len(accounts) - len(trials)} accounts were not tested.", file=sys.stderr)
        return INTERRUPTED
    return SOME_FAIL if any(one.found is Found.FAILS for one in trials) else OK


async def _try_all(
    accounts: Sequence[Account], examination: Examination, store: Store, trials: list[Trial], as_json: bool
) -> None:
    async with examination.over(store) as examiner:
        for account in accounts:
            trials.append(await examiner.examine(account))
            if as_json:
                write_line(account_record(trials[-1]), sys.stdout)
                sys.stdout.flush()


def account_to_clear(name: str, file: Path | None, host: str | None) -> Account:
    """The account of that name in the accounts file; BadInput. A local one counts on each machine, its ``host``."""
    accounts, _ = accounts_to_test(file)
    found = next((one for one in accounts if one.name.casefold() == name.casefold()), None)
    if found is None:
        near = hint(name, [one.name for one in accounts])
        raise BadInput(Source(file="NAME"), f"{shown(name)} names no account of the accounts file{near}", "one of them")
    if found.is_own_identity:
        words = f"{shown(name)} is the process's own: no domain counts its failures"
        raise BadInput(Source(file="NAME"), words, "an account with a secret")
    if found.is_local and not (host or "").strip():
        words = f"{shown(name)} is local, so each machine counts its failures"
        raise BadInput(Source(file="NAME"), words, "--host MACHINE, by the name in the outcome's machine")
    if host is not None and not found.is_local:
        words = f"{shown(name)} is a domain account, which counts its failures for all machines"
        raise BadInput(Source(file="--host"), words, "no --host")
    return found


def clear_account(account: Account, file: Path | None, store: str | None, as_json: bool, host: str | None) -> None:
    """Forget its failures in the store's ledger, and say how many there were, and which other name still counts."""
    accounts, read = accounts_to_test(file)
    keys = list(dict.fromkeys(account_key(account, name) for name in _names_of(host or "")))
    with contextlib.closing(open_default_store(store)) as opened:
        cleared = asyncio.run(_clear(LockoutGuard(lockout_policy(read), opened.ledger), keys))
    if as_json:
        write_line(cleared_record(account, cleared), sys.stdout)
        return
    others = ((one, account_key(one, "")) for one in accounts)
    beside = [one for one, other in others if other.entry == keys[0].entry and other != keys[0]]
    print("\n".join(cleared_words(account, cleared, beside)))


async def _clear(guard: LockoutGuard, keys: Sequence[AccountKey]) -> Cleared:
    all_ = [await guard.clear(key) for key in keys]
    return Cleared(forgotten=sum(one.forgotten for one in all_), beside=sum(one.beside for one in all_))


def _names_of(host: str) -> Sequence[str]:
    """What a machine may be known by in the ledger: its DNS name, or the NetBIOS name of one that has no other."""
    plain = host.strip().rstrip(".")
    return (plain,) if is_address(plain) else (plain, plain.partition(".")[0], plain.partition(".")[0][:15])
