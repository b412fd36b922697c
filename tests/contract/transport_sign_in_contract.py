"""The transport's contract up to the rights of who has signed in: links, sign-ins, proofs, facts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from pusher.models import TransportKind
from pusher.problems import ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.port import Link, PeerIdentity, Session
from tests.contract.bench import LIMITS, Bench, Kind, Machine, Who
from tests.contract.transport_suite import TransportSuite, code_of, ignore


class SignInContract(TransportSuite):
    """Who answers, who is let in, and what he may do there."""

    # The transport and its links

    def test_it_says_what_it_is(self, bench: Bench) -> None:
        assert bench.transport.kind in TransportKind

    async def test_a_port_is_told_open_from_closed(self, bench: Bench, machine: Machine) -> None:
        """Without a connection it is told as by one."""
        assert await bench.transport.probe(machine.endpoint, LIMITS.connect) is None
        closed = replace(machine.endpoint, port=1)
        with pytest.raises(ProblemError) as told:
            await bench.transport.open(closed, LIMITS)
        assert await bench.transport.probe(closed, LIMITS.connect) == told.value.problem

    async def test_a_closed_port_is_told(self, bench: Bench, machine: Machine) -> None:
        endpoint = replace(machine.endpoint, port=1)
        assert await code_of(bench.transport.open(endpoint, LIMITS)) == "port-closed"

    async def test_who_answers_is_known_before_any_secret(self, bench: Bench, machine: Machine) -> None:
        before = machine.sign_ins()
        link = await bench.transport.open(machine.endpoint, LIMITS)
        assert not link.secret_sent
        who = await link.identify()
        assert who.machine == machine.endpoint.host
        assert who.netbios_name.lower() == machine.endpoint.host.partition(".")[0]
        assert not link.secret_sent
        await link.close()
        assert machine.sign_ins() == before

    async def test_asking_twice_gives_the_same_answer(self, bench: Bench, machine: Machine) -> None:
        link = await bench.transport.open(machine.endpoint, LIMITS)
        first, second = await link.identify(), await link.identify()
        assert replace(first, clock=None) == replace(second, clock=None)
        await link.close()

    async def test_a_link_closes_twice_and_is_closed(self, bench: Bench, machine: Machine) -> None:
        link = await bench.transport.open(machine.endpoint, LIMITS)
        await link.close()
        await link.close()
        assert await code_of(link.identify()) == "connection-lost"

    # Signing in

    async def test_one_sign_in_is_one_attempt(self, bench: Bench, machine: Machine) -> None:
        before = machine.sign_ins()
        link = await _identified(bench, machine)
        session = await link.sign_in(bench.credential(Who.ADMINISTRATOR))
        assert link.secret_sent
        assert session.identity.machine == machine.endpoint.host
        await session.close()
        assert machine.sign_ins() == before + 1

    async def test_a_wrong_password_is_one_attempt_and_a_sent_secret(self, bench: Bench, machine: Machine) -> None:
        before = machine.sign_ins()
        link = await _identified(bench, machine)
        assert await code_of(link.sign_in(bench.credential(Who.MISTYPED))) in self.wrong_password
        assert link.secret_sent
        await link.close()
        assert machine.sign_ins() == before + 1

    async def test_no_account_at_all(self, bench: Bench, machine: Machine) -> None:
        link = await _identified(bench, machine)
        assert await code_of(link.sign_in(bench.credential(Who.NOBODY))) in self.no_account
        await link.close()

    @pytest.mark.parametrize("kind", [Kind.LOCKED, Kind.DISABLED, Kind.MUST_CHANGE, Kind.EXPIRED])
    async def test_what_is_wrong_with_an_account(self, bench: Bench, kind: Kind) -> None:
        link = await _identified(bench, bench.machine(kind))
        assert await code_of(link.sign_in(bench.credential(Who.ADMINISTRATOR))) == self.account_faults[kind]
        assert link.secret_sent
        await link.close()

    async def test_a_connection_that_goes_is_told(self, bench: Bench, machine: Machine) -> None:
        link = await _identified(bench, machine)
        machine.cut()
        assert await code_of(link.sign_in(bench.credential(Who.ADMINISTRATOR))) == "connection-lost"
        await link.close()

    # Rights

    async def test_an_ordinary_user_is_refused(
        self, machine: Machine, open_session: Callable[..., Awaitable[Session]]
    ) -> None:
        session = await open_session(machine, Who.ORDINARY)
        root = RemotePath(share="ADMIN$", path="")
        assert await code_of(session.probe_write(root)) == "not-administrator"
        assert await code_of(session.stat(root)) == "not-administrator"
        assert await code_of(session.put(root.child("x"), memoryview(b"x"), ignore)) == "not-administrator"
        assert await code_of(session.may_create_services()) == "service-creation-denied"
        assert await session.is_domain_controller() is False

    async def test_a_missing_share(self, bench: Bench, open_session: Callable[..., Awaitable[Session]]) -> None:
        session = await open_session(bench.machine(Kind.NO_SHARE))
        assert await code_of(session.probe_write(RemotePath(share="ADMIN$", path=""))) == "admin-share-missing"
        assert await code_of(session.stat(RemotePath(share="NOSUCH$", path="x"))) == "path-not-found"

    async def test_a_share_that_cannot_be_written(
        self, bench: Bench, open_session: Callable[..., Awaitable[Session]]
    ) -> None:
        session = await open_session(bench.machine(Kind.READ_ONLY))
        root = RemotePath(share="ADMIN$", path="")
        assert await code_of(session.probe_write(root)) == "admin-share-read-only"
        assert await code_of(session.make_folder(root.child("new"))) == "folder-denied"
        refused = await code_of(session.put(root.child("new"), memoryview(b"x"), ignore))
        assert refused in ("access-denied", "disk-error")

    async def test_a_full_disk(self, bench: Bench, open_session: Callable[..., Awaitable[Session]]) -> None:
        session = await open_session(bench.machine(Kind.FULL))
        path = RemotePath(share="ADMIN$", path="Temp\\too-big")
        free = await session.free_bytes()
        assert await code_of(session.put(path, memoryview(bytes(free + 1_000_000)), ignore)) == "disk-full"
        await session.remove(path)
        assert await session.stat(path) is None

    async def test_proofs_leave_nothing_and_name_what_they_did(self, machine: Machine, session: Session) -> None:
        before = machine.tree()
        evidence = await session.probe_write(RemotePath(share="ADMIN$", path=""))
        assert evidence.startswith("ADMIN$\\")
        assert await session.may_create_services()
        assert machine.tree() == before

    # Facts

    async def test_facts(self, session: Session) -> None:
        assert await session.is_domain_controller() is False
        assert await session.architecture() == "x64"
        assert await session.free_bytes() > 0


async def _identified(bench: Bench, machine: Machine) -> Link:
    link = await bench.transport.open(machine.endpoint, LIMITS)
    who: PeerIdentity = await link.identify()
    assert who.machine
    return link
