"""What a command loads before it does anything: asking for help takes neither a database nor SMB."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = frozenset(
    {
        "sqlalchemy",
        "alembic",
        "smbprotocol",
        "impacket",
        "spnego",
        "pypsrp",
        "requests",
        "cryptography",
        "jinja2",
        "ssl",
    }
)


@pytest.mark.parametrize("module", ["pusher.cli.app", "pusher.cli.explaining"])
def test_what_help_and_explain_load(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert module in loaded
    assert HEAVY.isdisjoint(loaded), sorted(HEAVY.intersection(loaded))
