"""Content on both engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.store.content_contract import ContentContract


class TestSqliteContent(ContentContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/pusher.sqlite"


@pytest.mark.process
class TestPostgresqlContent(ContentContract):
    @pytest.fixture
    def url(self, server_store: str) -> str:
        return server_store
