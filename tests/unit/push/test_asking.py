"""Who answers is asked with no account, over the first transport that tells; and what machine is meant is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from pusher.credentials.accounts.selection import forbidden_by, in_scope
from pusher.models import Account, Outcome, Protocol, Status, Target, TransportKind
from pusher.problems import ProblemError
from pusher.push.asking import ask
from pusher.push.attempt import attempt
from pusher.push.routes import routes_over
from pusher.store import Store
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport
from pusher.transports.port import Limits, PeerIdentity
from tests.unit.push.flying import fly
from tests.unit.push.harness import make_context, make_host

ADDRESS = "10.9.1.5"
SMB, WINRM = TransportKind.SMB, TransportKind.WINRM
LABEL = Target(name="web-frontend", address=ADDRESS, transports=(SMB, WINRM))


def asked(target: Target, smb: MemoryHost, winrm: MemoryHost, only: TransportKind | None = None) -> PeerIdentity:
    ways = {SMB: MemoryTransport({ADDRESS: smb}), WINRM: MemoryTransport({ADDRESS: winrm}, kind=WINRM)}
    return fly(ask(ways, only, target, ADDRESS, Limits()))


def there(name: str = "ws501.corp.example", **changes: Any) -> MemoryHost:
    host = make_host("ws501.corp.example", **changes)
    host.name = name
    return host


def nowhere() -> MemoryHost:
    return there(refuses="port-closed")


def test_the_first_transport_that_answers_tells_and_nobody_signs_in() -> None:
    for smb, winrm in ((there(), nowhere()), (nowhere(), there(port=5986))):
        assert asked(LABEL, smb, winrm).machine == "ws501.corp.example"
        assert (smb.sign_ins, winrm.sign_ins) == ([], [])


def test_a_transport_that_fails_leaves_the_next_one() -> None:
    ways = {
        SMB: MemoryTransport({ADDRESS: there()}, Fault(how=How.DROP, call="identify")),
        WINRM: MemoryTransport({ADDRESS: there(port=5986)}, kind=WINRM),
    }
    assert fly(ask(ways, None, LABEL, ADDRESS, Limits())).machine == "ws501.corp.example"
    assert ways[SMB].struck == ["identify"]


def test_why_nobody_answers_is_told() -> None:
    with pytest.raises(ProblemError) as caught:
        asked(LABEL, nowhere(), nowhere())
    assert caught.value.problem.code == "port-closed"
    with pytest.raises(ProblemError) as caught:
        asked(LABEL, there(), nowhere(), only=WINRM)
    assert caught.value.problem.code == "port-closed"
    with pytest.raises(ProblemError) as caught:
        asked(LABEL, there(name=""), nowhere())
    assert caught.value.problem.code == "identity-unproven"


def test_the_machines_own_name_is_what_ticket_and_certificate_are_asked_for() -> None:
    target = Target(name="web-frontend", machine="ws501.corp.example", transports=(SMB, WINRM))
    ways = routes_over({kind: MemoryTransport({}, kind=kind) for kind in (SMB, WINRM)}, None, target, ADDRESS)
    assert [way.endpoint.host for way in ways] == ["ws501.corp.example"] * 2
    assert routes_over({SMB: MemoryTransport({})}, None, LABEL, ADDRESS)[0].endpoint.host == "web-frontend"


@pytest.mark.parametrize(
    ("machine", "verdict"),
    [
        (None, (Status.FAILED, "wrong-host")),
        ("ws501", (Status.INSTALLED, None)),
        ("WS501.corp.example", (Status.INSTALLED, None)),
        ("ws502.corp.example", (Status.FAILED, "wrong-host")),
        ("ws501.other.example", (Status.FAILED, "wrong-host")),
    ],
)
def test_a_label_is_pushed_to_where_its_machine_is_the_one_that_is_said(
    store: Store, machine: str | None, verdict: tuple[Status, str | None]
) -> None:
    host = there()
    transport = MemoryTransport({ADDRESS: host})
    target = Target(name="web-frontend", address=ADDRESS, machine=machine)

    async def story() -> Outcome:
        return await attempt(make_context(store, transport), target, ADDRESS, 1)

    outcome = fly(story())
    assert (outcome.status, outcome.code) == verdict
    if verdict[1] is not None:
        assert host.sign_ins == [], "nothing was sent to it"


def test_scopes_and_never_know_a_machine_by_every_name() -> None:
    target = Target(name="web-frontend", machine="ws501.corp.example", aliases=("Web 1",), address=ADDRESS)
    for pattern in ("web-*", "WS501.*", "web 1", "10.9.*"):
        account = Account(name="a", user="u", secret="s", protocol=Protocol.NTLM, never=(pattern,))
        assert forbidden_by(account, target) == pattern
        assert in_scope(Account(name="a", user="u", secret="s", protocol=Protocol.NTLM, scope=(pattern,)), target)
