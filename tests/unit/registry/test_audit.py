"""The audit of a store: entered with what it tells of, and proven; tampered with in the database itself."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from pusher.models.audit import SealedEntry
from pusher.models.registry import PersonRow
from pusher.problems import BadInput
from pusher.registry import people
from pusher.registry.audit_files import add_anchor, anchors_beside, make_key, read_anchors, read_key
from pusher.registry.chain import Fault
from pusher.registry.change import Actor, Draft, Edit, Registrar
from pusher.registry.proof import anchor, prove
from pusher.store import Store
from tests.unit.access.worlds import NOW

ACTOR = Actor(name="root@mgmt1", via="command", origin="mgmt1, ssh from 10.0.0.5")
NAMES = ("ann", "bob", "eve", "zoe", "kim")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "config" / "audit.key"


@pytest.fixture
def registrar(store: Store, key: Path) -> Registrar:
    return Registrar(store, key, ACTOR, lambda: NOW)


def add(registrar: Registrar, *names: str) -> None:
    for name in names:
        registrar.change("people.add", lambda draft, name=name: people.add_person(draft, name))  # type: ignore[misc]


@pytest.fixture
def full(store: Store, registrar: Registrar) -> Store:
    """Five entries, each with its anchor."""
    add(registrar, *NAMES)
    return store


def tamper(store: Store, *statements: str) -> None:
    with store._database.engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_a_change_is_entered_with_who_what_when_and_from_where(full: Store, key: Path) -> None:
    first = next(iter(full.registry.audit.entries()))
    assert (first.seq, first.entry.at, first.entry.actor, first.entry.via) == (1, NOW, "root@mgmt1", "command")
    assert first.entry.origin == "mgmt1, ssh from 10.0.0.5"
    assert (first.entry.act, first.entry.object, first.entry.decision) == ("people.add", "ann", "not-asked")
    assert (first.entry.before, first.entry.after) == (None, {"id": "ann", "name": "", "standing": "enabled"})
    proof = prove(full, key)
    assert (proof.entries, proof.anchors, proof.findings) == (5, 5, ())
    assert proof.last is not None and proof.last.entry.object == "kim"


TAMPERED: list[tuple[tuple[str, ...], list[tuple[Fault, int, int]]]] = [
    (("UPDATE audit SET actor = 'somebody' WHERE seq = 2",), [(Fault.CHANGED, 2, 2)]),
    (("UPDATE audit SET after = '{}' WHERE seq = 2",), [(Fault.CHANGED, 2, 2)]),
    (("UPDATE audit SET at = 'once' WHERE seq = 5",), [(Fault.CHANGED, 5, 5)]),
    (("UPDATE audit SET decision = 'whatever' WHERE seq = 1",), [(Fault.CHANGED, 1, 1)]),
    (("UPDATE audit SET key = 'x' WHERE seq = 4",), [(Fault.OTHER_KEY, 4, 4)]),
    (("DELETE FROM audit WHERE seq = 3",), [(Fault.MISSING, 3, 3)]),
    (("DELETE FROM audit WHERE seq < 3",), [(Fault.MISSING, 1, 2)]),
    (("DELETE FROM audit WHERE seq > 3",), [(Fault.CUT_OFF, 4, 5)]),
    (("DELETE FROM audit",), [(Fault.CUT_OFF, 1, 5)]),
    (("DELETE FROM audit", "UPDATE access_version SET audit = NULL"), [(Fault.GONE, 1, 5)]),
    (("UPDATE access_version SET audit = 'other'",), [(Fault.CHANGED, 1, 1), (Fault.GONE, 1, 5)]),
    (("DELETE FROM audit WHERE seq = 3", "UPDATE audit SET seq = 3 WHERE seq = 4",
      "UPDATE audit SET seq = 4 WHERE seq = 5"),
     [(Fault.CHANGED, 3, 4), (Fault.CUT_OFF, 5, 5)]),
    (("UPDATE audit SET seq = 9 WHERE seq = 2", "UPDATE audit SET seq = 2 WHERE seq = 3",
      "UPDATE audit SET seq = 3 WHERE seq = 9"),
     [(Fault.CHANGED, 2, 3)]),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "told"), TAMPERED, ids=lambda one: str(one)[:60])
def test_what_is_tampered_with_in_the_database_is_told_apart(
    full: Store, key: Path, statements: tuple[str, ...], told: list[tuple[Fault, int, int]]
) -> None:
    tamper(full, *statements)
    assert [(one.fault, one.first, one.last) for one in prove(full, key).findings] == told


def test_anchors_that_were_kept_elsewhere_tell_what_those_beside_the_key_would(
    full: Store, key: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    made = anchor(full)
    assert made is not None and made.seq == 5
    add_anchor(elsewhere, made)
    tamper(full, "DELETE FROM audit WHERE seq > 2")
    anchors_beside(key).unlink()
    assert prove(full, key).findings == (), "nothing is left that would tell"
    told = prove(full, key, elsewhere).findings
    assert [(one.fault, one.first, one.last) for one in told] == [(Fault.CUT_OFF, 3, 5)]


def test_a_file_of_another_stores_anchors_proves_nothing(full: Store, key: Path, tmp_path: Path) -> None:
    made = anchor(full)
    assert made is not None
    add_anchor(tmp_path / "other", replace(made, store="other", chain="other"))
    with pytest.raises(BadInput, match="no anchor in it is of this store's audit"):
        prove(full, key, tmp_path / "other")
    with pytest.raises(BadInput, match="does not exist"):
        prove(full, key, tmp_path / "missing")
    anchors_beside(key).write_text((tmp_path / "other").read_text() + anchors_beside(key).read_text())
    assert prove(full, key).anchors == 5, "beside the key those of several stores may lie"


def test_a_line_that_is_no_anchor_is_bad_input_with_its_place(full: Store, key: Path) -> None:
    for line in ("x", "[]", '{"store": 1, "chain": "a", "seq": 1, "hash": "b"}', '{"seq": 1}'):
        anchors_beside(key).write_text(f"\n{line}\n")
        with pytest.raises(BadInput) as caught:
            prove(full, key)
        assert f"{anchors_beside(key)}:2" in caught.value.sentence


def test_where_the_change_fails_nothing_is_entered(full: Store, registrar: Registrar, key: Path) -> None:
    with pytest.raises(BadInput):
        add(registrar, "ann")
    assert prove(full, key).entries == 5

    def broken(draft: Draft) -> Edit:
        draft.change.put(PersonRow(id="new"))
        raise KeyError("on purpose")

    with pytest.raises(KeyError):
        registrar.change("people.add", broken)
    assert "new" not in [one.id for one in full.registry.rows().subjects.people] and prove(full, key).entries == 5


def test_where_the_entry_fails_nothing_is_changed(full: Store, registrar: Registrar, key: Path) -> None:
    def unsealed(draft: Draft) -> Edit:
        draft.change.put(PersonRow(id="new"))
        draft.change.audit.append = no_room  # type: ignore[method-assign, assignment]
        return Edit(object="new")

    def no_room(*_: object) -> SealedEntry:
        raise KeyError("on purpose")

    with pytest.raises(KeyError):
        registrar.change("people.add", unsealed)
    assert "new" not in [one.id for one in full.registry.rows().subjects.people]
    assert prove(full, key).entries == 5


def test_nothing_that_changes_nothing_is_entered(full: Store, registrar: Registrar, key: Path) -> None:
    number = full.registry.number()
    assert registrar.change("people.add", lambda _: None).edit is None
    assert full.registry.number() == number and prove(full, key).entries == 5


def test_an_entry_by_itself_raises_no_number(full: Store, registrar: Registrar, key: Path) -> None:
    number = full.registry.number()
    assert registrar.enter("audit.export", "audit", {"format": "csv"}) == ()
    assert full.registry.number() == number
    assert prove(full, key).entries == 6 and prove(full, key).findings == ()


# The key


def test_the_key_is_made_at_first_use_and_is_nobody_elses(full: Store, key: Path) -> None:
    assert stat.S_IMODE(key.stat().st_mode) == 0o600 == stat.S_IMODE(anchors_beside(key).stat().st_mode)
    assert [path.name for path in sorted(key.parent.iterdir())] == ["audit.anchors", "audit.key"], "and nothing else"
    secret = key.read_text().strip()
    assert len(secret) == 64
    with full._database.engine.connect() as connection:
        rows = [str(tuple(row)) for row in connection.execute(text("SELECT * FROM audit"))]
    assert not any(secret in row for row in rows)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_a_key_that_others_can_reach_is_refused(registrar: Registrar, full: Store, key: Path, mode: int) -> None:
    key.chmod(mode)
    for refused in (lambda: add(registrar, "new"), lambda: prove(full, key)):
        with pytest.raises(BadInput) as caught:
            refused()
        assert f"mode 0{mode:o}" in caught.value.sentence and str(key) in caught.value.sentence
    assert "new" not in [one.id for one in full.registry.rows().subjects.people]


@pytest.mark.parametrize("content", ["", "x\n", "zz" * 32, "ab" * 33, "ab" * 31 + "\xe9\xe9"])
def test_what_is_no_key_is_refused_and_not_shown(full: Store, key: Path, content: str) -> None:
    key.write_text(content, encoding="latin-1")
    with pytest.raises(BadInput) as caught:
        prove(full, key)
    assert "no key" in caught.value.sentence and "abab" not in caught.value.sentence


def test_a_lost_key_is_never_replaced_in_silence(registrar: Registrar, full: Store, key: Path) -> None:
    key.unlink()
    for refused in (lambda: add(registrar, "new"), lambda: prove(full, key)):
        with pytest.raises(BadInput, match="written with another key"):
            refused()
    assert not key.exists()


def test_another_key_writes_nothing(registrar: Registrar, full: Store, key: Path) -> None:
    key.unlink()
    make_key(key)
    for refused in (lambda: add(registrar, "new"), lambda: prove(full, key)):
        with pytest.raises(BadInput, match="written with another key"):
            refused()
    assert len(list(full.registry.audit.entries())) == 5


def test_a_key_that_was_lost_is_given_up_and_what_it_sealed_is_not_proven(
    registrar: Registrar, full: Store, key: Path
) -> None:
    key.unlink()
    registrar.begin_with_another_key()
    add(registrar, "new")
    proof = prove(full, key)
    assert (proof.entries, proof.findings, proof.unproven) == (7, (), 5)
    tamper(full, "DELETE FROM audit WHERE seq = 3", "UPDATE audit SET hash = 'x' WHERE seq = 2")
    assert [(one.fault, one.first) for one in prove(full, key).findings] == [(Fault.CHANGED, 2), (Fault.MISSING, 3)]


def test_who_says_that_a_key_was_lost_has_to_have_the_new_one(registrar: Registrar, full: Store, key: Path) -> None:
    """An entry that says so and is not sealed makes nothing of what others say good."""
    tamper(full, "UPDATE audit SET key = 'x' WHERE seq = 2", "UPDATE audit SET act = 'audit.new-key' WHERE seq = 4")
    told = [(one.fault, one.first) for one in prove(full, key).findings]
    assert told == [(Fault.OTHER_KEY, 2), (Fault.CHANGED, 4)] and prove(full, key).unproven == 0


def test_nothing_that_is_not_lost_is_given_up(registrar: Registrar, store: Store, key: Path) -> None:
    with pytest.raises(BadInput, match="no entry yet"):
        registrar.begin_with_another_key()
    add(registrar, "ann")
    with pytest.raises(BadInput, match="is not lost"):
        registrar.begin_with_another_key()
    assert prove(store, key).entries == 1


def test_who_comes_second_takes_the_first_ones_key(key: Path) -> None:
    first = make_key(key)
    assert make_key(key).reveal() == first.reveal()
    assert read_key(key) == first and [path.name for path in key.parent.iterdir()] == ["audit.key"]


def test_a_place_that_cannot_hold_a_key_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="the audit's key cannot be made"):
        make_key(tmp_path / "file" / "audit.key")


def test_an_anchor_that_cannot_be_written_undoes_nothing_and_is_told(
    registrar: Registrar, full: Store, key: Path
) -> None:
    anchors_beside(key).unlink()
    anchors_beside(key).mkdir()
    done = registrar.change("people.add", lambda draft: people.add_person(draft, "new"))
    assert "could not be written" in done.notes[0]
    assert "new" in [one.id for one in full.registry.rows().subjects.people]
    os.rmdir(anchors_beside(key))
    assert prove(full, key).findings == ()


def test_anchors_say_what_was_written(full: Store, key: Path) -> None:
    hashes = [one.hash for one in full.registry.audit.entries()]
    assert [(one.seq, one.hash) for one in read_anchors(anchors_beside(key))] == list(enumerate(hashes, start=1))


def test_what_is_refused_makes_no_key(store: Store, registrar: Registrar, key: Path) -> None:
    with pytest.raises(BadInput):
        registrar.change("people.add", lambda draft: people.add_person(draft, ""))
    assert registrar.change("people.add", lambda _: None).edit is None
    assert not key.exists() and store.registry.audit.chain() is None


def test_nothing_to_prove_needs_no_key(store: Store, key: Path) -> None:
    assert prove(store, key).entries == 0 and not key.exists() and anchor(store) is None
