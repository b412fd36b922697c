"""What goes wrong on the wire, as exceptions; ``faults`` translates them. What must not live here: codes, remedies."""

from __future__ import annotations


class WireError(Exception):
    """Anything that ends a connection or refuses a request."""


class TamperedError(WireError):
    """A signature or an authentication tag does not verify, or is missing where it must be."""


class SessionGoneError(WireError):
    """The server says, unsigned, that it has no such session any more; nothing else in the answer is believed."""


class ImplausibleError(WireError):
    """The peer announced something that no server would: a length past every limit, a wrong count."""


class ClosedError(WireError):
    """The connection is gone."""


class UnsupportedDialectError(WireError):
    """The server speaks only dialects older than SMB 2.1."""


class NtStatusError(WireError):
    """A request was refused; ``status`` is the NTSTATUS (MS-ERREF 2.3)."""

    def __init__(self, status: int) -> None:
        super().__init__(f"NTSTATUS 0x{status:08X}")
        self.status = status


class RpcFaultError(WireError):
    """A call was answered with a fault PDU (C706 12.6.4.7); ``status`` is its nca or Win32 status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"RPC fault 0x{status:08x}")
        self.status = status


class CallError(WireError):
    """A remote procedure returned an error; ``status`` is its Win32 code."""

    def __init__(self, status: int) -> None:
        super().__init__(f"Win32 error {status}")
        self.status = status
