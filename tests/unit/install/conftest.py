"""Stores on disk that the tests of this folder share: each test's host has a name of its own in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pusher.store import Store, open_store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = open_store(str(tmp_path_factory.mktemp("store") / "pusher.sqlite"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def other_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The store of another pusher: it knows nothing of what the first one did."""
    made = open_store(str(tmp_path_factory.mktemp("other") / "pusher.sqlite"))
    yield made
    made.close()
