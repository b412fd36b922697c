"""Sites by subnet: the smallest one that holds an address."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.config.wording import Wrong
from pusher.models import Source, Target
from pusher.problems import BadInput
from pusher.targets.sites import SiteTable, Subnet, parse_subnet

lengths = st.integers(0, 32)


def subnet(text: str, site: str, line: int = 0) -> Subnet:
    return Subnet(network=ipaddress.ip_network(text), site=site, source=Source(file="f", line=line))


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), lengths), max_size=8), st.integers(0, 2**32 - 1))
def test_the_longest_prefix_wins(drawn: list[tuple[int, int]], address: int) -> None:
    networks = {ipaddress.ip_network((number, length), strict=False) for number, length in drawn}
    table = SiteTable.of(Subnet(network=network, site=str(network)) for network in networks)
    for value in (address, *(number for number, _ in drawn)):
        where = ipaddress.IPv4Address(value)
        holding = [network for network in networks if where in network]
        expected = str(max(holding, key=lambda n: n.prefixlen)) if holding else None
        assert table.site_of(str(where)) == expected


def test_both_families_and_mapped_addresses() -> None:
    table = SiteTable.of([subnet("10.0.0.0/8", "four"), subnet("2001:db8::/32", "six"), subnet("fe80::/10", "link")])
    assert table.site_of("10.1.2.3") == "four"
    assert table.site_of("::ffff:10.1.2.3") == "four"
    assert table.site_of("2001:db8::1") == "six"
    assert table.site_of("fe80::1%eth0") == "link"
    assert table.site_of("11.0.0.1") is None
    assert table
    assert not SiteTable()
    assert table.names == {"four", "six", "link"}


def test_a_site_of_the_inventory_stays() -> None:
    table = SiteTable.of([subnet("10.0.0.0/8", "s")])
    assert table.placed(Target(name="a"), "10.0.0.1").site == "s"
    assert table.placed(Target(name="a", site="own"), "10.0.0.1").site == "own"
    assert table.placed(Target(name="a"), "11.0.0.1").site is None


def test_one_subnet_belongs_to_one_site() -> None:
    assert SiteTable.of([subnet("10.0.0.0/8", "s"), subnet("10.0.0.0/8", "s")])
    with pytest.raises(BadInput) as caught:
        SiteTable.of([subnet("10.0.0.0/8", "s", 1), subnet("10.0.0.0/8", "t", 2)])
    assert caught.value.sentence == "f:2: 10.0.0.0/8 belongs to site s and to site t; expected one site for it"


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0", "10.0.0.0/33", "x/8", "", "fe80::%e/64"])
def test_what_is_no_subnet(text: str) -> None:
    with pytest.raises(Wrong):
        parse_subnet(text)


def test_subnets_are_read_in_any_spelling() -> None:
    assert parse_subnet("2001:0DB8::/32") == ipaddress.ip_network("2001:db8::/32")
    assert parse_subnet("10.0.0.0/255.0.0.0") == ipaddress.ip_network("10.0.0.0/8")
