"""Is it the machine that was meant, and is it worth another attempt: two tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.models import NextMove, Target
from pusher.problems import CATALOGUE, Code, problem
from pusher.push.identity import bears, is_address, mismatch
from pusher.scheduler.retry import RetryPolicy
from pusher.transports.port import PeerIdentity


def who(dns: str = "", netbios: str = "") -> PeerIdentity:
    return PeerIdentity(dns_name=dns, netbios_name=netbios)


@pytest.mark.parametrize(
    ("name", "identity", "same"),
    [
        ("ws01.corp.example", who("ws01.corp.example", "WS01"), True),
        ("WS01.CORP.EXAMPLE.", who("ws01.Corp.Example", "WS01"), True),
        ("ws01.corp.example", who("ws01.corp.example.", "WS01"), True),
        ("ws01.corp.example", who("ws02.corp.example", "WS02"), False),
        ("ws01.corp.example", who("ws01.other.example", "WS01"), False),
        ("ws01.corp.example", who("ws01.sub.corp.example", "WS01"), False),
        # One side has no domain: the label is all there is to compare.
        ("ws01", who("ws01.corp.example", "WS01"), True),
        ("ws01", who("ws02.corp.example", "WS02"), False),
        ("ws01.corp.example", who("ws01", "WS01"), True),
        ("ws01.corp.example", who("ws02", "WS02"), False),
        # Only a NetBIOS name: fifteen characters of the label.
        ("ws01.corp.example", who(netbios="WS01"), True),
        ("workstation-00017.corp.example", who(netbios="WORKSTATION-000"), True),
        ("workstation-00017.corp.example", who(netbios="WORKSTATION-001"), False),
        ("ws0", who(netbios="WS01"), False),
        # The DNS name counts where there is one, whatever NetBIOS says.
        ("ws01.corp.example", who("ws02.corp.example", "WS01"), False),
        # Nothing to hold against each other.
        ("10.1.2.3", who("ws02.corp.example", "WS02"), True),
        ("2001:db8::1", who("ws02.corp.example"), True),
        ("ws01.corp.example", who(), True),
    ],
)
def test_the_right_machine(name: str, identity: PeerIdentity, same: bool) -> None:
    found = mismatch(Target(name=name), "10.1.2.3", identity)
    assert (found is None) == same
    if found is not None:
        assert name in found
        assert identity.machine in found.lower()
    # What the machine calls itself is compared in place of the label, exactly as a name is.
    label = Target(name="web-frontend", address="10.9.1.5", machine=name)
    assert (mismatch(label, "10.9.1.5", identity) is None) == same


def test_a_label_is_told_from_a_stale_record() -> None:
    """Which of the two it is decides what the administrator has to mend."""
    found = who("ws02.corp.example", "WS02")
    given = mismatch(Target(name="web-frontend", address="10.9.1.5"), "10.9.1.5", found)
    assert given == (
        "web-frontend was meant, and ws02.corp.example answers at 10.9.1.5, the address that the inventory gives it"
    )
    looked_up = mismatch(Target(name="ws01.corp.example"), "10.9.1.5", found)
    assert looked_up == (
        "ws01.corp.example was meant, and ws02.corp.example answers at 10.9.1.5, to which the name resolves"
    )
    said = mismatch(Target(name="web-frontend", address="10.9.1.5", machine="ws501"), "10.9.1.5", found)
    assert said == ("web-frontend was meant, which calls itself ws501, and ws02.corp.example answers at 10.9.1.5")
    named_by_address = Target(name="10.9.1.5", machine="ws501")
    assert mismatch(named_by_address, "10.9.1.5", found) is not None, "an address with a machine is held to it"


labels = st.text("abcxyz019-", min_size=1, max_size=12).map(lambda text: f"w{text}")


@given(labels, labels, st.sampled_from(["", ".corp.example", ".lab.test"]))
def test_another_label_is_another_machine(one: str, other: str, domain: str) -> None:
    assert bears(one + domain, who(one + domain, one.upper()[:15]))
    if one != other:
        assert not bears(one + domain, who(other + domain, other.upper()[:15]))


@pytest.mark.parametrize(
    ("name", "address"),
    [("10.1.2.3", True), ("::1", True), ("10.1", False), ("ws01", False), ("", False), ("10.1.2.3.4", False)],
)
def test_an_address_is_no_name(name: str, address: bool) -> None:
    assert is_address(name) == address


# Retry


def test_what_is_tried_again_at_once() -> None:
    """The network's misfortunes and what passes by itself; never a verdict on an account, a right or a package."""
    policy = RetryPolicy(attempts=2)
    again = {code for code in Code if policy.wait(problem(code), 1) is not None}
    assert again == {
        "name-server-failed", "host-unreachable", "connection-lost", "transfer-stalled", "too-busy", "shutting-down",
        "no-logon-servers", "file-in-use", "copy-mismatch", "service-marked-for-delete", "service-database-locked",
        "service-dependents-running", "service-busy", "rpc-failed", "undo-failed", "out-of-resources",
        "winrm-quota", "installer-busy", "package-bad", "directory-unreachable", "directory-timed-out",
        "directory-busy", "budget-unavailable", "store-locked",
    }  # fmt: skip
    accounts = {code for code, row in CATALOGUE.items()
                if row.next_move in (NextMove.STOP_ACCOUNT, NextMove.NEXT_ACCOUNT)}  # fmt: skip
    assert not again & accounts


@pytest.mark.parametrize(
    ("attempts", "attempt", "wait"),
    [(1, 1, None), (2, 1, 2.0), (2, 2, None), (5, 1, 2.0), (5, 2, 4.0), (5, 3, 8.0), (5, 4, 16.0), (5, 5, None)],
)
def test_when(attempts: int, attempt: int, wait: float | None) -> None:
    assert RetryPolicy(attempts=attempts).wait(problem(Code.TOO_BUSY), attempt) == wait


def test_success_is_not_repeated() -> None:
    assert RetryPolicy(attempts=9).wait(None, 1) is None


@given(st.integers(1, 2000), st.floats(0.1, 100), st.floats(0.1, 100))
def test_waits_grow_and_are_bounded(attempt: int, delay: float, most: float) -> None:
    policy = RetryPolicy(attempts=3000, delay=delay, most=most)
    now, then = policy.wait(problem(Code.TOO_BUSY), attempt), policy.wait(problem(Code.TOO_BUSY), attempt + 1)
    assert now is not None
    assert then is not None
    assert 0 < now <= then <= most
