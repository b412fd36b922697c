"""What the parts of the transport's contract share: its fixtures, and ways to ask. The tests are in the parts."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import pytest

from pusher.problems import ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.port import ServiceState, Session
from tests.contract.bench import LIMITS, Bench, Kind, Machine, Who
from tests.pe import program

PROGRAM = program("3.1.4.5", pad=1000)


def ignore(count: int) -> None:
    """For copies whose progress nobody follows."""


async def code_of(call: Awaitable[object]) -> str:
    """The code that the call is refused with."""
    with pytest.raises(ProblemError) as caught:
        await call
    return caught.value.problem.code


async def until(machine: Machine, look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(90):
        while not await look():
            await machine.let_time_pass(0.1)


class TransportSuite:
    """``bench`` is given by the subclass's conftest or module, as a fixture.

    The attributes are what an adapter may tell differently, because its protocol tells no better.
    """

    patience: float = 2
    """Seconds that an endless command is given."""
    runs_as_signed_in = False
    """Whether commands can be run in the logon of who is signed in."""
    wrong_password: tuple[str, ...] = ("wrong-password",)
    # Servers may keep to themselves whether the account exists.
    no_account: tuple[str, ...] = ("no-such-account", "wrong-password")
    account_faults: Mapping[Kind, str] = {
        Kind.LOCKED: "account-locked",
        Kind.DISABLED: "account-disabled",
        Kind.MUST_CHANGE: "password-must-change",
        Kind.EXPIRED: "account-expired",
    }

    @pytest.fixture
    def machine(self, bench: Bench) -> Machine:
        return bench.machine(Kind.HEALTHY)

    @pytest.fixture
    async def open_session(self, bench: Bench) -> AsyncIterator[Callable[..., Awaitable[Session]]]:
        async with AsyncExitStack() as stack:

            async def opened(machine: Machine, who: Who = Who.ADMINISTRATOR) -> Session:
                link = await bench.transport.open(machine.endpoint, LIMITS)
                stack.push_async_callback(link.close)
                await link.identify()
                session = await link.sign_in(bench.credential(who))
                stack.push_async_callback(session.close)
                return session

            yield opened

    @pytest.fixture
    async def session(self, machine: Machine, open_session: Callable[..., Awaitable[Session]]) -> Session:
        return await open_session(machine)

    @pytest.fixture
    async def here(self, machine: Machine) -> AsyncIterator[RemotePath]:
        """A folder that the machine has made for the test, and removes."""
        name = f"Temp\\contract-{secrets.token_hex(4)}"
        machine.write(f"{name}\\.there", b"")
        yield RemotePath(share="ADMIN$", path=name)
        machine.remove_tree(name)

    @pytest.fixture
    async def service(self, machine: Machine, open_session: Callable[..., Awaitable[Session]]) -> AsyncIterator[str]:
        """The name of a service that does not exist, and is gone after the test."""
        name = f"Contract{secrets.token_hex(4)}"
        yield name
        session = await open_session(machine)
        status = await session.service_status(name)
        if status is not None and status.state is ServiceState.RUNNING:
            await session.stop_service(name)
        await session.delete_service(name)
