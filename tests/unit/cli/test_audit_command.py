"""``pusher audit``, as its user sees it."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.cli.workplace import Workplace


@pytest.fixture
def configured(place: Workplace) -> Path:
    """Where the key is made."""
    return place.folder / "config" / "pusher"


def tamper(place: Workplace, statement: str) -> None:
    with closing(sqlite3.connect(place.folder / "data" / "pusher" / "pusher.sqlite")) as connection:
        connection.execute(statement)
        connection.commit()


def export(place: Workplace, *options: str) -> str:
    said = place.run("audit", "export", *options)
    assert (said.status, said.err) == (0, "")
    return said.out


def test_what_is_exported_is_an_entry_of_its_own(place: Workplace) -> None:
    export(place)
    first, second = (json.loads(line) for line in export(place).splitlines())
    assert (first["seq"], second["seq"], first["act"], first["object"]) == (1, 2, "audit.export", "audit")
    assert second["prev"] == first["hash"] and first["decision"] == "not-asked" and "@" in first["actor"]


def test_it_is_proven_and_what_was_done_to_it_is_told(place: Workplace, configured: Path) -> None:
    assert place.run("audit", "verify").out.startswith("The audit is whole: 0 entries")
    assert not configured.exists(), "nothing is made by looking"
    for _ in range(4):
        export(place)
    said = place.run("audit", "verify")
    assert said.status == 0 and "4 entries" in said.out and "held to 4 anchors" in said.out
    tamper(place, "DELETE FROM audit WHERE seq = 4")
    tamper(place, "UPDATE audit SET act = 'nothing' WHERE seq = 2")
    said = place.run("audit", "verify")
    assert said.status == 1
    assert [line.split(":")[0].strip() for line in said.out.splitlines()[1:]] == ["changed", "cut-off"]
    *findings, whole = (json.loads(line) for line in place.run("audit", "verify", "--json").out.splitlines())
    assert [(one["fault"], one["first"], one["last"]) for one in findings] == [("changed", 2, 2), ("cut-off", 4, 4)]
    assert whole == {"entries": 3, "anchors": 4, "whole": False, "unproven": 0}


def test_an_anchor_is_kept_elsewhere(place: Workplace, configured: Path) -> None:
    said = place.run("audit", "anchor")
    assert (said.status, said.out) == (2, "") and "no entry yet" in said.err
    export(place)
    export(place)
    (place.folder / "elsewhere").write_text(place.run("audit", "anchor").out)
    assert place.run("audit", "verify", "--anchors", "elsewhere").status == 0
    tamper(place, "DELETE FROM audit WHERE seq = 2")
    (configured / "audit.anchors").unlink()
    assert place.run("audit", "verify").status == 0
    said = place.run("audit", "verify", "--anchors", "elsewhere")
    assert said.status == 1 and "cut-off: entry 2 is cut off" in said.out


def test_no_cell_of_the_csv_is_a_formula(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "x")
    monkeypatch.setattr("socket.gethostname", lambda: "=cmd|' /C calc'!A0")
    (row,) = csv.DictReader(io.StringIO(export(place, "--format", "csv")))
    assert row["origin"].startswith("'=cmd") and "sudo by x" in row["origin"]
    assert json.loads(row["after"]) == {"format": "csv"} and row["before"] == ""


def test_it_is_written_to_a_file_whole(place: Workplace) -> None:
    assert export(place, "-o", "audit.json") == ""
    assert json.loads((place.folder / "audit.json").read_text())["seq"] == 1
    said = place.run("audit", "export", "-o", "no/such/folder")
    assert said.status == 2 and "cannot be written" in said.err


def test_bad_input_is_one_sentence(place: Workplace, configured: Path) -> None:
    said = place.run("audit", "export", "--format", "xml")
    assert (said.status, said.err) == (2, "--format xml is unknown; expected json or csv\n")
    export(place)
    (configured / "audit.key").chmod(0o644)
    for command in (["verify"], ["export"]):
        said = place.run("audit", *command)
        assert said.status == 2 and said.out == "" and said.err.count("\n") == 1
        assert "can be read or written by others (mode 0644)" in said.err


def test_the_key_lies_where_it_is_named(place: Workplace, configured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSHER_AUDIT_KEY", str(place.folder / "keys" / "k"))
    export(place)
    assert (place.folder / "keys" / "k").exists() and (place.folder / "keys" / "audit.anchors").exists()
    assert not configured.exists()
    monkeypatch.delenv("PUSHER_AUDIT_KEY")
    said = place.run("audit", "export")
    assert said.status == 2 and "written with another key" in said.err and not configured.exists()


def test_no_output_holds_the_key(place: Workplace, configured: Path) -> None:
    said = [export(place), export(place, "--format", "csv"), place.run("audit", "verify", "--json").out,
            place.run("audit", "anchor").out, (configured / "audit.anchors").read_text()]  # fmt: skip
    secret = (configured / "audit.key").read_text().strip()
    assert not any(secret in one for one in said)
    files = [path for path in (place.folder / "data").rglob("*") if path.is_file()]
    assert files and not any(secret.encode() in path.read_bytes() for path in files)


def test_a_lost_key_is_given_up_by_saying_so(place: Workplace, configured: Path) -> None:
    for _ in range(2):
        export(place)
    refused = place.run("audit", "new-key", "--yes")
    assert refused.status == 2 and "is not lost" in refused.err
    (configured / "audit.key").unlink()
    assert place.run("audit", "export").status == 2
    refused = place.run("audit", "new-key")
    assert refused.status == 2 and "--yes" in refused.err and not (configured / "audit.key").exists()
    assert place.run("audit", "new-key", "--yes").status == 0
    export(place)
    said = place.run("audit", "verify")
    assert said.status == 0 and "Up to entry 2 they were sealed with a key that was lost" in said.out
    tamper(place, "UPDATE audit SET key = 'x' WHERE seq = 4")
    assert "other-key: entry 4" in place.run("audit", "verify").out
