"""The command over hosts in memory, in this process: its own files, store and log; only the transport is another."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pusher.cli.app import main
from pusher.models import TransportKind
from pusher.transports.memory import MemoryHost, MemoryTransport
from tests.unit.push.harness import make_host

SECRET = "right"
ACCOUNTS = '[[account]]\nname = "push"\nuser = \'corp\\pushadm\'\nsecret = "env:PUSH"\n'


@dataclass(frozen=True, kw_only=True)
class Said:
    status: int
    out: str
    err: str

    @property
    def notes(self) -> list[str]:
        """What is noted on standard error, but for what is noted of every run without a directory."""
        lines = [line for line in self.err.splitlines() if "the lockout budget knows" not in line]
        assert all(line.startswith("note: ") for line in lines), self.err
        return [line.removeprefix("note: ") for line in lines]

    @property
    def verdicts(self) -> dict[str, tuple[str, str | None]]:
        """Of --json: (status, code) by the first label of the target's name."""
        lines = [json.loads(line) for line in self.out.splitlines()]
        return {line["target"].partition(".")[0]: (line["status"], line["code"]) for line in lines}

    @property
    def pushed(self) -> set[str]:
        """Those on which something was done."""
        return {name for name, (status, _) in self.verdicts.items() if status not in ("skipped", "cancelled")}


class Workplace:
    """Hosts ``a`` to ``f`` of the domain corp.example, each with an address."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capfd = folder, monkeypatch, capfd
        self.hosts: dict[str, MemoryHost] = {f"10.0.0.{n}": make_host(f"{name}.corp.example")
                                             for n, name in enumerate("abcdef", 1)}  # fmt: skip
        self._users = dict(self.hosts["10.0.0.1"].users)
        monkeypatch.setenv("PUSH", SECRET)
        monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        monkeypatch.delenv("PUSHER_AUDIT_KEY", raising=False)
        monkeypatch.chdir(folder)
        transports = {TransportKind.SMB: MemoryTransport(self.hosts)}
        monkeypatch.setattr("pusher.wiring.run_resources.open_transports", lambda *_: nullcontext(transports))
        self.accounts(ACCOUNTS)
        self.inventory({"all": "abcdef"})

    @property
    def log(self) -> Path:
        return self.folder / "data" / "pusher" / "pusher.log"

    def host(self, name: str) -> MemoryHost:
        return next(host for host in self.hosts.values() if host.name.startswith(f"{name}."))

    def let_in(self, names: str) -> None:
        """The account is an administrator on the hosts of these first labels, and unknown on all others."""
        for host in self.hosts.values():
            host.users = dict(self._users) if host.name.partition(".")[0] in names else {}

    def accounts(self, text: str) -> None:
        (self.folder / "accounts.toml").write_text(text)

    def inventory(self, groups: Mapping[str, str | Sequence[str]], more: Mapping[str, str] | None = None) -> None:
        """Groups by name, each with the first labels of its hosts; ``more`` is YAML for a group."""
        text = "version: 1\ngroups:\n"
        addresses = {host.name.partition(".")[0]: address for address, host in self.hosts.items()}
        for group, names in groups.items():
            listed = ", ".join(f"{{name: {n}.corp.example, address: {addresses[n]}}}" for n in names)
            text += f"  {group}:\n    hosts: [{listed}]\n"
            text += "".join(f"    {line}\n" for line in (more or {}).get(group, "").splitlines())
        (self.folder / "i.yaml").write_text(text)

    def run(self, *arguments: str) -> Said:
        self._monkeypatch.setattr("sys.argv", ["pusher", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capfd.readouterr()
        assert SECRET not in said.out.replace("rights", "") + said.err.replace("rights", "")
        return Said(status=int(ended.value.code or 0), out=said.out, err=said.err)

    def check(self, *options: str) -> Said:
        return self.run("check", "i.yaml", "--json", *options)

    def retry(self, run: str = "last", *options: str) -> Said:
        return self.run("retry", run, "--json", *options)

    def show(self, run: str = "last") -> Said:
        return self.run("show", run, "--json")

    def recorded(self) -> dict[str, Any]:
        """The newest run's options, as the store's file holds them."""
        return dict(json.loads(self._newest("options")))

    def recorded_run(self, before: int = 0) -> str:
        """The newest run's id, or that of one ``before`` it."""
        return str(self._newest("id", before))

    def _newest(self, column: str, before: int = 0) -> Any:
        with closing(sqlite3.connect(self.folder / "data" / "pusher" / "pusher.sqlite")) as connection:
            query = f"SELECT {column} FROM runs ORDER BY started_at DESC LIMIT 1 OFFSET {before}"
            return connection.execute(query).fetchone()[0]
