"""A domain of the lab for one module of tests: started, or they are skipped (or fail, as tests/conftest.py says)."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import LabError
from lab.domain import Domain

NETWORKS = range(81, 90)
_LDAP = 389


@contextmanager
def started(folder: Path, bulk: int = 0) -> Iterator[Domain]:
    """On an address of its own, whoever else tests on this machine: two controllers would share one's ports."""
    with _address() as address:
        domain = Domain(folder, address, bulk=bulk)
        try:
            try:
                domain.up()
            except LabError as error:
                if os.environ.get("PUSHER_LAB_REQUIRED") == "1":
                    raise
                pytest.skip(f"the domain does not start: {str(error).splitlines()[0]}")
            yield domain
        finally:
            domain.down()


@contextmanager
def _address() -> Iterator[str]:
    """Free as long as the file that stands for it is locked by nobody; the kernel lets go of it with the process."""
    for number in NETWORKS:
        with (Path(tempfile.gettempdir()) / f"pusher-test-domain-{number}").open("a") as claim:
            try:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            address = f"127.0.{number}.252"
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, _LDAP))
                except OSError:
                    continue  # of somebody who asks for no lock
            yield address
            return
    raise LabError(f"a domain runs in each of the networks 127.0.{NETWORKS[0]}.0 to 127.0.{NETWORKS[-1]}.0")
