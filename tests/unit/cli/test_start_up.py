"""What a command loads before it does anything: asking for help takes neither a database nor SMB, nor a screen."""

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


OF_FILES = frozenset({"yaml", "tomllib", "pusher.config.validate", "pusher.config.yaml_source"})
OF_SCREENS = frozenset({"rich.console", "rich.live", "pusher.report.style", "pusher.report.tables"})


@pytest.mark.parametrize(
    ("command", "needless"),
    [
        (["--help"], HEAVY | OF_FILES | OF_SCREENS),
        (["push", "--help"], HEAVY | OF_FILES | OF_SCREENS),
        (["explain", "timed-out"], HEAVY | OF_FILES | {"rich.live", "pusher.report.views", "pusher.report.render"}),
    ],
)
def test_what_help_and_explain_load(command: list[str], needless: frozenset[str]) -> None:
    code = f"""
import sys
from pusher.cli import main
sys.argv = ["pusher", *{command}]
try:
    main()
except SystemExit as ended:
    print("\\nloaded:", ended.code or 0, *sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    status, *loaded = said.rpartition("loaded: ")[2].split()
    assert (status, "pusher.cli.app" in loaded) == ("0", True)
    assert needless.isdisjoint(loaded), sorted(needless.intersection(loaded))
