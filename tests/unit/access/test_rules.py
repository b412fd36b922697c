"""The eight rules: every combination and worlds by chance against the plain model, and each rule by a story."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pusher.access import (
    ALL,
    SERVER,
    Grant,
    Kind,
    Object,
    Permission,
    Role,
    Rule,
    Standing,
    Token,
    World,
    compiled,
    result,
)
from pusher.access.permissions import OBJECTS
from pusher.problems import BadInput
from tests.unit.access import plain
from tests.unit.access.worlds import (
    DEPLOYMENT_ADMINISTRATOR,
    FULL_CONTROL,
    GROUPS,
    MACHINES,
    MAKER,
    MODIFIER,
    NOW,
    OPERATOR,
    PEOPLE,
    PUSHER,
    REPORTER,
    ROLES,
    SCOPES,
    SERVER_ADMINISTRATOR,
    SOON,
    VIEWER,
    WRITER,
    A,
    D,
    P,
    ask,
    disabled,
    grants,
    tokens,
    world,
    worlds,
)

MANY = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=60)
WIDE = (SERVER, "paris", "lab", "ws1", result("stale"), "stale")
"""Of the small world, the scopes around ws1 and one that is not."""
ASKED = (P.MACHINE_VIEW, P.MACHINE_MODIFY, P.MACHINE_PUSH, P.MACHINE_MANAGE_ACCESS)


def questions(of: World) -> list[tuple[Permission, str]]:
    """Everything that can be asked of everything."""
    found = [(permission, SERVER) for permission in Permission]
    for one in of.objects.values():
        found += [(p, one.id) for p in Permission if p.kind is one.kind and not p.creates]
        if one.kind is Kind.GROUP and not one.dynamic:
            found += [(P.MACHINE_CREATE, one.id), (P.GROUP_CREATE, one.id)]
    return found


def owned_three_ways() -> list[Object]:
    """ws1 as nobody's, as Ann's and as her group's."""
    return [Object(id=f"ws1-{owner}", kind=Kind.MACHINE, parents=("lab",), results=("stale",), owner=owner)
            for owner in (None, "ann", "helpdesk")]  # fmt: skip


@pytest.mark.thorough
def test_every_role_scope_owner_and_deny_against_the_plain_model() -> None:
    told, allowed = 0, 0
    pairs = list(itertools.product(ROLES, WIDE))
    here = owned_three_ways()
    scopes = {"ws1": "ws1-None"}
    for (role, scope), deny in itertools.product(pairs, [None, *pairs]):
        rows = [("helpdesk", role, A, scopes.get(scope, scope))]
        if deny is not None:
            rows.append(("ann", deny[0], D, scopes.get(deny[1], deny[1])))
        of = world(*rows, objects=here)
        access = compiled(of, NOW)
        for permission, one in itertools.product(ASKED, here):
            own = access.may("ann", permission, one.id).allowed
            assert own == plain.may(of, "ann", permission, one.id, NOW), (rows, permission, one.id)
            told, allowed = told + 1, allowed + own
    assert told == 8 * 6 * (1 + 8 * 6) * 3 * 4
    assert told / 10 < allowed < told * 9 / 10, "the table asks for both answers"


@pytest.mark.thorough
@MANY
@given(worlds(), tokens)
def test_in_any_world_the_answers_are_the_plain_model_s(of: World, token: Token | None) -> None:
    access = compiled(of, NOW)
    for person in ("ann", "eve", "nobody"):
        for permission, thing in questions(of):
            told = access.may(person, permission, thing, token).allowed
            assert told == plain.may(of, person, permission, thing, NOW, token), (person, permission, thing)


@pytest.mark.thorough
@MANY
@given(worlds(), tokens)
def test_which_machines_are_those_that_each_is_answered_yes(of: World, token: Token | None) -> None:
    access = compiled(of, NOW)
    for permission in ASKED:
        one_by_one = [name for name in MACHINES if access.may("ann", permission, name, token).allowed]
        assert list(access.which("ann", permission, token)) == one_by_one


@pytest.mark.thorough
@MANY
@given(worlds())
def test_anywhere_is_the_server_or_any_object(of: World) -> None:
    access = compiled(of, NOW)
    asked = questions(of)
    for permission in Permission:
        somewhere = any(access.may("ann", p, thing).allowed for p, thing in asked if p is permission)
        assert access.anywhere("ann", permission) == somewhere, permission


@pytest.mark.thorough
@MANY
@given(worlds())
def test_the_closure_is_the_plain_model_s(of: World) -> None:
    told = sorted(compiled(of, NOW).places.covers())
    assert told == sorted((s, name) for name in of.objects for s in plain.around(of, name) - {SERVER})


@pytest.mark.thorough
@MANY
@given(worlds(), st.sampled_from(["ann", "helpdesk"]), st.sampled_from(ROLES), st.sampled_from(SCOPES))
def test_one_more_deny_never_gives_anything(of: World, subject: str, role: Role, scope: str) -> None:
    more = of.granting(Grant(id="more", subject=subject, role=role, effect=D, scope=scope))
    before, after = compiled(of, NOW), compiled(more, NOW)
    for permission, thing in questions(of):
        gained = after.may("ann", permission, thing).allowed and not before.may("ann", permission, thing).allowed
        assert not gained, (permission, thing)


@pytest.mark.thorough
@MANY
@given(worlds(), st.sampled_from(["ann", "helpdesk"]), st.sampled_from(ROLES), st.sampled_from(SCOPES))
def test_one_more_allow_never_takes_anything(of: World, subject: str, role: Role, scope: str) -> None:
    more = of.granting(Grant(id="more", subject=subject, role=role, effect=A, scope=scope))
    before, after = compiled(of, NOW), compiled(more, NOW)
    for permission, thing in questions(of):
        lost = before.may("ann", permission, thing).allowed and not after.may("ann", permission, thing).allowed
        assert not lost, (permission, thing)


@pytest.mark.thorough
@MANY
@given(worlds(), tokens)
def test_a_token_never_gives_what_its_owner_has_not(of: World, token: Token | None) -> None:
    access = compiled(of, NOW)
    for permission, thing in questions(of):
        by_token = access.may("ann", permission, thing, token).allowed
        assert not by_token or access.may("ann", permission, thing).allowed


def test_rule_1_a_disabled_person_may_nothing_not_even_with_what_is_theirs() -> None:
    for standing in (Standing.DISABLED, Standing.DISABLED_IN_DIRECTORY):
        of = disabled(world(("ann", SERVER_ADMINISTRATOR, A, SERVER)), "ann", standing)
        assert ask(of, "ann", "group.view", "anns").rule is Rule.DISABLED
    assert (
        ask(world(("mallory", SERVER_ADMINISTRATOR, A, SERVER)), "mallory", "group.view", "lab").rule is Rule.DISABLED
    )


def test_rule_2_a_token_narrows_to_its_permissions_and_its_group() -> None:
    of = world(("ann", DEPLOYMENT_ADMINISTRATOR, A, SERVER), ("ann", VIEWER, A, SERVER))
    views = Token(permissions=frozenset({P.MACHINE_VIEW}))
    assert ask(of, "ann", "machine.push", "ws2", views).rule is Rule.TOKEN
    in_lab = Token(permissions=ALL, within="lab")
    assert ask(of, "ann", "machine.push", "ws1", in_lab).allowed
    assert ask(of, "ann", "machine.push", "ws2", in_lab).rule is Rule.TOKEN
    assert ask(of, "ann", "machine.view", SERVER, in_lab).rule is Rule.TOKEN
    assert ask(of, "ann", "group.view", "paris", in_lab).rule is Rule.TOKEN
    for needed in (("run.create", SERVER), ("package.assign", "agent"), ("account.assign", "push-2026")):
        assert ask(of, "ann", *needed, in_lab).allowed, "else a token that is limited could not push at all"


def test_rule_3_a_capability_is_wanted_of_the_owner_too_and_only_a_server_wide_grant_gives_it() -> None:
    mine = Object(id="ws2", kind=Kind.MACHINE, owner="ann")
    for rows in ([], [("ann", DEPLOYMENT_ADMINISTRATOR, A, "ws2")], [("ann", FULL_CONTROL, A, SERVER)]):
        assert ask(world(*rows, objects=[mine]), "ann", "machine.push", "ws2").rule is Rule.CAPABILITY
    assert ask(world(("ann", OPERATOR, A, SERVER), objects=[mine]), "ann", "machine.push", "ws2").rule is Rule.OWNER


@pytest.mark.parametrize("role", [OPERATOR, PUSHER, VIEWER], ids=lambda one: one.name)
def test_rule_3_a_server_wide_deny_takes_the_capability_from_the_owner_too(role: Role) -> None:
    """Operator adds it, Pusher adds the act, Viewer is the view: each deny takes it."""
    mine = Object(id="ws2", kind=Kind.MACHINE, owner="ann")
    of = world(("ann", DEPLOYMENT_ADMINISTRATOR, A, SERVER), ("staff", role, D, SERVER), objects=[mine])
    answer = ask(of, "ann", "machine.push", "ws2")
    assert (answer.rule, answer.grant and answer.grant.id) == (Rule.CAPABILITY, "g1")
    elsewhere = world(("ann", DEPLOYMENT_ADMINISTRATOR, A, SERVER), ("staff", role, D, "ws2"), objects=[mine])
    assert ask(elsewhere, "ann", "machine.push", "ws2").rule is Rule.OWNER, "a deny on the object yields to its owner"


def test_rule_3_a_deny_takes_no_capability_that_its_role_merely_includes() -> None:
    of = world(("ann", DEPLOYMENT_ADMINISTRATOR, A, SERVER), ("ann", VIEWER, A, SERVER), ("ann", REPORTER, D, SERVER))
    assert ask(of, "ann", "machine.push", "ws1").allowed
    assert ask(of, "ann", "account.test", "push-2026").rule is Rule.CAPABILITY


def test_rule_4_ownership_is_of_the_object_alone() -> None:
    of = world(("ann", MODIFIER, D, SERVER), objects=[Object(id="ws2", kind=Kind.MACHINE, parents=("anns",))])
    assert ask(of, "ann", "group.modify", "anns").rule is Rule.OWNER
    assert ask(of, "ann", "machine.view", "ws2").rule is Rule.NOTHING
    assert ask(of, "ann", "group.create", "anns").allowed
    assert not ask(of, "ann", "machine.create", "anns").allowed, "her group is no way to any address"


def test_rule_4_what_a_group_owns_its_members_own_at_any_depth() -> None:
    of = world(objects=[Object(id="lab", kind=Kind.GROUP, owner="staff")])
    assert ask(of, "ann", "group.delete", "lab").rule is Rule.OWNER
    assert ask(of, "eve", "group.delete", "lab").rule is Rule.VIEW_FIRST


def test_rule_5_the_nearest_deny_is_named() -> None:
    of = world(("ann", FULL_CONTROL, A, SERVER), ("staff", MODIFIER, D, SERVER), ("helpdesk", MODIFIER, D, "lab"))
    answer = ask(of, "ann", "machine.modify", "ws1")
    assert (answer.rule, answer.grant and answer.grant.id) == (Rule.DENY, "g2")


def test_rule_5_a_result_is_denied_without_its_definition() -> None:
    of = world(("ann", VIEWER, A, SERVER), ("ann", VIEWER, D, result("stale")))
    assert ask(of, "ann", "machine.view", "srv").rule is Rule.DENY
    assert ask(of, "ann", "group.view", "stale").allowed
    assert ask(of, "ann", "machine.view", "ws2").allowed


def test_rule_6_the_refusal_of_the_view_is_told() -> None:
    answer = ask(world(("ann", WRITER, A, SERVER)), "ann", "machine.modify", "ws1")
    assert answer.rule is Rule.VIEW_FIRST
    assert answer.view is not None
    assert (answer.view.permission, answer.view.rule) == (P.MACHINE_VIEW, Rule.NOTHING)


def test_rule_6_what_is_created_in_a_group_wants_the_group_s_view_and_on_the_server_none() -> None:
    of = world(("ann", MAKER, A, SERVER))
    assert ask(of, "ann", "machine.create", "lab").rule is Rule.VIEW_FIRST
    assert ask(of, "ann", "machine.create", SERVER).allowed
    of = world(("ann", MAKER, A, "lab"), ("ann", VIEWER, A, "lab"))
    assert ask(of, "ann", "machine.create", "lab").allowed
    assert not ask(of, "ann", "machine.create", SERVER).allowed


def test_rule_7_grants_add_up_over_people_groups_and_scopes() -> None:
    of = world(("staff", VIEWER, A, "paris"), ("ann", WRITER, A, result("stale")))
    assert ask(of, "ann", "machine.modify", "ws1").rule is Rule.ALLOW
    assert ask(of, "ann", "machine.modify", "ws2").rule is Rule.NOTHING
    assert ask(of, "ann", "machine.modify", "srv").rule is Rule.VIEW_FIRST


def test_rule_8_nothing_gives_it() -> None:
    answer = ask(world(), "eve", "machine.view", "ws1")
    assert (answer.rule, answer.allowed, answer.grant) == (Rule.NOTHING, False, None)


def test_a_grant_is_gone_at_the_moment_it_ends_a_deny_too() -> None:
    given, taken = grants(("ann", VIEWER, A, "lab"), ("ann", VIEWER, D, "ws1"))
    of = world().granting(replace(given, until=SOON), replace(taken, until=NOW + timedelta(hours=1)))
    told = [compiled(of, at).may("ann", P.MACHINE_VIEW, "ws1").rule
            for at in (NOW, NOW + timedelta(hours=1), SOON - timedelta(seconds=1), SOON)]  # fmt: skip
    assert told == [Rule.DENY, Rule.ALLOW, Rule.ALLOW, Rule.NOTHING]
    assert compiled(of, NOW).good_until == NOW + timedelta(hours=1)
    assert compiled(of, NOW + timedelta(hours=1)).good_until == SOON
    assert compiled(of, SOON).good_until is None


def test_a_result_never_leaves_its_within() -> None:
    finds = Object(id="stale", kind=Kind.GROUP, dynamic=True, within="paris")
    of = world(("ann", VIEWER, A, result("stale")), objects=[finds])
    assert ask(of, "ann", "machine.view", "ws1").allowed
    assert not ask(of, "ann", "machine.view", "srv").allowed, "it was found, but is not in Paris"


@pytest.mark.parametrize(
    ("permission", "thing", "said"),
    [
        (P.MACHINE_PUSH, "ws9", "there is no object 'ws9'"),
        (P.MACHINE_PUSH, "agent", "machine.push is not asked of agent; expected the server or a machine"),
        (P.MACHINE_CREATE, "stale", "machine.create is not asked of stale; expected the server or a static group"),
        (P.PACKAGE_CREATE, "lab", "package.create is not asked of lab; expected the server"),
        (P.PERSON_MODIFY, "ws1", "person.modify is not asked of ws1; expected the server"),
    ],
)
def test_what_cannot_be_asked_is_a_sentence(permission: Permission, thing: str, said: str) -> None:
    with pytest.raises(BadInput) as raised:
        compiled(world(), NOW).may("ann", permission, thing)
    assert str(raised.value) == said


@pytest.mark.parametrize("permission", [P.MACHINE_CREATE, P.PERSON_VIEW])
def test_what_is_asked_of_no_object_has_no_condition(permission: Permission) -> None:
    with pytest.raises(BadInput, match="is asked of no"):
        compiled(world(), NOW).where("ann", permission)
    with pytest.raises(BadInput, match="is asked of no"):
        next(compiled(world(), NOW).which("ann", permission))


def test_the_kinds_of_the_worlds_are_those_with_objects() -> None:
    kinds = {one.kind for one in world().objects.values()}
    assert kinds < set(OBJECTS)
    assert set(PEOPLE) == set(world().people)
    assert set(GROUPS) < set(SCOPES)
