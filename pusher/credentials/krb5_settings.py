"""The one setting of Kerberos that pusher does not leave to the machine: a host is asked for by the name as written.

MIT's library looks the host's name up first and asks for a ticket for what DNS says (``dns_canonicalize_hostname``,
``rdns``): then a stale or forged record names the machine that proves itself, and Kerberos proves nothing about the
one that was meant. What must not live here: anything else of krb5.conf, which is the operator's.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

_VARIABLE = "KRB5_CONFIG"
_OWN = "/etc/krb5.conf:/usr/local/etc/krb5.conf"
"""Where the library looks without the variable; a file that is not there is passed over."""
_TEXT = """# Of pusher: see its README on Kerberos. What follows in other files does not change these.
[libdefaults]
    dns_canonicalize_hostname = false
    rdns = false
"""


@contextmanager
def host_names_as_written(environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Within it this process, and what it starts, asks for hosts by the names given. Before any thread begins."""
    before = environ.get(_VARIABLE)
    with tempfile.NamedTemporaryFile("w", prefix="pusher-", suffix="-krb5.conf", encoding="ascii") as file:
        file.write(_TEXT)
        file.flush()
        environ[_VARIABLE] = f"{file.name}:{before or _OWN}"
        try:
            yield
        finally:
            if before is None:
                environ.pop(_VARIABLE, None)
            else:
                environ[_VARIABLE] = before
