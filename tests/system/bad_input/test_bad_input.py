"""Bad input of any kind: one sentence, exit status 2, nobody contacted, nothing written. No lab is needed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.bad_input.workplace import PASSWORD, Contacts, Workplace, refused, workplace

Spoil = Callable[[Workplace], None]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[Workplace, Contacts]]:
    with workplace(tmp_path) as both:
        yield both


@dataclass(frozen=True, kw_only=True)
class Bad:
    """``where`` is relative to the folder: ``FILE:LINE:COLUMN``, or less where there is no line."""

    name: str
    spoil: Spoil
    where: str
    found: str


def text(file: str, content: str) -> Spoil:
    return lambda place: (place.folder / file).write_text(content) and None


def data(file: str, content: bytes) -> Spoil:
    return lambda place: (place.folder / file).write_bytes(content) and None


def change(file: str, old: str, new: str) -> Spoil:
    return lambda place: place.change(place.folder / file, old, new)


def gone(file: str) -> Spoil:
    return lambda place: (place.folder / file).unlink()


INV, ACC, PKG = "some.yaml", "accounts.toml", "package/package.toml"
HOST = "{name: a.lab.test, address: 127.0.0.1"
HEAD = "version: 1\ngroups:\n  some:\n    hosts: "

FILES = [
    Bad(name="inventory-missing", spoil=gone(INV), where=INV, found="(?i)no such file|not there|cannot be read"),
    Bad(name="inventory-empty", spoil=text(INV, ""), where=INV, found="empty"),
    Bad(name="inventory-only-comments", spoil=text(INV, "# nothing\n\n"), where=INV, found="empty"),
    Bad(name="yaml-unclosed", spoil=text(INV, HEAD + "[a.lab.test\n"), where=f"{INV}:5:1", found="YAML|closed|bracket|,"),
    Bad(name="yaml-tab", spoil=text(INV, "version: 1\n\tgroups: {}\n"), where=f"{INV}:2:1", found="tab"),
    Bad(name="not-text", spoil=data(INV, b"\xff\xfe\x00\x01"), where=INV, found="UTF-8|text"),
    Bad(name="unknown-key", spoil=change(INV, "groups:", "group:"), where=f"{INV}:5:1", found="did you mean groups"),
    Bad(name="unknown-host-key", spoil=change(INV, "address:", "adress:"), where=f"{INV}:8:28", found="adress.*did you mean address"),
    Bad(name="key-twice", spoil=change(INV, "  site: here\n", "  site: here\n  site: there\n"), where=f"{INV}:4:3", found="twice"),
    Bad(name="future-version", spoil=change(INV, "version: 1", "version: 2"), where=f"{INV}:1:10", found="version"),
    Bad(name="range-backwards", spoil=text(INV, HEAD + '["ws[009:001].lab.test"]\n'), where=f"{INV}:4:13", found="009:001"),
    Bad(name="range-unclosed", spoil=text(INV, HEAD + '["ws[001:009.lab.test"]\n'), where=f"{INV}:4:13", found=r"ws\[001"),
    Bad(name="range-huge", spoil=text(INV, HEAD + '["ws[1:99999999].lab.test"]\n'), where=f"{INV}:4:13", found="99999999"),
    Bad(name="block-bad", spoil=text(INV, "version: 1\ngroups:\n  some:\n    ranges: [10.9.0.0/99]\n"), where=f"{INV}:4:14", found="10.9.0.0/99"),
    Bad(name="address-bad", spoil=change(INV, "127.0.0.1", "127.0.0.777"), where=f"{INV}:8:37", found="127.0.0.777"),
    Bad(name="port-bad", spoil=change(INV, "port: ", "port: 9"), where=f"{INV}:8:54", found="port"),
    Bad(name="transport-bad", spoil=change(INV, "  site: here", "  site: here\n  transports: [ssh]"), where=f"{INV}:4:16", found="ssh"),
    Bad(name="number-for-text", spoil=change(INV, "{fault: none}", "{fault: 1}"), where=f"{INV}:4:17", found="number"),
    Bad(name="unknown-child", spoil=change(INV, "    hosts:", "    children: [nosuch]\n    hosts:"), where=f"{INV}:7:16", found="nosuch"),
    Bad(name="children-in-a-circle", spoil=change(INV, "    hosts:", "    children: [some]\n    hosts:"), where=f"{INV}:7:16", found="some"),
    Bad(name="csv-without-name", spoil=lambda place: place.inventory.write_text("x,y\n1,2\n") and None, where=INV, found="."),
    Bad(name="accounts-malformed", spoil=change(ACC, '"push"', '"push'), where=f"{ACC}:2:15", found="."),
    Bad(name="accounts-unknown-key", spoil=change(ACC, "secret =", "secrets ="), where=f"{ACC}:4:1", found="did you mean secret"),
    Bad(name="accounts-no-user", spoil=change(ACC, "user   = '.\\pushadm'\n", ""), where=f"{ACC}:1:3", found="user is missing"),
    Bad(name="password-as-secret", spoil=change(ACC, "file:password", PASSWORD), where=f"{ACC}:4:10", found="never written in this file"),
    Bad(name="user-without-domain", spoil=change(ACC, "'.\\pushadm'", "'pushadm'"), where=f"{ACC}:3:10", found="pushadm"),
    Bad(name="account-twice", spoil=lambda place: place.accounts.write_text(place.accounts.read_text() * 2) and None, where=f"{ACC}:6:10", found="twice"),
    Bad(name="local-kerberos", spoil=change(ACC, '"push"', '"push"\nprotocol = "kerberos"'), where=f"{ACC}:3:12", found="kerberos"),
    Bad(name="vault-later", spoil=change(ACC, "file:password", "vault:x/y"), where=f"{ACC}:4:10", found="not available"),
    Bad(name="no-sign-in-left", spoil=change(ACC, "[[account]]", "[lockout]\nreserve = 3\nassume_threshold = 3\n[[account]]"), where=f"{ACC}:2:11", found="leaves no sign-in"),
    Bad(name="secret-missing", spoil=gone("password"), where=ACC, found="password"),
    Bad(name="secret-world-readable", spoil=lambda place: (place.folder / "password").chmod(0o644), where="password", found="0644"),
    Bad(name="secret-group-readable", spoil=lambda place: (place.folder / "password").chmod(0o640), where="password", found="0640"),
    Bad(name="secret-empty", spoil=text("password", ""), where=ACC, found="empty"),
    Bad(name="secret-not-in-environment", spoil=change(ACC, "file:password", "env:NO_SUCH_THING"), where=ACC, found="NO_SUCH_THING"),
    Bad(name="package-file-missing", spoil=gone(PKG), where=PKG, found="(?i)no such file|not there|cannot be read"),
    Bad(name="package-malformed", spoil=change(PKG, "[service]", "[service"), where=f"{PKG}:9:9", found="."),
    Bad(name="package-unknown-key", spoil=change(PKG, "dest ", "dst "), where=f"{PKG}:6:1", found="did you mean dest"),
    Bad(name="payload-missing", spoil=gone("package/labagent.exe"), where=f"{PKG}:5:10", found="labagent.exe"),
    Bad(name="payload-changed", spoil=data("package/labagent.exe", b"other"), where=f"{PKG}:7:10", found="hash"),
    Bad(name="hash-short", spoil=change(PKG, 'sha256 = "', 'sha256 = "x'), where=f"{PKG}:7:10", found="SHA-256"),
    Bad(name="dest-absolute", spoil=change(PKG, "'labagent\\labagent.exe'", "'C:\\labagent.exe'"), where=f"{PKG}:6:10", found="absolute"),
    Bad(name="dest-climbs", spoil=change(PKG, "'labagent\\labagent.exe'", "'..\\labagent.exe'"), where=f"{PKG}:6:10", found=r"\.\."),
    Bad(name="source-climbs", spoil=change(PKG, '"labagent.exe"', '"../password"'), where=f"{PKG}:5:10", found="leads out"),
    Bad(name="command-unquoted", spoil=change(PKG, "'\"%SystemRoot%\\labagent\\labagent.exe\"", "'%ProgramFiles%\\labagent\\labagent.exe"), where=f"{PKG}:11:11", found="."),
    Bad(name="command-of-another", spoil=change(PKG, '%\\labagent\\labagent.exe"', '%\\system32\\cmd.exe"'), where=f"{PKG}:11:11", found="cmd.exe"),
    Bad(name="placeholder-unknown", spoil=change(PKG, "{fault}", "{nosuch}"), where=f"{PKG}:11:11", found="nosuch"),
    Bad(name="version-bad", spoil=change(PKG, '"1.4.2"', '"latest"'), where=f"{PKG}:2:11", found="latest"),
    Bad(name="service-account-needs-password", spoil=change(PKG, 'name = "LabAgent"', 'name = "LabAgent"\naccount = "LAB\\\\svc"'), where=f"{PKG}:11:11", found="password"),
]  # fmt: skip


def test_good_input_does_reach_the_host(made: tuple[Workplace, Contacts]) -> None:
    """What the others rest on: the same files, unspoiled, lead to a connection and to a record."""
    place, contacts = made
    with pytest.MonkeyPatch.context():
        ended = place.push("--connect-timeout", "0.5", "--attempts", "1")
    assert ended.status == 1, ended.everything_said()
    assert ended.verdict == ("unreachable", "timed-out")
    assert contacts.count() == 1
    assert place.store.exists() and place.log.exists()


@pytest.mark.parametrize("bad", FILES, ids=lambda bad: bad.name)
def test_bad_files(made: tuple[Workplace, Contacts], bad: Bad) -> None:
    place, contacts = made
    bad.spoil(place)
    before = place.files()
    refused(place.push(), str(place.folder / bad.where), bad.found)
    assert contacts.count() == 0
    assert place.files() == before


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--limit", "nosuch"), "nosuch"),
        (("--limit", "nosuch.*"), "no target"),
        (("--limit", "group:nosuch"), "nosuch"),
        (("--limit", "site:nosuch"), "nosuch|no target"),
        (("--limit", "~a["), "a\\["),
        (("--exclude", "*"), "no target"),
        (("--transport", "winrm"), "winrm"),
        (("--accounts", "nosuch.toml"), "nosuch.toml"),
        (("--package", "nosuch"), "nosuch"),
        (("--store", "/dev/null/store"), "/dev/null/store"),
        (("--store", "nosuch://x"), "nosuch"),
        (("--log", "/dev/null/log"), "/dev/null/log"),
    ],
    ids=lambda value: "-".join(value).replace("/", "_") if isinstance(value, tuple) else "",
)
def test_bad_options(made: tuple[Workplace, Contacts], options: tuple[str, ...], found: str) -> None:
    place, contacts = made
    before = place.files()
    refused(place.push(*options), None, found)
    assert contacts.count() == 0
    if options[0] != "--log":
        assert place.files() == before


def no_row(store: Path) -> bool:
    with closing(sqlite3.connect(store)) as connection:
        return connection.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def test_a_log_that_cannot_be_written_leaves_no_run(made: tuple[Workplace, Contacts]) -> None:
    place, _ = made
    refused(place.push("--log", place.folder), None, str(place.folder))
    assert not place.store.exists() or no_row(place.store)


@pytest.mark.parametrize("kind", ["directory", "garbage", "another-database", "newer"])
def test_a_store_that_is_none(made: tuple[Workplace, Contacts], kind: str) -> None:
    place, contacts = made
    if kind == "directory":
        place.store.mkdir()
    elif kind == "garbage":
        place.store.write_bytes(b"this is no database at all, but long enough to be taken for one" * 100)
    elif kind == "another-database":
        with closing(sqlite3.connect(place.store)) as connection:
            connection.execute("CREATE TABLE runs (something TEXT)")
            connection.commit()
    else:
        assert place.run("runs", "--store", place.store).status == 0
        with closing(sqlite3.connect(place.store)) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
    before = place.files()
    for ended in (place.push(), place.run("runs", "--store", place.store)):
        refused(ended, None, str(place.store))
    assert contacts.count() == 0
    if kind != "another-database":
        assert place.files() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_store_in_a_read_only_place(made: tuple[Workplace, Contacts]) -> None:
    place, contacts = made
    locked = place.folder / "locked"
    locked.mkdir(mode=0o555)
    refused(place.push("--store", locked / "store"), None, str(locked))
    assert contacts.count() == 0


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("show", "20200101"), "20200101"),
        (("show", "last", "nosuch.lab.test"), "nosuch.lab.test"),
        (("report", "last", "--format", "pdf"), "pdf"),
        (("report", "last", "-o", "/dev/null/report"), "/dev/null/report"),
        (("report", "nosuch"), "nosuch"),
        (("retry", "nosuch"), "nosuch"),
        (("cancel", "nosuch"), "nosuch"),
        (("cancel", "last"), "ended"),
    ],
    ids=lambda value: "-".join(value).replace("/", "_") if isinstance(value, tuple) else "",
)
def test_bad_questions(made: tuple[Workplace, Contacts], arguments: tuple[str, ...], found: str) -> None:
    place, _ = made
    if "last" in arguments:
        place.push("--connect-timeout", "0.2", "--attempts", "1")
    refused(place.run(*arguments, "--store", place.store), None, found)


def test_explain_an_unknown_code(made: tuple[Workplace, Contacts]) -> None:
    place, _ = made
    refused(place.run("explain", "wrong-pasword"), None, "wrong-password")


def test_usage_errors_exit_with_2(made: tuple[Workplace, Contacts]) -> None:
    place, contacts = made
    for arguments in (("push",), ("nosuch",), ("push", place.inventory, "--concurrency", "0"), ("show",)):
        ended = place.run(*arguments)
        assert (ended.status, ended.stdout) == (2, ""), ended.everything_said()
    assert contacts.count() == 0
