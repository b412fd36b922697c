"""``make bench``: client CPU a host, hosts a minute, and copy rates against smbclient, in one run on a small lab.

CPU is this process's user and system time (``resource.getrusage``); the lab's own work shares the same cores, so
rates say what this machine can do with both, not what pusher alone could. Medians of several rounds are printed.
``python -m bench NAME`` measures something else: see ``_OTHERS``, or ``python -m bench --help``.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import access, directory, log, queue, reports, scale, store
from lab import Host, Lab, healthy
from pusher.cli.execute import execute
from pusher.models import Credential, Protocol, Secret, TransportKind, Verb
from pusher.remote.paths import RemotePath
from pusher.report.views import QuietView
from pusher.settings import Options
from pusher.transports.port import Endpoint, Limits, Session, Transport
from pusher.transports.smb import SmbTransport
from pusher.transports.threaded import Pool
from pusher.transports.winrm.adapter import WinrmTransport
from pusher.transports.winrm.content import ContentServer
from pusher.wiring.engine import open_engine
from pusher.wiring.run_plan import prepare_run

HOSTS = 8
ROUNDS = 5
MEGABYTES, SMALL = 64, 8
NETWORK = "127.0.60.0/24"


def _costs(_: list[str]) -> None:
    from bench import costs  # which takes this module's push

    costs.main()


_OTHERS: dict[str, tuple[Callable[[list[str]], None], str]] = {
    "costs": (_costs, "each verb over both transports, beside smbclient + net and impacket, on the lab"),
    "scale": (scale.main, "[N...] runs over N machines in memory"),
    "reports": (reports.main, "[N] the reports of a run over N machines"),
    "access": (access.main, "[N] who may push to which of N machines"),
    "queue": (queue.main, "[N] what waits for workers"),
    "directory": (lambda _: directory.main(), "10,000 computers of the lab's directory"),
    "log": (lambda _: log.main(), "a line of the log, cleaned of many secrets"),
    "store": (lambda _: store.main(), "what the store takes of pushes, near and far"),
}


def main() -> None:
    name, *rest = sys.argv[1:] or [""]
    if name in _OTHERS:
        _OTHERS[name][0](rest)
        return
    if name:
        print("python -m bench        pushes and copies on the lab, and a small run over machines in memory")
        for other, (_, what) in _OTHERS.items():
            print(f"python -m bench {other:<9} {what}")
        sys.exit(0 if name in ("-h", "--help") else 2)
    _on_the_lab()


def _on_the_lab() -> None:
    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as name:
        folder = Path(name)
        lab = Lab(folder / "lab", NETWORK, folder, progress=lambda _: None)
        _say(f"starting {HOSTS} hosts")
        try:
            lab.up(healthy(HOSTS))
            for kind in TransportKind:
                _pushes(folder, kind)
            asyncio.run(_copies(lab, folder))
            asyncio.run(_copies_by_winrm(lab, folder))
        finally:
            lab.down()
    scale.main(["1000"])
    access.main([])


def _pushes(folder: Path, kind: TransportKind) -> None:
    """Install on one host and on all, over and over; what is installed is removed without being counted."""
    one, _ = _push_rounds(folder, kind, ["ws01.*"])
    _say(f"{kind}, one host at a time: {_median(one, 'cpu') * 1000:.0f} ms client CPU a host")
    many, wall = _push_rounds(folder, kind, [])
    cpu = _median(many, "cpu") / HOSTS * 1000
    _say(f"{kind}, {HOSTS} hosts at once: {cpu:.0f} ms client CPU a host, {HOSTS / wall * 60:.0f} hosts a minute")
    _push(folder, kind, [])
    unchanged, wall = _rounds(lambda: _push(folder, kind, []))
    cpu = _median(unchanged, "cpu") / HOSTS * 1000
    _say(f"{kind}, nothing to do: {cpu:.0f} ms client CPU a host, {HOSTS / wall * 60:.0f} hosts a minute")
    _push(folder, kind, [], Verb.REMOVE)


def _push_rounds(folder: Path, kind: TransportKind, limit: list[str]) -> tuple[list[dict[str, float]], float]:
    def once() -> None:
        _push(folder, kind, limit)

    return _rounds(once, between=lambda: _push(folder, TransportKind.SMB, [], Verb.REMOVE))


def _push(folder: Path, kind: TransportKind, limit: list[str], verb: Verb = Verb.PUSH) -> None:
    options = Options(
        inventory=folder / "lab.yaml",
        accounts=folder / "lab-accounts.toml",
        package=folder / "labagent",
        store=str(folder / "bench.sqlite"),
        log=folder / "bench.log",
        limit=limit,
        concurrency=HOSTS,
        transport=kind.value,
    )
    with Path(os.devnull).open("w") as nowhere, open_engine(options.store, options.log) as engine:
        status = execute(prepare_run(options, verb, engine), QuietView(nowhere), engine)
    if status != 0:
        sys.exit(f"a push that should succeed ended with {status}")


async def _copies(lab: Lab, folder: Path) -> None:
    host = lab.hosts["ws01"]
    data = memoryview(os.urandom(MEGABYTES * 1024 * 1024))
    local = folder / "payload"
    local.write_bytes(data)
    pool = Pool(2)
    session = await _session(lab, host, SmbTransport(pool))
    path = RemotePath(share="ADMIN$", path="Temp\\payload.bin")
    ours, cpus = [], []
    for _ in range(ROUNDS):
        with _measured() as took:
            await session.put(path, data, lambda _: None)
        ours.append(MEGABYTES / took["wall"])
        cpus.append(took["cpu"])
    reads = []
    for _ in range(ROUNDS):
        with _measured() as took:
            await session.digest(path, limit=len(data))
        reads.append(MEGABYTES / took["wall"])
    await session.remove(path)
    await session.close()
    pool.close()
    theirs = [_smbclient(lab, host, local, folder) for _ in range(ROUNDS)]
    copied, cpu = statistics.median(ours), statistics.median(cpus)
    _say(f"copy of {MEGABYTES} MB: {copied:.0f} MB/s encrypted, {cpu:.2f} s client CPU")
    _say(f"the same with smbclient: {statistics.median(theirs):.0f} MB/s signed")
    _say(f"read back and hashed: {statistics.median(reads):.0f} MB/s")


def _smbclient(lab: Lab, host: Host, local: Path, folder: Path) -> float:
    login = folder / "login"
    login.touch(mode=0o600)
    login.write_text(f"username = pushadm\npassword = {lab.secret('push-2026')}\n")
    began = time.monotonic()
    subprocess.run(
        ["smbclient", f"//{host.address}/ADMIN$", "-p", str(host.port), "-A", str(login),
         "-c", f"put {local} Temp\\payload2.bin; rm Temp\\payload2.bin"],
        check=True, capture_output=True,
    )  # fmt: skip
    return MEGABYTES / (time.monotonic() - began)


async def _copies_by_winrm(lab: Lab, folder: Path) -> None:
    """Both of its ways: the target fetches the file from us, or it is sent through WinRM itself."""
    host, pool = lab.hosts["ws01"], Pool(2)
    path = RemotePath(share="ADMIN$", path="Temp\\payload.bin")
    ca = folder / "lab-ca.pem"
    with contextlib.closing(ContentServer()) as content:
        for server, megabytes, words in ((content, MEGABYTES, "fetched by the target"), (None, SMALL, "sent by PSRP")):
            session = await _session(lab, host, WinrmTransport(pool, ca=ca, content=server))
            data = memoryview(os.urandom(megabytes * 1024 * 1024))
            rates, cpus = [], []
            for _ in range(ROUNDS):
                with _measured() as took:
                    await session.put(path, data, lambda _: None)
                rates.append(megabytes / took["wall"])
                cpus.append(took["cpu"])
            await session.remove(path)
            await session.close()
            rate, cpu = statistics.median(rates), statistics.median(cpus)
            _say(f"WinRM, copy of {megabytes} MB {words}: {rate:.0f} MB/s, {cpu:.2f} s client CPU")
    pool.close()


async def _session(lab: Lab, host: Host, transport: Transport) -> Session:
    port = host.port if transport.kind is TransportKind.SMB else 0
    link = await transport.open(Endpoint(host=host.fqdn, address=host.address, port=port), Limits())
    await link.identify()
    secret = Secret(lab.secret("push-2026"))
    return await link.sign_in(
        Credential(account="bench", user="pushadm", domain="", secret=secret, protocol=Protocol.NTLM)
    )


def _rounds(
    work: Callable[[], None], between: Callable[[], None] = lambda: None
) -> tuple[list[dict[str, float]], float]:
    """One round to warm up, then ``ROUNDS`` counted ones; their figures and the median wall time."""
    figures = []
    for number in range(ROUNDS + 1):
        with _measured() as took:
            work()
        between()
        if number:
            figures.append(took)
    return figures, _median(figures, "wall")


@contextlib.contextmanager
def _measured() -> Iterator[dict[str, float]]:
    took: dict[str, float] = {}
    wall, cpu = time.monotonic(), _cpu()
    yield took
    took.update(wall=time.monotonic() - wall, cpu=_cpu() - cpu)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _median(figures: list[dict[str, float]], key: str) -> float:
    return statistics.median(figure[key] for figure in figures)


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
