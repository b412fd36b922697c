from __future__ import annotations

from collections.abc import Iterator

import pytest

from pusher.store import Store
from tests.unit.push.harness import shared_store


@pytest.fixture
def store() -> Iterator[Store]:
    with shared_store() as made:
        yield made
