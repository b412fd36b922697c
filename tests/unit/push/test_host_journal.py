"""By what name a machine's journal is kept: a push that was cut off over one transport is put back over the other."""

from __future__ import annotations

import pytest

from pusher.models import Outcome, Status, Target, TransportKind
from pusher.problems import Code
from pusher.push.attempt import attempt
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport
from tests.unit.push.flying import fly
from tests.unit.push.harness import SERVICE, events_of, make_context, make_host
from tests.unit.push.stories import ADDRESS

SMB, WINRM = TransportKind.SMB, TransportKind.WINRM
CUT_OFF = (
    Fault(how=How.DROP, call="start_service"),
    *(Fault(how=How.FAIL, call="open", number=number, code=Code.HOST_UNREACHABLE) for number in (2, 3)),
)
"""The connection goes in mid-install, and no other comes about: the journal stays open."""


def push(
    store: Store, host: MemoryHost, target: str, kind: TransportKind, nameless: bool, *faults: Fault
) -> tuple[Outcome, list[str]]:
    host.port = 445 if kind is SMB else 5986

    async def story() -> tuple[Outcome, list[str]]:
        transport = MemoryTransport({ADDRESS: host}, *faults, kind=kind, nameless=nameless)
        context = make_context(store, transport, transports={kind: transport})
        outcome = await attempt(context, Target(name=target, transports=(kind,)), ADDRESS, 1)
        return outcome, [event.kind for event in events_of(store, context.run, target)]

    return fly(story())


@pytest.mark.parametrize("called", ["fqdn", "label", "address"])
@pytest.mark.parametrize(
    ("first", "then"),
    [((SMB, False), (WINRM, True)), ((WINRM, True), (SMB, False)), ((WINRM, True), (WINRM, True)),
     ((WINRM, False), (SMB, False)), ((WINRM, False), (WINRM, True))],
    ids=lambda way: f"{way[0].value}-{'nameless' if way[1] else 'named'}",
)  # fmt: skip
def test_a_push_that_was_cut_off_is_put_back_over_either_transport(
    store: Store, first: tuple[TransportKind, bool], then: tuple[TransportKind, bool], called: str
) -> None:
    host = make_host()
    target = {"fqdn": host.name, "label": host.name.partition(".")[0], "address": "192.0.2.7"}[called]
    outcome, _ = push(store, host, target, *first, *CUT_OFF)
    assert (outcome.status, outcome.code) == (Status.FAILED, "connection-lost")
    key = host.name if not first[1] else target
    assert len(store.open_journals(key, SERVICE)) == 1
    outcome, events = push(store, host, target, *then)
    assert (outcome.status, outcome.code) == (Status.INSTALLED, None)
    assert "recovery" in events
    assert store.open_journals(key, SERVICE) == []


def test_another_machine_that_came_to_the_same_name_is_not_put_back(store: Store) -> None:
    """Both said what they are called: the journal waits for its own machine."""
    one, other, target = make_host(), make_host(), "192.0.2.8"
    push(store, one, target, SMB, False, *CUT_OFF)
    outcome, events = push(store, other, target, SMB, False)
    assert (outcome.status, "recovery" in events) == (Status.INSTALLED, False)
    assert len(store.open_journals(one.name, SERVICE)) == 1


def test_another_target_without_a_name_is_not_put_back(store: Store) -> None:
    one, other = make_host(), make_host()
    push(store, one, one.name, WINRM, True, *CUT_OFF)
    outcome, events = push(store, other, other.name, WINRM, True)
    assert (outcome.status, "recovery" in events) == (Status.INSTALLED, False)
    assert len(store.open_journals(one.name, SERVICE)) == 1
