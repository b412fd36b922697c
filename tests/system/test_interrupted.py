"""Stopping a push: Ctrl-C once, Ctrl-C twice, and `pusher cancel` from another terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import Host
from tests.system import witness
from tests.system.command import Running, eventually
from tests.system.site import Site
from tests.system.test_killed import open_journals

pytestmark = pytest.mark.lab

SHORTER_THAN_A_STALL = 12.0
"""Seconds: a copy that stands still is given up after 15, so what ends sooner did not wait for that."""


def until_agent_starts(running: Running, host: Host) -> None:
    """Its process is there, and for some seconds to come it will not report that it runs."""
    eventually(lambda: running.has_ended or bool(witness.agents_now(host)), "the agent's process")


@contextmanager
def stalling(host: Host) -> Iterator[Callable[[Running], None]]:
    """One copy to the host will stand still; what is given waits until it does."""
    host.link("stall", after=100_000, times=1)
    struck = witness.faults_struck(host)

    def until_it_stands_still(running: Running) -> None:
        eventually(lambda: running.has_ended or witness.faults_struck(host) > struck, "a copy that stands still")

    yield until_it_stands_still


def test_ctrl_c_undoes_what_is_in_work_and_begins_nothing(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    slow, waiting = fresh("spare1"), fresh("spare2")
    before = witness.files(waiting)
    inventory = site.inventory_of(tmp_path, [slow, waiting], fault="slow")
    with site.pusher(tmp_path / "run", quick).starting("push", inventory, "--concurrency", "1") as running:
        until_agent_starts(running, slow)
        running.interrupt()
        ended = running.wait()
    assert ended.status == 130, ended.everything_said()
    assert ended.verdicts == {slow.fqdn: ("cancelled", "cancelled"), waiting.fqdn: ("cancelled", "cancelled")}
    assert site.witness(slow).service_state() is None
    assert witness.traces(slow) == []
    assert witness.agents(slow) == ()
    assert witness.files(waiting) == before
    assert waiting.sign_ins() == []
    assert open_journals(ended.store) == 0


def test_ctrl_c_twice_stops_at_once_and_the_next_push_recovers(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    host = fresh("spare1")
    pusher = site.pusher(tmp_path / "run", quick)
    inventory = site.inventory_of(tmp_path, [host], fault="slow")
    with pusher.starting("push", inventory) as running:
        until_agent_starts(running, host)
        running.interrupt()
        running.until_said("press Ctrl-C again", "stderr")
        running.interrupt()
        ended = running.wait(SHORTER_THAN_A_STALL)
    assert ended.status == 130, ended.everything_said()
    assert ended.verdict == ("cancelled", "interrupted")
    assert open_journals(ended.store) == 1, "what was begun is known"
    again = pusher.push(inventory)
    assert again.verdict == ("installed", None), again.everything_said()
    assert site.witness(host).service_state() == "running"
    assert len(witness.agents(host)) == 1
    assert witness.litter(host) == []
    assert open_journals(ended.store) == 0


def test_ctrl_c_while_the_copy_stalls(site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path) -> None:
    host = fresh("spare1")
    pusher, inventory = site.pusher(tmp_path / "run", quick), site.inventory_of(tmp_path, [host])
    with stalling(host) as until_it_stands_still, pusher.starting("push", inventory) as running:
        until_it_stands_still(running)
        running.interrupt()
        ended = running.wait()
    assert ended.status == 130, ended.everything_said()
    assert ended.verdict in {("cancelled", "cancelled"), ("failed", "transfer-stalled")}
    assert ended.outcome["attempts"] == 1
    assert witness.traces(host) == []
    assert open_journals(ended.store) == 0


def test_ctrl_c_twice_while_the_copy_stalls(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    host = fresh("spare1")
    pusher, inventory = site.pusher(tmp_path / "run", quick), site.inventory_of(tmp_path, [host])
    with stalling(host) as until_it_stands_still, pusher.starting("push", inventory) as running:
        until_it_stands_still(running)
        running.interrupt()
        running.until_said("press Ctrl-C again", "stderr")
        running.interrupt()
        ended = running.wait(SHORTER_THAN_A_STALL)
    assert (ended.status, ended.verdict) == (130, ("cancelled", "interrupted")), ended.everything_said()
    again = pusher.push(inventory)
    assert again.verdict == ("installed", None), again.everything_said()
    assert witness.litter(host) == []
    assert open_journals(ended.store) == 0


def test_cancel_from_another_process(site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path) -> None:
    host, waiting = fresh("spare1"), fresh("spare2")
    host.link("delay", ms=150)  # a push by this link takes far longer than the other process needs
    pusher = site.pusher(tmp_path / "run", quick)
    inventory = site.inventory_of(tmp_path, [host, waiting])
    with pusher.starting("push", inventory, "--concurrency", "1") as running:
        eventually(lambda: running.has_ended or bool(host.sign_ins()), "a sign-in")
        asked = pusher.reading("cancel", "last")
        ended = running.wait()
    host.heal()
    assert (asked.status, asked.stderr) == (0, ""), asked.everything_said()
    assert ended.status == 130
    assert set(ended.verdicts.values()) == {("cancelled", "cancelled")}, ended.everything_said()
    assert len(ended.outcomes) == 2
    assert waiting.sign_ins() == []
    assert site.witness(host).service_state() is None
    assert witness.traces(host) == []
    late = pusher.reading("cancel", "last")
    assert late.status == 2 and "ended" in late.stderr
