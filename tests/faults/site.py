"""What a round is given: the files an operator would have written, the database, and the workers' processes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text

from lab.postgresql import Server
from pusher.transports.memory import MemoryHost, User
from tests import pe
from tests.faults.hosts import Machine

SECRET = "planted-3f9a1c"
PROGRAM, LOG = "labagent\\labagent.exe", "labagent\\labagent.log"
_FIRST = 10 << 24 | 16 << 16
_PACKAGE = """
name = "labagent"
version = "1.4.2"
[[file]]
source = "labagent.exe"
dest = 'labagent\\labagent.exe'
sha256 = "{sha256}"
[service]
name = "LabAgent"
display_name = "Lab agent"
command = '"%SystemRoot%\\labagent\\labagent.exe"'
[verify]
stay_running = "1s"
[remove]
leftovers = ['labagent\\labagent.log']
"""


def the_program() -> bytes:
    return pe.program("1.4.2", pad=3000)


def some_machines(count: int) -> dict[str, Machine]:
    """By address; every second one forgets a lock whose owner falls silent."""
    return {_address(number): Machine(_host(number), forgetful=number % 2 == 0) for number in range(count)}


def _address(number: int) -> str:
    value = _FIRST + number
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def _host(number: int) -> MemoryHost:
    return MemoryHost(
        name=f"h{number:05}.corp.example",
        users={"pushadm": User(password=SECRET)},
        leaves={"labagent": f"Windows\\{LOG}"},
        latency=0.01 + number % 21 / 1000,
    )


@dataclass
class Database:
    """Where the store is. ``server`` is None where that is a file."""

    url: str
    server: Server | None
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        at = self.url.replace("postgresql://", "postgresql+psycopg://") if self.server else f"sqlite:///{self.url}"
        self.engine = create_engine(at, connect_args={} if self.server else {"timeout": 60}, pool_pre_ping=True)
        if not self.server:
            event.listen(self.engine, "begin", _begun_by_hand)
            event.listen(self.engine, "connect", _own_begin)

    @property
    def name(self) -> str:
        return "PostgreSQL" if self.server else "SQLite"

    def rows(self, query: str, **values: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(text(query), values).all())

    def do(self, statement: str, **values: Any) -> int:
        with self.engine.begin() as connection:
            return connection.execute(text(statement), values).rowcount


def _own_begin(connection: Any, _: Any) -> None:
    connection.isolation_level = None


def _begun_by_hand(connection: Connection) -> None:
    """A transaction that reads first would not be let write later on."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


@dataclass
class Worker:
    name: str
    process: asyncio.subprocess.Process

    def tell(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Site:
    """``folder`` holds all there is; ``lease`` is in seconds."""

    def __init__(self, folder: Path, database: Database, machines: Mapping[str, Machine], lease: float) -> None:
        self.folder, self.database, self.machines, self.lease = folder, database, machines, lease
        self.socket = folder / "hosts.sock"
        self.workers: dict[str, Worker] = {}
        self._written()

    def _written(self) -> None:
        program = the_program()
        package = self.folder / "labagent"
        package.mkdir()
        (package / "labagent.exe").write_bytes(program)
        (package / "package.toml").write_text(_PACKAGE.format(sha256=hashlib.sha256(program).hexdigest()))
        hosts = "".join(f"      - {{name: {machine.host.name}, address: {address}}}\n"
                        for address, machine in self.machines.items())  # fmt: skip
        (self.folder / "inventory.yaml").write_text(f"version: 1\ngroups:\n  all:\n    hosts:\n{hosts}")
        secret = self.folder / "secret"
        secret.touch(mode=0o600)
        secret.write_text(SECRET)
        account = "[[account]]\nname = 'push'\nuser = '.\\pushadm'\nsecret = 'file:secret'\n"
        # A worker that is killed in a sign-in leaves one that may have failed, for an hour.
        account += "[lockout]\nlocal_threshold = 50\n"
        (self.folder / "accounts.toml").write_text(account)

    async def command(self, *arguments: str) -> tuple[int, str]:
        """A command's exit status, and all it said."""
        running = await self._begun("command", *arguments)
        said, _ = await running.communicate()
        return running.returncode or 0, said.decode()

    async def begin_worker(self, name: str) -> Worker:
        given = ("--store", self.database.url, "--log", f"{name}.log", "--name", name, "--quiet", "--concurrency", "20")
        worker = self.workers[name] = Worker(name, await self._begun(name, "worker", *given, said=f"{name}.said"))
        return worker

    async def _begun(self, name: str, *arguments: str, said: str = "") -> asyncio.subprocess.Process:
        out: Any = (self.folder / said).open("ab") if said else asyncio.subprocess.PIPE
        try:
            return await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "tests.faults.worker", str(self.socket), name, str(self.lease), *arguments,
                cwd=self.folder, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=asyncio.subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "XDG_DATA_HOME": str(self.folder)},
            )  # fmt: skip
        finally:
            if said:
                out.close()

    async def look_after_workers(self) -> None:
        """One that has ended is begun again, as an init system does."""
        while True:
            await asyncio.sleep(0.2)
            for worker in list(self.workers.values()):
                if worker.process.returncode is not None:
                    await self.begin_worker(worker.name)

    async def end_workers(self) -> None:
        """Asked first, and killed where they do not hear it."""
        for worker in self.workers.values():
            worker.tell(signal.SIGCONT)
            worker.tell(signal.SIGTERM)
        for worker in self.workers.values():
            try:
                await asyncio.wait_for(worker.process.wait(), 30)
            except TimeoutError:
                worker.tell(signal.SIGKILL)
                await worker.process.wait()
