"""The one setting of Kerberos that pusher does not leave to the machine: a host is asked for by the name as written.

MIT's library looks the host's name up first and asks for a ticket for what DNS says (``dns_canonicalize_hostname``,
``rdns``): then a stale or forged record names the machine that proves itself, and Kerberos proves nothing about the
one that was meant. The setting is in a file of the package, so that no process, however it ends, leaves one behind.
What must not live here: anything else of krb5.conf, which is the operator's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path

from pusher.problems import BadInput

FILE = Path(__file__).with_name("krb5.conf")
_VARIABLE = "KRB5_CONFIG"
_OWN = "/etc/krb5.conf:/usr/local/etc/krb5.conf"
"""Where the library looks without the variable; a file that is not there is passed over."""


@contextmanager
def host_names_as_written(environ: MutableMapping[str, str] = os.environ, file: Path = FILE) -> Iterator[None]:
    """Within it this process, and what it starts, asks for hosts by the names given. Before any thread begins.

    BadInput where the library would pass the file over without a word.
    """
    if ":" in str(file) or not os.access(file, os.R_OK):
        raise BadInput(None, f"Kerberos cannot be told to read {file}", "a readable file whose path has no colon")
    before = environ.get(_VARIABLE)
    environ[_VARIABLE] = f"{file}:{before or _OWN}"
    try:
        yield
    finally:
        if before is None:
            environ.pop(_VARIABLE, None)
        else:
            environ[_VARIABLE] = before
