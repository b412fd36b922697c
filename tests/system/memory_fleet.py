"""The pusher command over a fleet in memory whose hosts ask a real domain controller.

    python -P memory_fleet.py SETTINGS push INVENTORY …

Everything is the command's own: its files, its store with the lockout ledger, its Kerberos, its log. Only the transport
is another: a machine of the fleet has its disk and services in memory, and judges a sign-in as a member does, by asking
its domain controller: NTLM by a sign-in of its own with what it was given, Kerberos by the service ticket that the
client must have got. So a sign-in that goes wrong is counted by the controller, and by nobody else.
Five hundred real hosts do not fit on one machine. Not here: what is asked of it (memory_domain.py, the tests).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import spnego
from smbprotocol.connection import Connection
from smbprotocol.exceptions import SMBResponseException
from smbprotocol.session import Session as SmbSession

from pusher.cli import main
from pusher.credentials.kerberos.library import Krb5
from pusher.models import Credential, Secret, TransportKind
from pusher.problems import Code, ProblemError, problem
from pusher.problems.kerberos import kerberos_code
from pusher.transports.codes import Operation, from_ntstatus
from pusher.transports.memory import MemoryHost, MemoryTransport, User
from pusher.transports.memory.host import login_name
from pusher.transports.port import Endpoint, Limits, Link, PeerIdentity, Session
from pusher.wiring import run_resources, sign_in

_SMB, _NO_LOGON_SERVERS = 445, 0xC000005E
_HELD_AT_MOST = 120.0


class Fleet:
    """What is told to the tests: each sign-in as it comes in and as it is judged, a line each in the file ``seen``."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._controller, self._netbios = settings["controller"], settings["netbios"]
        self._seen, self._go = Path(settings["seen"]), Path(settings["go"])
        self._free, self._hold_answers = settings["free"], settings["hold_answers"]
        self.deadline: float = settings["deadline"]
        self._asked = 0
        self.hosts = {address: MemoryHost(name=name) for address, name in settings["hosts"].items()}

    async def judge(self, host: MemoryHost, credential: Credential) -> None:
        """ProblemError where the domain controller does not let the account in."""
        self._asked += 1
        if self._asked > self._free and not self._hold_answers:
            await asyncio.to_thread(self._wait)
        self.tell("asked", host=host.name, account=credential.account, protocol=credential.protocol.value)
        ask = self._ticket if credential.ccache is not None else self._password
        status = await asyncio.to_thread(ask, host, credential)
        self.tell("told", host=host.name, status=status if isinstance(status, str) else f"0x{status:08X}")
        if self._asked > self._free and self._hold_answers:
            await asyncio.to_thread(self._wait)
        if isinstance(status, str):
            raise ProblemError(problem(Code(status), Operation.SIGN_IN.stage, f"no service ticket for {host.name}"))
        if status:
            raise ProblemError(from_ntstatus(status, Operation.SIGN_IN, f"as {credential.account}"))

    def tell(self, event: str, **details: str) -> None:
        """Whole lines: several processes write to one file, and each of them may be killed."""
        line = json.dumps({"pid": os.getpid(), "event": event, **details}) + "\n"
        descriptor = os.open(self._seen, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def hold_answer_of_controller(self) -> None:
        if self._hold_answers:
            self.tell("told", host=self._controller, status="AS-REP")
            self._wait()

    def _wait(self) -> None:
        limit = time.monotonic() + _HELD_AT_MOST
        while not self._go.exists():
            if time.monotonic() > limit:
                raise TimeoutError(f"{self._go} never came")
            time.sleep(0.01)

    def _password(self, host: MemoryHost, credential: Credential) -> int:
        assert credential.secret is not None
        name = f"{credential.domain}\\{credential.user}" if credential.domain else credential.user
        connection = Connection(uuid.uuid4(), self._controller, _SMB)
        try:
            connection.connect(timeout=30)
        except ValueError:
            return _NO_LOGON_SERVERS
        try:
            session = SmbSession(
                connection, name, credential.secret.reveal(), require_encryption=False, auth_protocol="ntlm"
            )
            session.connect()
            session.disconnect()
        except SMBResponseException as error:
            return int(error.status)
        finally:
            connection.disconnect()
        return 0

    def _ticket(self, host: MemoryHost, credential: Credential) -> int | str:
        cache = spnego.KerberosCCache(str(credential.ccache))
        try:
            spnego.client(cache, hostname=host.name, service="cifs", protocol="kerberos").step()
        except Exception as error:
            return kerberos_code(error) or "kerberos-failed"
        return 0


class _FleetLink:
    def __init__(self, inner: Link, host: MemoryHost, fleet: Fleet) -> None:
        self._inner, self._host, self._fleet = inner, host, fleet
        self.secret_sent = False

    async def identify(self) -> PeerIdentity:
        return await self._inner.identify()

    async def sign_in(self, credential: Credential) -> Session:
        self.secret_sent = credential.secret is not None
        await self._fleet.judge(self._host, credential)
        password = credential.secret.reveal() if credential.secret else None
        self._host.users = {login_name(credential): User(password=password)}
        return await self._inner.sign_in(credential)

    async def close(self) -> None:
        await self._inner.close()


class FleetTransport(MemoryTransport):
    """Memory, but for who is let in."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet.hosts)
        self._fleet = fleet

    async def open(self, endpoint: Endpoint, limits: Limits) -> Link:
        link = await super().open(endpoint, limits)
        return _FleetLink(link, self._fleet.hosts[endpoint.address], self._fleet)


def put_in_place(fleet: Fleet) -> None:
    transports = {TransportKind.SMB: FleetTransport(fleet)}
    patch.object(run_resources, "open_transports", lambda *_: nullcontext(transports)).start()
    ask = Krb5.by_password

    async def asking(kerberos: Krb5, principal: str, secret: Secret) -> Any:
        """The answer is held back between the domain controller and the budget, where the settings say so."""
        try:
            return await ask(kerberos, principal, secret)
        finally:
            await asyncio.to_thread(fleet.hold_answer_of_controller)

    patch.object(Krb5, "by_password", asking).start()
    patch.object(sign_in, "Krb5", lambda now: Krb5(now, fleet.deadline)).start()


if __name__ == "__main__":
    put_in_place(Fleet(json.loads(Path(sys.argv.pop(1)).read_text(encoding="utf-8"))))
    main()
