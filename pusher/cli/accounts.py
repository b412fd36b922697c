"""``pusher accounts``: which accounts work, what the lockout budget counts, and forgetting what has been forgotten."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pusher.clock import utc_now
from pusher.config.wording import hint, shown
from pusher.credentials.accounts.trial import Examiner, Found, Trial
from pusher.credentials.accounts.users import USER, is_user
from pusher.credentials.lockout.account_state import Cleared
from pusher.credentials.lockout.budget import AccountKey, account_key, written
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.models import Account, Protocol, Source
from pusher.problems import BadInput
from pusher.push.identity import is_address
from pusher.report.accounts import (
    Counted,
    account_record,
    accounts_page,
    budget_page,
    cleared_record,
    cleared_words,
    counted_record,
    lost_words,
    released_words,
)
from pusher.report.record import write_line
from pusher.report.style import console_for
from pusher.report.text import visible
from pusher.settings import next_commands
from pusher.wiring.accounts import accounts_beside, accounts_to_test
from pusher.wiring.directory import directory_secret
from pusher.wiring.engine import Engine, open_engine
from pusher.wiring.lockout import budget_note, run_id
from pusher.wiring.sign_in import open_examiner

OK, SOME_FAIL, INTERRUPTED = 0, 1, 130


def try_accounts(file: Path | None, store: str | None, as_json: bool) -> int:
    """Try every account of the file once; the command's exit status. BadInput before anything is contacted."""
    accounts, read = accounts_to_test(file)
    secret, trials = directory_secret(read), list[Trial]()
    if (note := budget_note(read, store)) is not None:
        print(f"note: {note}", file=sys.stderr)
    interrupted = False
    with open_engine(store) as engine:
        guard = engine.guard(read, f"test-{run_id(utc_now())}")
        try:
            opening = open_examiner(read, guard, secret, next_commands(store, file))
            asyncio.run(_try_all(accounts, opening, trials, as_json))
        except KeyboardInterrupt:
            interrupted = True  # a sign-in that was on its way is in the ledger
        for line in released_words(_released(engine, {one.account.name for one in trials if one.found is Found.WORKS})):
            print(line, file=sys.stderr)
    if not as_json and (trials or not interrupted):
        console_for(sys.stdout).print(accounts_page(trials))
    if interrupted:
        print(f"Interrupted; {len(accounts) - len(trials)} accounts were not tested.", file=sys.stderr)
        return INTERRUPTED
    return SOME_FAIL if any(one.found is Found.FAILS for one in trials) else OK


async def _try_all(
    accounts: Sequence[Account], opening: AbstractAsyncContextManager[Examiner], trials: list[Trial], as_json: bool
) -> None:
    async with opening as examiner:
        for account in accounts:
            trials.append(await examiner.examine(account))
            if as_json:
                write_line(account_record(trials[-1]), sys.stdout)
                sys.stdout.flush()


def accounts_to_clear(name: str, file: Path | None, host: str | None) -> Sequence[Account]:
    """Those that NAME means: an account of the accounts file, or a user, whoever uses it; BadInput.

    A user is whoever is counted by that name: a service's account stands in no accounts file. Where the file has it
    too, and knows its realm, both count as one. A local one counts on each machine, its ``host``.
    """
    if is_user(name):
        listed = [one for one in accounts_beside(file).accounts if one.user.casefold() == name.casefold()]
        found = [Account(name=name, user=name, secret="", protocol=Protocol.NTLM), *listed]
    else:
        found = [_listed(name, file)]
    _is_counted_where(found[0], name, host)
    return found


def _listed(name: str, file: Path | None) -> Account:
    accounts, _ = accounts_to_test(file)
    found = next((one for one in accounts if one.name.casefold() == name.casefold()), None)
    if found is None:
        near = hint(name, [one.name for one in accounts])
        words = f"{shown(name)} names no account of the accounts file{near}"
        raise BadInput(Source(file="NAME"), words, f"one of them, or a user: {USER}")
    return found


def _is_counted_where(found: Account, name: str, host: str | None) -> None:
    if found.is_own_identity:
        words = f"{shown(name)} is the process's own: no domain counts its failures"
        raise BadInput(Source(file="NAME"), words, "an account with a secret")
    if found.is_local and not (host or "").strip():
        words = f"{shown(name)} is local, so each machine counts its failures"
        raise BadInput(Source(file="NAME"), words, "--host MACHINE, by the name in the outcome's machine")
    if host is not None and not found.is_local:
        words = f"{shown(name)} is a domain account, which counts its failures for all machines"
        raise BadInput(Source(file="--host"), words, "no --host")


def lost_by_clearing(found: Sequence[Account], file: Path | None, store: str | None, host: str | None) -> str | None:
    """What has to be said before it is cleared: of an entry that cannot be understood. None: it can be."""
    with open_engine(store) as engine:
        guard = engine.guard(accounts_beside(file))
        if any(True for key in _keys(found, host) for _ in guard.damaged(key.entry)):
            return lost_words(found[0])
    return None


def clear_account(
    found: Sequence[Account], file: Path | None, store: str | None, as_json: bool, host: str | None
) -> None:
    """Forget its failures in the store's ledger, and say how many there were, and which other name still counts.

    Whoever asks has said what is lost, see ``lost_by_clearing``.
    """
    read, account = accounts_beside(file), found[0]
    keys = _keys(found, host)
    with open_engine(store) as engine:
        guard = engine.guard(read)
        cleared = asyncio.run(_clear(guard, keys))
        released = _released(engine, {account.name, *(one.name for one in read.accounts if one.user == account.user)})
        others = {key: guard.clear_command(key) for key, _ in guard.counted(keys[0].entry)}
    if as_json:
        write_line(cleared_record(account, cleared, released), sys.stdout)
        return
    names = {(key.entry, key.domain): one for one in read.accounts for key in [account_key(one, "")]}
    beside = {command: names.get((key.entry, key.domain)) for key, command in others.items()}
    budget = next_commands(store, file).budget()
    print("\n".join([*cleared_words(account, cleared, beside, budget), *released_words(released)]))


def _released(engine: Engine, names: Iterable[str]) -> int:
    """Machines of queued runs that waited for somebody to see to an account of one of these names; they are ready."""
    store = engine.store()
    return sum(store.release(name) for name in sorted(names))


def _keys(found: Sequence[Account], host: str | None) -> Sequence[AccountKey]:
    return list(dict.fromkeys(account_key(one, name) for one in found for name in _names_of(host or "")))


async def _clear(guard: LockoutGuard, keys: Sequence[AccountKey]) -> Cleared:
    damaged = [key for key in keys for _ in guard.damaged(key.entry)]
    for key in damaged:
        await guard.forget(key)
    known = sum([(await guard.clear(key)).forgotten or 0 for key in keys])
    forgotten = None if damaged else known
    # Two names of the file that are one account are both forgotten by now.
    return Cleared(forgotten=forgotten, beside=guard.look(keys[0]).beside)


def show_budget(file: Path | None, store: str | None, as_json: bool) -> None:
    """All that the store's ledger counts, of whatever account, and the command that forgets it."""
    with open_engine(store) as engine:
        guard = engine.guard(accounts_beside(file))
        rows = [
            Counted(*written(key), answer=answer, clear=guard.clear_command(key)) for key, answer in guard.counted()
        ]
        rows += [Counted(*written(key), answer=None, clear=guard.clear_command(key)) for key in guard.damaged()]
        where = guard.store
    if as_json:
        for row in rows:
            write_line(counted_record(row), sys.stdout)
    else:
        console_for(sys.stdout).print(budget_page(rows, where))
        for row in rows:
            print(visible(row.clear))


def _names_of(host: str) -> Sequence[str]:
    """What a machine may be known by in the ledger: its DNS name, or the NetBIOS name of one that has no other."""
    plain = host.strip().rstrip(".")
    return (plain,) if is_address(plain) else (plain, plain.partition(".")[0], plain.partition(".")[0][:15])
