"""Work by way of the queue on real hosts: workers that are killed or frozen lose theirs to another, and only once."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from lab import Host
from tests.system import witness
from tests.system.command import Ended, Pusher, Running, eventually
from tests.system.site import Site
from tests.system.test_interrupted import until_agent_starts
from tests.system.test_killed import open_journals
from tests.system.test_secrets import leaks, made_by

pytestmark = pytest.mark.lab


def queued(pusher: Pusher, inventory: Path) -> None:
    said = pusher.push(inventory, "--queue")
    assert said.status == 0, said.everything_said()


def worker(pusher: Pusher, name: str, *options: str) -> Running:
    given = ("--store", pusher.store_file, "--log", pusher.log_file)
    return pusher.begin("worker", "--name", name, "--json", *given, *options)


def changed(pusher: Pusher, statement: str) -> None:
    """As the time that passes would change it."""
    with closing(sqlite3.connect(pusher.store_file, timeout=30)) as connection, connection:
        connection.execute(statement)


def is_right(site: Site, host: Host) -> bool:
    """Of a host on which the agent is installed once, and nothing is left behind."""
    return (
        site.witness(host).service_state() == "running"
        and witness.sha256(witness.agent_file(host)) == witness.sha256(site.agent)
        and len(witness.agents(host)) == 1
        and witness.litter(host) == []
    )


def test_a_killed_workers_hosts_are_made_good_by_the_next(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    hosts = [fresh("spare1"), fresh("spare2")]
    pusher = site.pusher(tmp_path / "run", quick)
    queued(pusher, site.inventory_of(tmp_path, hosts, fault="slow"))
    with worker(pusher, "killed") as running:
        for host in hosts:
            until_agent_starts(running, host)
        running.kill()
        killed = running.wait()
    assert open_journals(pusher.store_file) == 2, "what was begun is known"
    with worker(pusher, "next", "--until-idle") as running:
        ended = running.wait()
    assert ended.status == 0, ended.everything_said()
    assert ended.verdicts == {host.fqdn: ("installed", None) for host in hosts}
    assert all(is_right(site, host) for host in hosts)
    assert open_journals(pusher.store_file) == 0
    shown = Ended(**{**vars(killed), "stdout": pusher.reading("show", "last", "--json").stdout})
    assert shown.verdicts == ended.verdicts
    assert leaks(site.secrets, made_by(pusher, killed, ended, target=hosts[0].fqdn)) == []


def test_a_worker_that_is_woken_past_its_lease_touches_nothing_more(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    """While it is frozen it holds the host's own lock: another worker waits until the host is free."""
    host = fresh("spare1")
    pusher = site.pusher(tmp_path / "run", quick)
    queued(pusher, site.inventory_of(tmp_path, [host], fault="slow"))
    with worker(pusher, "frozen") as frozen:
        until_agent_starts(frozen, host)
        os.kill(frozen.pid, signal.SIGSTOP)
        changed(pusher, "UPDATE workers SET lease_until = '2000-01-01T00:00:00.000000+00:00' WHERE name = 'frozen'")
        with worker(pusher, "next", "--until-idle") as running:
            early = running.wait()
        assert early.verdicts == {host.fqdn: ("failed", "push-in-progress")}, early.everything_said()
        assert "1 waiting (the first until" in " ".join(pusher.reading("show", "last").stdout.split())
        os.kill(frozen.pid, signal.SIGCONT)
        frozen.until_said("The lease is over", "stderr")
        changed(pusher, "UPDATE work SET due = '2000-01-01T00:00:00.000000+00:00'")
        eventually(lambda: not _is_waiting(pusher), "the end of its work", 120)
        frozen.interrupt()
        late = frozen.wait()
    assert late.status == 0, late.everything_said()
    assert is_right(site, host)
    assert open_journals(pusher.store_file) == 0


def _is_waiting(pusher: Pusher) -> bool:
    with closing(sqlite3.connect(pusher.store_file, timeout=30)) as connection:
        (left,) = connection.execute("SELECT count(*) FROM work WHERE state <> 'done'").fetchone()
    return bool(left)
