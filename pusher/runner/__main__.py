"""Build the runner: ``python -m pusher.runner``."""

from __future__ import annotations

import sys

from pusher.runner import RunnerMissingError, build, load

if __name__ == "__main__":
    try:
        made = build()
    except RunnerMissingError as error:
        sys.exit(str(error))
    print(f"{made} SHA-256 {load().sha256}")
