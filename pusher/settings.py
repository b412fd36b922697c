"""Settings: what a command was asked, and where things are kept. Light, so that reading commands start at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pusher.store import Store, open_store


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks for. Times in seconds."""

    inventory: Path
    package: Path | None = None
    accounts: Path | None = None
    limit: Sequence[str] = ()
    exclude: Sequence[str] = ()
    store: str | None = None
    log: Path | None = None
    concurrency: int = 50
    per_site: int = 0
    per_subnet: int = 25
    transport: str = "auto"
    ca: Path | None = None
    content_port: int = 0
    attempts: int = 2
    deadline: float = 900.0
    connect_timeout: float = 5.0
    max_failures: int = 0
    only: frozenset[str] = field(default_factory=frozenset)
    parent: str | None = None

    def to_json(self) -> dict[str, Any]:
        """What ``retry`` needs to run the same again; no secret is among it."""
        return {
            "inventory": str(self.inventory.absolute()),
            "package": str(self.package.absolute()) if self.package else None,
            "accounts": str(self.accounts.absolute()) if self.accounts else None,
            "concurrency": self.concurrency,
            "per_site": self.per_site,
            "per_subnet": self.per_subnet,
            "transport": self.transport,
            "ca": str(self.ca.absolute()) if self.ca else None,
            "content_port": self.content_port,
            "attempts": self.attempts,
            "deadline": self.deadline,
            "connect_timeout": self.connect_timeout,
            "max_failures": self.max_failures,
        }


def data_folder() -> Path:
    """Where the store and the log are kept unless told otherwise (XDG base directories)."""
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "pusher"


def open_default_store(url: str | None) -> Store:
    """The store at ``url``, or the user's own."""
    return open_store(url or str(data_folder() / "pusher.sqlite"))
