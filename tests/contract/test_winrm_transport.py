"""The WinRM adapter keeps the contract, against the lab's WinRM endpoints over real Wine hosts, on TLS and without.

Where WinRM cannot give what SMB gives, the expectation is another one, written below; nothing is left out.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lab import SCENARIOS, Host, HostSpec, Lab
from lab.build import build_all, default_cache
from pusher.problems import ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.port import Endpoint, Link, NewFile, ServiceConfig, Session, StartType, Transport
from pusher.transports.threaded import Pool
from pusher.transports.winrm.adapter import WinrmTransport
from pusher.transports.winrm.content import ContentServer
from tests.conftest import StartLab
from tests.contract.bench import LIMITS, Bench, Kind, Machine, Who
from tests.contract.test_smb_transport import LabBench, LabMachine
from tests.contract.transport_contract import TransportContract
from tests.contract.transport_suite import code_of, ignore, until
from tests.pe import version_resource

pytestmark = pytest.mark.lab

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
NETWORK = f"127.0.{81 + _WORKER % 9}.0/24"
SPECS = [HostSpec(name=f"ws{number:02}", scenario=SCENARIOS[kind.value]) for number, kind in enumerate(Kind, start=1)]
_PORTS = {"https": 5986, "http": 5985}


class WinrmMachine(LabMachine):
    def __init__(self, host: Host, scheme: str) -> None:
        super().__init__(host)
        host.shells()  # the listener starts when it is first asked, which may take longer than a connect may
        self.endpoint = Endpoint(host=host.fqdn, address=host.address, port=_PORTS[scheme], scheme=scheme)

    def cut(self) -> None:
        assert self.host.cut_winrm() > 0

    def sign_ins(self) -> int:
        return len(self.host.winrm_log("sign-in"))


class WinrmBench(LabBench):
    def __init__(self, lab: Lab, transport: Transport, scheme: str) -> None:
        super().__init__(lab, transport)
        self._scheme, self._ca = scheme, lab.ca

    def machine(self, kind: Kind) -> Machine:
        return WinrmMachine(self._host(kind), self._scheme)

    @contextmanager
    def stalling_copy(self, machine: Machine) -> Iterator[Transport]:
        host = self._host(Kind.HEALTHY)
        host.winrm(download_stall=500_000)
        yield self.transport
        host.winrm()

    @contextmanager
    def stalling_push(self) -> Iterator[Transport]:
        """As ``stalling_copy``, where the payload goes through WinRM itself."""
        host, pool = self._host(Kind.HEALTHY), Pool(2)
        host.link("stall", after=500_000, port=_PORTS[self._scheme])
        yield WinrmTransport(pool, ca=Path(self._ca), content=None)
        host.heal()
        pool.close()


@pytest.fixture(scope="module")
def winrm_lab(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Iterator[Lab]:
    lab = start_lab(Lab(tmp_path_factory.mktemp("winrm-contract-lab"), NETWORK), SPECS)
    yield lab
    lab.down()


@pytest.fixture(scope="module")
def winrm(winrm_lab: Lab) -> Iterator[Transport]:
    pool = Pool(8)
    with ContentServer() as content:
        yield WinrmTransport(pool, ca=Path(winrm_lab.ca), content=content)
    pool.close()


class _OverWinrm(TransportContract):
    scheme = "https"
    runs_as_signed_in = True

    # One HTTP status says all of these.
    wrong_password = ("sign-in-refused",)
    no_account = ("sign-in-refused",)
    account_faults = dict.fromkeys((Kind.LOCKED, Kind.DISABLED, Kind.MUST_CHANGE, Kind.EXPIRED), "sign-in-refused")

    @pytest.fixture
    def bench(self, winrm_lab: Lab, winrm: Transport) -> Bench:
        return WinrmBench(winrm_lab, winrm, self.scheme)

    async def test_an_ordinary_user_is_refused(self, machine: Machine, open_session: object) -> None:
        """Whoever is no administrator is refused every question, that for the machine's role too."""
        session: Session = await open_session(machine, Who.ORDINARY)  # type: ignore[operator]
        root = RemotePath(share="ADMIN$", path="")
        assert await code_of(session.is_domain_controller()) == "not-administrator"
        assert await code_of(session.probe_write(root)) == "not-administrator"
        assert await code_of(session.stat(root)) == "not-administrator"
        assert await code_of(session.put(root.child("x"), memoryview(b"x"), ignore)) == "not-administrator"
        assert await code_of(session.may_create_services()) == "service-creation-denied"
        assert await code_of(session.registry_access("HKLM\\SOFTWARE")) == "registry-denied"

    async def test_a_missing_share(self, bench: Bench, open_session: object) -> None:
        """No share is needed; a drive's is the drive itself."""
        session: Session = await open_session(bench.machine(Kind.NO_SHARE))  # type: ignore[operator]
        assert await session.probe_write(RemotePath(share="ADMIN$", path=""))
        assert await code_of(session.stat(RemotePath(share="NOSUCH$", path="x"))) == "path-not-found"

    async def test_a_share_that_cannot_be_written(self, bench: Bench, open_session: object) -> None:
        """It is the share that is read-only there, not the folder."""
        session: Session = await open_session(bench.machine(Kind.READ_ONLY))  # type: ignore[operator]
        assert await session.probe_write(RemotePath(share="ADMIN$", path=""))

    async def test_a_digest_reads_no_more_than_it_may(
        self, machine: Machine, session: Session, here: RemotePath
    ) -> None:
        """The version is what Windows itself reads from the program's resources, and nothing of the file travels."""
        path, data = here.child("program.exe"), build_all(default_cache()).agent.read_bytes()
        machine.write(path.path, data)
        whole = await session.digest(path, len(data))
        assert whole is not None
        assert (whole.size, whole.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert whole.version is not None
        cut = await session.digest(path, len(data) - 1)
        assert cut == replace(whole, sha256="")
        machine.write(path.path, version_resource("1.2.3.4"))
        odd = await session.digest(path, 1000)
        assert odd is not None
        assert (odd.size, odd.version) == (len(version_resource("1.2.3.4")), None)

    async def test_rights_of_nobody(self, session: Session) -> None:
        assert await code_of(session.holders_of("SeServiceLogonRight", "nobody")) == "rights-unreadable"

    async def test_rights_of_somebody(self, session: Session) -> None:
        assert await code_of(session.holders_of("SeServiceLogonRight", "pushadm")) == "rights-unreadable"

    async def test_a_pinned_certificate(self, bench: Bench, winrm_lab: Lab) -> None:
        host = winrm_lab.hosts["ws01"]
        pinned = Endpoint(host=host.fqdn, address=host.address, fingerprint=host.fingerprint)
        link = await bench.transport.open(pinned, LIMITS)
        assert "pinned" in (await link.identify()).proof
        await link.close()
        other = replace(pinned, fingerprint=winrm_lab.hosts["ws02"].fingerprint)
        assert await code_of(bench.transport.open(other, LIMITS)) == "certificate-mismatch"

    # Files as WinRM does them

    @pytest.mark.parametrize(
        "name",
        [
            "with space.bin", "ünï ☃ 文.bin", "a & b.bin", "caret^x.bin", "(paren) [x].bin", "semi;comma,eq=x.bin",
            "it's.bin", "dollar$ `tick.bin", "~tilde~1.bin", "#hash @at.bin", ".hidden", "plus+.bin",
            "x" * 100 + ".bin",
        ],
    )  # fmt: skip
    async def test_odd_names(self, machine: Machine, session: Session, here: RemotePath, name: str) -> None:
        path, content = here.child(name), secrets.token_bytes(1000)
        await session.put(path, memoryview(content), ignore)
        assert machine.read(path.path) == content
        digest = await session.digest(path, 5000)
        assert digest is not None and digest.sha256 == hashlib.sha256(content).hexdigest()
        old, folder = path.with_suffix(".old"), here.child("folder " + name)
        await session.rename(path, old)
        assert machine.read(old.path) == content
        hold = await session.hold(path)
        assert await code_of(session.hold(path)) == "push-in-progress"
        await hold.close()
        assert machine.read(path.path) is None
        assert await session.make_folder(folder)
        assert await session.remove_folder(folder)
        assert await session.remove(old)

    @pytest.mark.parametrize("name", ["100%.bin", "%TEMP%", "bang!.bin"])
    async def test_names_that_cmd_would_change(self, session: Session, here: RemotePath, name: str) -> None:
        assert await code_of(session.put(here.child(name), memoryview(b"x"), ignore)) == "path-not-found"
        assert await code_of(session.make_folder(here.child(name))) == "path-not-found"

    async def test_a_machine_that_cannot_fetch_is_sent_it(
        self, host: Host, machine: Machine, session: Session, here: RemotePath
    ) -> None:
        moved = list[int]()
        host.winrm(downloads=False)
        await session.put(here.child("sent"), memoryview(b"x" * 100_000), moved.append)
        host.winrm()
        assert machine.read(here.child("sent").path) == b"x" * 100_000
        assert sum(moved) == 100_000
        await session.put(here.child("again"), memoryview(b"y"), ignore)
        assert host.winrm_log("download")[-1]["code"] == 7, "it was not asked again"

    async def test_many_files_are_one_command(
        self, host: Host, machine: Machine, session: Session, here: RemotePath
    ) -> None:
        """And one connection to here, once it is known that the machine can fetch."""
        await session.put(here.child("first"), memoryview(b"x"), ignore)
        files = [
            NewFile(path=here.child(f"m{number}.py"), data=memoryview(data), sha256=hashlib.sha256(data).hexdigest())
            for number, data in enumerate(secrets.token_bytes(2000) for _ in range(60))
        ]
        fetched, asked = len(host.winrm_log("download")), len(host.winrm_log("request"))
        assert await session.put_all(files, ignore) == []
        assert len(host.winrm_log("download")) == fetched + 60
        assert len(host.winrm_log("request")) < asked + 30, "a command takes four requests, and some while it goes on"
        assert {file.path: machine.read(file.path.path) for file in files} == {
            file.path: bytes(file.data) for file in files
        }

    # What an endpoint may do besides

    @pytest.fixture
    def host(self, winrm_lab: Lab) -> Iterator[Host]:
        """The healthy machine, for a test that has it behave otherwise."""
        host = next(host for host in winrm_lab.hosts.values() if host.scenario.name == Kind.HEALTHY.value)
        yield host
        host.winrm()

    async def test_a_copy_through_winrm_that_stands_still(
        self, bench: Bench, machine: Machine, here: RemotePath
    ) -> None:
        assert isinstance(bench, WinrmBench)
        with bench.stalling_push() as transport:
            link = await transport.open(machine.endpoint, replace(LIMITS, stall=0.5))
            session = await link.sign_in(bench.credential(Who.ADMINISTRATOR))
            data = memoryview(bytes(1_000_000))
            assert await code_of(session.put(here.child("big"), data, ignore)) == "transfer-stalled"
            assert await code_of(session.stat(here)) == "connection-lost"
            await session.close()

    async def test_the_lock_of_a_pusher_that_vanished(
        self, bench: Bench, machine: Machine, here: RemotePath, session: Session, winrm_lab: Lab
    ) -> None:
        """Nobody is left who could end its shell: its idle time does."""
        pool, path = Pool(2), here.child("LabAgent.lock")
        other = WinrmTransport(pool, ca=Path(winrm_lab.ca), content=None, idle=8.0)
        link: Any = await other.open(machine.endpoint, LIMITS)
        await (await link.sign_in(bench.credential(Who.ADMINISTRATOR))).hold(path)
        assert await code_of(session.hold(path)) == "push-in-progress"
        link._abort()
        pool.close()

        async def taken() -> bool:
            try:
                await (await session.hold(path)).close()
            except ProblemError as error:
                assert error.problem.code == "push-in-progress"
                return False
            return True

        await until(machine, taken)

    async def test_what_a_lost_connection_left_behind_is_ended_by_the_next(
        self, bench: Bench, machine: Machine, here: RemotePath, host: Host
    ) -> None:
        """Its shells belong to the account: the lock is free at once, not after its idle time."""
        path = here.child("LabAgent.lock")
        before = {shell.id for shell in host.shells()}
        link: Any = await _identified(bench, machine)
        await (await link.sign_in(bench.credential(Who.ADMINISTRATOR))).hold(path)
        assert len({shell.id for shell in host.shells()} - before) == 2
        link._abort()
        session = await (await _identified(bench, machine)).sign_in(bench.credential(Who.ADMINISTRATOR))
        assert {shell.id for shell in host.shells()} <= before
        await (await session.hold(path)).close()
        await session.close()

    async def test_the_shells_of_another_session_are_left_alone(
        self, bench: Bench, machine: Machine, here: RemotePath
    ) -> None:
        sessions = [await (await _identified(bench, machine)).sign_in(bench.credential(Who.ADMINISTRATOR))]
        hold = await sessions[0].hold(here.child("LabAgent.lock"))
        sessions.append(await (await _identified(bench, machine)).sign_in(bench.credential(Who.ADMINISTRATOR)))
        assert await code_of(sessions[1].hold(here.child("LabAgent.lock"))) == "push-in-progress"
        await hold.close()
        for session in sessions:
            await session.close()

    async def test_a_refusal_by_401(self, bench: Bench, machine: Machine, host: Host) -> None:
        """As where the listener's own descriptor lets only administrators in."""
        host.winrm(deny="401")
        link = await _identified(bench, machine)
        assert await code_of(link.sign_in(bench.credential(Who.ORDINARY))) == "sign-in-refused"
        await link.close()

    async def test_channel_binding_is_sent(self, bench: Bench, machine: Machine, host: Host) -> None:
        host.winrm(binding="strict")
        session = await (await _identified(bench, machine)).sign_in(bench.credential(Who.ADMINISTRATOR))
        assert await session.is_domain_controller() is False
        await session.close()

    async def test_a_service_that_is_switched_off(self, bench: Bench, machine: Machine, host: Host) -> None:
        host.winrm(status=503)
        link = await bench.transport.open(machine.endpoint, LIMITS)
        assert await code_of(link.identify()) == "winrm-refused"
        await link.close()

    async def test_no_shell_left(self, bench: Bench, machine: Machine, host: Host) -> None:
        session = await (await _identified(bench, machine)).sign_in(bench.credential(Who.ADMINISTRATOR))
        host.winrm(max_shells=0)
        assert await code_of(session.make_folder(RemotePath(share="ADMIN$", path="Temp\\none"))) == "winrm-quota"
        await session.close()

    async def test_nobody_signs_in_again_by_himself(
        self, bench: Bench, machine: Machine, host: Host, service: str
    ) -> None:
        before = machine.sign_ins()
        session = await (await _identified(bench, machine)).sign_in(bench.credential(Who.ADMINISTRATOR))
        host.winrm(drop_on="Win32_Service.Create")
        config = ServiceConfig(image_path="c:\\x.exe", display_name=service, start_type=StartType.DEMAND)
        for _ in range(2):
            assert await code_of(session.create_service(service, config)) == "connection-lost"
        await session.close()
        assert machine.sign_ins() == before + 1

    async def test_a_call_without_an_answer_is_given_up(
        self, bench: Bench, machine: Machine, host: Host, service: str
    ) -> None:
        link = await bench.transport.open(machine.endpoint, replace(LIMITS, call=1.0))
        session = await link.sign_in(bench.credential(Who.ADMINISTRATOR))
        host.winrm(hang_on="Win32_Service.Create")
        config = ServiceConfig(image_path="c:\\x.exe", display_name=service, start_type=StartType.DEMAND)
        assert await code_of(session.create_service(service, config)) == "timed-out"
        assert await code_of(session.service_status(service)) == "connection-lost"
        await session.close()

    async def test_no_shell_stays_open(self, session: Session, host: Host) -> None:
        before = host.shells()  # of tests that cut their connection, until their idle time is over
        await session.probe_write(RemotePath(share="ADMIN$", path=""))
        assert len(host.shells()) > len(before)
        await session.close()
        assert {shell.id for shell in host.shells()} <= {shell.id for shell in before}


async def _identified(bench: Bench, machine: Machine) -> Link:
    link = await bench.transport.open(machine.endpoint, LIMITS)
    await link.identify()
    return link


class TestWinrmOverTls(_OverWinrm):
    scheme = "https"


class TestWinrmOverHttp(_OverWinrm):
    scheme = "http"
