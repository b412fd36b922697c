"""What every engine under the registry does. Subclasses give ``url``; each test has an empty store of its own there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from pusher.models.audit import AuditEntry, Decision, SealedEntry
from pusher.models.conditions import AllOf, Covered, Everything, Not, Owned
from pusher.models.registry import (
    GrantRow,
    GroupOrigin,
    MachineGroupRow,
    MachineRow,
    ObjectRow,
    PeopleGroupRow,
    PersonRow,
    RegisteredPackageRow,
    RegistryRows,
    RoleRow,
    Subjects,
    Things,
)
from pusher.store import Store, StoreError, open_store
from pusher.store.registry_change import RegistryChange
from tests.unit.store.store_contract import NOON, as_stored, hostile

SUBJECTS = Subjects(
    people=(PersonRow(id="ann", name="Ann"), PersonRow(id="bob", standing="disabled")),
    groups=(PeopleGroupRow(id="helpdesk"), PeopleGroupRow(id="staff", name="All", sid="S-1-5-21-1")),
    memberships=(("ann", "helpdesk"), ("helpdesk", "staff")),
    roles=(RoleRow(name="Writer", version=1, level="either", permissions=("machine.modify",), includes=("Viewer",),
                   capabilities=("machine.push",)),),
    grants=(GrantRow(id="g1", subject="helpdesk", role="Pusher", effect="allow", scope="group:paris", until=NOON,
                     made_by="root", made_at=NOON, note="for the move"),
            GrantRow(id="g2", subject="bob", role="Viewer", effect="deny", scope="server", until=None, made_by="root",
                     made_at=NOON)),
)  # fmt: skip
THINGS = Things(
    objects=(ObjectRow(id="group:old", kind="group", name="old"),
             ObjectRow(id="group:paris", kind="group", name="paris"),
             ObjectRow(id="machine:a", kind="machine", name="a", owner="ann"),
             ObjectRow(id="machine:b", kind="machine", name="b"),
             ObjectRow(id="package:agent 1", kind="package", name="agent 1")),
    machines=(MachineRow(id="machine:a", address="10.0.0.1", site="paris"), MachineRow(id="machine:b", gone_at=NOON)),
    groups=(MachineGroupRow(id="group:old", origin=GroupOrigin.DYNAMIC, query="site:paris", within="group:paris"),
            MachineGroupRow(id="group:paris", origin=GroupOrigin.INVENTORY, file="/etc/paris.yaml")),
    members=(("machine:a", "group:old"), ("machine:a", "group:paris"), ("machine:b", "group:paris")),
    packages=(RegisteredPackageRow(id="package:agent 1", version="1", sha256="0" * 64, root="/packages/agent"),),
)  # fmt: skip
COVERS = {("group:paris", "machine:a"), ("group:paris", "machine:b"), ("machine:a", "machine:a"),
          ("machine:b", "machine:b")}  # fmt: skip


def fill(change: RegistryChange) -> None:
    change.put(*SUBJECTS.people)
    change.put(*SUBJECTS.groups)
    change.join(SUBJECTS.memberships)
    for role in SUBJECTS.roles:
        change.save_role(role)
    change.put(*SUBJECTS.grants)
    change.put(*THINGS.objects)
    change.put(*THINGS.machines)
    change.put(*reversed(THINGS.groups))
    change.put_into(THINGS.members)
    change.put(*THINGS.packages)
    change.cover(COVERS, ())
    change.raise_number()


def an_entry(act: str = "people.add", **changes: object) -> AuditEntry:
    entry = AuditEntry(at=NOON, actor="root", via="command", origin="mgmt1", act=act, object="ann",
                       decision=Decision.NOT_ASKED, after={"id": "ann", "list": ["a", 1, None, True]})  # fmt: skip
    return replace(entry, **changes)  # type: ignore[arg-type]


def sealed(seq: int, prev: str, entry: AuditEntry) -> SealedEntry:
    return SealedEntry(seq=seq, entry=entry, key="k", prev=prev, hash=f"h{seq}")


class RegistryContract:
    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        made = open_store(url)
        yield made
        made.close()

    @pytest.fixture
    def full(self, store: Store) -> Store:
        store.registry.change(fill)
        return store

    def test_a_new_registry_is_empty(self, store: Store) -> None:
        assert store.registry.rows() == RegistryRows(version=0, subjects=Subjects(), things=Things())

    def test_what_is_put_is_read(self, full: Store) -> None:
        assert full.registry.rows() == RegistryRows(version=1, subjects=SUBJECTS, things=THINGS)
        assert full.registry.number() == 1

    def test_a_change_sees_what_it_has_done_and_nobody_else_does_before_its_end(self, full: Store) -> None:
        def look(change: RegistryChange) -> None:
            change.put(PersonRow(id="eve"))
            assert "eve" in [one.id for one in change.subjects().people]
            assert change.things() == THINGS and change.covers() == COVERS and change.number == 1
            assert full.registry.rows().subjects == SUBJECTS

        full.registry.change(look)

    def test_a_change_that_raises_changes_nothing(self, full: Store) -> None:
        def fail(change: RegistryChange) -> None:
            change.drop(GrantRow, "g1")
            change.take_out([("machine:a", "group:paris")])
            change.raise_number()
            raise KeyError("on purpose")

        with pytest.raises(KeyError):
            full.registry.change(fail)
        assert full.registry.rows() == RegistryRows(version=1, subjects=SUBJECTS, things=THINGS)

    def test_each_row_is_replaced_and_dropped(self, full: Store) -> None:
        def work(change: RegistryChange) -> None:
            change.put(replace(SUBJECTS.people[0], standing="disabled"))
            change.put(replace(THINGS.objects[2], owner=None))
            change.put(replace(THINGS.machines[1], gone_at=None, site="lyon"))
            change.drop(GrantRow, "g1")
            change.leave([("ann", "helpdesk")])
            change.take_out([("machine:b", "group:paris")])
            change.drop(RegisteredPackageRow, "package:agent 1")
            change.cover([("group:old", "machine:a")], [("group:paris", "machine:b")])

        full.registry.change(work)
        rows = full.registry.rows()
        assert [one.standing for one in rows.subjects.people] == ["disabled", "disabled"]
        assert [one.id for one in rows.subjects.grants] == ["g2"]
        assert rows.subjects.memberships == (("helpdesk", "staff"),)
        assert [one.owner for one in rows.things.objects] == [None] * 5
        assert rows.things.machines[1] == MachineRow(id="machine:b", site="lyon")
        assert rows.things.members == (("machine:a", "group:old"), ("machine:a", "group:paris"))
        assert rows.things.packages == ()
        assert full.registry.found("machine", Covered(frozenset({"group:old"}))) == ["machine:a"]
        assert full.registry.found("machine", Covered(frozenset({"group:paris"}))) == ["machine:a"]

    def test_what_is_there_already_may_be_put_again(self, full: Store) -> None:
        def again(change: RegistryChange) -> None:
            change.join(SUBJECTS.memberships)
            change.put_into(THINGS.members)
            change.cover(COVERS, ())

        full.registry.change(again)
        assert full.registry.rows() == RegistryRows(version=1, subjects=SUBJECTS, things=THINGS)

    def test_what_hangs_in_the_air_is_refused(self, full: Store) -> None:
        for work in (
            lambda change: change.put_into([("machine:none", "group:paris")]),
            lambda change: change.join([("ann", "nobody")]),
            lambda change: change.drop(ObjectRow, "group:paris"),
        ):
            with pytest.raises(StoreError):
                full.registry.change(work)

    def test_a_role_is_what_its_newest_version_says_and_its_versions_are_kept(self, full: Store) -> None:
        first = SUBJECTS.roles[0]
        second = replace(first, version=2, permissions=("group.modify",))

        def save(change: RegistryChange) -> None:
            assert change.next_version("Writer") == 2 and change.next_version("Other") == 1
            change.save_role(second)

        full.registry.change(save)
        assert full.registry.rows().subjects.roles == (second,)
        assert full.registry.versions_of("Writer") == [first, second]
        full.registry.change(lambda change: change.save_role(replace(second, version=3), removed=True))
        assert full.registry.rows().subjects.roles == ()
        full.registry.change(lambda change: change.save_role(replace(first, version=change.next_version("Writer"))))
        assert [one.version for one in full.registry.rows().subjects.roles] == [4]

    def test_objects_are_found_by_a_condition(self, full: Store) -> None:
        def found(condition: object, limit: int | None = None) -> list[str]:
            return list(full.registry.found("machine", condition, limit))  # type: ignore[arg-type]

        in_paris = Covered(frozenset({"group:paris"}))
        assert found(Everything()) == found(in_paris) == ["machine:a", "machine:b"]
        assert found(Everything(), 1) == ["machine:a"] and full.registry.count("machine", in_paris) == 2
        assert found(AllOf((in_paris, Not(Owned(frozenset({"ann"})))))) == ["machine:b"]
        assert full.registry.found("package", Everything()) == ["package:agent 1"]

    def test_two_changes_at_once_come_one_after_the_other(self, full: Store) -> None:
        """Each reads the number that the other has left, whoever is first."""
        seen: list[int] = []
        begun = threading.Barrier(2, timeout=30)

        def one() -> None:
            begun.wait()
            full.registry.change(work)

        def work(change: RegistryChange) -> None:
            seen.append(change.number)
            change.raise_number()

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(seen) == [1, 2] and full.registry.number() == 3

    def test_the_audit_gives_its_entries_in_their_order(self, full: Store) -> None:
        assert full.registry.audit.chain() is None and full.registry.audit.last() is None
        told = [an_entry(), an_entry("grants.add", rule="allow", grant="g1", before={"a": {"b": "c"}}, after=None)]

        def write(change: RegistryChange) -> None:
            change.audit.begin("start")
            for seq, entry in enumerate(told, 1):
                change.audit.append(entry, lambda stored, seq=seq: sealed(seq, "p", stored))  # type: ignore[misc]
            assert (last := change.audit.last()) is not None and last.seq == 2

        full.registry.change(write)
        assert list(full.registry.audit.entries()) == [sealed(n, "p", entry) for n, entry in enumerate(told, 1)]
        assert full.registry.audit.chain() == "start" and full.registry.audit.last() == sealed(2, "p", told[1])

    def test_what_is_sealed_is_what_is_stored(self, store: Store) -> None:
        entry = an_entry(hostile, actor=hostile, before={hostile: [hostile, {"x": hostile}]})
        shown: list[AuditEntry] = []

        def seal(stored: AuditEntry) -> SealedEntry:
            shown.append(stored)
            return sealed(1, "p", stored)

        def write(change: RegistryChange) -> None:
            change.audit.append(entry, seal)

        store.registry.change(write)
        (read,) = store.registry.audit.entries()
        assert [read.entry] == shown
        assert read.entry.actor == read.entry.act == as_stored
        assert read.entry.before == {as_stored: [as_stored, {"x": as_stored}]}

    def test_an_entry_belongs_to_what_it_tells_of(self, full: Store) -> None:
        def fail(change: RegistryChange) -> None:
            change.audit.append(an_entry(), lambda stored: sealed(1, "p", stored))
            raise KeyError("on purpose")

        with pytest.raises(KeyError):
            full.registry.change(fail)
        assert list(full.registry.audit.entries()) == []

    def test_no_place_is_taken_twice(self, full: Store) -> None:
        def write(change: RegistryChange) -> None:
            change.audit.append(an_entry(), lambda stored: sealed(1, "p", stored))

        full.registry.change(write)
        with pytest.raises(StoreError):
            full.registry.change(write)

    def test_times_are_kept_to_the_microsecond(self, store: Store) -> None:
        at = NOON + timedelta(microseconds=1)
        store.registry.change(lambda change: change.put(replace(SUBJECTS.grants[0], until=at, made_at=at)))
        (grant,) = store.registry.rows().subjects.grants
        assert grant.until == grant.made_at == at
