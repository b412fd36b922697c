"""SMB: the adapter on smbprotocol, with impacket's NDR structures over its named pipes.

``connection`` is the guarded wire, ``challenge`` the identity probe, ``files`` MS-SMB2 file calls, ``pipe`` the
DCE/RPC transport with ``services`` (MS-SCMR) and ``policy`` (MS-RRP, MS-SRVS, MS-LSAD) on top, ``faults`` the
translation of every exception they raise, and ``adapter`` the asynchronous face of it all.
"""

from pusher.transports.smb.adapter import SmbTransport

__all__ = ["SmbTransport"]
