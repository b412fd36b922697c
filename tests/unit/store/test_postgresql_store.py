"""The store and the ledger on PostgreSQL: the contracts, and what concerns a server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.postgresql import Server
from pusher import installation
from pusher.credentials.lockout.ledger import Ledger
from pusher.problems import BadInput
from pusher.store import open_store
from tests.contract.ledger_contract import LedgerContract
from tests.unit.store.store_contract import StoreContract

pytestmark = pytest.mark.process


class TestPostgresqlStore(StoreContract):
    @pytest.fixture
    def url(self, server_store: str) -> str:
        return server_store


class TestPostgresqlLedger(LedgerContract):
    @pytest.fixture
    def ledger(self, server_store: str) -> Iterator[Ledger]:
        store = open_store(server_store)
        yield store.ledger
        store.close()


def test_a_driver_that_is_missing_is_told_with_the_command_that_adds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setattr(installation, "add", lambda extra: f"<adds {extra}>")
    with pytest.raises(BadInput) as told:
        open_store("postgresql://db.example/pusher")
    assert told.value.sentence == (
        "the store postgresql://db.example/pusher needs the library of PostgreSQL, which is not installed; "
        "expected the extra postgresql: <adds postgresql>"
    )


# The server of these tests

_ABANDONS = """
import os
from lab.postgresql import Server
server = Server()
server.up()
print(server.folder, server._server.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_server_whose_owner_is_killed_goes_with_it(postgresql: Server) -> None:
    done = subprocess.run([sys.executable, "-c", _ABANDONS], stdout=subprocess.PIPE, text=True, check=False)
    folder, pid = done.stdout.split()
    until = time.monotonic() + 60
    while (Path(folder).exists() or Path(f"/proc/{pid}").exists()) and time.monotonic() < until:
        time.sleep(0.05)
    assert (Path(folder).exists(), Path(f"/proc/{pid}").exists()) == (False, False)
    assert done.returncode == -9
