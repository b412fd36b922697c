"""The demonstration: the whole lab, one push onto it, the report, and the proof that each host ended as it must.

Here: what `make demo` does and says. The push is the ordinary command, run as anyone would run it.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from lab import Lab, LabError, default_state, every_scenario, packages
from lab.host_client import Host

_ROOT = Path(__file__).parent.parent
# Relative to the repository's root, where the commands run: what is printed can be typed there.
_INVENTORY = Path("inventory")
_REPORT = Path("report.html")
_DEMO = Path(".demo")


def main() -> int:
    """0 where every host ended as its scenario says."""
    if missing := packages.install(_say):
        _say(f"As root, run: {packages.command(missing)}")
        return 2
    lab = Lab(default_state(), inventory_dir=_ROOT / _INVENTORY, progress=_say)
    shutil.rmtree(_ROOT / _DEMO, ignore_errors=True)
    store = _DEMO / "demo.sqlite"
    _say("Starting the lab: a host for each kind of trouble.")
    try:
        lab.up(every_scenario(), fresh=True)
        _pusher(
            "push", _INVENTORY / "lab.yaml", "--accounts", _INVENTORY / "lab-accounts.toml",
            "--package", _INVENTORY / "labagent", "--store", store, "--log", store.with_suffix(".log"),
        )  # fmt: skip
        _pusher("report", "last", "--format", "html", "-o", _REPORT, "--store", store)
        surprises = _compare(list(lab.hosts.values()), _outcomes(store))
    finally:
        _say("Ending the lab.")
        lab.down()
    _say(f"\nThe report: {_REPORT}")
    _say(f"A host's whole story: .venv/bin/pusher show last ws03.lab.test --store {store}")
    _say("A lab that stays up: make lab-up (and make lab-down)")
    if surprises:
        _say(f"\n{surprises} hosts did not end as their scenario says.")
        return 1
    return 0


def _compare(hosts: list[Host], outcomes: dict[str, dict[str, Any]]) -> int:
    """Print what was expected of each host beside what was recorded; how many differ."""
    surprises = 0
    print(f"\n{'host':<18}{'scenario':<24}{'recorded':<44}as expected")
    for host in hosts:
        recorded = outcomes.get(host.fqdn, {})
        found = (recorded.get("status"), recorded.get("code"))
        wanted = (host.scenario.expect_status, host.scenario.expect_code)
        surprises += found != wanted
        shown = " ".join(filter(None, found)) or "nothing"
        print(f"{host.fqdn:<18}{host.scenario.name:<24}{shown:<44}{'yes' if found == wanted else f'NO: {wanted}'}")
    return surprises


def _outcomes(store: Path) -> dict[str, dict[str, Any]]:
    shown = subprocess.run(
        _command("show", "last", "--json", "--store", store), check=True, capture_output=True, text=True, cwd=_ROOT
    )
    return {record["target"]: record for record in map(json.loads, shown.stdout.splitlines())}


def _pusher(*arguments: str | Path) -> None:
    command = _command(*arguments)
    _say("\n$ pusher " + shlex.join(str(argument) for argument in arguments))
    # Some of the hosts are made to fail, so 1 is what a push of them ends with.
    if subprocess.run(command, check=False, cwd=_ROOT).returncode not in (0, 1):
        raise LabError("pusher did not do its work")


def _command(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "pusher", *arguments]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
