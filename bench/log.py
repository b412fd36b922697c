"""What redaction costs a line of the log, with few secrets and with one for each of many machines."""

from __future__ import annotations

import hashlib
import time

from pusher.log import Redactor
from pusher.models import Secret

_LINES = 2_000
_LINE = {
    "event": "signed-in", "run": "20261126-210000-abcd", "target": "ws0001.paris.corp.example", "stage": "sign-in",
    "detail": "as push-2026 by ntlm, after the directory was asked how it stands; 3 of its failures are known",
}  # fmt: skip


def main() -> None:
    for count in (5, 500, 5_000):
        redactor = Redactor()
        began = time.process_time()
        redactor.learn(Secret(hashlib.sha256(str(number).encode()).hexdigest()[:20]) for number in range(count))
        learnt = time.process_time()
        for _ in range(_LINES):
            redactor(None, "info", dict(_LINE))
        each = (time.process_time() - learnt) / _LINES
        print(f"{count:5,} secrets: learnt in {learnt - began:.2f} s, then {each * 1e6:.0f} µs a line")
