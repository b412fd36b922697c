"""A directory in memory: for tests, and the reference of what the port promises.

It keeps the contract that the real one keeps (tests/contract/directory_contract.py), and can be told to fail.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType

from pusher.config.wording import Wrong
from pusher.directory.faults import refused
from pusher.directory.filters import Filter, matches, parse_filter
from pusher.directory.names import normalised
from pusher.directory.port import Bounds, Entry, NotSentError, Scope, SignIn
from pusher.problems import Code, Problem, ProblemError

Value = str | bytes | int
Values = Value | Sequence[Value]


def entry(dn: str, attributes: Mapping[str, Values] = MappingProxyType({})) -> Entry:
    """An object; a value may be written as text, bytes or a number."""
    found: dict[str, tuple[bytes, ...]] = {"distinguishedname": (dn.encode(),), "objectclass": (b"top",)}
    for name, values in attributes.items():
        several = [values] if isinstance(values, str | bytes | int) else values
        found[name.lower()] = tuple(v if isinstance(v, bytes) else str(v).encode() for v in several)
    return Entry(dn=dn, attributes=MappingProxyType(found))


class MemoryDirectory:
    """``root``: attributes of the rootDSE. ``fails`` maps a base to the code that a search there ends with; "": that
    the sign-in does. ``signed_in`` counts how often that was tried; ``drop`` loses the connection.

    ``servers``: entries that a server of that name has instead (what is not replicated); None: it does not answer.
    """

    def __init__(
        self,
        entries: Sequence[Entry] = (),
        *,
        root: Mapping[str, Values] = MappingProxyType({}),
        servers: Mapping[str, Sequence[Entry] | None] = MappingProxyType({}),
        fails: Mapping[str, Code] = MappingProxyType({}),
        bounds: Bounds | None = None,
        sign_in: SignIn = nullcontext,
    ) -> None:
        self.sign_in = sign_in
        self._opening = asyncio.Lock()
        self._is_open = False
        self._final: Problem | None = None
        self.signed_in = 0
        self._entries = {normalised(one.dn): one for one in entries}
        self._root, self._servers = dict(root), {name.lower(): given for name, given in servers.items()}
        self._fails = {normalised(base): code for base, code in fails.items()}
        self._bounds = bounds or Bounds()
        self._others: list[MemoryDirectory] = []
        self.searches: list[tuple[str, str]] = []
        """(base, filter) of every search, for tests."""
        self.pages = 0
        self.closed = False

    async def search(
        self, base: str, filter: str, attributes: Sequence[str], scope: Scope = Scope.SUBTREE
    ) -> AsyncIterator[Entry]:
        self._refuse_closed()
        async with self._opening:
            await self._open()
        self.searches.append((base, filter))
        wanted = {name.lower() for name in attributes}
        for number, found in enumerate(self._found(base, filter, scope)):
            if number % self._bounds.page == 0:
                self.pages += 1
                await asyncio.sleep(0)
            self._refuse_closed()
            if number >= self._bounds.entries:
                raise refused(Code.DIRECTORY_ANSWER, f"more than {self._bounds.entries:,} entries")
            shown = {name: values for name, values in found.attributes.items() if name in wanted and values}
            yield Entry(dn=found.dn, attributes=MappingProxyType(shown))

    def at(self, server: str) -> MemoryDirectory:
        if server.lower() not in self._servers:
            return self
        own = self._servers[server.lower()]
        other = MemoryDirectory(root=self._root, bounds=self._bounds, sign_in=self.sign_in)
        if own is None:
            other._fails = {"": Code.DIRECTORY_UNREACHABLE}
        else:
            other._entries = {**self._entries, **{normalised(one.dn): one for one in own}}
            other._fails = {base: code for base, code in self._fails.items() if base}
        self._others.append(other)
        return other

    async def close(self) -> None:
        self.closed = True
        for other in self._others:
            await other.close()

    def within(self, sign_in: SignIn) -> MemoryDirectory:
        """The same entries for another who reads them, from whose sign-ins on it is counted."""
        self.sign_in, self._is_open, self._final, self.closed = sign_in, False, None, False
        return self

    def drop(self) -> None:
        """The next search signs in again."""
        self._is_open = False

    async def _open(self) -> None:
        if self._final is not None:
            raise ProblemError(self._final)
        if self._is_open:
            return
        try:
            async with self.sign_in():
                await self._verdict()
        except NotSentError:
            raise
        except ProblemError as error:
            self._final = error.problem
            raise
        self._is_open = True

    async def _verdict(self) -> None:
        self.signed_in += 1
        code = self._fails.get("")
        if code == Code.DIRECTORY_UNREACHABLE:
            raise NotSentError(refused(code).problem)
        if code is not None:
            raise refused(code)

    def _found(self, base: str, filter: str, scope: Scope) -> list[Entry]:
        self._refuse_closed()
        try:
            parsed, top = parse_filter(filter), normalised(base)
        except Wrong as error:
            code = (
                Code.DIRECTORY_FILTER_WRONG
                if error.found.startswith("the LDAP filter")
                else Code.DIRECTORY_NO_SUCH_OBJECT
            )
            raise refused(code, error.found) from error
        for failing, code in self._fails.items():
            if failing and (top == failing or top.endswith(f",{failing}")):
                raise refused(code)
        if not top:
            root = entry("", self._root)
            return [root] if scope is Scope.BASE else []
        if top not in self._entries:
            raise refused(Code.DIRECTORY_NO_SUCH_OBJECT, "LDAP result 32 (noSuchObject)")
        return [one for name, one in self._entries.items() if self._is_meant(name, top, scope, one, parsed)]

    def _is_meant(self, name: str, top: str, scope: Scope, one: Entry, filter: Filter) -> bool:
        if scope is Scope.BASE:
            inside = name == top
        elif scope is Scope.ONE_LEVEL:
            inside = name.endswith(f",{top}") and normalised_parent(name) == top
        else:
            inside = name == top or name.endswith(f",{top}")
        return inside and matches(filter, one, self._reaches)

    def _reaches(self, dn: str, attribute: str, wanted: bytes) -> bool:
        goal, queue, seen = normalised(wanted.decode()), [normalised(dn)], set[str]()
        while queue:
            here = self._entries.get(queue.pop())
            for value in here.attributes.get(attribute, ()) if here is not None else ():
                name = normalised(value.decode())
                if name == goal:
                    return True
                if name not in seen:
                    seen.add(name)
                    queue.append(name)
        return False

    def _refuse_closed(self) -> None:
        if self.closed:
            raise refused(Code.DIRECTORY_UNREACHABLE, "it was closed")


def normalised_parent(name: str) -> str:
    """The name above a normalised one."""
    escaped = False
    for number, character in enumerate(name):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            return name[number + 1 :]
    return ""
