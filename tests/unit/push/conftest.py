"""A store that the tests of this folder share: each test's hosts have names of their own in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pusher.store import Store
from tests.unit.push.harness import shared_store


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    with shared_store() as made:
        yield made
