"""Changes of the registry: what they leave, what they tell, and what is refused with nothing changed."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pusher.access import Effect, Permission, Standing, World
from pusher.access.places import Places
from pusher.access.remains import remains
from pusher.install.manifest import load_manifest
from pusher.problems import BadInput
from pusher.registry import grants, groups, objects, people, roles
from pusher.registry.change import Done
from pusher.registry.grants import read_end
from pusher.registry.world import world_of
from pusher.store import Store
from tests.unit.access.worlds import NOW, PEOPLE, SOON, P, worlds
from tests.unit.push.harness import program
from tests.unit.registry.house import House
from tests.unit.registry.rows_of import fill

MANY = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=40)
PARIS = """\
lab: {hosts: [ws1.x, ws2.x]}
tier0: {hosts: [dc1.x]}
all: {children: [lab, tier0], hosts: [srv.x]}
"""


def may(house: House, who: str, permission: str, thing: str) -> bool:
    return house.access.may(who, Permission(permission), thing).allowed


def test_what_is_given_is_had_and_what_is_taken_is_not(house: House) -> None:
    house.sync(PARIS)
    house.people("ann", "bob")
    house.crew("helpdesk", "ann")
    house.grant("helpdesk", "operator")
    given_ = house.grant("helpdesk", "Pusher", "paris/lab", until=SOON)
    assert given_.edit is not None
    assert may(house, "ann", "machine.push", "machine:ws1.x") and not may(house, "bob", "machine.push", "machine:ws1.x")
    assert not may(house, "ann", "machine.push", "machine:srv.x")
    house.grant("ann", "Pusher", "ws1.x", Effect.DENY)
    assert not may(house, "ann", "machine.push", "machine:ws1.x") and may(house, "ann", "machine.push", "machine:ws2.x")
    house.change(lambda draft: grants.remove(draft, given_.edit.object if given_.edit else ""))
    assert not may(house, "ann", "machine.push", "machine:ws2.x")


def test_ids_of_grants_are_never_used_again(house: House) -> None:
    house.people("ann")
    first = house.grant("ann", "Viewer").edit
    assert first is not None
    house.change(lambda draft: grants.remove(draft, first.object))
    second = house.grant("ann", "Viewer").edit
    assert second is not None and second.object != first.object


def test_a_custom_role_means_what_it_was_last_saved_as(house: House) -> None:
    house.people("ann")
    house.role("Writer", "group.modify", includes=["Viewer"])
    house.role("Editor", "group.delete", includes=["Writer"])
    house.grant("ann", "Editor")
    house.group("pilot")
    assert may(house, "ann", "group.modify", "group:pilot")
    assert house.role("Writer", "group.modify", includes=["Viewer"]).edit is None, "it is that already"
    house.role("Writer", "package.modify", includes=["Viewer"])
    assert not may(house, "ann", "group.modify", "group:pilot") and may(house, "ann", "group.delete", "group:pilot")
    assert [one.version for one in house.store.registry.versions_of("Writer")] == [1, 2]


def test_001_level_2_workers_saved_without_accounts_are_told_of_and_completed(house: House) -> None:
    house.people("ann", "bob")
    house.crew("level2", "ann", "bob")
    lacking = ("machine.view", "machine.push", "package.view", "package.assign", "run.create")
    done = house.role("Level 2 Workers", *lacking, capabilities=["machine.push"])
    assert done.notes == ("Level 2 Workers has part in push and lacks account.view, account.assign",)
    house.grant("level2", "Level 2 Workers")
    done = house.role("Level 2 Workers", *lacking, "machine.modify", capabilities=["machine.push"])
    assert "nothing else gives it to 2 of its 2 holders" in done.notes[0]
    house.grant("bob", "Operator")
    done = house.role("Level 2 Workers", *lacking, "machine.assign", capabilities=["machine.push"])
    assert "nothing else gives it to 1 of its 2 holders" in done.notes[0]
    done = house.role("Level 2 Workers", *lacking, capabilities=["machine.push"], complete=True)
    assert done.notes == ()
    (saved,) = house.rows.subjects.roles
    assert {"account.view", "account.assign"} <= set(saved.permissions)


def test_a_grant_tells_whom_it_helps_to_nothing(house: House) -> None:
    house.sync(PARIS)
    house.people("ann", "bob")
    house.crew("helpdesk", "ann", "bob")
    (push, remove) = house.grant("helpdesk", "Pusher", "paris").notes
    assert push.startswith("2 people (ann and bob) have part in push and it can only be refused: nothing gives them")
    assert "the capability machine.remove" in remove
    house.change(lambda draft: people.set_standing(draft, "ann", Standing.DISABLED))
    assert "ann is disabled" in house.grant("ann", "Viewer").notes[0]
    assert "it takes nothing now" in house.grant("bob", "Modifier", effect=Effect.DENY).notes[0]
    house.grant("bob", "Modifier")
    assert house.grant("bob", "Modifier", "paris", Effect.DENY).notes == ()


def test_a_membership_tells_whom_it_helps_to_nothing(house: House) -> None:
    house.sync(PARIS)
    house.people("ann")
    house.crew("helpdesk")
    house.grant("helpdesk", "Pusher", "paris")
    assert house.join("ann", "helpdesk").notes[0].startswith("ann has part in push")


# Machines


def test_an_inventory_is_a_group_with_its_groups_in_it(house: House) -> None:
    done = house.sync(PARIS)
    assert done.edit is not None and done.edit.after is not None
    assert (done.edit.after["machines"], done.edit.after["groups"]) == (4, 4)
    assert house.inside("group:paris") == {"ws1", "ws2", "dc1", "srv"} == house.inside("group:paris/all")
    assert house.inside("group:paris/lab") == {"ws1", "ws2"} and house.inside("group:paris/tier0") == {"dc1"}
    directly = [group for name, group in house.rows.things.members if name == "machine:ws1.x"]
    assert directly == ["group:paris/lab"], "and so in all that this is in"
    number = house.store.registry.number()
    assert house.sync(PARIS).edit is None and house.store.registry.number() == number


def test_a_machine_that_goes_is_kept_and_comes_back(house: House) -> None:
    house.sync(PARIS)
    house.people("ann")
    house.grant("ann", "Viewer", "ws2.x")
    house.own("machine:ws2.x", "ann")
    house.now = NOW + timedelta(days=1)
    house.sync("lab: {hosts: [ws1.x]}")
    gone = {one.id: one.gone_at for one in house.rows.things.machines}
    assert gone == {
        "machine:ws1.x": None,
        **dict.fromkeys(["machine:ws2.x", "machine:dc1.x", "machine:srv.x"], house.now),
    }
    assert house.inside("group:paris") == {"ws1"} and {one.id for one in house.rows.things.groups} == {
        "group:paris", "group:paris/lab"}  # fmt: skip
    assert may(house, "ann", "machine.delete", "machine:ws2.x"), "it has its owner, and the grants on it"
    house.sync(PARIS)
    assert {one.gone_at for one in house.rows.things.machines} == {None}
    assert house.inside("group:paris/lab") == {"ws1", "ws2"}


def test_a_machine_of_two_inventories_goes_with_the_last(house: House) -> None:
    house.sync("lab: {hosts: [ws1.x, ws2.x]}", "a.yaml")
    house.sync("lab: {hosts: [ws2.x]}", "b.yaml")
    house.sync("lab: {hosts: [ws1.x]}", "a.yaml")
    assert [one.gone_at for one in house.rows.things.machines] == [None, None]
    assert house.inside("group:a/lab") == {"ws1"} and house.inside("group:b/lab") == {"ws2"}
    house.sync("lab: {hosts: [ws3.x]}", "b.yaml")
    assert {one.id for one in house.rows.things.machines if one.gone_at} == {"machine:ws2.x"}


def test_a_machine_under_another_spelling_is_the_same_one(house: House) -> None:
    house.sync("lab: {hosts: [WS1.X.]}")
    house.sync("lab: {hosts: [ws1.x]}")
    assert [one.id for one in house.rows.things.machines] == ["machine:ws1.x"]


def test_what_the_inventory_says_of_a_machine_follows(house: House) -> None:
    house.sync("lab: {site: paris, hosts: [{name: ws1.x, address: 10.0.0.1}]}")
    house.sync("lab: {site: lyon, hosts: [{name: ws1.x, address: 10.0.0.2}]}")
    (machine,) = house.rows.things.machines
    assert (machine.address, machine.site) == ("10.0.0.2", "lyon")


def test_a_group_that_is_gone_takes_the_grants_on_it_along(house: House) -> None:
    house.sync(PARIS)
    house.people("ann")
    house.grant("ann", "Viewer", "paris/lab")
    done = house.sync("other: {hosts: [ws1.x]}")
    assert done.edit is not None and done.edit.after is not None and len(done.edit.after["grants gone"]) == 1
    assert house.rows.subjects.grants == ()
    house.sync(PARIS)
    assert not may(house, "ann", "machine.view", "machine:ws1.x"), "what is called the same later is another group"


def test_people_put_machines_into_their_own_groups_and_a_sync_leaves_them_there(house: House) -> None:
    house.sync(PARIS)
    house.group("pilot")
    house.group("all pilots")
    house.put("ws1.x", "pilot")
    house.put("paris/tier0", "pilot")
    house.put("pilot", "all pilots")
    assert house.inside("group:all pilots") == {"ws1", "dc1"}
    assert house.put("ws1.x", "pilot").edit is None
    house.sync("lab: {hosts: [ws2.x]}")
    assert house.inside("group:all pilots") == {"ws1"}, "the inventory's group is gone, the machine's place is not"
    house.change(lambda draft: groups.take(draft, "ws1.x", "pilot"))
    assert house.inside("group:all pilots") == set()
    house.change(lambda draft: groups.remove(draft, "pilot"))
    assert "group:pilot" not in house.access.world.objects
    house.put("ws2.x", "all pilots")
    house.change(lambda draft: groups.remove(draft, "all pilots"))
    assert house.inside("group:all pilots") == set(), "nothing is left of it in the closure"


def test_a_dynamic_group_finds_what_there_is_and_never_leaves_its_within(house: House) -> None:
    house.sync("lab: {site: paris, hosts: [ws1.x, ws2.x]}\nlyon: {site: lyon, hosts: [ws3.x]}")
    house.group("pilot")
    house.put("ws1.x", "pilot")
    house.group("found", "ws*,!group:pilot")
    house.group("kept", "ws*", within="paris/lab")
    house.group("here", "site:paris")
    assert house.inside("result:group:found") == {"ws2", "ws3"}
    assert house.inside("result:group:kept") == house.inside("result:group:here") == {"ws1", "ws2"}
    assert house.inside("group:found") == set(), "its result is not its definition"
    kept = {name for name, group in house.rows.things.members if group == "group:kept"}
    assert kept == {"machine:ws1.x", "machine:ws2.x"}, "ws3 is not even written"
    house.put("ws3.x", "pilot")
    assert house.inside("result:group:found") == {"ws2"}
    house.sync("lab: {site: paris, hosts: [ws1.x, ws2.x, ws4.x]}")
    assert house.inside("result:group:found") == {"ws2", "ws4"}, "ws3 is gone"
    house.change(lambda draft: groups.change(draft, "kept", "ws2*", None))
    assert house.inside("result:group:kept") == {"ws2"}
    assert house.change(lambda draft: groups.change(draft, "kept", "ws2*", "paris/lab")).edit is None


def test_a_package_is_registered_by_what_it_holds(house: House, tmp_path: Path) -> None:
    folder = tmp_path / "labagent"
    a_package(folder, "1.4.2")

    def register() -> Done:
        manifest, package = load_manifest(folder)
        return house.change(lambda draft: objects.add_package(draft, package, manifest.digest))

    done = register()
    assert done.edit is not None and done.edit.object == "package:labagent 1.4.2"
    assert register().edit is None
    text = (folder / "package.toml").read_text()
    (folder / "package.toml").write_text(text.replace("Lab agent", "Another agent"))
    sentence = house.refuses(register)
    assert "labagent 1.4.2 is registered with another content" in sentence
    house.change(lambda draft: objects.remove(draft, "labagent 1.4.2"))
    register()
    a_package(folder, "1.5.0")
    register()
    assert [one.version for one in house.rows.things.packages] == ["1.4.2", "1.5.0"]
    assert len({one.sha256 for one in house.rows.things.packages}) == 2


def a_package(folder: Path, version: str) -> None:
    import hashlib

    folder.mkdir(exist_ok=True)
    data = program(version)
    (folder / "agent.exe").write_bytes(data)
    (folder / "package.toml").write_text(
        f'name = "labagent"\nversion = "{version}"\n[[file]]\nsource = "agent.exe"\ndest = \'labagent\\agent.exe\'\n'
        f'sha256 = "{hashlib.sha256(data).hexdigest()}"\n[service]\nname = "LabAgent"\ndisplay_name = "Lab agent"\n'
        "command = '\"%SystemRoot%\\labagent\\agent.exe\"'\n"
    )


# Leaving


def test_004_revoked_at_once_nothing_remains(house: House) -> None:
    house.sync(PARIS)
    house.people("ann")
    house.crew("helpdesk", "ann")
    house.grant("ann", "Deployment Administrator")
    house.grant("helpdesk", "Viewer", "paris")
    house.own("paris/lab", "ann")
    assert len(remains(house.access, "ann")) == 3
    done = house.revoke("ann", "helpdesk")
    assert done.edit is not None and done.edit.before is not None
    assert {name: len(done.edit.before[name]) for name in ("grants", "groups", "owner of")} == {
        "grants": 1, "groups": 1, "owner of": 1}  # fmt: skip
    assert remains(house.access, "ann") == () and house.access.world.people["ann"].standing is Standing.DISABLED
    assert house.access.world.objects["group:paris/lab"].owner == "helpdesk"
    assert house.revoke("ann").edit is None


@pytest.mark.thorough
@MANY
@given(of=worlds(), person=st.sampled_from(PEOPLE))
def test_in_any_world_who_is_revoked_has_nothing_and_nobody_else_has_less(
    store: Store, tmp_path: Path, of: World, person: str
) -> None:
    fill(store, whole(of))
    house = House(store, tmp_path)
    before = house.access
    try:
        house.revoke(person, "night")
    except BadInput as refused:
        assert "nobody is left to administer" in refused.sentence or "circle" in refused.sentence
        return
    after = house.access
    assert remains(after, person) == ()
    for other in set(PEOPLE) - {person}:
        had = set(before.which(other, P.MACHINE_VIEW))
        assert had <= set(after.which(other, P.MACHINE_VIEW))


def whole(of: World) -> World:
    """The same without owners who are gone, which no change would leave."""
    from dataclasses import replace

    known = {*of.people, *of.groups, None}
    return replace(of, objects={name: replace(one, owner=one.owner if one.owner in known else None)
                                for name, one in of.objects.items()})  # fmt: skip


def test_an_administrator_is_the_way_back_in(house: House) -> None:
    house.admin("root")
    assert may(house, "root", "settings.modify", "server") and house.admin("root").edit is None
    house.people("ann")
    house.change(lambda draft: people.set_standing(draft, "ann", Standing.DISABLED))
    house.admin("ann")
    assert may(house, "ann", "person.modify", "server")
    house.revoke("root")
    denied = house.grant("ann", "Viewer", "server", until=SOON)
    assert denied.edit is not None
    house.admin("bob")
    house.grant("bob", "Modifier", effect=Effect.DENY)
    again = house.admin("bob")
    assert "a deny stands against it" in again.notes[0]


# What is refused


@pytest.fixture
def full(house: House) -> House:
    """With an administrator, a synced inventory, a crew in a crew and a dynamic group."""
    house.sync(PARIS)
    house.people("ann", "bob")
    house.crew("staff")
    house.crew("helpdesk", "ann")
    house.join("helpdesk", "staff")
    house.group("pilot")
    house.group("inner")
    house.put("inner", "pilot")
    house.group("found", "group:pilot", within="paris/lab")
    house.role("Writer", "machine.modify")
    house.role("Editor", "group.modify", includes=["Writer"])
    house.grant("ann", "Editor")
    house.admin("root")
    return house


def test_a_circle_of_groups_is_refused(full: House) -> None:
    assert full.refuses(lambda: full.put("pilot", "inner")) == (
        "a circle of groups: inner, which is in pilot, which is in inner"
    )
    assert "a circle of groups" in full.refuses(lambda: full.put("pilot", "pilot"))
    assert "a circle of groups" in full.refuses(lambda: full.join("staff", "helpdesk"))


def test_a_role_with_what_there_is_not_is_refused(full: House) -> None:
    assert full.refuses(lambda: full.role("New", "machine.psuh")) == (
        "there is no permission 'machine.psuh'; expected machine.push"
    )
    assert "is no capability" in full.refuses(lambda: full.role("New", "machine.view", capabilities=["machine.view"]))
    assert "which is no role" in full.refuses(lambda: full.role("New", includes=["Gone"]))
    assert "includes itself" in full.refuses(lambda: full.role("Writer", includes=["Editor"]))
    assert "gives nothing" in full.refuses(lambda: full.role("New"))
    assert "cannot be called" in full.refuses(lambda: full.role("Viewer", "machine.view"))
    assert "is no level" in full.refuses(lambda: full.role("New", "machine.view", level="high"))
    assert "would not be given where grant" in full.refuses(lambda: full.role("Editor", "group.view", level="object"))


def test_a_role_that_is_needed_stays(full: House) -> None:
    def gone(name: str) -> str:
        return full.refuses(lambda: full.change(lambda draft: roles.remove(draft, name)))

    assert "is still given" in gone("Editor") and "is included by Editor" in gone("Writer")
    assert "is predefined and stays" in gone("Viewer") and "there is no role" in gone("Nothing")


def test_a_grant_to_nobody_or_on_nothing_is_refused(full: House) -> None:
    assert "'annn' is nobody; expected ann" in full.refuses(lambda: full.grant("annn", "Viewer"))
    assert "there is no object 'lyon'" in full.refuses(lambda: full.grant("ann", "Viewer", "lyon"))
    assert "there is no role 'Vieuer'" in full.refuses(lambda: full.grant("ann", "Vieuer"))
    assert "given on objects" in full.refuses(lambda: full.grant("ann", "Pusher"))
    assert "given on the server" in full.refuses(lambda: full.grant("ann", "Operator", "paris"))
    assert "is no dynamic group" in full.refuses(lambda: full.grant("ann", "Pusher", "result:paris"))
    assert "which is past" in full.refuses(lambda: full.grant("ann", "Viewer", until=NOW))
    assert "says the same already" in full.refuses(lambda: full.grant("ann", "Editor", until=SOON))


@pytest.mark.parametrize(
    ("query", "said"),
    [("~ws(", "'~ws('"), ("group:nowhere", "the group 'nowhere' is not there"), ("!group:nowhere", "is not there"),
     ("", "an empty pattern"), ("@file", "@"), ("a:b:!c", "a:b")],
)  # fmt: skip
def test_a_query_that_cannot_be_read_is_refused(full: House, query: str, said: str) -> None:
    sentence = full.refuses(lambda: full.group("new", query))
    assert said in sentence and sentence.startswith("--query: ")
    if query:
        assert said in full.refuses(lambda: full.change(lambda draft: groups.change(draft, "found", query, None)))


def test_an_owner_who_is_gone_is_refused(full: House) -> None:
    assert "'zoe' is nobody" in full.refuses(lambda: full.own("paris/lab", "zoe"))
    full.own("paris/lab", "bob")
    assert "is the owner of 1 object; expected --owner" in full.refuses(lambda: full.revoke("bob"))
    assert "'zoe' is nobody" in full.refuses(lambda: full.revoke("bob", "zoe"))
    assert "would keep what they own" in full.refuses(lambda: full.revoke("bob", "bob"))


def test_the_last_administrator_stays(full: House) -> None:
    last = "after root nobody is left to administer the server"
    (grant,) = [one.id for one in full.rows.subjects.grants if one.subject == "root"]
    for change in (
        lambda: full.revoke("root"),
        lambda: full.change(lambda draft: grants.remove(draft, grant)),
        lambda: full.change(lambda draft: people.set_standing(draft, "root", Standing.DISABLED)),
        lambda: full.grant("root", "Modifier", effect=Effect.DENY),
    ):
        assert last in full.refuses(change)
    full.admin("bob")
    full.revoke("root")


def test_what_an_inventory_says_is_not_changed_by_hand(full: House) -> None:
    def change(edit: object) -> str:
        return full.refuses(lambda: full.change(edit))  # type: ignore[arg-type]

    assert "whose file says what is in it" in change(lambda draft: groups.put(draft, "ws1.x", "paris/tier0"))
    assert "whose file says what is in it" in change(lambda draft: groups.take(draft, "ws1.x", "paris/lab"))
    assert "is a group of an inventory" in change(lambda draft: groups.remove(draft, "paris/lab"))
    assert "is no static group" in change(lambda draft: groups.put(draft, "ws1.x", "found"))
    assert "is not directly in" in change(lambda draft: groups.take(draft, "ws1.x", "pilot"))
    assert "is no dynamic group" in change(lambda draft: groups.change(draft, "pilot", "ws*", None))
    assert "is kept within nothing" in full.refuses(lambda: full.group("new", None, "paris"))
    assert "is not removed here" in change(lambda draft: objects.remove(draft, "machine:ws1.x"))


def test_what_a_dynamic_group_needs_stays(full: House) -> None:
    """Without it the query would find something else, perhaps more."""
    needed = full.refuses(lambda: full.change(lambda draft: groups.remove(draft, "pilot")))
    assert "is needed by the dynamic group group:found" in needed
    gone = full.refuses(lambda: full.sync("other: {hosts: [ws1.x]}"))
    assert "group:paris/lab is gone from the inventory" in gone


def test_a_name_that_is_taken_or_none_is_refused(full: House) -> None:
    assert "ann is a person already" in full.refuses(lambda: full.people("ann"))
    assert "helpdesk is a group of people already" in full.refuses(lambda: full.people("helpdesk"))
    assert "ann is a person already" in full.refuses(lambda: full.crew("ANN"))
    for name in ("", " ann", "a\nb", "\x1b[31m", "x" * 251):
        assert "cannot be called" in full.refuses(lambda name=name: full.people(name))  # type: ignore[misc]
    assert "there is a group pilot already" in full.refuses(lambda: full.group("pilot"))
    assert "is a group that no inventory made" in full.refuses(lambda: full.sync(PARIS, "pilot.yaml"))
    assert "is a group of the inventory" in full.refuses(lambda: full.sync(PARIS, "elsewhere/paris.yaml"))
    full.sync(PARIS, "elsewhere/paris.yaml", "paris2")
    full.account("push")
    assert "account:push is registered already" in full.refuses(lambda: full.account("push"))


@pytest.mark.parametrize("sid", ["x", "S-1-", "S-1-5-x", "5-21"])
def test_what_is_no_sid_is_refused(full: House, sid: str) -> None:
    assert "is no SID" in full.refuses(lambda: full.change(lambda draft: people.add_group(draft, "g", sid)))


def test_a_sid_is_one_groups(full: House) -> None:
    full.change(lambda draft: people.add_group(draft, "g", "S-1-5-21-7"))
    sentence = full.refuses(lambda: full.change(lambda draft: people.add_group(draft, "h", "S-1-5-21-7")))
    assert "is that of g already" in sentence


def test_a_word_that_means_several_is_refused(full: House) -> None:
    full.account("pilot")
    assert full.refuses(lambda: full.own("pilot", "ann")) == (
        "'pilot' is the name of several objects; expected group:pilot or account:pilot"
    )
    full.own("account:pilot", "ann")


def found_by_hand(house: House) -> set[tuple[str, str]]:
    """What the query of the group ``found`` finds among all machines that there are, by what each of them says."""
    rows, world = house.rows, house.access.world
    query = next(one.query for one in rows.things.groups if one.id == "group:found")
    assert query is not None
    gone = {one.id for one in rows.things.machines if one.gone_at}
    machines = {one.id: one.name for one in rows.things.objects if one.kind == "machine" and one.id not in gone}
    if query.startswith("group:"):
        inside = {name for name in machines if f"group:{query[6:]}" in Places(objects=world.objects).of(name).scopes}
    else:
        inside = {name for name, called in machines.items() if called.startswith(query.removesuffix("*"))}
    return {(name, "group:found") for name in inside}


# The closure


@pytest.mark.thorough
@MANY
@given(moves=st.lists(st.tuples(st.sampled_from(["put", "take", "query", "sync", "remove", "add"]),
                                st.sampled_from(["ws1.x", "ws2.x", "one", "two", "three"]),
                                st.sampled_from(["one", "two", "three"])), max_size=8))  # fmt: skip
def test_after_any_changes_the_closure_is_what_follows_from_the_rows(
    store: Store, tmp_path: Path, moves: list[tuple[str, str, str]]
) -> None:
    from sqlalchemy import delete

    from pusher.store import registry_schema
    from tests.unit.registry.rows_of import _TABLES

    with store._database.engine.begin() as connection:
        for table in (registry_schema.known_machines, *_TABLES):
            connection.execute(delete(table))
    house = House(store, tmp_path)
    house.sync("lab: {hosts: [ws1.x, ws2.x]}")
    for name in ("one", "two", "three"):
        house.group(name)
    house.group("found", "ws1*")
    changes = {
        "put": lambda a, b: house.put(a, b),
        "take": lambda a, b: house.change(lambda draft: groups.take(draft, a, b)),
        "query": lambda a, b: house.change(lambda draft: groups.change(draft, "found", f"group:{b}", None)),
        "sync": lambda a, b: house.sync(f"lab: {{hosts: [{a if '.' in a else 'ws3.x'}]}}"),
        "remove": lambda a, b: house.change(lambda draft: groups.remove(draft, b)),
        "add": lambda a, b: house.group(b),
    }
    for what, thing, group in moves:
        try:
            changes[what](thing, group)
        except BadInput:
            continue
        pairs: set[tuple[str, str]] = set()
        store.registry.change(lambda change, pairs=pairs: pairs.update(change.covers()))  # type: ignore[misc]
        rows = house.rows
        assert pairs == set(Places(objects=world_of(rows).objects).covers())
        assert {pair for pair in rows.things.members if pair[1] == "group:found"} == found_by_hand(house)


@pytest.mark.parametrize(
    ("text", "end"),
    [("8h", NOW + timedelta(hours=8)), ("1d12h", NOW + timedelta(days=1, hours=12)),
     ("2026-12-24", NOW.replace(month=12, day=24, hour=0)),
     ("2026-12-24T18:00", NOW.replace(month=12, day=24, hour=18)),
     ("2026-12-24T18:00+01:00", NOW.replace(month=12, day=24, hour=17))],
)  # fmt: skip
def test_an_end_is_read(text: str, end: object) -> None:
    assert read_end(text, NOW) == end


@pytest.mark.parametrize("text", ["", "8", "tomorrow", "999999999d", "2026-13-01"])
def test_what_is_no_end_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is no end of a grant"):
        read_end(text, NOW)


def test_every_change_is_entered_once(full: House) -> None:
    assert len(list(full.said())) == full.store.registry.number()
