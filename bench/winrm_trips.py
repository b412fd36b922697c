"""``python -m bench.winrm_trips``: requests and client CPU of each verb over WinRM, on a lab of one host.

A request is one HTTP exchange with the listener; they are counted by what they ask for. CPU is this process's.
"""

from __future__ import annotations

import re
import resource
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bench.__main__ import _push  # the same push, so that figures can be compared
from lab import Lab, healthy
from pusher.models import TransportKind, Verb
from pusher.transports.winrm.wire import MAX_ANSWER, Answer, Wire

ROUNDS = 8
NETWORK = "127.0.61.0/24"
_ACTION, _CLASS = re.compile(rb"Action[^>]*>([^<]*)<"), re.compile(rb"ResourceURI[^>]*>([^<]*)<")

requests = Counter[str]()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as name:
        folder = Path(name)
        lab = Lab(folder / "lab", NETWORK, folder, progress=lambda _: None)
        _count()
        try:
            lab.up(healthy(1))
            for what, verb, before in (
                ("push", Verb.PUSH, Verb.REMOVE),
                ("unchanged", Verb.PUSH, Verb.PUSH),
                ("check", Verb.CHECK, None),
                ("remove", Verb.REMOVE, Verb.PUSH),
            ):
                _say(what, partial(_push, folder, TransportKind.WINRM, [], verb), folder, before)
        finally:
            lab.down()


def _say(what: str, work: Callable[[], None], folder: Path, before: Verb | None) -> None:
    took, walls, made = list[float](), list[float](), Counter[str]()
    for number in range(ROUNDS + 1):
        if before is not None:
            _push(folder, TransportKind.SMB, [], before)
        requests.clear()
        began, cpu = time.monotonic(), _cpu()
        work()
        if number:
            took.append(_cpu() - cpu)
            walls.append(time.monotonic() - began)
            made = Counter(requests)
    cpu, wall = statistics.median(took) * 1000, statistics.median(walls) * 1000
    print(f"{what}: {made.total()} requests, {cpu:.0f} ms client CPU, {wall:.0f} ms", flush=True)
    print("   " + ", ".join(f"{name} {count}" for name, count in made.most_common()), flush=True)


def _count() -> None:
    post = Wire.post

    def counted(wire: Wire, body: bytes, headers: Mapping[str, str], most: int = MAX_ANSWER) -> Answer:
        action, about = _ACTION.search(body), _CLASS.search(body)
        name = action[1].decode().rpartition("/")[2] if action else "sign-in" if not body else "sealed"
        where = about[1].decode().rpartition("/")[2] if about else ""
        requests[f"{name} {where}".strip()] += 1
        return post(wire, body, headers, most)

    Wire.post = counted  # type: ignore[assignment, method-assign]


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
