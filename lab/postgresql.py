"""A PostgreSQL server of one's own, from Debian's package: in a folder of its own, on loopback, gone with its owner.

Here: its life (``up``, ``kill``, ``start``, ``down``), its databases, and how its administrator speaks to it. Not here:
what pusher keeps in one. Debian's own cluster is neither started nor touched. A keeper process holds the other end of a
pipe: when the owner ends, however it ends, the keeper ends the server and removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from lab.host_client import LabError

USER = "pusher"
"""The superuser of the server; over TCP it signs in with a password, which is in the file of ``Server.passfile``."""
_PATIENCE = 60.0
"""Seconds for the server to start or to end: a busy machine is slow."""
_KEEPER = """
trap '' INT TERM HUP
cat >/dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"
for _ in 1 2 3 4 5 6 7 8 9 10; do [ -e "$1/data/postmaster.pid" ] || break; sleep 0.2; done
rm -rf "$1"
"""


def programs() -> Path:
    """The folder of the newest PostgreSQL that Debian has installed. LabError where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[4]))
    if not found:
        raise LabError("no PostgreSQL is installed: make test installs it, or apt-get install postgresql")
    return found[-1].parent


class Server:
    """One server. ``durable``: it waits for the disk, as a real one does; else a commit is only in memory."""

    def __init__(self, *, durable: bool = False, locale: str = "C.UTF-8") -> None:
        self._durable, self._locale = durable, locale
        self._bin = programs()
        self._user = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        self._keeper: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        """Make its folder and start it; LabError."""
        self.folder = Path(tempfile.mkdtemp(prefix="pusher-postgresql-"))
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "keeper", str(self.folder)], stdin=subprocess.PIPE, start_new_session=True
        )
        self.data, self.log, self.passfile = (self.folder / name for name in ("data", "log", "passfile"))
        self.port = _free_port()
        password, entered = secrets.token_hex(16), self.folder / "entered"
        for file, text in ((self.passfile, f"*:*:*:{USER}:{password}\n"), (entered, password)):
            file.touch(mode=0o600)
            file.write_text(text)
        if os.geteuid() == 0:
            for path in (self.folder, entered):
                shutil.chown(path, self._user, self._user)
        self._run(
            "initdb", "-D", str(self.data), "-U", USER, "-E", "UTF8", f"--locale={self._locale}", "--no-sync",
            "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={entered}",
        )  # fmt: skip
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(self._settings())
        self.start()

    def _settings(self) -> str:
        return f"""
listen_addresses = '127.0.0.1'
port = {self.port}
unix_socket_directories = '{self.folder}'
max_connections = 60
fsync = {"on" if self._durable else "off"}
full_page_writes = {"on" if self._durable else "off"}
logging_collector = off
# What it does in between holds up whoever follows the events of a run, in tests that do not expect to wait.
autovacuum = off
"""

    def start(self) -> None:
        """Start what was made, or was ended; LabError where it does not come up."""
        with self.log.open("ab") as output:
            self._server = subprocess.Popen(
                [str(self._bin / "postgres"), "-D", str(self.data)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=self.folder, start_new_session=True,
                **self._as_user(),
            )  # fmt: skip
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and self._server.poll() is None:
            ready = subprocess.run(
                [self._bin / "pg_isready", "-q", "-h", self.folder, "-p", str(self.port)], check=False
            )
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        raise LabError(f"PostgreSQL does not start: {self.log.read_text(errors='replace')[-500:]}")

    def kill(self) -> None:
        """End it at once, without a word to its clients' transactions."""
        self._end(signal.SIGQUIT)

    def _end(self, how: signal.Signals) -> None:
        if self._server is None:
            return
        if self._server.poll() is None:
            self._server.send_signal(how)
        try:
            self._server.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None

    def down(self) -> None:
        """End it and remove all of it. May be called twice, or before ``up`` has come to its end."""
        self._end(signal.SIGQUIT)
        if self._keeper is not None and self._keeper.stdin is not None:
            self._keeper.stdin.close()
            self._keeper.wait(_PATIENCE)
            self._keeper = None

    # Databases

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What the server answers to ``statement``, bare; LabError where it refuses."""
        return self._run(
            "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-p", str(self.port),
            "-U", USER, "-d", database, "-c", statement,
        ).strip()  # fmt: skip

    def url(self, database: str, port: int = 0) -> str:
        """As pusher takes it. ``port``: another one that leads to the server."""
        return f"postgresql://{USER}@127.0.0.1:{port or self.port}/{database}?passfile={self.passfile}"

    def create(self, database: str, how: str = "") -> str:
        """A new database's URL. ``how``: the rest of CREATE DATABASE."""
        self.sql(f'CREATE DATABASE "{database}" {how}')
        return self.url(database)

    def drop(self, database: str) -> None:
        self.sql(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')

    def _run(self, program: str, *arguments: str) -> str:
        command = [str(self._bin / program), *arguments]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            command, capture_output=True, text=True, check=False, cwd=self.folder, timeout=_PATIENCE, **self._as_user()
        )
        if done.returncode != 0:
            raise LabError(f"{program}: {done.stderr.strip()[-500:]}")
        return done.stdout

    def _as_user(self) -> dict[str, Any]:
        """PostgreSQL does not run as root."""
        return {"user": self._user, "group": self._user, "extra_groups": []} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
