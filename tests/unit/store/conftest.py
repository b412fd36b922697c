"""A PostgreSQL server for the tests of a session's worker, and an empty store in it for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import pytest

from lab.host_client import LabError
from lab.postgresql import Server
from pusher.store import open_store

_TEMPLATE = "a_store"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql(_end_orderly: None) -> Iterator[Server]:
    """Started by the first test that needs one; skipped where it cannot be, unless PUSHER_LAB_REQUIRED=1."""
    server = Server()
    try:
        try:
            server.up()
        except LabError as exc:
            if os.environ.get("PUSHER_LAB_REQUIRED") == "1":
                raise
            pytest.skip(f"PostgreSQL does not start: {str(exc).splitlines()[0]}")
        open_store(server.create(_TEMPLATE)).close()
        yield server
    finally:
        server.down()


@pytest.fixture
def server_store(postgresql: Server) -> Iterator[str]:
    """The URL of a store that is empty: a copy of one that was made once."""
    name = f"store_{next(_numbers)}"
    yield postgresql.create(name, f"TEMPLATE {_TEMPLATE} STRATEGY=FILE_COPY")
    postgresql.drop(name)


@pytest.fixture
def empty_database(postgresql: Server) -> Iterator[str]:
    """The URL of a database in which there is nothing yet."""
    name = f"empty_{next(_numbers)}"
    yield postgresql.create(name)
    postgresql.drop(name)
