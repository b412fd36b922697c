"""What access decides of the registry's rows is what the rules say of the world that was written, on both databases."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from pusher.access import SERVER, Permission, Token, World, compiled
from pusher.models.registry import GrantRow, PersonRow
from pusher.problems import BadInput
from pusher.registry.loaded import Loaded
from pusher.registry.world import world_of
from pusher.store import Store
from pusher.store.registry_change import RegistryChange
from tests.unit.access import plain
from tests.unit.access.worlds import NOW, SOON, A, P, tokens, world, worlds
from tests.unit.access.worlds import VIEWER as VIEWER_ROLE
from tests.unit.registry.rows_of import fill

MANY = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=40)
LISTED = (P.MACHINE_VIEW, P.MACHINE_PUSH, P.MACHINE_MANAGE_ACCESS, P.GROUP_VIEW, P.GROUP_MODIFY, P.PACKAGE_ASSIGN)


def changed(store: Store, work: Callable[[RegistryChange], None]) -> None:
    def raised(change: RegistryChange) -> None:
        work(change)
        change.raise_number()

    store.registry.change(raised)


@pytest.mark.thorough
@MANY
@given(of=worlds(), token=tokens)
def test_in_any_world_the_tables_decide_as_the_rules_do(store: Store, of: World, token: Token | None) -> None:
    """One by one, as a list in Python, and as a condition in SQL over the real tables."""
    fill(store, of)
    access = compiled(world_of(store.registry.rows()), NOW)
    for person, permission in itertools.product(("ann", "eve"), LISTED):
        named = [one.id for one in of.objects.values() if one.kind is permission.kind]
        told = {name for name in named if plain.may(of, person, permission, name, NOW, token)}
        assert {name for name in named if access.may(person, permission, name, token).allowed} == told
        condition = access.where(person, permission, token)
        assert set(store.registry.found(permission.kind.value, condition)) == told, (person, permission)
        assert store.registry.count(permission.kind.value, condition) == len(told)


@pytest.mark.thorough
@MANY
@given(of=worlds())
def test_in_any_world_what_is_written_is_what_is_read(store: Store, of: World) -> None:
    fill(store, of)
    read = world_of(store.registry.rows())
    assert read.people == dict(of.people) and read.groups.keys() == of.groups.keys()
    assert {name: groups for name, groups in of.members.items() if groups} == read.members
    assert {role.name: (role.permissions, role.denies, role.all_capabilities, role.level) for role in read.roles} == {
        role.name: (role.permissions, role.denies, role.all_capabilities, role.level) for role in of.roles
    }
    seen = {one.id: (one.subject, one.role.name, one.effect, one.scope, one.until) for one in read.grants}
    assert seen == {one.id: (one.subject, one.role.name, one.effect, one.scope, one.until) for one in of.grants}
    for name, one in of.objects.items():
        found = read.objects[name]
        assert (set(found.parents), set(found.results), found.owner, found.within, found.dynamic, found.kind) == (
            *(set(one.parents), set(one.results), one.owner, one.within, one.dynamic, one.kind),
        )


def test_it_is_read_once_until_something_changes(store: Store) -> None:
    fill(store, world(("ann", VIEWER_ROLE, A, SERVER)))
    loaded = Loaded(store, lambda: NOW)
    first = loaded.access()
    assert loaded.access() is first
    assert first.may("ann", P.MACHINE_VIEW, "ws1").allowed
    changed(store, lambda change: change.drop(GrantRow, "g0"))
    assert not loaded.access().may("ann", P.MACHINE_VIEW, "ws1").allowed


def test_what_is_kept_ends_with_the_next_grant(store: Store) -> None:
    of = world(("ann", VIEWER_ROLE, A, SERVER))
    fill(store, replace(of, grants=(replace(of.grants[0], until=SOON),)))
    now = NOW
    loaded = Loaded(store, lambda: now)
    first = loaded.access()
    now = SOON - timedelta(microseconds=1)
    assert loaded.access() is first and first.may("ann", P.MACHINE_VIEW, "ws1").allowed
    now = SOON
    later = loaded.access()
    assert not later.may("ann", P.MACHINE_VIEW, "ws1").allowed
    assert loaded.access() is later
    now = NOW
    assert loaded.access().may("ann", P.MACHINE_VIEW, "ws1").allowed, "a clock that is set back"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("UPDATE grants SET role = 'Nothing'", "is of role 'Nothing', which is not there"),
        ("UPDATE grants SET effect = 'maybe'", "'maybe' is not a valid Effect"),
        ("UPDATE people SET standing = 'odd'", "'odd' is not a valid Standing"),
        ("UPDATE objects SET kind = 'thing' WHERE id = 'ws1'", "an object of kind 'thing'"),
        ("""UPDATE roles SET permissions = '["machine.fly"]'""", "there is no permission 'machine.fly'"),
        ("""UPDATE roles SET includes = '["Gone"]'""", "includes 'Gone', which is no role"),
    ],
)
def test_a_row_that_nobody_understands_is_never_left_out(store: Store, spoil: str, said: str) -> None:
    """It might be a deny."""
    fill(store, world(("ann", VIEWER_ROLE, A, SERVER)))
    with store._database.engine.begin() as connection:
        connection.execute(text(spoil))
    with pytest.raises(BadInput, match=said):
        Loaded(store, lambda: NOW).access()


def test_a_person_who_comes_is_seen_at_once(store: Store) -> None:
    loaded = Loaded(store, lambda: NOW)
    assert loaded.access().world.people == {}
    changed(store, lambda change: change.put(PersonRow(id="zoe")))
    assert list(loaded.access().world.people) == ["zoe"]
    assert not loaded.access().may("zoe", Permission.MACHINE_VIEW).allowed
