"""What the domain controller's process is told: a file of its folder, readable by its owner only.

The one value that crosses from the lab's side (domain.py) into the controller's namespaces (controller.py).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lab.processes import write_atomically


@dataclass(frozen=True, kw_only=True)
class Order:
    """How to start. Paths are those of the ordinary namespace."""

    address: str
    folder: str
    cache: str  # where snapshots are
    bulk: int
    certificate: str = field(repr=False)  # PEM, of the controller
    key: str = field(repr=False)  # PEM
    authority: str
    subnets: dict[str, str]  # to their sites
    passwords: dict[str, str] = field(repr=False)
    laps: dict[str, str] = field(repr=False)  # by computer

    def write(self, path: Path) -> None:
        write_atomically(path, json.dumps(asdict(self)), mode=0o600)

    @classmethod
    def read(cls, path: Path) -> Order:
        return cls(**json.loads(path.read_text(encoding="utf-8")))
