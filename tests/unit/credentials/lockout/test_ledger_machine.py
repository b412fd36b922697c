"""The budget under any interleaving of workers, processes, crashes, clocks and readings (see ``lockout_model``)."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.contract.lockout_model import LedgerMachine

TestLedgerMachine = pytest.mark.thorough(LedgerMachine.TestCase)
TestLedgerMachine.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
