"""What every adapter of the transport port does, call by call. Adapters subclass ``TransportContract``."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

import pytest

from pusher.remote.paths import RemotePath
from pusher.transports.port import ServiceConfig, Session, StartType
from tests.contract.bench import Machine
from tests.contract.transport_files_contract import FilesContract
from tests.contract.transport_services_contract import ServicesContract
from tests.contract.transport_sign_in_contract import SignInContract
from tests.contract.transport_suite import code_of, ignore


# Of these, pytest runs the tests of the last one first: who may sign in, then files, then services.
class TransportContract(ServicesContract, FilesContract, SignInContract):
    """All of it, and how sessions end; ``bench`` and what may be told differently: see ``TransportSuite``."""

    async def test_a_session_closes_twice_and_is_closed(
        self, machine: Machine, here: RemotePath, open_session: Callable[..., Awaitable[Session]]
    ) -> None:
        session = await open_session(machine)
        await session.may_create_services()
        await session.close()
        await session.close()
        assert await code_of(session.stat(here)) == "connection-lost"

    async def test_a_cut_connection_is_told_at_every_call(
        self, machine: Machine, here: RemotePath, open_session: Callable[..., Awaitable[Session]]
    ) -> None:
        session = await open_session(machine)
        await session.stat(here)
        await session.may_create_services()
        machine.cut()
        name = "Contract"
        config = ServiceConfig(image_path="c:\\x.exe", display_name="x", start_type=StartType.DEMAND)
        calls: list[Awaitable[object]] = [
            session.stat(here), session.make_folder(here), session.remove_folder(here), session.remove(here),
            session.put(here, memoryview(b"x"), ignore), session.digest(here, 1), session.rename(here, here),
            session.probe_write(here), session.hold(here), session.service_config(name), session.service_status(name),
            session.create_service(name, config), session.configure_service(name, config),
            session.start_service(name), session.stop_service(name), session.delete_service(name),
            session.registry_access("HKLM\\SOFTWARE"), session.holders_of("SeTcbPrivilege", "x"),
            session.grant_right("SeTcbPrivilege", "x"), session.is_domain_controller(),
            session.architecture(), session.free_bytes(),
        ]  # fmt: skip
        assert [await code_of(call) for call in calls] == ["connection-lost"] * len(calls)
        await session.close()

    async def test_calls_at_once_take_their_turns(self, session: Session, here: RemotePath) -> None:
        paths = [here.child(f"file{number}") for number in range(8)]
        await asyncio.gather(*(session.put(path, memoryview(path.name.encode()), ignore) for path in paths))
        found = await asyncio.gather(*(session.digest(path, 100) for path in paths))
        expected = [hashlib.sha256(path.name.encode()).hexdigest() for path in paths]
        assert [digest.sha256 for digest in found if digest] == expected

    async def test_a_cancelled_call_ends_the_connection(self, session: Session, here: RemotePath) -> None:
        """Nobody could say how far the call had come."""
        copying = asyncio.create_task(session.put(here.child("big"), memoryview(bytes(50_000_000)), ignore))
        await asyncio.sleep(0)
        copying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await copying
        assert await code_of(session.stat(here)) == "connection-lost"
