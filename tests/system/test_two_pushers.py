"""Two administrators push to the same machine at once: the machine's own lock decides, and nothing is done twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lab import Host
from tests.system import witness
from tests.system.command import eventually
from tests.system.site import Site

pytestmark = pytest.mark.lab


def test_the_second_is_told_that_a_push_is_in_progress(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    host = fresh("spare1")
    one, other = site.pusher(tmp_path / "one", quick), site.pusher(tmp_path / "other", quick)
    inventory = site.inventory_of(tmp_path, [host], fault="slow")
    with one.starting("push", inventory) as first:
        # Its agent takes four seconds to start, and all that time the lock is held.
        eventually(lambda: first.has_ended or bool(witness.agents_now(host)), "the agent's process")
        late = other.push(inventory)
        agents = witness.agents(host)
        early = first.wait()
    assert late.verdict == ("failed", "push-in-progress"), late.everything_said()
    assert late.outcome["stage"] == "lock" and late.outcome["bytes_copied"] == 0
    assert early.verdict == ("installed", None), early.everything_said()
    assert witness.agents(host) == agents and len(agents) == 1
    assert witness.litter(host) == []
    assert other.push(inventory).verdict == ("unchanged", None)


@pytest.mark.parametrize("same_store", [False, True], ids=["two-stores", "one-store"])
def test_both_at_the_same_moment(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path, same_store: bool
) -> None:
    hosts = [fresh("spare1"), fresh("spare2")]
    inventory = site.inventory_of(tmp_path, hosts)
    one, other = site.pusher(tmp_path / "one", quick), site.pusher(tmp_path / ("one" if same_store else "other"), quick)
    if same_store:
        one.reading("runs")  # makes the store
    with one.starting("push", inventory) as first, other.starting("push", inventory) as second:
        ended = [first.wait(), second.wait()]
    for host in hosts:
        verdicts = sorted(str(each.outcomes[host.fqdn]["code"] or each.outcomes[host.fqdn]["status"]) for each in ended)
        assert verdicts in (["installed", "push-in-progress"], ["installed", "unchanged"]), verdicts
        sees = site.witness(host)
        assert sees.service_state() == "running"
        assert [name.lower() for name in sees.service_list()].count("labagent") == 1
        assert witness.sha256(sees.content(witness.AGENT)) == witness.sha256(site.agent)
        assert len(witness.agents(host)) == 1
        assert witness.litter(host) == []
