"""``pusher packages``, and a package that a worker has from the store alone, as their user sees them."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pusher.models import LOGON_RIGHT
from pusher.problems import Code
from pusher.wiring import packages as wired
from tests.unit.cli.workplace import ACCOUNTS, Workplace
from tests.unit.push.harness import program

SERVICE = '[service]\nname = "Agent"\ndisplay_name = "Agent"\ncommand = \'%SystemRoot%\\agent\\agent.exe\'\n'


def make_package(place: Workplace, content: bytes = b"", more: str = "", name: str = "agent") -> Path:
    folder = place.folder / name
    folder.mkdir(exist_ok=True)
    content = content or program("1.2")
    (folder / "agent.exe").write_bytes(content)
    (folder / "package.toml").write_text(
        f'# by hand\nname = "{name}"\nversion = "1.2"\n[[file]]\nsource = "agent.exe"\n'
        f"dest = 'agent\\agent.exe'\nsha256 = \"{hashlib.sha256(content).hexdigest()}\"\n{SERVICE}{more}"
        '[verify]\nstay_running = "0s"\n'
    )
    return folder


def said(place: Workplace, *arguments: str) -> list[dict[str, Any]]:
    told = place.run(*arguments, "--json")
    assert told.status == 0, told.err
    return [json.loads(line) for line in told.out.splitlines()]


def in_the_store(place: Workplace, query: str) -> list[Any]:
    with closing(sqlite3.connect(place.folder / "data" / "pusher" / "pusher.sqlite")) as connection:
        found = connection.execute(query).fetchall()
        connection.commit()
        return found


def blobs(place: Workplace) -> Path:
    return place.folder / "data" / "pusher" / "blobs"


def queue(place: Workplace, folder: Path) -> str:
    (made,) = said(place, "push", "i.yaml", "--package", str(folder), "--queue")
    return str(made["run"])


def test_a_worker_installs_what_was_stored_though_the_folder_is_gone(place: Workplace) -> None:
    folder = make_package(place)
    queue(place, folder)
    shutil.rmtree(folder)
    done = place.run("worker", "--until-idle", "--json")
    assert done.status == 0, done.err
    assert done.verdicts == dict.fromkeys("abcdef", ("installed", None))
    assert all(host.calls["start_service"] == 1 for host in place.hosts.values())
    (file,) = blobs(place).iterdir()
    assert file.name == hashlib.sha256(program("1.2")).hexdigest() and file.read_bytes() == program("1.2")
    assert blobs(place).stat().st_mode & 0o077 == 0


def test_what_is_changed_in_the_folder_after_the_run_was_queued_is_not_installed(place: Workplace) -> None:
    folder = make_package(place)
    queue(place, folder)
    make_package(place, program("6.6.6"))
    assert place.run("worker", "--until-idle").status == 0
    assert {host.read("Windows\\agent\\agent.exe") for host in place.hosts.values()} == {program("1.2")}


def test_a_file_that_was_altered_where_the_worker_keeps_it_is_fetched_anew(place: Workplace) -> None:
    folder = make_package(place)
    queue(place, folder)
    assert place.run("worker", "--until-idle").status == 0
    (file,) = blobs(place).iterdir()
    file.write_bytes(b"MZ another program")
    queue(place, folder)
    assert place.run("worker", "--until-idle").status == 0
    assert file.read_bytes() == program("1.2")


@pytest.mark.parametrize("kind", ["file", "package"])
def test_content_that_was_altered_in_the_store_is_refused_and_never_used(place: Workplace, kind: str) -> None:
    run = queue(place, make_package(place))
    theirs = f"(SELECT id FROM blobs WHERE kind = '{kind}')"
    in_the_store(place, f"UPDATE chunks SET content = CAST(content || x'20' AS BLOB) WHERE blob IN {theirs}")
    refused = place.run("worker", "--until-idle")
    assert refused.status == 1
    assert f"Run {run} is left to other workers: {Code.CONTENT_ALTERED}" in refused.err
    assert not any(host.calls for host in place.hosts.values())
    assert not blobs(place).exists() or list(blobs(place).iterdir()) == []


def test_content_that_is_missing_is_told_and_adding_the_package_again_mends_it(place: Workplace) -> None:
    folder = make_package(place)
    run = queue(place, folder)
    theirs = "kind IN ('file', 'package')"
    in_the_store(place, f"DELETE FROM chunks WHERE blob IN (SELECT id FROM blobs WHERE {theirs})")
    in_the_store(place, f"DELETE FROM blobs WHERE {theirs}")
    left = place.run("worker", "--until-idle")
    assert left.status == 1 and f"Run {run} is left to other workers: {Code.CONTENT_MISSING}" in left.err
    assert place.run("packages", "add", str(folder)).status == 0
    assert place.run("worker", "--until-idle", "--json").verdicts == dict.fromkeys("abcdef", ("installed", None))


def test_a_package_has_one_digest_whatever_its_spelling_and_what_a_secret_is_called(place: Workplace) -> None:
    account = "account = 'CORP\\svc'\n"
    folder = make_package(place, more=f'{account}secret = "env:ONE"\n')
    (first,) = said(place, "packages", "add", str(folder))
    make_package(place, more=f'# not the same file\n{account}secret = "file:/etc/other"\n')
    (second,) = said(place, "packages", "add", str(folder))
    assert first["digest"] == second["digest"] and (first["added"] > 0, second["added"]) == (True, 0)
    make_package(place, more=f'{account}grant_logon_right = true\nsecret = "env:ONE"\n')
    (third,) = said(place, "packages", "add", str(folder))
    assert third["digest"] != first["digest"]
    dump = b"".join(path.read_bytes() for path in (place.folder / "data").rglob("pusher.sqlite*"))
    assert b"CORP" in dump, "the account is in it"
    assert b"env:ONE" not in dump and b"/etc/other" not in dump and b"by hand" not in dump


def test_the_secret_of_a_service_is_that_of_the_workers_account(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICE", "Pa55-of-the-service")
    for host in place.hosts.values():
        host.passwords["corp\\svc"] = "Pa55-of-the-service"
        host.rights["corp\\svc"] = frozenset({LOGON_RIGHT})
    folder = make_package(place, more="account = 'CORP\\svc'\nsecret = \"env:SERVICE\"\n")
    run = queue(place, folder)
    aside = folder.rename(place.folder / "aside")
    left = place.run("worker", "--until-idle")
    assert left.status == 1
    assert f"Run {run} is left to other workers: nothing says where the password of CORP\\svc is" in left.err
    place.accounts(f"{ACCOUNTS}[[account]]\nname = 'svc'\nuser = 'corp\\SVC'\nsecret = 'env:SERVICE'\nuse = 'run'\n")
    assert place.run("worker", "--until-idle", "--json").verdicts == dict.fromkeys("abcdef", ("installed", None))
    place.accounts(ACCOUNTS)
    aside.rename(folder)
    queue(place, folder)
    again = place.run("worker", "--until-idle", "--json")
    assert again.verdicts == dict.fromkeys("abcdef", ("unchanged", None)), "or where the same package lies still"


def test_packages_are_listed_shown_and_removed(place: Workplace) -> None:
    assert "no package" in place.run("packages", "list").out
    folder = make_package(place)
    (added,) = said(place, "packages", "add", str(folder))
    (other,) = said(place, "packages", "add", str(make_package(place, name="other")))
    assert other["added"] == 0, "the file is there"
    listed = said(place, "packages", "list")
    assert {(one["name"], one["version"], one["digest"], one["files"]) for one in listed} == {
        ("agent", "1.2", added["digest"], 1),
        ("other", "1.2", other["digest"], 1),
    }
    assert added["digest"][:12] in place.run("packages", "list").out
    (shown,) = said(place, "packages", "show", added["digest"][:8])
    assert shown["files"] == [
        {"source": "agent.exe", "sha256": hashlib.sha256(program("1.2")).hexdigest(), "size": len(program("1.2"))}
    ]
    (gone,) = said(place, "packages", "remove", "agent")
    assert gone["digest"] == added["digest"] and gone["bytes"] < len(program("1.2")), "the other has the file"
    assert [one["name"] for one in said(place, "packages", "list")] == ["other"]
    missing = place.run("packages", "show", "agent")
    assert missing.status == 2 and "no package of the store is called" in missing.err


def test_a_package_that_a_run_waits_for_is_not_removed(place: Workplace) -> None:
    run = queue(place, make_package(place))
    refused = place.run("packages", "remove", "agent")
    assert refused.status == 2 and f"agent 1.2 is needed by run {run} in the queue; expected" in refused.err
    (shown,) = said(place, "packages", "show", "agent")
    assert shown["runs"] == [run]
    assert place.run("cancel", run).status == 0
    assert place.run("packages", "remove", "agent").status == 0
    assert in_the_store(place, "SELECT kind FROM blobs") == [("inventory",)]


def test_a_package_that_is_too_large_for_the_queue_is_refused_before_anything_is_queued(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_package(place)
    monkeypatch.setattr(wired, "MOST", len(program("1.2")) - 1)
    refused = place.run("push", "i.yaml", "--package", str(folder), "--queue")
    assert refused.status == 2
    assert f"the package has {len(program('1.2')):,} bytes; expected at most" in refused.err
    assert place.run("runs", "--json").out == ""


def test_a_package_that_does_not_have_its_hash_is_not_queued(place: Workplace) -> None:
    folder = make_package(place)
    (folder / "agent.exe").write_bytes(program("6.6.6"))
    refused = place.run("push", "i.yaml", "--package", str(folder), "--queue")
    assert refused.status == 2 and "package-hash-mismatch" in refused.err
    assert place.run("runs", "--json").out == "" and in_the_store(place, "SELECT count(*) FROM blobs") == [(0,)]
