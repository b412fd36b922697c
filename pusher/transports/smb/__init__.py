"""SMB: smbprotocol negotiates and signs in; what comes after goes over a wire of our own, by fixed templates.

``connection`` is the guarded negotiate and sign-in, ``wire`` the signed or encrypted connection after it
(``protection``, ``messages``, ``errors``), ``files`` and ``trees`` MS-SMB2 file calls, ``pipe`` the DCE/RPC transport
with ``services`` (MS-SCMR, templates in ``scmr``), ``policy`` and ``rights`` (MS-RRP, MS-SRVS, MS-LSAD, by impacket's
NDR structures) on top, ``faults`` the translation of every exception they raise, and ``adapter`` the asynchronous face
of it all.
"""

from pusher.transports.smb.adapter import SmbTransport

__all__ = ["SmbTransport"]
