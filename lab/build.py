"""What hosts are made from, built once and kept: the agent, the relay, the template of a Wine prefix, what Samba's
programs say of themselves.

Each lies in the cache under a name made of a hash of everything it depends on, so labs share a cache and
nothing in it ever goes stale. The same sources give the same bytes.

Not here: a host's own copy of any of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import kernel, samba
from lab.scenarios import CURRENT_VERSION, OLDER_VERSION

_SOURCES = Path(__file__).parent / "c"
_COMPILER = "x86_64-w64-mingw32-gcc"
_RESOURCES = "x86_64-w64-mingw32-windres"
_FLAGS = ("-O2", "-Wall", "-Wextra", "-s", "-static", "-Wl,--no-insert-timestamp")
_HELPER = ("helper.c", "helper_services.c", "helper_files.c", "helper_registry.c", "helper_wmi.c")
_HELPER_LIBRARIES = ("-lole32", "-loleaut32", "-lwbemuuid", "-lversion")
# More than what a faulty link lets through before it stalls, with room to spare.
_BALLAST_BYTES = 240_000

# Windows' programs that a push uses and Wine has not, or not really: our own in their place (see c/).
_STAND_INS = {"certutil": ["-lbcrypt"], "curl": ["-lws2_32"]}
# Those that in Wine do nothing, say nothing and return 0, for which they must fail here.
_SILENT = (
    *(
        "arp",
        "cacls",
        "dism",
        "extrac32",
        "fc",
        "findstr",
        "icacls",
        "lodctr",
        "netsh",
        "regini",
        "schtasks",
        "sdbinst",
    ),
    *("secedit", "setx", "shutdown", "subst", "systeminfo", "tasklist", "unlodctr", "wevtutil", "where", "wusa"),
    "WindowsPowerShell/v1.0/powershell",
)
_REPLACED = ",".join(f"{Path(name).name}.exe" for name in (*_STAND_INS, *_SILENT))
# No display, no .NET, no browser engine, no menus: a host needs the service manager and little else.
WINE_ENVIRONMENT = {
    "WINEDEBUG": "-all",
    "WINEDLLOVERRIDES": f"mscoree=;mshtml=;winemenubuilder.exe=;{_REPLACED}=n",
}


class BuildError(Exception):
    """A tool failed; the message holds what it said."""


@dataclass(frozen=True, kw_only=True)
class Built:
    """Paths of everything a host is made from."""

    relay: Path
    helper: Path
    runner: Path
    agents: dict[str, Path]  # by version
    template: Path  # a Wine prefix nobody runs in
    interfaces: dict[str, str]  # by program of Samba's: the pipes it lists

    @property
    def agent(self) -> Path:
        return self.agents[CURRENT_VERSION]


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pusher-lab"


def build_all(cache: Path, progress: Callable[[str], None] = lambda line: None) -> Built:
    """Build what the cache lacks."""
    cache.mkdir(parents=True, exist_ok=True)
    with _only_one(cache):
        return Built(
            relay=_program(cache, "relay", ["relay.c"], ["-lws2_32"], progress),
            helper=_program(cache, "helper", _HELPER, _HELPER_LIBRARIES, progress),
            runner=_program(cache, "runner", ["runner.c"], [], progress),
            agents={
                version: agent_executable(cache, version, progress) for version in (CURRENT_VERSION, OLDER_VERSION)
            },
            template=_template(cache, progress),
            interfaces={name: _interfaces(cache, name) for name in samba.PIPE_PROGRAMS},
        )


@contextmanager
def _only_one(cache: Path) -> Iterator[None]:
    """Two labs that start at once must not build the same thing into the same place."""
    with (cache / "lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for left in cache.glob("making-*"):  # of a build that was killed: nobody else builds now
            shutil.rmtree(left, ignore_errors=True)
        yield


def _key(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        raise BuildError(f"{command[0]} is missing: run `python -m lab packages`") from exc
    if done.returncode:
        raise BuildError(f"{command[0]} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


def _compiler_version() -> str:
    return _run(_COMPILER, "-dumpfullversion")


def _program(
    cache: Path, name: str, files: Sequence[str], libraries: Sequence[str], progress: Callable[[str], None]
) -> Path:
    """One of our own Windows programs."""
    headers = [header.read_bytes() for header in sorted(_SOURCES.glob("*.h"))]
    sources = [_SOURCES / file for file in files]
    key = _key(*headers, *(source.read_bytes() for source in sources), *_FLAGS, *libraries, _compiler_version())
    target = cache / f"{name}-{key}.exe"
    if not target.exists():
        progress(f"building {name}.exe")
        with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as folder:
            made = Path(folder) / "made.exe"
            _run(_COMPILER, *_FLAGS, *sources, "-o", made, *libraries)
            made.rename(target)
    return target


def agent_executable(cache: Path, version: str, progress: Callable[[str], None] = lambda line: None) -> Path:
    """The agent of a version; the same bytes for the same sources and tools."""
    code, resource = _SOURCES / "agent.c", _SOURCES / "agent.rc"
    key = _key(code.read_bytes(), resource.read_bytes(), *_FLAGS, str(_BALLAST_BYTES), _compiler_version())
    target = cache / f"labagent-{version}-{key}.exe"
    if not target.exists():
        progress(f"building the agent {version}")
        with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as folder:
            # Relative names only: a path of the build folder in the binary would change its bytes.
            work = Path(folder)
            ballast = random.Random(version).randbytes(_BALLAST_BYTES)  # noqa: S311 (the same bytes every time)
            (work / "ballast.bin").write_bytes(ballast)
            (work / "defines.h").write_text(
                f'#define AGENT_VERSION "{version}"\n'
                f'#define VERSION_TEXT "{version}"\n'
                f"#define VERSION_NUMBERS {version.replace('.', ',')},0\n"
                '#define BALLAST "ballast.bin"\n',
                encoding="ascii",
            )
            for name in (code, resource):
                text = name.read_text(encoding="ascii")
                (work / name.name).write_text('#include "defines.h"\n' + text, encoding="ascii")
            _run(_RESOURCES, "agent.rc", "-o", "agent.res.o", cwd=work)
            _run(_COMPILER, *_FLAGS, "agent.c", "agent.res.o", "-o", "labagent.exe", cwd=work)
            (work / "labagent.exe").rename(target)
    return target


def _interfaces(cache: Path, name: str) -> str:
    """What one of Samba's programs for pipes says to --list-interfaces."""
    try:
        program = samba.dcerpc_home() / name
        data, changed = program.read_bytes(), program.stat().st_mtime_ns
    except (samba.SambaError, OSError) as exc:
        raise BuildError(str(exc)) from exc
    target = cache / f"{name}-{_key(str(program), data, str(changed))}.txt"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as folder:
            made = Path(folder) / "made"
            made.write_text(_run(program, "--configfile=/dev/null", "--list-interfaces"), encoding="utf-8")
            made.rename(target)
    return target.read_text(encoding="utf-8")


def _template(cache: Path, progress: Callable[[str], None]) -> Path:
    version = _run("wine", "--version").strip()
    stand_ins = _stand_ins(cache, progress)
    names = [f"{name} {program.name}" for name, program in stand_ins.items()]
    target = cache / f"template-{_key(version, repr(sorted(WINE_ENVIRONMENT.items())), *names)}"
    if target.exists():
        return target
    progress("making the template of a Wine prefix (once, some 15 s)")
    with tempfile.TemporaryDirectory(dir=cache, prefix="making-") as folder:
        work = Path(folder)
        prefix, scratch = work / "prefix", work / "scratch"
        scratch.mkdir()
        environment = {
            **{name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")},
            **WINE_ENVIRONMENT,
            "WINEPREFIX": str(prefix),
            "HOME": str(scratch),
            "TMPDIR": str(scratch),
        }
        # In namespaces of its own, so that no Wine process outlives the making.
        command = [*kernel.unshare_command(), "sh", "-c", "wineboot --init && wineserver --wait"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode or not (prefix / "system.reg").exists():
            raise BuildError(f"wineboot failed:\n{done.stdout}{done.stderr}".rstrip())
        # Debian's wineserver notes its temporary folder here; hosts made from the template would share it.
        (prefix / "wineserver").unlink(missing_ok=True)
        (prefix / "drive_c" / "windows" / "Temp").mkdir(exist_ok=True)
        _name_windows_folders(prefix / "drive_c" / "windows")
        for name, program in stand_ins.items():
            place = prefix / "drive_c" / "windows" / "system32" / f"{name}.exe"
            place.unlink(missing_ok=True)
            shutil.copyfile(program, place)
        prefix.rename(target)
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _stand_ins(cache: Path, progress: Callable[[str], None]) -> dict[str, Path]:
    """What lies in System32 in place of Wine's own: name there, without .exe, to the program."""
    absent = _program(cache, "absent", ["absent.c"], [], progress)
    made = {name: _program(cache, name, [f"{name}.c"], libs, progress) for name, libs in _STAND_INS.items()}
    return {**made, **dict.fromkeys(_SILENT, absent)}


def _name_windows_folders(windows: Path) -> None:
    """Windows calls it `Temp`; Wine makes `temp`. SMB does not care, but a path from outside would."""
    lower = windows / "temp"
    if lower.exists():
        (windows / "Temp").rmdir()
        lower.rename(windows / "Temp")
