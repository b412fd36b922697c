"""A child that plays a script: ``fake_child.py LOG SCRIPT``, a list with an answer for each request, in order.

``hang`` never answers, ``die`` ends, ``flood`` sends a line without end, ``text:…`` sends that. Requests go to LOG.
"""

from __future__ import annotations

import json
import sys
import time

log, script = sys.argv[1:]
with open(script, encoding="utf-8") as written:
    answers = json.load(written)
with open(log, "ab", buffering=0) as file:
    file.write(b"start\n")
    for answer in answers:
        line = sys.stdin.buffer.readline()
        if not line:
            break
        file.write(line)
        if answer == "hang":
            time.sleep(600)
        if answer == "die":
            sys.exit(0)
        out = sys.stdout.buffer
        if answer == "flood":
            while True:
                out.write(b"x" * 65536)
        out.write(answer.removeprefix("text:").encode() + b"\n")
        out.flush()
    sys.stdin.buffer.readline()
