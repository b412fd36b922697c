"""What the endpoint has seen, a JSON object a line, so that a test can prove who got what."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Journal:
    """Appends to the log; the reader is host_client.py, from outside."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)

    def note(self, event: str, **values: Any) -> None:
        row = {"time": datetime.now(UTC).isoformat(), "event": event, **values}
        self._file.write(json.dumps(row) + "\n")
