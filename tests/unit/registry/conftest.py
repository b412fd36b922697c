"""Stores of both engines, and a registrar over one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pusher.store import Store, open_store
from tests.unit.registry.house import House
from tests.unit.store.conftest import empty_database, postgresql, server_store

__all__ = ["empty_database", "postgresql", "server_store"]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    is_file = request.param == "sqlite"
    made = open_store(f"sqlite:///{tmp_path}/pusher.sqlite" if is_file else request.getfixturevalue("server_store"))
    yield made
    made.close()


@pytest.fixture
def house(store: Store, tmp_path: Path) -> House:
    return House(store, tmp_path)
