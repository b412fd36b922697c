"""The ledger in memory: the contract."""

from __future__ import annotations

import pytest

from pusher.credentials.lockout.ledger import Ledger, MemoryLedger
from tests.contract.ledger_contract import LedgerContract


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def ledger(self) -> Ledger:
        return MemoryLedger()
