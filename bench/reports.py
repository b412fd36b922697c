"""``python -m bench reports [N]``: the reports of a run of N hosts, each from one store by a process of its own.

``CPU`` is that of reading the store and writing the report, ``memory`` the most that the process had, the interpreter
and the libraries included. The hosts are those of ``bench.scale``: of a hundred 20 silent and 5 refusing, the others
ready, with eleven checks each.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from bench.scale import REFUSING, SILENT
from pusher.checks import CHECKS
from pusher.clock import utc_now
from pusher.models import (
    AccountTried,
    Check,
    CheckResult,
    Outcome,
    Protocol,
    Run,
    Stage,
    Status,
    StepTime,
    TransportKind,
    Verb,
)
from pusher.problems import Code, problem
from pusher.report.render import Format, encoding_of, render
from pusher.store import open_store

HOSTS = 20_000
_AT_ONCE = 500
_RUN = "bench"


def main(arguments: list[str]) -> None:
    size = int(arguments[0].replace(",", "").replace("_", "")) if arguments else HOSTS
    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as name:
        store = Path(name) / "bench.sqlite"
        _fill(store, size)
        print(f"{'hosts':>9}{'report':>10}{'CPU':>9}{'wall':>9}{'memory':>9}{'size':>10}")
        for format in Format:
            ran = _apart(store, format)
            print(
                f"{size:>9,}{format.value:>10}{ran['cpu']:>7.2f} s{ran['wall']:>7.2f} s{ran['memory']:>6.0f} MB"
                f"{ran['size'] / 1e6:>7.1f} MB",
                flush=True,
            )


def _fill(path: Path, size: int) -> None:
    store, now = open_store(str(path)), utc_now()
    run = Run(
        id=_RUN, verb=Verb.CHECK, inventory="bench", package=None, version=None, operator="bench@bench", started_at=now
    )
    made = list(_outcomes(size, now))
    store.begin_run(run, {}, [(outcome.target, outcome.address, outcome.site) for outcome in made])

    async def write() -> None:
        for first in range(0, size, _AT_ONCE):
            await asyncio.gather(*(store.outcome(outcome) for outcome in made[first : first + _AT_ONCE]))

    asyncio.run(write())
    store.end_run(_RUN, now + timedelta(minutes=5))
    store.close()


def _outcomes(size: int, now: datetime) -> Iterator[Outcome]:
    checks = tuple(
        Check(check=row.name, result=CheckResult.PASS, evidence=f"{row.name}: opened and closed again on ADMIN$")
        for row in CHECKS
    )
    steps = tuple(StepTime(step=step, seconds=0.0213) for step in ("connect", "identify", "sign-in", "checks"))
    for number in range(size):
        kind = number * 7919 % 100
        code = Code.TIMED_OUT if kind < SILENT else Code.PORT_CLOSED if kind < SILENT + REFUSING else None
        name = f"ws{number:06}.corp.example"
        address = f"10.{number // 62500}.{number // 250 % 250}.{number % 250 + 1}"
        found = None if code is None else problem(code, Stage.REACH, address)
        yield Outcome(
            run=_RUN,
            target=name,
            address=address,
            status=found.status if found else Status.READY,
            stage=found.stage if found else Stage.RECORD,
            code=found.code if found else None,
            message=found.message if found else None,
            remedy=found.remedy if found else None,
            next_move=found.next_move if found else None,
            account=None if found else "push",
            transport=TransportKind.SMB,
            protocol=None if found else Protocol.NTLM,
            attempts=2 if found else 1,
            seconds=10.0 if found else 0.3,
            accounts_tried=() if found else (AccountTried(account="push", code=None),),
            checks=() if found else checks,
            steps=steps[:1] if found else steps,
            bytes_copied=0,
            agent_version=None,
            machine=None if found else name,
            site=f"site{number % 40:02}",
            started_at=now,
            ended_at=now + timedelta(seconds=10),
        )


def _apart(store: Path, format: Format) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.reports", "one", str(store), format.value]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _one(path: str, format: str) -> dict[str, float]:
    store, target = open_store(path), Path(path).with_suffix(f".{format}")
    run = store.run(_RUN)
    assert run is not None, "it was written before"
    began, cpu = time.monotonic(), time.process_time()
    with target.open("w", encoding=encoding_of(format), newline="") as out:
        render(format, run, store.outcomes(_RUN), out)
    took = {"cpu": time.process_time() - cpu, "wall": time.monotonic() - began}
    store.close()
    return {**took, "memory": _memory(), "size": float(target.stat().st_size)}


def _memory() -> float:
    """MB at most. Not ``ru_maxrss``, which begins with that of the process that began this one."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


if __name__ == "__main__":
    print(json.dumps(_one(*sys.argv[2:4])))
