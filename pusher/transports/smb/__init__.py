"""SMB: smbprotocol negotiates and signs in; what comes after goes over a wire of our own, by fixed templates.

``adapter`` connects and signs in over ``connection``, the guarded smbprotocol. ``session`` is the port's calls after
that, over ``wire``, the signed or encrypted connection under asyncio (``protection``, ``messages``, ``errors``):
``files`` and ``trees`` are MS-SMB2 file calls, ``pipe`` is DCE/RPC with ``services`` (MS-SCMR, templates in ``scmr``),
``policy`` and ``rights`` (MS-RRP, MS-SRVS, MS-LSAD, by impacket's NDR structures) on top; ``faults`` translates every
exception. What must not live here: retries, and which account signs in.
"""

from pusher.transports.smb.adapter import SmbTransport

__all__ = ["SmbTransport"]
