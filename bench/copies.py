"""``python -m bench.copies``: a long file over SMB at several delays, against smbclient on the same link.

One host of the lab behind ``delay``; 64 MB are written and read back (hashed; smbclient writes what it reads to
/dev/null), in turns with smbclient, once signed as it does by default and once encrypted as pusher does. Medians of
the rates, smbclient's as it tells them itself: from opening the file to closing it, as pusher's are taken.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from lab import Host, Lab, healthy
from pusher.models import Credential, Protocol, Secret
from pusher.remote.paths import RemotePath
from pusher.transports.port import Endpoint, Limits, Session
from pusher.transports.smb import SmbTransport
from pusher.transports.threaded import Pool

DELAYS = (0, 20, 100)
"""Milliseconds of a round trip."""

ROUNDS = 3
MEGABYTES = 64
NETWORK = "127.0.62.0/24"
PROTECTIONS = ("sign", "encrypt")
_TOLD = re.compile(r"\(([0-9.]+) (?:kb/s|KiloBytes/sec)\)")


def main() -> None:
    delays = [int(each) for each in sys.argv[1:]] or DELAYS
    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as name:
        folder = Path(name)
        lab = Lab(folder / "lab", NETWORK, folder, progress=lambda _: None)
        try:
            lab.up(healthy(1))
            for ms in delays:
                with _delayed(lab.hosts["ws01"], ms) as port:
                    asyncio.run(_copies(lab, folder, ms, port))
        finally:
            lab.down()


@contextlib.contextmanager
def _delayed(host: Host, ms: int) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.delay", host.address, str(host.port), str(ms)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as link:
        assert link.stdout is not None
        try:
            yield int(link.stdout.readline())
        finally:
            link.terminate()


async def _copies(lab: Lab, folder: Path, ms: int, port: int) -> None:
    rates = defaultdict[tuple[str, str], list[float]](list)
    local, path = folder / "payload", RemotePath(share="ADMIN$", path="Temp\\payload.bin")
    data = os.urandom(MEGABYTES << 20)
    local.write_bytes(data)
    pool = Pool(2)
    for _ in range(ROUNDS):
        session = await _session(lab, lab.hosts["ws01"], port, pool)
        began = time.monotonic()
        await session.put(path, memoryview(data), lambda _: None)
        written = time.monotonic()
        await session.digest(path, limit=len(data))
        rates["put", "pusher"].append(MEGABYTES / (written - began))
        rates["get", "pusher"].append(MEGABYTES / (time.monotonic() - written))
        await session.remove(path)
        await session.close()
        for protection in PROTECTIONS:
            put, get = await asyncio.to_thread(_smbclient, lab, folder, port, protection)
            rates["put", protection].append(put)
            rates["get", protection].append(get)
    pool.close()
    for way in ("put", "get"):
        ours, *theirs = (statistics.median(rates[way, who]) for who in ("pusher", *PROTECTIONS))
        told = ", ".join(
            f"smbclient {who} {rate:.0f} ({ours / rate:.2f})" for who, rate in zip(PROTECTIONS, theirs, strict=True)
        )
        print(f"{ms} ms, {way} {MEGABYTES} MB: {ours:.0f} MB/s, {told}", flush=True)


def _smbclient(lab: Lab, folder: Path, port: int, protection: str) -> tuple[float, float]:
    login = folder / "login"
    login.touch(mode=0o600)
    login.write_text(f"username = pushadm\npassword = {lab.secret('push-2026')}\n")
    commands = f"put {folder / 'payload'} Temp\\p2.bin; get Temp\\p2.bin /dev/null; rm Temp\\p2.bin"
    done = subprocess.run(
        ["smbclient", "//127.0.0.1/ADMIN$", "-p", str(port), "-A", str(login),
         f"--client-protection={protection}", "-c", commands],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    put, get = (float(rate) / 1024 for rate in _TOLD.findall(done.stdout + done.stderr))
    return put, get


async def _session(lab: Lab, host: Host, port: int, pool: Pool) -> Session:
    link = await SmbTransport(pool).open(Endpoint(host=host.fqdn, address="127.0.0.1", port=port), Limits())
    await link.identify()
    secret = Secret(lab.secret("push-2026"))
    return await link.sign_in(
        Credential(account="bench", user="pushadm", domain="", secret=secret, protocol=Protocol.NTLM)
    )


if __name__ == "__main__":
    main()
