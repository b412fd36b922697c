"""The directory by LDAP (RFC 4511, MS-ADTS): bonsai, in a process of its own (see ``child`` for why).

Here lives the adapter of the port: which server, signing in once, pages, bounds. What must not live here: what is
searched for. Kerberos signs and seals (RFC 4752), or TLS by a CA that the operator names; there is no third way,
and a password never crosses the network except inside TLS.

A connection that was lost after a good sign-in is made again; a sign-in that failed, or whose verdict never came,
is final. Whether one may be made at all is not decided here (``SignIn``).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from pusher.config.wording import Wrong
from pusher.directory import faults
from pusher.directory.filters import parse_filter
from pusher.directory.locate import Locate, SrvLocator
from pusher.directory.names import parse_dn
from pusher.directory.port import Bounds, DirectoryAccount, Entry, NotSentError, NotTriedError, Scope, SignIn
from pusher.directory.process import ChildProcess
from pusher.models import Secret, Stage
from pusher.problems import Code, Problem, ProblemError, problem

_LDAP, _LDAPS = 389, 636


_UNREACHED = frozenset({"socket", "name"})
_BEFORE = frozenset({"kerberos-before", "missing", "certificate", "tls"})
"""Kinds of failures that come before anything made of the secret has left."""


class _UnreachedError(NotSentError):
    """The next server may be tried."""


class LdapDirectory:
    """The directory of ``account``'s domain. ``secret`` None: a keytab or a ticket cache stands for it."""

    def __init__(
        self,
        account: DirectoryAccount,
        secret: Secret | None,
        *,
        bounds: Bounds | None = None,
        locate: Locate | None = None,
        sign_in: SignIn = nullcontext,
        start: Callable[[], ChildProcess] = ChildProcess,
    ) -> None:
        self._account, self._secret = account, secret
        self._bounds = bounds or Bounds()
        self._locate, self._start, self._sign_in = locate or SrvLocator(), start, sign_in
        self._child: ChildProcess | None = None
        self._opening = asyncio.Lock()
        self._final: Problem | None = None
        self._ids = itertools.count(1)
        self._dropped: list[int] = []
        self._others: dict[str, LdapDirectory] = {}
        self._closed = False
        self._server: str | None = None

    async def search(
        self, base: str, filter: str, attributes: Sequence[str], scope: Scope = Scope.SUBTREE
    ) -> AsyncIterator[Entry]:
        _refuse_malformed(base, filter)
        if not attributes:
            raise ValueError("a search names its attributes")
        number = next(self._ids)
        request = {"do": "search", "id": number, "base": base, "filter": filter, "scope": scope.value,
                   "attributes": list(attributes), "page": self._bounds.page}  # fmt: skip
        wanted = frozenset(name.lower() for name in attributes)
        child, page = await self._first_page(request)
        seen = 0
        try:
            while True:
                for raw in _entries_of(page):
                    seen += 1
                    if seen > self._bounds.entries:
                        raise faults.refused(Code.DIRECTORY_ANSWER, f"more than {self._bounds.entries:,} entries")
                    yield _entry(raw, wanted, self._bounds)
                if page.get("more") is not True:
                    number = 0
                    return
                page = await self._ask(child, {"do": "next", "id": number})
        finally:
            if number and child is self._child:
                self._dropped.append(number)

    def at(self, server: str) -> LdapDirectory:
        wanted = server.lower()
        if self._server is not None and _split(self._server, 0)[0].lower() == wanted:
            return self
        if wanted not in self._others:
            account = replace(self._account, server=server)
            other = LdapDirectory(
                account,
                self._secret,
                bounds=self._bounds,
                locate=self._locate,
                sign_in=self._sign_in,
                start=self._start,
            )
            other._closed = self._closed
            self._others[wanted] = other
        return self._others[wanted]

    async def close(self) -> None:
        self._closed = True
        for other in self._others.values():
            await other.close()
        if self._child is not None:
            await self._child.close()

    # -- the connection -------------------------------------------------------------------------------------

    async def _first_page(self, request: dict[str, Any]) -> tuple[ChildProcess, dict[str, Any]]:
        """Again on a new connection, once, where the old one turns out to have been dropped meanwhile."""
        fresh = self._child is None or not self._child.is_alive
        child = await self._connected()
        try:
            return child, await self._ask(child, request)
        except ProblemError as error:
            if fresh or error.problem.code != Code.DIRECTORY_UNREACHABLE or self._closed:
                raise
            child.kill()
        child = await self._connected()
        return child, await self._ask(child, request)

    async def _connected(self) -> ChildProcess:
        async with self._opening:
            if self._closed:
                raise faults.refused(Code.DIRECTORY_UNREACHABLE, "it was closed")
            if self._final is not None:
                raise ProblemError(self._final)
            if self._child is not None and self._child.is_alive:
                return self._child
            if self._child is not None:
                await self._child.close()
            # A verdict that never comes (deadline, cancelled) is as final as a refusal.
            self._final = problem(Code.DIRECTORY_SIGN_IN_FAILED, Stage.SIGN_IN, "its verdict never came")
            self._child = await self._open_any()
            self._final = None
            return self._child

    async def _open_any(self) -> ChildProcess:
        try:
            servers = [self._account.server] if self._account.server else await self._locate(self._account.domain)
        except ProblemError:
            self._final = None  # nothing was sent to anyone
            raise
        last: ProblemError | None = None
        for server in servers:
            try:
                async with self._sign_in():
                    return await self._open(server)
            except _UnreachedError as error:
                last = error
            except ProblemError as error:
                self._final = None if isinstance(error, NotTriedError) else error.problem
                raise
        self._final = None
        if last is None:
            raise faults.refused(Code.DIRECTORY_UNREACHABLE, f"the domain {self._account.domain} names no server")
        raise last

    async def _open(self, server: str) -> ChildProcess:
        account = self._account
        host, port = _split(server, _LDAPS if account.ca else _LDAP)
        if account.ca and port == _LDAP:
            port = _LDAPS  # SRV records name the port without TLS
        scheme, _, path = account.secret.partition(":")
        request = {
            "do": "open",
            "server": host,
            "port": port,
            "ca": str(account.ca.absolute()) if account.ca else None,
            "user": account.user,
            "domain": account.domain,
            "keytab": path if scheme == "keytab" else None,
            "ccache": path if scheme == "ccache" else None,
            # The moment of use: it goes through a pipe to the process that signs in.
            "secret": self._secret.reveal() if self._secret is not None else None,
        }
        child = self._start()
        try:
            await child.start()
            answer = await child.ask(request, self._bounds.deadline)
            if "kind" in answer:
                raise _as_sent(answer["kind"])(_of_sign_in(answer, server))
        except BaseException:
            await child.close()
            raise
        self._server = server
        return child

    async def _ask(self, child: ChildProcess, request: dict[str, Any]) -> dict[str, Any]:
        while self._dropped and child is self._child:
            await child.ask({"do": "drop", "id": self._dropped.pop()}, self._bounds.deadline)
        answer = await child.ask(request, self._bounds.deadline)
        if "kind" in answer:
            raise ProblemError(_of_search(answer))
        return answer


# -- answers ------------------------------------------------------------------------------------------------


def _as_sent(kind: object) -> type[ProblemError]:
    if kind in _UNREACHED:
        return _UnreachedError
    return NotSentError if kind in _BEFORE else ProblemError


def _of_sign_in(answer: dict[str, Any], server: str) -> Problem:
    kind, number = answer.get("kind"), _integer(answer.get("number"))
    if kind in {"kerberos", "kerberos-before"}:
        return faults.of_kerberos(number)
    if kind in {"socket", "name"}:
        return faults.of_socket(server, number if kind == "socket" else None)
    if kind == "certificate":
        return problem(Code.DIRECTORY_TLS_FAILED, None, f"{server}: its certificate is not trusted (OpenSSL {number})")
    if kind == "tls":
        return problem(Code.DIRECTORY_TLS_FAILED, None, server)
    if kind == "missing":
        return problem(Code.DIRECTORY_UNAVAILABLE)
    if kind == "ldap" and number is not None:
        return faults.of_ldap(number, Stage.SIGN_IN)
    return problem(Code.DIRECTORY_FAILED, None, str(answer.get("type", ""))[:80])


def _of_search(answer: dict[str, Any]) -> Problem:
    number = _integer(answer.get("number"))
    if answer.get("kind") == "ldap" and number is not None:
        return faults.of_ldap(number)
    return problem(Code.DIRECTORY_FAILED, None, str(answer.get("type", ""))[:80])


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _entries_of(page: dict[str, Any]) -> list[Any]:
    entries = page.get("entries")
    if not isinstance(entries, list):
        raise faults.refused(Code.DIRECTORY_ANSWER, "a page without entries")
    return entries


def _entry(raw: Any, wanted: frozenset[str], bounds: Bounds) -> Entry:
    """An entry as the port promises it; what was not asked for is left out, what is past a bound is refused."""
    try:
        dn, given = raw
        size = len(dn)
        attributes: dict[str, tuple[bytes, ...]] = {}
        for name, values in given.items():
            if len(values) > bounds.values:
                raise faults.refused(Code.DIRECTORY_ANSWER, f"more than {bounds.values:,} values of an attribute")
            size += sum(map(len, values)) * 3 // 4
            if name.lower() in wanted and values:
                attributes[name.lower()] = tuple(base64.b64decode(value, validate=True) for value in values)
    except (TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise faults.refused(Code.DIRECTORY_ANSWER, "an entry that cannot be read") from error
    if len(given) > bounds.attributes or size > bounds.entry_bytes:
        raise faults.refused(Code.DIRECTORY_ANSWER, f"an entry of {len(given)} attributes and {size:,} bytes")
    return Entry(dn=dn, attributes=MappingProxyType(attributes))


def _refuse_malformed(base: str, filter: str) -> None:
    """A filter or base that is none is refused here alike for every server."""
    try:
        parse_filter(filter)
    except Wrong as error:
        raise faults.refused(Code.DIRECTORY_FILTER_WRONG, error.found) from error
    try:
        parse_dn(base)
    except Wrong as error:
        raise faults.refused(Code.DIRECTORY_NO_SUCH_OBJECT, error.found) from error


def _split(server: str, port: int) -> tuple[str, int]:
    host, colon, number = server.rpartition(":")
    return (host, int(number)) if colon and number.isdigit() else (server, port)
