"""The endpoint's book of offers: found by what only the target knows, once, in time, by the right machine."""

from __future__ import annotations

import ipaddress
import time

import pytest

from pusher.transports.winrm.offers import Entry, Offers

HERE, THERE = ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("192.0.2.2")


def offered(token: str, *, ends: float | None = None) -> Entry:
    over = time.monotonic() + 60 if ends is None else ends
    return Entry(token=token, peer=HERE, data=memoryview(b"x"), moved=lambda _: None, ends=over)


def test_each_is_found_once_by_its_token_among_many() -> None:
    offers = Offers()
    made = [offered(f"token-{number}") for number in range(1000)]
    for entry in made:
        offers.add(entry)
    assert [offers.take(entry.token, HERE) for entry in made[::-1]] == made[::-1]
    assert all(entry.taken for entry in made)
    assert [offers.take(entry.token, HERE) for entry in made] == [None] * 1000
    assert not offers.are_for(HERE)


@pytest.mark.parametrize("token", ["", "token", "token-1x", "TOKEN-1", "\ufffd", "\udc80"])
def test_nothing_but_the_whole_token_finds_it(token: str) -> None:
    offers = Offers()
    offers.add(offered("token-1"))
    assert offers.take(token, HERE) is None
    assert offers.are_for(HERE) and not offers.are_for(THERE)


def test_what_is_looked_up_is_no_token() -> None:
    """How long a look takes tells at most of a hash, of which nobody can make a token."""
    offers = Offers()
    offers.add(offered("token-1"))
    assert [key for key in offers._entries if b"token" in key] == []
    assert {len(key) for key in offers._entries} == {32}


def test_whose_time_is_over_is_gone_and_another_machine_gets_nothing() -> None:
    offers = Offers()
    late, mine = offered("late", ends=time.monotonic() - 1), offered("mine")
    offers.add(late)
    offers.add(mine)
    assert offers.take("late", HERE) is None
    assert offers.take("mine", THERE) is None
    assert offers.take("mine", HERE) is mine
    assert list(offers) == []
