"""Everything a push needs, in one folder and in good order, with a listener that notices whoever is contacted."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.system.command import Ended, Pusher

PASSWORD = "Planted-password-4711"

INVENTORY = """\
version: 1
defaults:
  site: here
  vars: {{fault: none}}
groups:
  some:
    hosts:
      - {{name: a.lab.test, address: 127.0.0.1, port: {port}}}
"""
ACCOUNTS = """\
[[account]]
name   = "push"
user   = '.\\pushadm'
secret = "file:password"
"""
PACKAGE = """\
name = "labagent"
version = "1.4.2"

[[file]]
source = "labagent.exe"
dest   = 'labagent\\labagent.exe'
sha256 = "{sha256}"

[service]
name = "LabAgent"
command = '"%SystemRoot%\\labagent\\labagent.exe" --site {{site}} --fault {{fault}}'
"""


@dataclass(frozen=True, kw_only=True)
class Workplace:
    folder: Path
    port: int

    @property
    def inventory(self) -> Path:
        return self.folder / "some.yaml"

    @property
    def accounts(self) -> Path:
        return self.folder / "accounts.toml"

    @property
    def package(self) -> Path:
        return self.folder / "package"

    @property
    def package_file(self) -> Path:
        return self.package / "package.toml"

    @property
    def store(self) -> Path:
        return self.folder / "store.sqlite"

    @property
    def log(self) -> Path:
        return self.folder / "pusher.log"

    def run(self, *arguments: str | Path) -> Ended:
        return Pusher(folder=self.folder, store=self.store).run(*arguments)

    def push(self, *options: str | Path) -> Ended:
        """With these files, unless an option says otherwise: the last one given holds."""
        given = ("--package", self.package, "--store", self.store, "--log", self.log, "--json")
        return self.run("push", self.inventory, *given, *options)

    def change(self, file: Path, old: str, new: str) -> None:
        text = file.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{old!r} is {text.count(old)} times in {file}"
        file.write_text(text.replace(old, new), encoding="utf-8")

    def files(self) -> dict[str, bytes]:
        """All that lies in the folder, to see that nothing was written."""
        return {str(path): path.read_bytes() if path.is_file() else b"" for path in self.folder.rglob("*")}


@dataclass(kw_only=True)
class Contacts:
    """How many connections came in; counted when asked, since they wait in the queue of the listener."""

    listener: socket.socket

    def count(self) -> int:
        found = 0
        with suppress(BlockingIOError):
            while True:
                self.listener.accept()[0].close()
                found += 1
        return found


@contextmanager
def workplace(folder: Path) -> Iterator[tuple[Workplace, Contacts]]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    with listener:
        place = Workplace(folder=folder, port=listener.getsockname()[1])
        place.package.mkdir()
        program = os.urandom(1000)
        (place.package / "labagent.exe").write_bytes(program)
        place.package_file.write_text(PACKAGE.format(sha256=hashlib.sha256(program).hexdigest()))
        place.inventory.write_text(INVENTORY.format(port=place.port))
        place.accounts.write_text(ACCOUNTS)
        secret = folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(PASSWORD)
        yield place, Contacts(listener=listener)


def refused(ended: Ended, where: str | None, found: str) -> None:
    """Exit 2, one line on stderr that says where, what and what was expected; nothing on stdout."""
    said = ended.everything_said()
    assert ended.status == 2, said
    assert ended.stdout == "", said
    assert ended.stderr.endswith("\n") and len(ended.stderr.splitlines()) == 1, said
    assert PASSWORD not in ended.stderr
    assert "Traceback" not in ended.stderr and "\x1b" not in ended.stderr
    assert re.search(found, ended.stderr), (found, said)
    assert "; expected " in ended.stderr, said
    if where is not None:
        assert ended.stderr.startswith(f"{where}: "), (where, said)
