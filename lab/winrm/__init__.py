"""The WinRM endpoint of a host: WS-Management over HTTP and HTTPS, on Wine's cmd.exe, service manager and registry.

    python -m lab.winrm --config FILE

A process of its own inside the host's namespaces, started when the first connection comes (see host.py). Real are
HTTP, TLS, NTLM, message encryption, the commands, services, files and registry; the CIM classes' shape and their
return codes are from Microsoft's documentation, so a code proves nothing about Windows.

From the wire inwards: `http` (HTTP/1.1) - `connection` (who is it, sign-in and sealing) - `service` (WS-Man's
actions) - `shells` and `psrp` (commands), `cim*` (classes) - `wine` (what Wine is asked).
"""

from __future__ import annotations

HTTP_PORT = 5985
HTTPS_PORT = 5986
INNER_RELAY_PORT = 5987  # of the TLS relay that stands before some hosts
DOWNLOAD_PORT = 5984  # where the host's curl.exe finds what does its TLS; inside the host only
