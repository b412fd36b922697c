"""Independent clients for the lab's tests: Samba's smbclient, net and rpcclient, and impacket for the odd call."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from impacket.dcerpc.v5 import scmr, transport
from impacket.smbconnection import SMBConnection

from lab import Host, Lab


def network(offset: int) -> str:
    """A network for this test process, so that several may run at once."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return f"127.0.{100 + 10 * int(worker) + offset}.0/24"


class Client:
    """One user's way to one host. `secret` is the name the lab keeps the password under."""

    def __init__(self, lab: Lab, host: Host, user: str = "pushadm", secret: str = "push-2026") -> None:
        self._host = host
        self._user = user
        self._password = lab.secret(secret)

    def smb(self, command: str, share: str = "ADMIN$", options: tuple[str, ...] = (), seconds: float = 20) -> str:
        """smbclient's output, whatever it was."""
        target = f"//{self._host.address}/{share}"
        return self._run("smbclient", "-p", str(self._host.port), *options, target, "-c", command, seconds=seconds)

    def service(self, *arguments: str, seconds: float = 40) -> str:
        return self._run(
            *("net", "rpc", "service", *arguments, "-S", self._host.address, "-p", str(self._host.port)),
            seconds=seconds,
        )

    def rpc(self, command: str) -> str:
        return self._run("rpcclient", "-p", str(self._host.port), self._host.address, "-c", command)

    def _run(self, *command: str, seconds: float = 20) -> str:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(f"username = {self._user}\npassword = {self._password}\n")
            file.flush()
            done = subprocess.run(
                [*command, "-A", file.name], capture_output=True, text=True, timeout=seconds, check=False
            )
        # Samba's clients do not ignore SIGPIPE: one that was writing when the connection was cut just dies of it.
        ending = "\nNT_STATUS_CONNECTION cut in mid-write" if done.returncode == -signal.SIGPIPE else ""
        return done.stdout + done.stderr + ending

    @contextmanager
    def manager(self) -> Iterator[tuple[Any, Any]]:
        """A DCE/RPC connection to the service manager and an open handle on it."""
        address, port = self._host.address, self._host.port
        connection = SMBConnection(address, address, sess_port=port)
        connection.login(self._user, self._password)
        rpc = transport.SMBTransport(address, port, r"\svcctl", smb_connection=connection).get_dce_rpc()
        rpc.connect()
        rpc.bind(scmr.MSRPC_UUID_SCMR)
        try:
            yield rpc, scmr.hROpenSCManagerW(rpc)["lpScHandle"]
        finally:
            connection.close()


def put_agent(client: Client, agent: Path) -> None:
    output = client.smb(f"mkdir labagent; put {agent} labagent\\labagent.exe")
    assert "putting file" in output, output


def create_agent_service(rpc: Any, manager: Any, fault: str = "none") -> Any:
    """A handle on the agent's service, newly made."""
    command = rf'"%SystemRoot%\labagent\labagent.exe" --site here --fault {fault}' + "\0"
    answer = scmr.hRCreateServiceW(rpc, manager, "LabAgent\0", "Lab agent\0", lpBinaryPathName=command)
    return answer["lpServiceHandle"]


def start(rpc: Any, service: Any) -> int:
    """StartService's error code; 0 for none."""
    try:
        scmr.hRStartServiceW(rpc, service)
    except scmr.DCERPCSessionError as exc:
        return int(exc.get_error_code())
    return 0


def status(rpc: Any, service: Any) -> Any:
    return scmr.hRQueryServiceStatus(rpc, service)["lpServiceStatus"]
