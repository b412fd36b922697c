"""Makes the locks from the ranges in pyproject.toml: ``make lock``.

    python packaging/lock.py UV [--renew]

Here: which locks there are, and what each is resolved from. Not here: installing from them (.ci/setup.sh).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COOLDOWN = "7 days"
"""Nothing younger is taken: a release that is withdrawn or malicious is usually found by then."""

_ALWAYS = (
    *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-config", "--quiet"),
    # Where packages come from is the business of the machine that installs, not of a lock.
    *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
)


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A lock: its name, the file of ranges, and what is taken of that."""

    name: str
    source: str = "pyproject.toml"
    options: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return f"locks/{self.name}.txt"


DEV = Lock(name="dev", options=("--all-extras",))


def locks(extras: list[str]) -> list[Lock]:
    """Every lock, in the order of making; ``dev`` holds all packages and decides on versions."""
    same = ("--constraints", DEV.file)
    return [
        DEV,
        Lock(name="plain", options=same),
        *(Lock(name=extra, options=("--extra", extra, *same)) for extra in extras if extra != DEV.name),
        Lock(name="build", source="locks/build.in", options=same),
        Lock(name="tools", source="locks/tools.in"),
    ]


def extras_of(pyproject: Path) -> list[str]:
    """The extras that a pyproject.toml has."""
    return list(tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"].get("optional-dependencies", {}))


def main(uv: str, renew: bool) -> int:
    """Make them all; the status of the first that cannot be made."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}
    cooldown = os.environ.get("COOLDOWN") or COOLDOWN
    for lock in locks(extras_of(ROOT / "pyproject.toml")):
        command = [uv, "pip", "compile", lock.source, *lock.options, *_ALWAYS, "--exclude-newer", cooldown]
        command += ["--output-file", lock.file, *(["--upgrade"] if renew else [])]
        done = subprocess.run(command, cwd=ROOT, env=environment, check=False)
        if done.returncode:
            print(f"{lock.file} cannot be made", file=sys.stderr)
            return done.returncode
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2 or set(sys.argv[2:]) - {"--renew"}:
        sys.exit("usage: python packaging/lock.py UV [--renew]")
    sys.exit(main(sys.argv[1], "--renew" in sys.argv[2:]))
