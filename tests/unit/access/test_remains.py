"""What somebody still has when they go, and whether who has part in an act has all that it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from pusher.access import (
    NEEDS,
    OUTWARD,
    PREDEFINED,
    SERVER,
    Act,
    Effect,
    Kind,
    Object,
    Role,
    World,
    compiled,
    read_role,
)
from pusher.access.lacks import Shortfall, dead_buttons, lacks, never
from pusher.access.permissions import ACTS, Need
from pusher.access.remains import Way, remains
from tests.unit.access.test_rules import questions
from tests.unit.access.worlds import (
    DEPLOYMENT_ADMINISTRATOR,
    NOW,
    OPERATOR,
    PUSHER,
    RESTRICTED,
    SOON,
    VIEWER,
    A,
    D,
    P,
    disabled,
    world,
    worlds,
)

LEVEL_2 = Role(
    name="Level 2 Workers",
    adds=frozenset({P.MACHINE_VIEW, P.MACHINE_PUSH, P.PACKAGE_VIEW, P.PACKAGE_ASSIGN, P.RUN_CREATE}),
    capabilities=OUTWARD,
)
CAPABILITY = "the capability machine.push"
ACCOUNTS = read_role("Accounts", ["account.view", "account.assign"])


def said(found: Shortfall) -> tuple[list[str], list[str]]:
    return [str(one) for one in found.missing], [str(one) for one in found.by_design]


def test_004_revoked_server_wide_what_remains_is_listed() -> None:
    of = world(("ann", VIEWER, A, SERVER), ("staff", PUSHER, A, "paris"), ("ann", VIEWER, D, "lab"))
    nights = Object(id="w", kind=Kind.WINDOW, owner="helpdesk", name="Nights")
    of = replace(of, grants=(replace(of.grants[0], until=NOW), *of.grants[1:]), objects={**of.objects, "w": nights})
    found = remains(compiled(of, NOW), "ann")
    assert [one.said(of) for one in found] == [
        "owner of anns", "owner of annspkg", "owner of Nights as a member of helpdesk",
        "Pusher on paris as a member of staff"]  # fmt: skip
    assert [one.way for one in found] == [Way.OWNER, Way.OWNER, Way.GROUP_OWNER, Way.GROUP_GRANT]


def test_a_grant_that_ends_says_when() -> None:
    of = world(("ann", VIEWER, A, SERVER))
    (found, *_) = remains(compiled(replace(of, grants=(replace(of.grants[0], until=SOON),)), NOW), "ann")
    assert found.said(of) == "Viewer on the server until 2026-11-02 17:00 UTC"
    assert found.way is Way.GRANT


@pytest.mark.thorough
@settings(suppress_health_check=list(HealthCheck), max_examples=60)
@given(worlds())
def test_without_what_remains_a_person_may_nothing(of: World) -> None:
    listed = remains(compiled(of, NOW), "ann")
    gone = {one.grant.id for one in listed if one.grant is not None}
    theirs = {one.thing: replace(of.objects[one.thing], owner=None) for one in listed if one.thing is not None}
    kept = tuple(one for one in of.grants if one.id not in gone)
    after = replace(of, grants=kept, objects={**of.objects, **theirs})
    access = compiled(after, NOW)
    assert [asked for asked in questions(after) if access.may("ann", *asked).allowed] == []
    hers = compiled(of, NOW).subjects("ann")
    assert all(one.effect is D or one.ends <= NOW or one.subject not in hers for one in kept)
    assert {one.owner for one in of.objects.values() if one.id in theirs} <= hers


def test_001_level_2_workers_who_push_without_accounts_are_told_when_the_role_is_saved() -> None:
    assert said(lacks(LEVEL_2, Act.PUSH)) == (["account.view", "account.assign"], [])
    both = replace(LEVEL_2, adds=LEVEL_2.adds | ACCOUNTS.adds)
    assert said(lacks(both, Act.PUSH)) == ([], [])
    access = compiled(world(("helpdesk", LEVEL_2, A, SERVER), ("ann", ACCOUNTS, A, "push-2026")), NOW)
    assert [str(one) for one in never(access, "bob", Act.PUSH)] == ["account.view", "account.assign"]
    assert never(access, "ann", Act.PUSH) == (), "another role gives it to her"
    assert dead_buttons(access, Act.PUSH) == {"bob": never(access, "bob", Act.PUSH)}


def test_what_a_role_leaves_to_others_is_no_fault_of_it() -> None:
    assert said(lacks(DEPLOYMENT_ADMINISTRATOR, Act.PUSH)) == ([], ["machine.view"])
    assert said(lacks(OPERATOR, Act.PUSH)) == ([], ["machine.view", "machine.push"])
    assert said(lacks(PUSHER, Act.PUSH)) == ([], ["run.create", "package.view", "package.assign", "account.view",
                                                 "account.assign", "the capability machine.push"])  # fmt: skip
    assert said(lacks(replace(PUSHER, adds=frozenset({P.MACHINE_PUSH})), Act.PUSH))[0] == ["machine.view"]
    assert lacks(VIEWER, Act.PUSH) == lacks(VIEWER, Act.TEST) == Shortfall()
    assert lacks(RESTRICTED, Act.PUSH) == Shortfall()


@pytest.mark.parametrize("role", PREDEFINED, ids=lambda one: one.name)
@pytest.mark.parametrize("act", Act)
def test_no_predefined_role_lacks_anything(role: Role, act: Act) -> None:
    assert lacks(role, act).missing == ()


def test_after_an_upgrade_that_asks_for_more_the_dead_buttons_are_found() -> None:
    """Version 8.7.3 of another product came to ask for one item more, and its Install button failed for a role."""
    more = {**NEEDS, Act.PUSH: (*NEEDS[Act.PUSH], Need(permission=P.WINDOW_VIEW))}
    pushes = replace(LEVEL_2, adds=LEVEL_2.adds | ACCOUNTS.adds)
    of = world(("ann", pushes, A, SERVER), ("bob", OPERATOR, A, SERVER), ("bob", PUSHER, A, "paris"),
               objects=[Object(id="nights", kind=Kind.WINDOW)])  # fmt: skip
    access = compiled(of, NOW)
    assert dead_buttons(access, Act.PUSH) == {}
    assert said(lacks(pushes, Act.PUSH, more))[0] == ["window.view"]
    found = dead_buttons(access, Act.PUSH, more)
    assert {name: [str(one) for one in short] for name, short in found.items()} == {"ann": ["window.view"]}
    assert dead_buttons(compiled(disabled(of, "ann"), NOW), Act.PUSH, more) == {}


GIVEN = (("bob", OPERATOR, A, SERVER), ("bob", PUSHER, A, "paris"))


@pytest.mark.parametrize(
    ("rows", "short"),
    [
        (GIVEN, []),
        (GIVEN[1:], ["run.create", "package.view", "package.assign", "account.view", "account.assign", CAPABILITY]),
        (GIVEN[:1], ["machine.view", "machine.push"]),
        ((*GIVEN, ("bob", PUSHER, D, "paris")), ["machine.push"]),
        ((*GIVEN, ("bob", PUSHER, D, "lab")), []),
        ((*GIVEN, ("bob", OPERATOR, D, SERVER)), ["run.create", "package.assign", "account.assign", CAPABILITY]),
    ],
    ids=["all", "no operator", "no pusher", "all denied", "some denied", "capability denied"],
)
def test_what_nothing_gives_anywhere(rows: tuple[tuple[str, Role, Effect, str], ...], short: list[str]) -> None:
    access = compiled(world(*rows), NOW)
    assert [str(one) for one in never(access, "bob", Act.PUSH)] == short
    assert list(dead_buttons(access, Act.PUSH)) == (["bob"] if short else [])


def test_an_act_needs_what_it_is_and_its_view() -> None:
    needs: Mapping[Act, tuple[Need, ...]] = NEEDS
    for act, does in ACTS.items():
        asked = [one.permission for one in needs[act]]
        assert does in asked
        assert asked[asked.index(does) - 1].value == f"{does.kind}.view"
        assert does in OUTWARD
