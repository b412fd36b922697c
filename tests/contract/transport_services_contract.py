"""The transport's contract of what runs on a machine: services, commands; and of its registry."""

from __future__ import annotations

import secrets
from dataclasses import replace

import pytest

from pusher.remote.paths import RemotePath, expanded
from pusher.transports.memory import StartFault
from pusher.transports.port import ITSELF, SIGNED_IN, ServiceConfig, ServiceState, ServiceStatus, Session, StartType
from tests.contract.bench import Machine
from tests.contract.transport_suite import TransportSuite, code_of, ignore, until


class ServicesContract(TransportSuite):
    """Services, the registry and rights, commands and what they leave to read."""

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
        given_back = await _given_back(session, config)
        assert "%" not in given_back.image_path
        assert _plain(await session.service_config(service)) == given_back
        assert _plain(await session.service_config(service.upper())) == given_back
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
        assert _plain(await session.service_config(service)) == await _given_back(session, config)

    async def test_where_windows_is(self, session: Session) -> None:
        folders = await session.folders()
        assert (folders.windows.lower(), folders.drive) == ("c:\\windows", "C:")

    async def test_a_service_is_configured_anew(self, machine: Machine, session: Session, service: str) -> None:
        await session.create_service(service, _config(machine, service))
        changed = ServiceConfig(
            image_path='"%SystemRoot%\\other folder\\x.exe" --new',
            display_name=f"{service} renamed",
            start_type=StartType.DISABLED,
        )
        await session.configure_service(service, changed)
        assert _plain(await session.service_config(service)) == await _given_back(session, changed)
        await session.configure_service(service, changed)
        assert _plain(await session.service_config(service)) == await _given_back(session, changed)

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
        assert (
            await code_of(session.holders_of("SeServiceLogonRight", f"nobody-{secrets.token_hex(4)}"))
            == "service-account-invalid"
        )

    async def test_rights_of_somebody(self, session: Session) -> None:
        assert ITSELF not in await session.holders_of("SeTcbPrivilege", "pushadm")

    # -- programs, logs and the registry ------------------------------------------------------------------

    @pytest.mark.parametrize("code", [0, 7, 1618, 3010])
    async def test_a_command_is_run_and_its_exit_code_told(self, session: Session, code: int) -> None:
        assert await session.run(f'"%SystemRoot%\\System32\\cmd.exe" /c exit {code}', 30) == code

    async def test_a_command_that_does_not_end_is_told(self, session: Session, machine: Machine) -> None:
        assert await code_of(session.run(machine.endless_command(), self.patience)) == "installer-timed-out"

    async def test_a_command_may_be_run_by_who_is_signed_in(self, session: Session) -> None:
        line = '"%SystemRoot%\\System32\\cmd.exe" /c exit 7'
        if self.runs_as_signed_in:
            assert await session.run(line, 30, SIGNED_IN) == 7
            assert "WinRS" in session.runner(SIGNED_IN)
        else:
            assert await code_of(session.run(line, 30, SIGNED_IN)) == "run-as-unsupported"

    async def test_running_leaves_nothing_behind(self, session: Session, machine: Machine) -> None:
        endless = machine.endless_command()
        await session.make_folder(RemotePath(share="ADMIN$", path="pusher"))
        before = machine.tree()
        await session.run('"%SystemRoot%\\System32\\cmd.exe" /c exit 3', 30)
        assert await code_of(session.run(endless, self.patience)) == "installer-timed-out"
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


def _config(machine: Machine, name: str, fault: StartFault | None = None) -> ServiceConfig:
    return ServiceConfig(
        image_path=machine.service_command(name, fault), display_name=f"{name} shown", start_type=StartType.DEMAND
    )


async def _given_back(session: Session, config: ServiceConfig) -> ServiceConfig:
    """As the service manager gives back what it was given: the names in the image path expanded."""
    return replace(config, image_path=expanded(config.image_path, await session.folders()))


def _plain(config: ServiceConfig | None) -> ServiceConfig | None:
    """Without what not every service manager keeps."""
    return None if config is None else replace(config, delayed=False, description="")


async def _state(session: Session, name: str) -> ServiceState | None:
    status = await session.service_status(name)
    return status.state if status else None


async def _is(session: Session, name: str, state: ServiceState | None) -> bool:
    return await _state(session, name) is state
