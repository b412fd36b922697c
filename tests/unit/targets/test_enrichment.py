"""What is known of a target by its address and name: its site, and whether its domain announces it as a controller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest

from pusher.directory import locate
from pusher.directory.locate import Announced
from pusher.models import DOMAIN_CONTROLLERS, Target
from pusher.targets.enrichment import Enrichment
from pusher.targets.sites import SiteTable, Subnet
from tests.unit.targets.nameserver import NameServer, running


@pytest.fixture
async def server() -> AsyncIterator[NameServer]:
    async with running() as server:
        yield server


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("dc1.corp.test", True), ("DC2.Corp.Test.", True), ("ws1.corp.test", False), ("dc1", False),
        ("dc1.host.test", False), ("dc399.large.test", True), ("dc400.large.test", False),
    ],
)  # fmt: skip
async def test_what_a_domain_announces(server: NameServer, name: str, is_one: bool) -> None:
    assert await Announced([server.address]).has(name) is is_one


async def test_a_domain_is_asked_once_and_an_address_has_none(server: NameServer) -> None:
    announced = Announced([server.address])
    names = [f"ws{number}.corp.test" for number in range(50)]
    assert not any(await asyncio.gather(*(announced.has(name) for name in names)))
    assert sum(server.asked.values()) == 1
    assert not any([await announced.has(name) for name in ("10.0.0.1", "2001:db8::1", "fe80::1%eth0", "ws1", "")])
    assert sum(server.asked.values()) == 1


@pytest.mark.parametrize("domain", ["servfail.test", "silent.test", "garbage.test", "refused.test"])
async def test_no_answer_keeps_nobody_waiting_twice(
    server: NameServer, domain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locate, "_PATIENCE", 0.2)
    announced = Announced([server.address])
    assert not await announced.has(f"dc1.{domain}")
    asked = sum(server.asked.values())
    assert not await announced.has(f"dc2.{domain}")
    assert sum(server.asked.values()) == asked


async def test_more_domains_than_anybody_has_are_not_asked(server: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locate, "_MAX_DOMAINS", 2)
    announced = Announced([server.address])
    assert not any([await announced.has(f"dc1.{domain}") for domain in ("one.test", "two.test", "corp.test")])
    assert len(server.asked) == 2


async def test_a_target_gets_its_site_and_its_group(server: NameServer) -> None:
    sites = SiteTable.of((Subnet(network=ip_network("10.1.0.0/16"), site="paris"),))
    enrichment = Enrichment(sites, Announced([server.address]))
    dc = await enrichment(Target(name="dc1.corp.test", groups=("all",)), "10.1.0.7")
    assert (dc.site, dc.groups) == ("paris", ("all", DOMAIN_CONTROLLERS))
    known = Target(name="dc2.corp.test", site="rome", groups=(DOMAIN_CONTROLLERS,))
    assert await enrichment(known, "10.1.0.8") == known
    given = Target(name="dc1.corp.test", address="10.1.0.9")
    assert (await enrichment(given, "10.1.0.9")).groups == ()
    ordinary = Target(name="ws1.corp.test")
    assert await enrichment(ordinary, None) == ordinary
