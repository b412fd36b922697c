"""Bad input of any kind: one sentence, exit status 2, nobody contacted, nothing written. No lab is needed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.system.bad_input.workplace import PASSWORD, Contacts, Workplace, refused, workplace

pytestmark = pytest.mark.process

Spoil = Callable[[Workplace], object]


@pytest.fixture
def made(tmp_path: Path) -> Iterator[tuple[Workplace, Contacts]]:
    with workplace(tmp_path) as both:
        yield both


@dataclass(frozen=True)
class Bad:
    """``where`` is relative to the folder: ``FILE:LINE:COLUMN``, or less where there is no line."""

    name: str
    spoil: Spoil
    where: str
    found: str


def text(file: str, content: str) -> Spoil:
    return lambda place: (place.folder / file).write_text(content)


def data(file: str, content: bytes) -> Spoil:
    return lambda place: (place.folder / file).write_bytes(content)


def change(file: str, old: str, new: str) -> Spoil:
    return lambda place: place.change(place.folder / file, old, new)


def gone(file: str) -> Spoil:
    return lambda place: (place.folder / file).unlink()


INV, ACC, PKG = "some.yaml", "accounts.toml", "package/package.toml"
HOST = "{name: a.lab.test, address: 127.0.0.1"
HEAD = "version: 1\ngroups:\n  some:\n    hosts: "

FILES = [
    Bad("inventory-missing", gone(INV), INV, "does not exist"),
    Bad("inventory-empty", text(INV, ""), INV, "empty"),
    Bad("inventory-only-comments", text(INV, "# nothing\n\n"), INV, "empty"),
    Bad("yaml-unclosed", text(INV, HEAD + "[a.lab.test\n"), f"{INV}:5:1", "YAML|closed|bracket|,"),
    Bad("yaml-tab", text(INV, "version: 1\n\tgroups: {}\n"), f"{INV}:2:1", "tab"),
    Bad("not-text", data(INV, b"a\x80\xff\n"), f"{INV}:1:2", "UTF-8|text"),
    Bad("unknown-key", change(INV, "groups:", "group:"), f"{INV}:5:1", "did you mean groups"),
    Bad("unknown-host-key", change(INV, "address:", "adress:"), f"{INV}:8:28", "adress.*did you mean address"),
    Bad("key-twice", change(INV, "  site: here\n", "  site: here\n  site: there\n"), f"{INV}:4:3", "twice"),
    Bad("future-version", change(INV, "version: 1", "version: 2"), f"{INV}:1:10", "version"),
    Bad("range-backwards", text(INV, HEAD + '["ws[009:001].lab.test"]\n'), f"{INV}:4:13", "009:001"),
    Bad("range-unclosed", text(INV, HEAD + '["ws[001:009.lab.test"]\n'), f"{INV}:4:13", r"ws\[001"),
    Bad("range-huge", text(INV, HEAD + '["ws[1:99999999].lab.test"]\n'), f"{INV}:4:13", "99999999"),
    Bad(
        "block-bad",
        text(INV, "version: 1\ngroups:\n  some:\n    ranges: [10.9.0.0/99]\n"),
        f"{INV}:4:14",
        "10.9.0.0/99",
    ),
    Bad("address-bad", change(INV, "127.0.0.1", "127.0.0.777"), f"{INV}:8:37", "127.0.0.777"),
    Bad("port-bad", change(INV, "port: ", "port: 9"), f"{INV}:8:54", "port"),
    Bad("transport-bad", change(INV, "  site: here", "  site: here\n  transports: [ssh]"), f"{INV}:4:15", "ssh"),
    Bad("number-for-text", change(INV, "{fault: none}", "{fault: 1}"), f"{INV}:4:17", "number"),
    Bad("unknown-child", change(INV, "    hosts:", "    children: [nosuch]\n    hosts:"), f"{INV}:7:16", "nosuch"),
    Bad("children-in-a-circle", change(INV, "    hosts:", "    children: [some]\n    hosts:"), f"{INV}:7:16", "some"),
    Bad("csv-without-name", lambda place: place.inventory.write_text("x,y\n1,2\n"), f"{INV}:1:1", "no table"),
    Bad("accounts-malformed", change(ACC, '"push"', '"push'), f"{ACC}:2:15", "."),
    Bad("accounts-unknown-key", change(ACC, "secret =", "secrets ="), f"{ACC}:4:1", "did you mean secret"),
    Bad("accounts-no-user", change(ACC, "user   = '.\\pushadm'\n", ""), f"{ACC}:1:1", "user is missing"),
    Bad("password-as-secret", change(ACC, "file:password", PASSWORD), f"{ACC}:4:10", "never written in this file"),
    Bad("user-without-domain", change(ACC, "'.\\pushadm'", "'pushadm'"), f"{ACC}:3:10", "pushadm"),
    Bad(
        "account-twice",
        lambda place: place.accounts.write_text(place.accounts.read_text() * 2),
        f"{ACC}:6:10",
        "twice",
    ),
    Bad("local-kerberos", change(ACC, '"push"', '"push"\nprotocol = "kerberos"'), f"{ACC}:3:12", "kerberos"),
    Bad("vault-without-field", change(ACC, "file:password", "vault:x/y"), f"{ACC}:4:10", "vault: is not complete"),
    Bad("vault-without-address", change(ACC, "file:password", "vault:x/y#z"), f"{ACC}:1:1", "VAULT_ADDR is not set"),
    Bad("keytab-of-a-local-account", change(ACC, "file:password", "keytab:password"), f"{ACC}:4:10", "kerberos only"),
    Bad(
        "keytab-missing",
        change(ACC, "'.\\pushadm'\nsecret = \"file:password\"", '"a@b.test"\nsecret = "keytab:none"'),
        f"{ACC}:4:10",
        "there is no file .*none.*expected a keytab",
    ),
    Bad("laps-without-directory", change(ACC, "file:password", "laps:"), f"{ACC}:4:10", "directory"),
    Bad("never-nothing", change(ACC, '"push"', '"push"\nnever = []'), f"{ACC}:3:9", "never is an empty list"),
    Bad(
        "no-sign-in-left",
        change(ACC, "[[account]]", "[lockout]\nreserve = 3\nassume_threshold = 3\n[[account]]"),
        f"{ACC}:2:11",
        "leaves no sign-in",
    ),
    Bad("secret-missing", gone("password"), f"{ACC}:1:1", "password"),
    Bad("secret-world-readable", lambda place: (place.folder / "password").chmod(0o644), "password", "0644"),
    Bad("secret-group-readable", lambda place: (place.folder / "password").chmod(0o640), "password", "0640"),
    Bad("secret-empty", text("password", ""), f"{ACC}:1:1", "empty"),
    Bad("secret-not-in-environment", change(ACC, "file:password", "env:NO_SUCH_THING"), f"{ACC}:1:1", "NO_SUCH_THING"),
    Bad("package-file-missing", gone(PKG), PKG, "does not exist"),
    Bad("package-malformed", change(PKG, "[service]", "[service"), f"{PKG}:9:9", "."),
    Bad("package-unknown-key", change(PKG, "dest ", "dst "), f"{PKG}:6:1", "did you mean dest"),
    Bad("payload-missing", gone("package/labagent.exe"), f"{PKG}:5:10", "labagent.exe"),
    Bad("payload-changed", data("package/labagent.exe", b"other"), f"{PKG}:7:10", "hash"),
    Bad("hash-short", change(PKG, 'sha256 = "', 'sha256 = "x'), f"{PKG}:7:10", "SHA-256"),
    Bad("dest-absolute", change(PKG, "'labagent\\labagent.exe'", "'C:\\labagent.exe'"), f"{PKG}:6:10", "absolute"),
    Bad("dest-climbs", change(PKG, "'labagent\\labagent.exe'", "'..\\labagent.exe'"), f"{PKG}:6:10", r"\.\."),
    Bad("source-climbs", change(PKG, '"labagent.exe"', '"../password"'), f"{PKG}:5:10", "leads out"),
    Bad(
        "command-unquoted",
        change(PKG, '\'"%SystemRoot%\\labagent\\labagent.exe"', "'%ProgramFiles%\\labagent\\labagent.exe"),
        f"{PKG}:11:11",
        ".",
    ),
    Bad(
        "command-of-another",
        change(PKG, '%\\labagent\\labagent.exe"', '%\\system32\\cmd.exe"'),
        f"{PKG}:11:11",
        "cmd.exe",
    ),
    Bad("placeholder-unknown", change(PKG, "{fault}", "{nosuch}"), f"{PKG}:11:11", "nosuch"),
    Bad("version-bad", change(PKG, '"1.4.2"', '"latest"'), f"{PKG}:2:11", "latest"),
    Bad(
        "service-account-needs-password",
        change(PKG, 'name = "LabAgent"', 'name = "LabAgent"\naccount = "LAB\\\\svc"'),
        f"{PKG}:11:11",
        "password",
    ),
]


def test_good_input_does_reach_the_host(made: tuple[Workplace, Contacts]) -> None:
    """What the others rest on: the same files, unspoiled, lead to a connection and to a record."""
    place, contacts = made
    ended = place.push("--connect-timeout", "0.5", "--attempts", "1")
    assert ended.status == 1, ended.everything_said()
    assert ended.verdict == ("unreachable", "timed-out")
    assert contacts.count() >= 1
    assert place.store.exists() and place.log.exists()


# A process each: the quick round makes do with some, the round with the lab has them all. None needs the lab.
QUICK = {"inventory-missing", "yaml-unclosed", "range-backwards", "password-as-secret", "secret-world-readable"}
QUICK |= {"payload-missing", "payload-changed"}


@pytest.mark.parametrize(
    "bad", [pytest.param(bad, id=bad.name, marks=() if bad.name in QUICK else pytest.mark.lab) for bad in FILES]
)
def test_bad_files(made: tuple[Workplace, Contacts], bad: Bad) -> None:
    place, contacts = made
    bad.spoil(place)
    before = place.files()
    refused(place.push(), str(place.folder / bad.where), bad.found)
    assert contacts.count() == 0
    assert place.files() == before


@pytest.mark.lab
@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--limit", "nosuch"), "nosuch"),
        (("--limit", "nosuch.*"), "no target"),
        (("--limit", "group:nosuch"), "nosuch"),
        (("--limit", "site:nosuch"), "nosuch|no target"),
        (("--limit", "~a["), "a\\["),
        (("--exclude", "*"), "no target"),
        (("--transport", "ssh"), "ssh"),
        (("--ca", "nosuch.pem"), "nosuch.pem"),
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
        return bool(connection.execute("SELECT count(*) FROM runs").fetchone() == (0,))


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
    assert place.files() == before


def test_a_store_in_a_read_only_place(made: tuple[Workplace, Contacts]) -> None:
    """In /proc not even root makes a file."""
    place, contacts = made
    refused(place.push("--store", Path("/proc/store")), None, "/proc/store")
    assert contacts.count() == 0


@pytest.mark.lab
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
