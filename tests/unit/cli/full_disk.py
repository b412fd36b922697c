"""Runs whose store's disk is really full from some call on. A process of its own, in the small file system it is given.

Prints what is wrong, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import structlog

from tests.unit.cli.test_failing_store import FULL, SCENARIOS, harmed
from tests.unit.push.flying import fly

if __name__ == "__main__":
    with structlog.testing.capture_logs():
        upgrade = next(one for one in SCENARIOS if one.name == "upgrade")
        print(json.dumps(fly(harmed(upgrade, FULL, Path(sys.argv[1]), every=3))))
