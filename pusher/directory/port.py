"""The port to a directory: search, another server of the same directory, close.

Here live the nouns of LDAP (RFC 4511) as the rest of the house sees them, and the bounds that every adapter keeps.
What must not live here: a library, a socket. A server is never trusted: what is past a bound is a Problem, and
neither memory nor time is lost to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from pusher.models import Source
from pusher.problems import ProblemError


class Scope(Enum):
    """RFC 4511 4.5.1.2."""

    BASE = 0
    ONE_LEVEL = 1
    SUBTREE = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An object of the directory. Attribute names are in lower case; one without values is not there."""

    dn: str
    attributes: Mapping[str, tuple[bytes, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What a search may bring at most; ``deadline`` (seconds) is for each exchange: signing in, and every page."""

    page: int = 500
    entries: int = 200_000
    attributes: int = 100
    values: int = 2_000
    entry_bytes: int = 256 * 1024
    deadline: float = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectoryAccount:
    """The account that reads the directory: ``[directory]`` of the accounts file, never a push account.

    ``secret`` is a reference. ``ca`` (PEM): LDAPS and a simple bind inside it; None: Kerberos, signed and sealed.
    ``server`` None: the domain's SRV records name it.
    """

    domain: str
    user: str
    secret: str
    server: str | None = None
    ca: Path | None = None
    source: Source | None = None


class NotSentError(ProblemError):
    """Of a sign-in: nothing made of the secret has left."""


class NotTriedError(NotSentError):
    """Of a sign-in that whoever grants a lease for it did not want to be made: at another time it may be."""


SignIn = Callable[[], AbstractAsyncContextManager[None]]
"""Entered around each sign-in, whose end it sees; NotTriedError where there is to be none."""


class Directory(Protocol):
    """One directory, signed in to at the first search, and again where the connection was lost.

    A sign-in that failed is never tried again. Each is made within the ``SignIn`` that the adapter was given.
    """

    def search(
        self, base: str, filter: str, attributes: Sequence[str], scope: Scope = Scope.SUBTREE
    ) -> AsyncIterator[Entry]:
        """Entries page by page, with the ``attributes`` asked for that they have; ProblemError.

        ``base`` "" with ``Scope.BASE`` is the server's own entry (rootDSE, RFC 4512 5.1). Other tasks run between
        pages. Searches may overlap.
        """
        ...

    def at(self, server: str) -> Directory:
        """The same directory as its server of that DNS name has it, for what is not replicated.

        It is closed with the directory that it was asked of.
        """
        ...

    async def close(self) -> None:
        """Let go of every connection; a search under way ends with a Problem. Safe to repeat."""
        ...
