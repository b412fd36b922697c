"""A lab that is killed and made anew under the same names: the same inventory gives the same outcomes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lab import SCENARIOS, HostSpec, Lab
from lab.processes import read_mark
from tests.conftest import StartLab
from tests.system.site import Site, free_network

pytestmark = pytest.mark.lab

CHOSEN = (
    *("healthy", "older-version", "same-version", "foreign-service", "wrong-password", "second-account"),
    *("no-admin-share", "disk-full", "port-closed", "stale-name", "agent-exits", "garbage"),
)


def test_the_same_outcomes(start_lab: StartLab, tmp_path: Path) -> None:
    lab = Lab(tmp_path / "state", free_network(), tmp_path / "inventory")
    specs = [HostSpec(name=f"pc{number:02d}", scenario=SCENARIOS[name]) for number, name in enumerate(CHOSEN, 1)]
    start_lab(lab, specs)
    site = Site(lab=lab, files=tmp_path / "inventory")
    kept = site.inventory.read_bytes()
    first = site.pusher(tmp_path / "first").push(site.inventory)
    for record in lab.state.glob("hosts/*/process.json"):  # as a machine's reset would, behind the lab's back
        mark = read_mark(record)
        assert mark is not None
        os.kill(mark.pid, signal.SIGKILL)
    lab.down()
    start_lab(lab, specs)
    assert site.inventory.read_bytes() == kept
    second = site.pusher(tmp_path / "second").push(site.inventory)
    lab.down()
    assert first.verdicts == second.verdicts
    rows = {f"{spec.name}.lab.test": (spec.scenario.expect_status, spec.scenario.expect_code) for spec in specs}
    assert first.verdicts == rows, first.everything_said()
