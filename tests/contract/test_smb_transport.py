"""The SMB adapter keeps the contract, against a lab of real Samba and Wine hosts."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import SCENARIOS, Host, HostSpec, Lab
from lab.build import build_all, default_cache
from pusher.models import Credential, Protocol, Secret
from pusher.transports.memory import StartFault
from pusher.transports.port import Endpoint, Transport
from pusher.transports.smb import SmbTransport
from pusher.transports.threaded import Pool
from tests.conftest import StartLab
from tests.contract.bench import Bench, Kind, Machine, Who
from tests.contract.transport_contract import TransportContract

pytestmark = pytest.mark.lab

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
NETWORK = f"127.0.{41 + _WORKER % 9}.0/24"
SPECS = [HostSpec(name=f"ws{number:02}", scenario=SCENARIOS[kind.value]) for number, kind in enumerate(Kind, start=1)]
_FAULTS = {
    None: "none", StartFault.EXIT: "exit", StartFault.HANG: "hang", StartFault.PENDING: "pending",
    StartFault.SLOW: "slow", StartFault.FAIL: "fail", StartFault.CRASH: "exit-later",
}  # fmt: skip


class LabMachine:
    def __init__(self, host: Host) -> None:
        self.host = host
        self.endpoint = Endpoint(host=host.fqdn, address=host.address, port=host.port)

    def _inside(self, path: str) -> Path:
        return self.host.admin_share.joinpath(*path.split("\\"))

    def read(self, path: str) -> bytes | None:
        place = self._inside(path)
        return place.read_bytes() if place.exists() else None

    def write(self, path: str, data: bytes) -> None:
        place = self._inside(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def tree(self) -> dict[str, bytes | None]:
        """Windows itself is too large to be compared byte by byte, and its logs grow."""
        windows = self.host.admin_share
        found = [*windows.glob("*"), *windows.glob("Temp/**/*"), *windows.parent.glob("*")]
        return {str(place): None for place in found}

    def remove_tree(self, path: str) -> None:
        shutil.rmtree(self._inside(path))

    @contextmanager
    def occupied(self, path: str) -> Iterator[None]:
        self.host.hold(path)
        yield
        self.host.release(path)

    async def let_time_pass(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def cut(self) -> None:
        assert self.host.kill_smbd_children() > 0

    def sign_ins(self) -> int:
        return len(self.host.sign_ins())

    def service_command(self, service: str, fault: StartFault | None) -> str:
        place = self._inside("labagent\\labagent.exe")
        if not place.exists():
            self.write("labagent\\labagent.exe", build_all(default_cache()).agent.read_bytes())
        return f'"%SystemRoot%\\labagent\\labagent.exe" --fault {_FAULTS[fault]}'

    def endless_command(self) -> str:
        return self.service_command("LabAgent", StartFault.HANG)


class LabBench:
    def __init__(self, lab: Lab, transport: Transport) -> None:
        self.transport = transport
        self._lab = lab

    def machine(self, kind: Kind) -> Machine:
        return LabMachine(self._host(kind))

    def credential(self, who: Who) -> Credential:
        user = {Who.ORDINARY: "clerk", Who.NOBODY: "nosuchuser"}.get(who, "pushadm")
        secret = self._lab.secret("clerk" if who is Who.ORDINARY else "push-2026")
        if who is Who.MISTYPED:
            secret = f"not {secret}"
        return Credential(account=user, user=user, domain="", secret=Secret(secret), protocol=Protocol.NTLM)

    @contextmanager
    def stalling_copy(self, machine: Machine) -> Iterator[Transport]:
        host = self._host(Kind.HEALTHY)
        host.link("stall", after=500_000)
        yield self.transport
        host.heal()

    def _host(self, kind: Kind) -> Host:
        return next(host for host in self._lab.hosts.values() if host.scenario.name == kind.value)


@pytest.fixture(scope="module")
def contract_lab(tmp_path_factory: pytest.TempPathFactory, start_lab: StartLab) -> Iterator[Lab]:
    lab = start_lab(Lab(tmp_path_factory.mktemp("contract-lab"), NETWORK), SPECS)
    yield lab
    lab.down()


@pytest.fixture(scope="module")
def smb(contract_lab: Lab) -> Iterator[Transport]:
    pool = Pool(8)
    yield SmbTransport(pool)
    pool.close()


class TestSmbTransport(TransportContract):
    @pytest.fixture
    def bench(self, contract_lab: Lab, smb: Transport) -> Bench:
        return LabBench(contract_lab, smb)
