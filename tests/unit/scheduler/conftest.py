"""A store on disk that the tests of this folder share: each test's hosts have names of their own in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pusher.store import Store, open_store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    made = open_store(str(tmp_path_factory.mktemp("store") / "pusher.sqlite"))
    yield made
    made.close()
