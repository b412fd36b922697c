"""The adapter in memory keeps the contract, and time flies in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pusher.models import Credential, Protocol, Secret
from pusher.transports.memory import Fault, How, MemoryHost, MemoryTransport, Moment, Ran, StartFault, User
from pusher.transports.memory.disk import key_of
from pusher.transports.memory.host import cmd_exit
from pusher.transports.port import Endpoint, Transport
from tests.contract.bench import Bench, Kind, Machine, Who
from tests.contract.transport_contract import TransportContract

ADDRESS = "10.0.0.1"


class MemoryMachine:
    def __init__(self, kind: Kind) -> None:
        user = User(
            password="right",
            locked=kind is Kind.LOCKED,
            disabled=kind is Kind.DISABLED,
            must_change=kind is Kind.MUST_CHANGE,
            expired=kind is Kind.EXPIRED,
        )
        name = f"{kind.name.replace('_', '').lower()}.corp.example"
        self.host = MemoryHost(
            name=name,
            users={"pushadm": user, "clerk": User(password="right", administrator=False)},
            missing_shares={"ADMIN$"} if kind is Kind.NO_SHARE else set(),
            read_only_shares={"ADMIN$"} if kind is Kind.READ_ONLY else set(),
            room=500_000 if kind is Kind.FULL else 10**9,
            rights={"pushadm": frozenset()},
        )
        self.endpoint = Endpoint(host=name, address=ADDRESS + str(list(Kind).index(kind)), port=445)
        self.transport: MemoryTransport | None = None

    def read(self, path: str) -> bytes | None:
        return self.host.read(f"Windows\\{path}")

    def write(self, path: str, data: bytes) -> None:
        self.host.write(f"Windows\\{path}", data)

    def tree(self) -> dict[str, bytes | None]:
        return self.host.disk.snapshot()

    def remove_tree(self, path: str) -> None:
        top = f"windows\\{path}".lower()
        for place, data in sorted(self.host.disk.snapshot().items(), reverse=True):
            if place == top or place.startswith(top + "\\"):
                remove = self.host.disk.remove_folder if data is None else self.host.disk.remove
                remove(key_of(place))

    @contextmanager
    def occupied(self, path: str) -> Iterator[None]:
        entry = self.host.disk.find(key_of(f"windows\\{path}"))
        assert entry is not None
        entry.held = True
        yield
        entry.held = False

    async def let_time_pass(self, seconds: float) -> None:
        self.host.skew += seconds

    def cut(self) -> None:
        assert self.transport is not None
        self.transport.cut()

    def sign_ins(self) -> int:
        return len(self.host.sign_ins)

    def service_command(self, service: str, fault: StartFault | None) -> str:
        self.write("labagent\\labagent.exe", b"MZ")
        if fault is not None:
            self.host.services.start_faults[service.lower()] = fault
        return '"%SystemRoot%\\labagent\\labagent.exe"'

    def endless_command(self) -> str:
        self.host.execute = lambda command: Ran(seconds=1e9) if command == "endless" else cmd_exit(command)
        return "endless"


class MemoryBench:
    def __init__(self) -> None:
        self._machines = {kind: MemoryMachine(kind) for kind in Kind}
        self.hosts = {machine.endpoint.address: machine.host for machine in self._machines.values()}
        self.transport: Transport = self._made()

    def machine(self, kind: Kind) -> Machine:
        return self._machines[kind]

    def credential(self, who: Who) -> Credential:
        user = {Who.ORDINARY: "clerk", Who.NOBODY: "nobody"}.get(who, "pushadm")
        secret = Secret("wrong" if who is Who.MISTYPED else "right")
        return Credential(account=user, user=user, domain="", secret=secret, protocol=Protocol.NTLM)

    @contextmanager
    def stalling_copy(self, machine: Machine) -> Iterator[Transport]:
        yield self._made(Fault(how=How.HANG, call="put", moment=Moment.DURING))

    def _made(self, *faults: Fault) -> Transport:
        transport = MemoryTransport(self.hosts, *faults)
        for machine in self._machines.values():
            machine.transport = transport
        return transport


class TestMemoryTransport(TransportContract):
    patience = 0.2

    @pytest.fixture
    def bench(self) -> Bench:
        return MemoryBench()
