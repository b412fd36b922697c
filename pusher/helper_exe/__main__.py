"""Build the helper program: ``python -m pusher.helper_exe [--record]``."""

from __future__ import annotations

import sys

from pusher.helper_exe import HelperExeMissingError, build, load, record, verify

if __name__ == "__main__":
    try:
        made = build()
        if sys.argv[1:] == ["--record"]:
            record()
    except HelperExeMissingError as error:
        sys.exit(str(error))
    print(f"{made} SHA-256 {load().sha256}")
    try:
        verify(made)
    except HelperExeMissingError as error:
        print(f"note: {error}", file=sys.stderr)  # it works here all the same; only a wheel must have the known one
