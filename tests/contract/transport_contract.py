"""What every adapter of the transport port does, call by call. Adapters subclass ``TransportContract``."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from pusher.models import TransportKind
from pusher.problems import ProblemError
from pusher.transports.memory import StartFault
from pusher.transports.port import (
    FileInfo,
    Link,
    PeerIdentity,
    RemotePath,
    ServiceConfig,
    ServiceState,
    ServiceStatus,
    Session,
    StartType,
)
from tests.contract.bench import LIMITS, Bench, Kind, Machine, Who

VERSION_INFO = struct.pack("<IIII", 0xFEEF04BD, 0x00010000, 3 << 16 | 1, 4 << 16 | 5)

HOSTILE = [
    "..\\escaped", "{here}\\..\\..\\escaped", "{here}\\.\\x", "{here}\\\\x", "C:\\escaped", "\\escaped",
    "\\\\127.0.0.1\\C$\\escaped", "{here}/x", "{here}\\a*b", "{here}\\a?b", '{here}\\a"b', "{here}\\a<b", "{here}\\a|b",
    "{here}\\a\x00b", "{here}\\a\nb", "{here}\\" + "x" * 300, "{here}\\file:stream", "{here}\\x" * 400, "",
]  # fmt: skip


def ignore(count: int) -> None:
    """For copies whose progress nobody follows."""


async def code_of(call: Awaitable[object]) -> str:
    """The code that the call is refused with."""
    with pytest.raises(ProblemError) as caught:
        await call
    return caught.value.problem.code


async def until(machine: Machine, look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await look():
            await machine.let_time_pass(0.1)


class TransportContract:
    """``bench`` is given by the subclass's conftest or module, as a fixture.

    The attributes are what an adapter may tell differently, because its protocol tells no better.
    """

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

    # The transport and its links

    def test_it_says_what_it_is(self, bench: Bench) -> None:
        assert bench.transport.kind in TransportKind

    async def test_a_port_is_told_open_from_closed(self, bench: Bench, machine: Machine) -> None:
        assert await bench.transport.answers(machine.endpoint, LIMITS.connect)
        assert not await bench.transport.answers(replace(machine.endpoint, port=1), LIMITS.connect)

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

    # Files

    async def test_nothing_is_there(self, session: Session, here: RemotePath) -> None:
        nothing = here.child("nothing")
        assert await session.stat(nothing) is None
        assert await session.stat(nothing.child("below")) is None
        assert await session.digest(nothing, 10) is None
        assert await session.remove(nothing) is False
        assert await session.remove_folder(nothing) is False
        assert await code_of(session.rename(nothing, here.child("else"))) == "path-not-found"
        assert await code_of(session.put(nothing.child("below"), memoryview(b"x"), ignore)) == "path-not-found"
        assert await code_of(session.make_folder(nothing.child("below"))) == "path-not-found"

    async def test_a_file_comes_to_be_and_goes(self, machine: Machine, session: Session, here: RemotePath) -> None:
        path, moved = here.child("file.bin"), list[int]()
        await session.put(path, memoryview(b"content"), moved.append)
        assert machine.read(path.path) == b"content"
        assert sum(moved) == 7
        assert await session.stat(path) == FileInfo(size=7, is_folder=False)
        assert await session.remove(path) is True
        assert machine.read(path.path) is None
        assert await session.remove(path) is False

    async def test_letters_make_no_difference(self, session: Session, here: RemotePath) -> None:
        await session.put(here.child("MixedCase.Bin"), memoryview(b"x"), ignore)
        other = RemotePath(share="admin$", path=here.path.upper() + "\\MIXEDCASE.BIN")
        assert await session.stat(other) == FileInfo(size=1, is_folder=False)
        assert await session.remove(other) is True
        assert await session.stat(here.child("MixedCase.Bin")) is None

    @pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3_000_001])
    async def test_what_is_put_is_what_is_there(
        self, machine: Machine, session: Session, here: RemotePath, size: int
    ) -> None:
        data, moved = secrets.token_bytes(size), list[int]()
        path = here.child("file.bin")
        await session.put(path, memoryview(data), moved.append)
        assert machine.read(path.path) == data
        assert sum(moved) == size
        digest = await session.digest(path, size)
        assert digest is not None
        assert (digest.size, digest.sha256) == (size, hashlib.sha256(data).hexdigest())

    async def test_put_replaces_all_of_a_longer_file(
        self, machine: Machine, session: Session, here: RemotePath
    ) -> None:
        path = here.child("file.bin")
        machine.write(path.path, b"something much longer")
        await session.put(path, memoryview(b"short"), ignore)
        assert machine.read(path.path) == b"short"

    async def test_a_digest_reads_no_more_than_it_may(
        self, machine: Machine, session: Session, here: RemotePath
    ) -> None:
        path = here.child("program.exe")
        data = b"MZ" + bytes(1000) + VERSION_INFO + bytes(1000)
        machine.write(path.path, data)
        whole = await session.digest(path, len(data))
        assert whole is not None
        assert (whole.size, whole.sha256, whole.version) == (len(data), hashlib.sha256(data).hexdigest(), "3.1.4.5")
        cut = await session.digest(path, len(data) - 1)
        assert cut is not None
        assert (cut.size, cut.sha256, cut.version) == (len(data), "", "3.1.4.5")
        little = await session.digest(path, 100)
        assert little is not None
        assert (little.size, little.sha256) == (len(data), "")
        assert little.version in (None, "3.1.4.5")  # some transports are told it without reading

    async def test_a_folder_is_no_file(self, session: Session, here: RemotePath) -> None:
        folder = here.child("folder")
        assert await session.make_folder(folder) is True
        assert await session.stat(folder) == FileInfo(size=0, is_folder=True)
        assert await code_of(session.remove(folder)) == "path-not-found"
        assert await code_of(session.put(folder, memoryview(b"x"), ignore)) in ("path-not-found", "file-in-use")
        assert await code_of(session.digest(folder, 10)) == "path-not-found"
        assert await session.stat(folder) == FileInfo(size=0, is_folder=True)

    async def test_a_file_is_no_folder(self, machine: Machine, session: Session, here: RemotePath) -> None:
        path = here.child("file")
        machine.write(path.path, b"x")
        assert await code_of(session.remove_folder(path)) == "path-not-found"
        assert machine.read(path.path) == b"x"
        assert await code_of(session.make_folder(path.child("below"))) == "path-not-found"

    async def test_folders(self, machine: Machine, session: Session, here: RemotePath) -> None:
        folder = here.child("folder")
        assert await session.make_folder(folder) is True
        assert await session.make_folder(folder) is False
        machine.write(folder.child("file").path, b"x")
        assert await session.remove_folder(folder) is False
        assert machine.read(folder.child("file").path) == b"x"
        await session.remove(folder.child("file"))
        assert await session.remove_folder(folder) is True
        assert await session.remove_folder(folder) is False

    async def test_rename(self, machine: Machine, session: Session, here: RemotePath) -> None:
        old, new = here.child("old"), here.child("new")
        machine.write(old.path, b"x")
        await session.rename(old, new)
        assert (machine.read(old.path), machine.read(new.path)) == (None, b"x")

    async def test_rename_never_replaces(self, machine: Machine, session: Session, here: RemotePath) -> None:
        one, other = here.child("one"), here.child("other")
        machine.write(one.path, b"1")
        machine.write(other.path, b"2")
        assert await code_of(session.rename(one, other)) == "file-in-use"
        assert (machine.read(one.path), machine.read(other.path)) == (b"1", b"2")

    async def test_a_file_in_use(self, machine: Machine, session: Session, here: RemotePath) -> None:
        path = here.child("busy.exe")
        machine.write(path.path, b"x")
        with machine.occupied(path.path):
            assert await code_of(session.put(path, memoryview(b"other"), ignore)) == "file-in-use"
            assert await code_of(session.remove(path)) == "file-in-use"
            assert await code_of(session.rename(path, here.child("else"))) == "file-in-use"
            assert await code_of(session.digest(path, 10)) == "file-in-use"
        assert machine.read(path.path) == b"x"
        assert await session.remove(path) is True

    @pytest.mark.parametrize("template", HOSTILE, ids=lambda text: ascii(text)[:30])
    async def test_a_hostile_path_leads_nowhere(
        self, machine: Machine, session: Session, here: RemotePath, template: str
    ) -> None:
        path = RemotePath(share="ADMIN$", path=template.replace("{here}", here.path))
        before = {place: data for place, data in machine.tree().items() if here.name not in place}
        calls: list[Awaitable[object]] = [
            session.stat(path),
            session.put(path, memoryview(b"x"), ignore),
            session.digest(path, 10),
            session.remove(path),
            session.make_folder(path),
            session.rename(here.child(".there"), path),
        ]
        for call in calls:
            try:
                await call
            except ProblemError as error:
                assert error.problem.code in ("path-not-found", "file-in-use", "protocol-error", "access-denied")
        assert {place: data for place, data in machine.tree().items() if here.name not in place} == before
        assert await session.stat(here) == FileInfo(size=0, is_folder=True), "the session lives on"

    async def test_a_copy_that_stands_still_is_given_up(self, bench: Bench, machine: Machine, here: RemotePath) -> None:
        limits = replace(LIMITS, stall=0.3)
        with bench.stalling_copy(machine) as transport:
            link = await transport.open(machine.endpoint, limits)
            await link.identify()
            session = await link.sign_in(bench.credential(Who.ADMINISTRATOR))
            data = memoryview(bytes(1_000_000))
            assert await code_of(session.put(here.child("big"), data, ignore)) == "transfer-stalled"
            assert await code_of(session.stat(here)) == "connection-lost"
            await session.close()

    # The lock

    async def test_the_lock_is_for_one(
        self, machine: Machine, here: RemotePath, open_session: Callable[..., Awaitable[Session]]
    ) -> None:
        one, other = await open_session(machine), await open_session(machine)
        path = here.child("LabAgent.lock")
        hold = await one.hold(path)
        assert await code_of(other.hold(path)) == "push-in-progress"
        assert await code_of(one.hold(path)) == "push-in-progress"
        assert await code_of(other.remove(path)) == "file-in-use"
        assert await other.stat(path) is not None
        await hold.close()
        assert machine.read(path.path) is None
        again = await other.hold(path)
        await again.close()
        await again.close()
        assert await one.stat(path) is None

    async def test_the_lock_goes_with_its_connection(
        self, machine: Machine, here: RemotePath, open_session: Callable[..., Awaitable[Session]]
    ) -> None:
        path = here.child("LabAgent.lock")
        hold = await (await open_session(machine)).hold(path)
        machine.cut()
        other = await open_session(machine)

        async def taken() -> bool:
            try:
                await (await other.hold(path)).close()
            except ProblemError as error:
                assert error.problem.code == "push-in-progress"
                return False
            return True

        await until(machine, taken)
        await hold.close()
        assert machine.read(path.path) is None

    async def test_the_lock_goes_with_its_session(
        self, machine: Machine, here: RemotePath, open_session: Callable[..., Awaitable[Session]]
    ) -> None:
        path = here.child("LabAgent.lock")
        one = await open_session(machine)
        await one.hold(path)
        await one.close()
        other = await open_session(machine)
        await (await other.hold(path)).close()

    async def test_a_stale_lock_file_is_no_lock(self, machine: Machine, session: Session, here: RemotePath) -> None:
        path = here.child("LabAgent.lock")
        machine.write(path.path, b"left by a power cut")
        await (await session.hold(path)).close()
        assert machine.read(path.path) is None

    async def test_no_lock_without_its_folder(self, session: Session, here: RemotePath) -> None:
        assert await code_of(session.hold(here.child("missing").child("x.lock"))) == "path-not-found"

    # Services

    async def test_no_such_service(self, session: Session, service: str) -> None:
        assert await session.service_config(service) is None
        assert await session.service_status(service) is None
        assert await session.stop_service(service) is False
        assert await session.delete_service(service) is False
        assert await code_of(session.start_service(service)) == "service-missing"
        config = ServiceConfig(image_path="c:\\x.exe", display_name="x", start_type=StartType.DEMAND)
        assert await code_of(session.configure_service(service, config)) == "service-missing"

    async def test_the_life_of_a_service(self, machine: Machine, session: Session, service: str) -> None:
        config = _config(machine, service)
        await session.create_service(service, config)
        assert _plain(await session.service_config(service)) == config
        assert _plain(await session.service_config(service.upper())) == config
        assert await _state(session, service) is ServiceState.STOPPED
        await session.start_service(service)
        await until(machine, lambda: _is(session, service, ServiceState.RUNNING))
        await session.start_service(service)
        assert await session.stop_service(service) is True
        await until(machine, lambda: _is(session, service, ServiceState.STOPPED))
        assert await session.stop_service(service) is False
        assert await session.delete_service(service) is True
        await until(machine, lambda: _is(session, service, None))
        assert await session.delete_service(service) is False

    async def test_a_service_is_created_once(self, machine: Machine, session: Session, service: str) -> None:
        config = _config(machine, service)
        await session.create_service(service, config)
        other = replace(config, display_name=service + " other")
        assert await code_of(session.create_service(service, other)) == "service-exists-foreign"
        assert _plain(await session.service_config(service)) == config

    async def test_a_service_is_configured_anew(self, machine: Machine, session: Session, service: str) -> None:
        await session.create_service(service, _config(machine, service))
        changed = ServiceConfig(
            image_path='"%SystemRoot%\\other folder\\x.exe" --new',
            display_name=f"{service} renamed",
            start_type=StartType.DISABLED,
        )
        await session.configure_service(service, changed)
        assert _plain(await session.service_config(service)) == changed
        await session.configure_service(service, changed)
        assert _plain(await session.service_config(service)) == changed

    async def test_a_service_that_runs_goes_when_it_has_stopped(
        self, machine: Machine, session: Session, service: str
    ) -> None:
        await session.create_service(service, _config(machine, service))
        await session.start_service(service)
        await until(machine, lambda: _is(session, service, ServiceState.RUNNING))
        assert await session.delete_service(service) is True
        assert await session.stop_service(service) is True
        await until(machine, lambda: _is(session, service, None))

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"image_path": '"%SystemRoot%\\labagent\\absent.exe"'}, "service-bad-image"),
            ({"start_type": StartType.DISABLED}, "service-disabled"),
        ],
    )
    async def test_a_start_that_cannot_be(
        self, machine: Machine, session: Session, service: str, changes: dict[str, object], code: str
    ) -> None:
        await session.create_service(service, replace(_config(machine, service), **changes))  # type: ignore[arg-type]
        assert await code_of(session.start_service(service)) == code
        assert await _state(session, service) is ServiceState.STOPPED

    async def test_a_program_that_ends_before_it_reports(
        self, machine: Machine, session: Session, service: str
    ) -> None:
        await session.create_service(service, _config(machine, service, StartFault.EXIT))
        assert await code_of(session.start_service(service)) == "service-start-timeout"
        await until(machine, lambda: _is(session, service, ServiceState.STOPPED))

    async def test_a_service_that_fails(self, machine: Machine, session: Session, service: str) -> None:
        await session.create_service(service, _config(machine, service, StartFault.FAIL))
        await session.start_service(service)
        await until(machine, lambda: _is(session, service, ServiceState.STOPPED))
        status = await session.service_status(service)
        assert status is not None
        assert (status.win32_exit, status.service_exit) == (1066, 42)

    async def test_a_service_that_takes_its_time(self, machine: Machine, session: Session, service: str) -> None:
        await session.create_service(service, _config(machine, service, StartFault.SLOW))
        await session.start_service(service)
        seen = list[ServiceStatus]()

        async def runs() -> bool:
            status = await session.service_status(service)
            assert status is not None
            seen.append(status)
            return status.state is ServiceState.RUNNING

        await until(machine, runs)
        assert {status.state for status in seen} == {ServiceState.START_PENDING, ServiceState.RUNNING}
        checkpoints = [status.checkpoint for status in seen if status.state is ServiceState.START_PENDING]
        assert len(set(checkpoints)) > 1
        assert checkpoints == sorted(checkpoints)
        assert seen[0].wait_hint > 0

    # Registry and rights

    async def test_registry_keys(self, session: Session) -> None:
        assert "HKLM\\SOFTWARE" in await session.registry_access("HKLM\\SOFTWARE")
        evidence = await session.registry_access(f"HKLM\\SOFTWARE\\Contract{secrets.token_hex(4)}\\Deep")
        assert "HKLM\\SOFTWARE " in evidence

    async def test_a_key_without_a_parent(self, session: Session) -> None:
        assert await code_of(session.registry_access(f"HKLM\\Contract{secrets.token_hex(4)}")) == "registry-denied"

    async def test_rights_of_nobody(self, session: Session) -> None:
        """It is a service's account that is asked for, not the one that signs in."""
        assert await code_of(session.rights_of(f"nobody-{secrets.token_hex(4)}")) == "service-account-invalid"

    async def test_rights_of_somebody(self, session: Session) -> None:
        assert isinstance(await session.rights_of("pushadm"), frozenset)

    # The end

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
            session.registry_access("HKLM\\SOFTWARE"), session.rights_of("x"), session.is_domain_controller(),
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

    # -- programs, logs and the registry ------------------------------------------------------------------

    @pytest.mark.parametrize("code", [0, 7, 1618, 3010])
    async def test_a_command_is_run_and_its_exit_code_told(self, session: Session, code: int) -> None:
        assert await session.run(f'"%SystemRoot%\\System32\\cmd.exe" /c exit {code}', 30) == code

    async def test_a_command_that_does_not_end_is_told(self, session: Session, machine: Machine) -> None:
        assert await code_of(session.run(machine.endless_command(), 2)) == "installer-timed-out"

    async def test_running_leaves_nothing_behind(self, session: Session, machine: Machine) -> None:
        endless = machine.endless_command()
        await session.make_folder(RemotePath(share="ADMIN$", path="pusher"))
        before = machine.tree()
        await session.run('"%SystemRoot%\\System32\\cmd.exe" /c exit 3', 30)
        assert await code_of(session.run(endless, 2)) == "installer-timed-out"
        assert machine.tree() == before
        assert await session.remove_folder(RemotePath(share="ADMIN$", path="pusher"))

    async def test_the_end_of_a_file(self, session: Session, machine: Machine, here: RemotePath) -> None:
        content = bytes(range(256)) * 1000
        path = here.child("setup.log")
        await session.put(path, memoryview(content), ignore)
        assert await session.tail(path, 5000) == content[-5000:]
        assert await session.tail(path, 10**6) == content
        assert await session.tail(here.child("none"), 100) is None
        assert await session.tail(RemotePath(share="ADMIN$", path="no\\such\\folder.log"), 100) is None

    async def test_registry_values(self, session: Session) -> None:
        key = "HKLM\\SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion"
        found = await session.registry_value(key, "SystemRoot")
        assert isinstance(found, str) and found.lower() == "c:\\windows"
        assert await session.registry_value(key, "NoSuchValue") is None
        assert await session.registry_value(key + "\\NoSuchKey", "SystemRoot") is None


async def _identified(bench: Bench, machine: Machine) -> Link:
    link = await bench.transport.open(machine.endpoint, LIMITS)
    who: PeerIdentity = await link.identify()
    assert who.machine
    return link


def _config(machine: Machine, name: str, fault: StartFault | None = None) -> ServiceConfig:
    return ServiceConfig(
        image_path=machine.service_command(name, fault), display_name=f"{name} shown", start_type=StartType.DEMAND
    )


def _plain(config: ServiceConfig | None) -> ServiceConfig | None:
    """Without what not every service manager keeps."""
    return None if config is None else replace(config, delayed=False, description="")


async def _state(session: Session, name: str) -> ServiceState | None:
    status = await session.service_status(name)
    return status.state if status else None


async def _is(session: Session, name: str, state: ServiceState | None) -> bool:
    return await _state(session, name) is state
