"""What several of the nouns share: the words for how and where things end, and the place where one was written."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How a target ended."""

    INSTALLED = "installed"
    UPGRADED = "upgraded"
    UNCHANGED = "unchanged"
    REMOVED = "removed"
    READY = "ready"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def is_success(self) -> bool:
        """True for the statuses that let the command exit 0."""
        return self in SUCCESSES


SUCCESSES = frozenset({Status.INSTALLED, Status.UPGRADED, Status.UNCHANGED, Status.REMOVED, Status.READY})


class Stage(StrEnum):
    """Where in a push something happened, in the order of the story."""

    RESOLVE = "resolve"
    REACH = "reach"
    IDENTIFY = "identify"
    SIGN_IN = "sign-in"
    RIGHTS = "rights"
    LOCK = "lock"
    STAGE = "stage"
    SERVICE = "service"
    START = "start"
    VERIFY = "verify"
    RECORD = "record"


class NextMove(StrEnum):
    """What the scheduler does about a problem."""

    RETRY = "retry"
    NEXT_ACCOUNT = "next-account"
    NEXT_TRANSPORT = "next-transport"
    WAIT = "wait"
    GIVE_UP = "give-up"
    STOP_ACCOUNT = "stop-account"


class Verb(StrEnum):
    """What a run does to its targets."""

    PUSH = "push"
    CHECK = "check"
    REMOVE = "remove"


class TransportKind(StrEnum):
    SMB = "smb"
    WINRM = "winrm"


class Protocol(StrEnum):
    """The authentication protocol, named explicitly: never negotiated (MS-SPNG would fall back silently)."""

    KERBEROS = "kerberos"
    NTLM = "ntlm"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """Where in the operator's files a thing was written. Line and column count from 1."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file
