"""The ledger: where the state of every account is kept, one transaction a change. The port, and the fake.

The store implements it over its database without knowing what it holds: a document for each entry, of which
``budget`` and ``account_state`` make sense. Accounts of one user name share an entry, since they may be one account
under two names. What a sign-in may do is decided in ``decide``, inside the transaction, by pure functions alone: so no
interleaving of tasks, processes and runs can come between the count and the grant.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from pydantic import TypeAdapter, ValidationError

from pusher.credentials.lockout.account_state import AccountState
from pusher.credentials.lockout.budget import AccountKey
from pusher.problems import Code, Problem, ProblemError, Stage, problem

T = TypeVar("T")

Document = Mapping[str, Any]
"""What JSON can say."""
Found = Any
"""What stands in an account's place: a document, None for nothing; or whatever else somebody has written there, which
is handed over as it is. Only a document may be put there."""
Decide = Callable[[Found], tuple[Document | None, T]]
"""Of what is found the next document and an answer. May be called more than once."""


class Ledger(Protocol):
    """Kept for each account: a document. Every failure to keep it is ``budget-unavailable``.

    What it means is not the ledger's matter, so an entry that means nothing is no failure of it.
    """

    def change(self, account: str, decide: Decide[T]) -> asyncio.Future[T]:
        """One transaction, alone with the account's document. It is handed over when this returns, in the order of the
        calls, and cannot be called back; the future is done when it is durable."""

    async def look(self, account: str) -> Found:
        """As it is now; the event loop does not wait for it."""

    def read(self, account: str) -> Found:
        """As it is now, for callers without an event loop."""

    def accounts(self) -> Mapping[str, Found]:
        """All of them, by name."""


class MemoryLedger:
    """The fake: as durable as the process."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}

    def change(self, account: str, decide: Decide[T]) -> asyncio.Future[T]:
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            document, answer = decide(copy.deepcopy(self._documents.get(account)))
        except Exception as error:
            done.set_exception(error)
            return done
        if document is None:
            self._documents.pop(account, None)
        else:
            self._documents[account] = document
        done.set_result(answer)
        return done

    async def look(self, account: str) -> Found:
        return self.read(account)

    def read(self, account: str) -> Found:
        return copy.deepcopy(self._documents.get(account))

    def accounts(self) -> Mapping[str, Found]:
        return copy.deepcopy(self._documents)


# Documents

_ADAPTER = TypeAdapter(dict[str, AccountState])


def account_states_of(found: Found, damaged: Problem | None = None) -> dict[str, AccountState]:
    """All the states of one place in the ledger, by domain.

    ProblemError (``damaged``) where what is found there cannot be understood: whatever it once said, nothing may be
    granted upon it.
    """
    try:
        return _ADAPTER.validate_python({} if found is None else found)
    except (ValidationError, RecursionError) as error:
        raise ProblemError(damaged or problem(Code.BUDGET_DAMAGED, Stage.SIGN_IN)) from error


def account_state_of(found: Found, key: AccountKey, damaged: Problem | None = None) -> AccountState:
    """The account's, with all those beside it that may be the same account's; else as ``account_states_of``."""
    return _seen(account_states_of(found, damaged), key)


def document_of(account_states: Mapping[str, AccountState]) -> Document | None:
    kept = {domain: replace(one, beside=()) for domain, one in account_states.items() if not one.is_blank}
    made: dict[str, Any] = _ADAPTER.dump_python(kept, mode="json")
    return made or None


def _seen(account_states: Mapping[str, AccountState], key: AccountKey) -> AccountState:
    mine = account_states.get(key.domain, AccountState())
    ambiguous = mine.ambiguous or not key.is_certain
    beside = (one for domain, one in account_states.items() if domain != key.domain and (ambiguous or one.ambiguous))
    return replace(mine, ambiguous=ambiguous, beside=tuple(beside))


def changed(
    ledger: Ledger,
    key: AccountKey,
    step: Callable[[AccountState], tuple[AccountState, T]],
    damaged: Problem | None = None,
) -> asyncio.Future[T]:
    """``ledger.change`` in terms of account states; ``damaged`` as of ``account_states_of``."""

    def decide(found: Found) -> tuple[Document | None, T]:
        account_states = account_states_of(found, damaged)
        account_state, answer = step(_seen(account_states, key))
        return document_of({**account_states, key.domain: account_state}), answer

    return ledger.change(key.entry, decide)
