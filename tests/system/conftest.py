"""The lab of the system tests, and the one push over all its scenarios that many of them look at."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import Host, Lab
from tests.conftest import StartLab
from tests.system.command import Pusher
from tests.system.sampling import Sampler
from tests.system.site import HOSTS, LEFTOVERS, SCENARIO_HOSTS, FirstPush, Site, free_network
from tests.system.witness import new_sign_ins

FORMATS = ("html", "csv", "json", "junit", "markdown")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Site:
    folder = tmp_path_factory.mktemp("site")
    lab = Lab(folder / "state", free_network(), folder / "inventory")
    return Site(lab=start_lab(lab, HOSTS), files=folder / "inventory")


@pytest.fixture
def pusher(site: Site, tmp_path: Path) -> Pusher:
    """The command with a store of its own, and the lab's accounts and package."""
    return site.pusher(tmp_path / "run")


@pytest.fixture(scope="session")
def quick(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's package, watched for half a second only after its start; it names the file that its agent makes."""
    return site.package_of(tmp_path_factory.mktemp("quick"), more=LEFTOVERS)


@pytest.fixture
def fresh(site: Site) -> Callable[[str], Host]:
    """Gives a host as it was when the lab was new; call it at the start of the test, whatever ran before."""

    def make(name: str) -> Host:
        host = site.host(name)
        host.reset()
        return host

    return make


@pytest.fixture(scope="session")
def first_push(site: Site, tmp_path_factory: pytest.TempPathFactory) -> FirstPush:
    """One push over every scenario, nothing else having touched these hosts; watched from outside while it ran."""
    folder = tmp_path_factory.mktemp("first")
    pusher = site.pusher(folder)
    options = ("--per-subnet", "0", "--attempts", "1", *_limits())
    with ExitStack() as stack:
        sign_ins = {host.name: stack.enter_context(new_sign_ins(host)) for host in site.lab.hosts.values()}
        running = stack.enter_context(pusher.starting("push", site.inventory, *options, looked_at=True))
        sampler = stack.enter_context(Sampler(running.pid))
        ended = running.wait()
    return FirstPush(
        pusher=pusher,
        ended=ended,
        sign_ins=sign_ins,
        commands=frozenset(sampler.commands),
        environments=frozenset(sampler.environments),
    )


def _limits() -> list[str]:
    return [part for spec in SCENARIO_HOSTS for part in ("--limit", f"{spec.name}.lab.test")]


@pytest.fixture(scope="session")
def reports(first_push: FirstPush, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That push reported in each format, into a file."""
    folder, texts = tmp_path_factory.mktemp("reports"), {}
    for format in FORMATS:
        file = folder / format
        ended = first_push.pusher.reading("report", "last", "--format", format, "-o", file)
        assert (ended.status, ended.stdout, ended.stderr) == (0, "", ""), ended.everything_said()
        texts[format] = file.read_text(encoding="utf-8-sig" if format == "csv" else "utf-8")
    return texts
