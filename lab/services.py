"""The services of a host, asked of Wine's service manager directly, past SMB and past any fault of the link.

For looking at a host from a test or from `status`. Not here: the way clients take (scm.py).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from impacket.dcerpc.v5 import scmr
from impacket.dcerpc.v5.rpcrt import DCERPC_v5

_STATES = {
    1: "stopped",
    2: "start-pending",
    3: "stop-pending",
    4: "running",
    5: "continue-pending",
    6: "pause-pending",
    7: "paused",
}


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service of type win32."""

    name: str
    display_name: str
    state: str
    image_path: str
    start_type: int
    exit_code: int


class _Relay:
    """What impacket's DCE/RPC layer wants of a transport, over the relay's connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def connect(self) -> None:
        pass

    def disconnect(self) -> None:
        self._connection.close()

    def send(self, data: bytes, forceWriteAndx: int = 0, forceRecv: int = 0) -> None:
        self._connection.sendall(data)

    def recv(self, forceRecv: int = 0, count: int = 0) -> bytes:
        return self._connection.recv(count or 65536)

    def get_credentials(self) -> tuple[str, str, str, str, str, str, None, None]:
        return ("", "", "", "", "", "", None, None)

    def set_kerberos(self, *_: Any) -> None:
        pass

    def doKerberos(self) -> bool:
        return False

    def get_kdcHost(self) -> None:
        pass


def list_services(port: int) -> list[Service]:
    """Every win32 service the host's service manager knows, in its order."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        rpc = DCERPC_v5(_Relay(connection))
        rpc.connect()
        rpc.bind(scmr.MSRPC_UUID_SCMR)
        manager = scmr.hROpenSCManagerW(rpc)["lpScHandle"]
        win32, active_and_not = 0x30, 0x3
        rows = scmr.hREnumServicesStatusW(rpc, manager, dwServiceType=win32, dwServiceState=active_and_not)
        return [_service(rpc, manager, row) for row in rows]


def _service(rpc: DCERPC_v5, manager: Any, row: Any) -> Service:
    name = row["lpServiceName"].rstrip("\0")
    handle = scmr.hROpenServiceW(rpc, manager, name + "\0")["lpServiceHandle"]
    config = scmr.hRQueryServiceConfigW(rpc, handle)["lpServiceConfig"]
    scmr.hRCloseServiceHandle(rpc, handle)
    status = row["ServiceStatus"]
    return Service(
        name=name,
        display_name=row["lpDisplayName"].rstrip("\0"),
        state=_STATES[status["dwCurrentState"]],
        image_path=config["lpBinaryPathName"].rstrip("\0"),
        start_type=config["dwStartType"],
        exit_code=status["dwWin32ExitCode"],
    )
