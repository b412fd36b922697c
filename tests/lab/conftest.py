"""A lab of the lab's own tests: every scenario once, on a network of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Host, Lab, every_scenario
from tests.conftest import StartLab
from tests.lab.clients import network


@pytest.fixture(scope="package")
def own_lab(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Lab:
    return start_lab(Lab(tmp_path_factory.mktemp("own-lab"), network(0)), every_scenario())


def healthy_hosts(lab: Lab) -> list[Host]:
    return [host for host in lab.hosts.values() if host.scenario.name == "healthy"]


@pytest.fixture(scope="package")
def shared_host(own_lab: Lab) -> Host:
    """A healthy host for tests that leave it as it was."""
    return healthy_hosts(own_lab)[-2]


@pytest.fixture
def host(own_lab: Lab) -> Iterator[Host]:
    """A healthy host, fresh after each test."""
    made = healthy_hosts(own_lab)[-1]
    yield made
    made.reset()
