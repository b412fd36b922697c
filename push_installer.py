"""The entry of the ``pusher`` command: who else's code may be in here is asked before any of it is loaded.

On public indexes the name ``pusher`` belongs to another project, whose import package has that name too. Where both are
installed, each may run in place of the other, with push credentials at hand. That is why this lies outside the package:
``import pusher`` alone could run a stranger's code already. Not here: anything else.
"""

from __future__ import annotations

import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

OURS = "pusher.__main__:main"
"""The command's entry of this project when its distribution had that name too."""


def main() -> None:
    """The command."""
    if (refusal := refused(_other())) is not None:
        print(refusal, file=sys.stderr)
        sys.exit(2)
    from pusher.cli import main as command

    command()


def refused(other: Distribution | None) -> str | None:
    """Why nothing is done beside that distribution of the name ``pusher``; None where there is none but ours."""
    if other is None or any(point.value == OURS for point in other.entry_points):
        return None
    return (
        f"this environment also holds 'pusher' {other.version}, another project of the same import name, whose code "
        "could run in place of this one's: remove both, and install push-installer into an environment of its own"
    )


def _other() -> Distribution | None:
    try:
        return distribution("pusher")
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
