"""Kerberos in memory: a realm, keytabs and caches that a test makes, behind the same port, under the same contract."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from pusher.clock import Now
from pusher.credentials.kerberos.tickets import Ticket
from pusher.models import Secret
from pusher.problems import Code, ProblemError, Stage, problem

_NONE: Mapping[str, str] = MappingProxyType({})
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cached:
    """A ticket that somebody else got."""

    principal: str
    ends: datetime


class MemoryKerberos:
    """``passwords`` by principal; ``refuses``: codes that its KDC answers a right password with.

    ``cached``: whose ticket the process's default cache holds. ``keytabs`` hold keys (passwords) by principal, and
    ``own_keytab`` those of the process's client keytab. ``unreachable``: no KDC answers; ``silent``: it answers
    until it sees a password. ``asked`` counts the AS-REQs that came with one, ``closed`` tells that all was
    forgotten.
    """

    def __init__(
        self,
        now: Now,
        passwords: Mapping[str, str] = _NONE,
        *,
        own: str | None = None,
        refuses: Mapping[str, Code] = MappingProxyType({}),
        life: timedelta = timedelta(hours=10),
        latency: float = 0.0,
    ) -> None:
        self._now, self.passwords, self.refuses = now, dict(passwords), dict(refuses)
        self.cached, self.life, self.latency = own, life, latency
        self.keytabs: dict[Path, dict[str, str]] = {}
        self.own_keytab: dict[str, str] = {}
        self.caches: dict[Path, Cached] = {}
        self.asked: list[str] = []
        self.unreachable = self.silent = self.closed = False

    async def by_password(self, principal: str, secret: Secret) -> Ticket:
        await self._reach(principal)
        return self._as_req(principal, secret.reveal())

    async def by_keytab(self, principal: str, keytab: Path) -> Ticket:
        held = self.keytabs.get(keytab)
        if held is None:
            raise _refused(Code.KEYTAB_UNREADABLE, str(keytab))
        key = next((name for name in held if name.casefold() == principal.casefold()), None)
        if key is None:
            realm = principal.rpartition("@")[2]
            other = held and not any(name.rpartition("@")[2] == realm for name in held)
            raise _refused(Code.KEYTAB_WRONG_REALM if other else Code.KEYTAB_NO_PRINCIPAL, str(keytab))
        await self._reach(key)
        return self._as_req(key, held[key])

    async def from_cache(self, principal: str, cache: Path) -> Ticket:
        held = self.caches.get(cache)
        if held is None:
            raise _refused(Code.TICKET_MISSING, str(cache))
        if held.principal.casefold() != principal.casefold():
            raise _refused(Code.TICKET_WRONG_PRINCIPAL, held.principal)
        if held.ends <= self._now():
            raise _refused(Code.TICKET_EXPIRED, str(cache))
        return self._ticket(held.principal, held.ends)

    async def own(self) -> Ticket:
        if self.cached is None:
            raise _refused(Code.TICKET_MISSING, "no default cache")
        return self._ticket(self.cached, self._now() + self.life)

    async def own_principal(self) -> str | None:
        return next(iter(self.own_keytab), None)

    async def by_own_keytab(self, principal: str) -> Ticket:
        await self._reach(principal)
        return self._as_req(principal, self.own_keytab[principal])

    def close(self) -> None:
        self.closed = True

    async def _reach(self, principal: str) -> None:
        await asyncio.sleep(self.latency)
        if self.unreachable:
            raise _refused(Code.NO_LOGON_SERVERS, principal)
        if principal not in self.passwords:
            raise _refused(Code.NO_SUCH_ACCOUNT, principal)

    def _as_req(self, principal: str, password: str) -> Ticket:
        self.asked.append(principal)
        if self.silent:
            raise _refused(Code.SIGN_IN_UNKNOWN, principal)
        if self.passwords[principal] != password:
            raise _refused(Code.WRONG_PASSWORD, principal)
        if principal in self.refuses:
            raise _refused(self.refuses[principal], principal)
        return self._ticket(principal, self._now() + self.life)

    def _ticket(self, principal: str, ends: datetime) -> Ticket:
        return Ticket(ccache=f"MEMORY:fake-{next(_numbers)}", principal=principal, ends=ends)


def _refused(code: Code, detail: str) -> ProblemError:
    return ProblemError(problem(code, Stage.SIGN_IN, detail))
