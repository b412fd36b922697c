"""Shells that a lost connection leaves behind: who ends them, and who must not."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest

from pusher.problems import ProblemError
from pusher.transports.winrm.adapter import WinrmTransport
from pusher.transports.winrm.client import CMD_SHELL
from pusher.transports.winrm.orphans import Made, Owner, Register
from pusher.transports.winrm.tls import Trust
from pusher.transports.winrm.wire import Wire
from tests.unit.transports.winrm.certificates import Authority
from tests.unit.transports.winrm.conftest import HOST, LIMITS, credential, endpoint
from tests.unit.transports.winrm.listener import Fault, Listener, Script, argument, cim, http, items

Listen = Callable[..., Listener]
CREATED = (
    '<x:ResourceCreated xmlns:x="http://schemas.xmlsoap.org/ws/2004/09/transfer" '
    'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"><w:SelectorSet><w:Selector Name="ShellId">{}'
    "</w:Selector></w:SelectorSet></x:ResourceCreated>"
)


class Target:
    """Counts shells, and says how it answers a Delete."""

    def __init__(self) -> None:
        self.made, self.deleted = 0, list[str]()
        self.on_delete: Fault | None = None

    def __call__(self, action: str, envelope: ET.Element) -> str | Fault:
        if action.endswith("/Create"):
            self.made += 1
            return CREATED.format(f"SHELL-{self.made}")
        if action.endswith("/Delete"):
            self.deleted.append(argument(envelope, "ShellId"))
            return self.on_delete or ""
        return items(cim("XmlFragment", WindowsDirectory="C:\\Windows", SystemDrive="C:", DomainRole=3))


@pytest.fixture
def target() -> Target:
    return Target()


@pytest.fixture
def listener(listen: Listen, target: Target) -> Listener:
    return listen(True, Script(answer=target))


async def session(transport: WinrmTransport, listener: Listener) -> Any:
    link = await transport.open(endpoint(listener), LIMITS)
    return await link.sign_in(credential())


def make_shell(session: Any) -> None:
    session._client.create(CMD_SHELL, ET.Element("Shell"))


@pytest.mark.parametrize("end", ["ours", "theirs"])
async def test_the_next_session_ends_them(
    transport: WinrmTransport, listener: Listener, target: Target, end: str
) -> None:
    one = await session(transport, listener)
    make_shell(one)
    make_shell(one)
    if end == "ours":
        one._link._abort()
    else:
        listener.cut()
        while not one._client._wire.lost:
            pass
    await session(transport, listener)
    assert sorted(target.deleted) == ["SHELL-1", "SHELL-2"]
    await session(transport, listener)
    assert len(target.deleted) == 2, "once"


async def test_those_of_a_living_session_are_left_alone(
    transport: WinrmTransport, listener: Listener, target: Target
) -> None:
    one = await session(transport, listener)
    make_shell(one)
    await session(transport, listener)
    assert target.deleted == []
    assert await one.is_domain_controller() is False


async def test_what_was_deleted_is_no_orphan(transport: WinrmTransport, listener: Listener, target: Target) -> None:
    one = await session(transport, listener)
    make_shell(one)
    one._client.delete(CMD_SHELL, {"ShellId": "SHELL-1"})
    await one.close()
    await session(transport, listener)
    assert target.deleted == ["SHELL-1"]


@pytest.mark.parametrize("number", [2150858843, 5, 2150859173])
async def test_one_that_cannot_be_deleted_is_forgotten(
    transport: WinrmTransport, listener: Listener, target: Target, number: int
) -> None:
    """It must not stand in the way of every session to come; its idle time ends it."""
    one = await session(transport, listener)
    make_shell(one)
    one._link._abort()
    target.on_delete = Fault(number)
    two = await session(transport, listener)
    assert await two.is_domain_controller() is False
    await session(transport, listener)
    assert target.deleted == ["SHELL-1"]


async def test_a_connection_that_drops_meanwhile_leaves_them_for_the_next(
    transport: WinrmTransport, listener: Listener, target: Target
) -> None:
    one = await session(transport, listener)
    make_shell(one)
    one._link._abort()
    listener.script.strange = lambda number, seen: b"drop" if b"SHELL-1" in seen.raw else None
    two = await session(transport, listener)
    with pytest.raises(ProblemError) as caught:
        await two.is_domain_controller()
    assert caught.value.problem.code == "connection-lost"
    listener.script.strange = lambda number, seen: None
    await session(transport, listener)
    assert target.deleted == ["SHELL-1"]


def test_of_another_account_or_listener_none_is_known() -> None:
    register, wire = Register(), Wire("h", "127.0.0.1", 1, None)
    register.add(Owner("127.0.0.1", 5986, "push"), Made("cmd", "1"), wire)
    assert register.orphans(Owner("127.0.0.1", 5986, "push")) == [Made("cmd", "1")]
    for other in (Owner("127.0.0.2", 5986, "push"), Owner("127.0.0.1", 5985, "push"), Owner("127.0.0.1", 5986, "x")):
        assert register.orphans(other) == []
    register.remove(Owner("127.0.0.1", 5986, "push"), Made("cmd", "1"))
    register.remove(Owner("127.0.0.1", 5986, "push"), Made("cmd", "1"))
    assert register.orphans(Owner("127.0.0.1", 5986, "push")) == []


@pytest.mark.parametrize("tls", [True, False])
def test_a_lost_wire_is_seen_without_reading_from_it(authority: Authority, listen: Listen, tls: bool) -> None:
    listener = listen(tls, Script(strange=lambda number, seen: http(401, b"", [])))
    wire = Wire(HOST, listener.address, listener.port, Trust(authority.pem) if tls else None)
    assert wire.lost, "never opened"
    wire.open(5)
    assert not wire.lost
    assert wire.post(b"", {}).status == 401
    assert not wire.lost
    listener.cut()
    while not wire.lost:
        pass
    wire.close()
    assert wire.lost
