"""What the tests of one target's story share: the push itself, its hosts and accounts, and how it ended."""

from __future__ import annotations

import re
from typing import Any

from pusher.models import Outcome, Status
from pusher.store import Store
from pusher.transports.memory import Fault, MemoryHost, MemoryTransport, User
from tests.pe import program
from tests.unit.push.flying import fly
from tests.unit.push.harness import (
    ADMIN,
    EXE,
    install_by_hand,
    make_account,
    make_host,
    make_package,
    push,
)

ADDRESS = "10.0.0.1"
MUTATING = {
    "put", "rename", "remove", "make_folder", "create_service", "configure_service", "start_service", "stop_service",
    "delete_service", "hold",
}  # fmt: skip


def push_once(host: MemoryHost, store: Store, *faults: Fault, **changes: Any) -> Outcome:
    return push_and_see(host, store, *faults, **changes)[0]


def push_and_see(host: MemoryHost, store: Store, *faults: Fault, **changes: Any) -> tuple[Outcome, MemoryTransport]:
    async def story() -> tuple[Outcome, MemoryTransport]:
        return await push(host, store, *faults, **changes)

    return fly(story())


def ended(outcome: Outcome) -> tuple[Status, str | None]:
    return outcome.status, outcome.code


def three_accounts() -> tuple[MemoryHost, dict[str, Any]]:
    users = {
        "corp\\mistyped": User(password="other"),
        "corp\\clerk": User(password="right", administrator=False),
        ADMIN: User(password="right"),
    }
    names = ("mistyped", "clerk", "pushadm")
    return make_host(users=users), {"accounts": tuple(make_account(f"corp\\{name}", name) for name in names)}


def upgradable() -> MemoryHost:
    host = make_host()
    files = {EXE: program("1.3.0")}
    install_by_hand(host, make_package("1.3.0", files), files)
    return host


def tidy(host: MemoryHost) -> dict[str, Any]:
    """Without empty folders of our own, which stay where the connection was lost between two calls."""
    seen = host.snapshot()
    ours = re.compile(r"windows\\pusher(-check)?")
    return {**seen, "disk": {path: data for path, data in seen["disk"].items() if not ours.fullmatch(path)}}
