"""DCE/RPC over an SMB named pipe: impacket's marshalling on smbprotocol's authenticated session.

Each request and its answer travel in one FSCTL_PIPE_TRANSCEIVE (MS-SMB2 2.2.31, MS-FSCC 2.3.30), one round trip.
What a server may send in answer to one call is bounded.
"""

from __future__ import annotations

import struct
from typing import Any

from impacket.dcerpc.v5.rpcrt import DCERPC_v5
from smbprotocol.exceptions import BufferOverflow, SMBException
from smbprotocol.ioctl import CtlCode, IOCTLFlags, SMB2IOCTLRequest, SMB2IOCTLResponse
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
)
from smbprotocol.tree import TreeConnect

_FRAGMENT = 65536
_MAX_ANSWER = 4 * 1024 * 1024
_FAULT_PDU = 3


class RpcFaultError(SMBException):
    """The server answered a call with a fault PDU (C706 12.6.4.7); ``status`` is its nca or Win32 status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"RPC fault 0x{status:08x}")
        self.status = status


class _PipeTransport:
    """What impacket's DCERPC asks of a transport, over one open pipe."""

    def __init__(self, tree: TreeConnect, name: str) -> None:
        self._open = Open(tree, name)
        self._request = b""
        self._answer = b""
        self._received = 0

    def connect(self) -> None:
        self._open.create(
            ImpersonationLevel.Impersonation,
            FilePipePrinterAccessMask.GENERIC_READ | FilePipePrinterAccessMask.GENERIC_WRITE,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE,
            CreateDisposition.FILE_OPEN,
            CreateOptions.FILE_NON_DIRECTORY_FILE,
        )

    def disconnect(self) -> None:
        self._open.close()

    def send(self, data: bytes, forceWriteAndx: int = 0, forceRecv: int = 0) -> None:
        # The last fragment waits for recv(), which sends it and takes the answer in the same round trip.
        if self._request:
            self._open.write(self._request)
        self._request = data
        self._answer, self._received = b"", 0

    def recv(self, forceRecv: int = 0, count: int = 0) -> bytes:
        if not self._answer:
            self._answer = self._exchange()
            self._received += len(self._answer)
            if not self._answer or self._received > _MAX_ANSWER:
                raise SMBException(f"the pipe answered {self._received} bytes to one call")
            if len(self._answer) >= 28 and self._answer[2] == _FAULT_PDU:
                raise RpcFaultError(struct.unpack_from("<I", self._answer, 24)[0])
        take = count or len(self._answer)
        data, self._answer = self._answer[:take], self._answer[take:]
        return data

    def _exchange(self) -> bytes:
        if not self._request:
            more: bytes = self._open.read(0, _FRAGMENT)
            return more
        request, self._request = self._request, b""
        ioctl = SMB2IOCTLRequest()
        ioctl["ctl_code"] = CtlCode.FSCTL_PIPE_TRANSCEIVE
        ioctl["file_id"] = self._open.file_id
        ioctl["max_output_response"] = _FRAGMENT
        ioctl["flags"] = IOCTLFlags.SMB2_0_IOCTL_IS_FSCTL
        ioctl["buffer"] = request
        tree = self._open.tree_connect
        sent = tree.session.connection.send(ioctl, tree.session.session_id, tree.tree_connect_id)
        try:
            response = tree.session.connection.receive(sent)
        except BufferOverflow as overflow:
            response = overflow.header
        answer = SMB2IOCTLResponse()
        answer.unpack(response["data"].get_value())
        data: bytes = answer["buffer"].get_value()
        return data

    # The rest is asked by impacket's sign-in, which this pipe has behind it.
    def get_credentials(self) -> tuple[str, str, str, str, str, str, None, None]:
        return ("", "", "", "", "", "", None, None)

    def set_kerberos(self, *_: Any) -> None: ...

    def get_kdcHost(self) -> None: ...

    def doKerberos(self) -> bool:
        return False

    def set_max_fragment_size(self, _: int) -> None: ...

    def get_socket(self) -> None: ...


def bind(tree: TreeConnect, pipe: str, interface: Any) -> Any:
    """Open ``pipe`` on IPC$ and bind ``interface``; returns impacket's DCERPC object, ready for its helpers."""
    rpc = DCERPC_v5(_PipeTransport(tree, pipe))
    rpc.connect()
    rpc.bind(interface)
    return rpc
