"""Tries the newest of everything that pyproject.toml allows: ``make newest``.

    python packaging/newest.py UV [ARGUMENT OF PYTEST…]

An environment of its own (.newest) gets the newest releases, however young, and runs the fast tests; then it is said
what differs from the lock, and what the ranges hold back. The exit status is that of the tests. Nothing else is
changed: what is found here leads to a wider or a narrower range, or to ``make lock RENEW=1``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".newest"
PYTHON = PLACE / "bin" / "python"

_PATIENCE = 3600.0
"""Seconds for one call of uv: krb5, gssapi and bonsai are compiled, for some minutes on a machine at rest."""


def locked(lock: str) -> dict[str, str]:
    """The versions in a lock's text, by name."""
    pins = (line.split()[0].partition("==") for line in lock.splitlines() if line[:1].isalnum())
    return {name: version for name, _, version in pins}


def differences(pins: dict[str, str], present: dict[str, str]) -> list[str]:
    """What is another version than in the lock, or not in it, a line each."""
    return [
        f"{name} {pins.get(name, '(not in the lock)')} -> {version}"
        for name, version in sorted(present.items())
        if pins.get(name) != version
    ]


def held_back(outdated: list[dict[str, str]], asked_for: set[str]) -> list[str]:
    """What we ask for by name and have not got the newest of, a line each."""
    return [f"{one['name']} {one['version']}; there is {one['latest_version']}"
            for one in outdated if one["name"] in asked_for]  # fmt: skip


def main(uv: str, arguments: list[str]) -> int:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("UV_")}

    def run_uv(*command: str) -> str:
        done = subprocess.run(
            [uv, *command], cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True, timeout=_PATIENCE
        )
        return done.stdout

    print("installing the newest of everything into .newest; what has no wheel is compiled", flush=True)
    run_uv("venv", "--quiet", "--clear", "--python", sys.executable, str(PLACE))
    into = ("--quiet", "--no-config", "--python", str(PYTHON))
    run_uv("pip", "install", *into, "--upgrade", "--editable", ".[dev]")
    present = {one["name"]: one["version"] for one in json.loads(run_uv("pip", "list", *into, "--format", "json"))}
    outdated = json.loads(run_uv("pip", "list", *into, "--outdated", "--format", "json"))
    tests = [str(PYTHON), "-m", "pytest", "-n", "2", "-m", "not lab and not browser and not process and not thorough"]
    status = subprocess.run([*tests, *arguments], cwd=ROOT, check=False).returncode

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    present.pop(project["name"], None)
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {"".join(c if c.isalnum() or c in "-_." else " " for c in one).split()[0].lower().replace("_", "-")
             for one in wanted}  # fmt: skip
    sections = (
        ("Other than in locks/dev.txt", differences(locked((ROOT / "locks/dev.txt").read_text()), present)),
        ("Held back by a range of pyproject.toml", held_back(outdated, names)),
    )
    for title, lines in sections:
        print(f"\n{title}:")
        print("\n".join(f"  {line}" for line in lines) or "  nothing")
    if status == 0:
        print("\nThe fast tests pass with the newest of everything.")
    else:
        print(f"\nThe fast tests fail with the newest of everything (pytest: {status}); the cause is among the above.")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
