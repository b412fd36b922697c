"""Stores that the tests of this folder share: each test's host has a name of its own in them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pusher.store import Store
from tests.unit.push.harness import shared_store


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    with shared_store() as made:
        yield made


@pytest.fixture(scope="session")
def other_store() -> Iterator[Store]:
    """The store of another pusher: it knows nothing of what the first one did."""
    with shared_store() as made:
        yield made
