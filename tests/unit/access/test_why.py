"""Every kind of answer in words: the reason, the roles that would do away with it, and who could give one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from pusher.access import SERVER, Grant, Kind, Object, Permission, Rule, Standing, Token, World, compiled, result
from pusher.access.guards import may_grant, may_revoke
from pusher.access.why import Why, doing, why
from pusher.problems import BadInput
from tests.unit.access.test_rules import questions
from tests.unit.access.worlds import (
    DEPLOYMENT_ADMINISTRATOR,
    FULL_CONTROL,
    MODIFIER,
    NOW,
    OPERATOR,
    PAST,
    PUSHER,
    SERVER_ADMINISTRATOR,
    VIEWER,
    WRITER,
    A,
    D,
    P,
    disabled,
    grants,
    world,
    worlds,
)

ROOT = ("root", SERVER_ADMINISTRATOR, A, SERVER)
SEES = ("ann", VIEWER, A, SERVER)
CAN = ("ann", OPERATOR, A, SERVER)
NAMED = Object(id="lab", kind=Kind.GROUP, parents=("paris",), name="Paris lab")


def told(of: World, asked: str, token: Token | None = None, reader: str | None = None) -> Why:
    permission, thing = asked.split()
    return why(compiled(of, NOW), "ann", Permission(permission), thing, token=token, reader=reader)


def ended() -> World:
    (old,) = grants(("helpdesk", PUSHER, A, "paris"))
    return world(ROOT, SEES, CAN).granting(replace(old, id="old", until=PAST))


OWNED = Object(id="lab", kind=Kind.GROUP, owner="staff")
REASONS: dict[str, tuple[World, str, str, list[str], list[str]]] = {
    "disabled": (
        disabled(world(ROOT, SEES), "ann"),
        "group.modify lab",
        "Ann may not modify lab: Ann is disabled.",
        [],
        ["root"],
    ),
    "disabled in the directory": (
        disabled(world(ROOT), "ann", Standing.DISABLED_IN_DIRECTORY),
        "settings.view server",
        "Ann may not view the settings: Ann is disabled in the directory.",
        [],
        ["root"],
    ),
    "no capability": (
        world(ROOT, SEES, ("bob", OPERATOR, A, SERVER)),
        "machine.push ws1",
        "Ann may not push to ws1: no role on the server gives Ann the capability to push to machines.",
        ["Operator", "Deployment Administrator", "Restricted Group Administrator", "Server Administrator"],
        ["root"],
    ),
    "capability denied": (
        world(ROOT, SEES, CAN, ("staff", OPERATOR, D, SERVER)),
        "machine.push ws1",
        "Ann may not push to ws1: staff is denied Operator on the server, and with it the capability.",
        [],
        ["root"],
    ),
    "owner": (world(objects=[OWNED]), "group.delete lab", "Ann may delete lab: staff owns it.", [], []),
    "deny": (
        world(ROOT, SEES, CAN, ("helpdesk", PUSHER, D, "lab"), ("bob", FULL_CONTROL, A, "paris"), objects=[NAMED]),
        "machine.push ws1",
        "Ann may not push to ws1: helpdesk is denied Pusher on Paris lab.",
        [],
        ["root"],
    ),
    "deny of a result": (
        world(ROOT, SEES, ("ann", VIEWER, D, result("stale"))),
        "machine.export srv",
        "Ann may not export srv: Ann is denied Viewer on what stale finds.",
        [],
        ["root"],
    ),
    "view first": (
        world(ROOT, ("ann", WRITER, A, SERVER), ("bob", FULL_CONTROL, A, "lab")),
        "machine.modify ws1",
        "Ann may not modify ws1: Ann may not view it, since no role gives Ann machine.view there.",
        ["Pusher", "Viewer", "Modifier", "Restricted Group Administrator", "Full Control", "Server Administrator"],
        ["bob", "root"],
    ),
    "allow": (
        world(("staff", VIEWER, A, "paris")),
        "machine.view ws2",
        "Ann may view ws2: staff is allowed Viewer on paris.",
        [],
        [],
    ),
    "nothing": (
        world(ROOT, SEES, CAN, ("eve", FULL_CONTROL, A, "ws1"), ("eve", DEPLOYMENT_ADMINISTRATOR, A, SERVER)),
        "machine.push ws1",
        "Ann may not push to ws1: no role gives Ann machine.push there.",
        ["Pusher", "Deployment Administrator", "Restricted Group Administrator", "Server Administrator"],
        ["root", "eve"],
    ),
    "nothing any more": (
        ended(),
        "machine.push ws2",
        "Ann may not push to ws2: no role gives Ann machine.push there; what helpdesk had by Pusher on paris ended at "
        "2026-11-01 09:00 UTC.",
        ["Pusher", "Deployment Administrator", "Restricted Group Administrator", "Server Administrator"],
        ["root"],
    ),
    "nothing on the server": (
        world(ROOT),
        "run.create server",
        "Ann may not create runs: no role gives Ann run.create there.",
        ["Operator", "Deployment Administrator", "Restricted Group Administrator", "Server Administrator"],
        ["root"],
    ),
}


@pytest.mark.parametrize("name", REASONS)
def test_every_kind_of_answer_in_words(name: str) -> None:
    of, asked, sentence, roles, grantors = REASONS[name]
    found = told(of, asked, reader="root" if "root" in str(of.grants) else "ann")
    assert found.sentence.replace("You", "Ann") == sentence
    assert [role.name for role in found.roles] == roles
    assert sorted(found.grantors) == sorted(grantors)
    assert found.grant == (found.answer.grant if found.answer else None)


def test_the_reasons_are_complete() -> None:
    """Each rule has a row; the token's are below."""
    known = {compiled(of, NOW).may("ann", Permission(asked.split()[0]), asked.split()[1]).rule
             for of, asked, *_ in REASONS.values()}  # fmt: skip
    assert known == set(Rule) - {Rule.TOKEN}


@pytest.mark.parametrize(
    ("token", "said"),
    [
        (Token(permissions=frozenset()), "the token is not for machine.push"),
        (Token(permissions=frozenset({P.MACHINE_PUSH}), within="paris"), "the token is limited to paris"),
    ],
)
def test_what_a_token_refuses_nobody_can_grant(token: Token, said: str) -> None:
    found = told(world(ROOT, SEES, CAN, ("ann", PUSHER, A, "srv")), "machine.push srv", token)
    assert found.sentence == f"You may not push to srv: {said}."
    assert (found.roles, found.grantors) == ((), ())


def test_the_person_is_told_as_you() -> None:
    assert told(world(objects=[replace(OWNED, owner="ann")]), "group.view lab").sentence.endswith("lab: you own it.")
    of = world(("ann", VIEWER, A, SERVER), ("ann", MODIFIER, D, SERVER))
    assert told(of, "group.modify lab").sentence == "You may not modify lab: you are denied Modifier on the server."
    assert told(world(SEES), "group.modify lab").sentence == (
        "You may not modify lab: no role gives you group.modify there.")  # fmt: skip
    of = world(("ann", WRITER, A, SERVER))
    found = told(of, "machine.modify ws1", reader="ann")
    assert found.sentence == "You may not modify this machine: there is none, or you may not view it."


def test_what_the_reader_may_not_view_is_as_if_it_were_not_there() -> None:
    of = world(ROOT, ("bob", FULL_CONTROL, A, "ws1"), ("ann", VIEWER, D, "ws1"), SEES)
    assert told(of, "machine.push ws1") == told(of, "machine.push ws9")
    found = told(of, "machine.push ws9")
    assert found.sentence == "You may not push to this machine: there is none, or you may not view it."
    assert (found.answer, found.grant, found.grantors, found.allowed) == (None, None, (), False)
    assert found.roles[0] == PUSHER
    assert told(of, "machine.push ws1", reader="root").answer is not None
    assert told(of, "machine.push agent", reader="eve") == told(of, "machine.push ws1", reader="eve")


def test_who_asks_what_cannot_be_asked_of_what_they_see_is_told_so() -> None:
    with pytest.raises(BadInput, match="not asked of agent"):
        told(world(SEES), "machine.push agent")


@pytest.mark.parametrize("permission", list(Permission))
def test_every_permission_is_an_act_in_words_complete(permission: Permission) -> None:
    said, of_all = doing(permission, "X"), doing(permission, "")
    verbs = {"assign": said.split()[0], "manage-access": "manage", "change-ownership": "change"}
    assert said.split()[0] == of_all.split()[0] == verbs.get(permission.action, permission.action)
    assert "X" in said
    assert "{}" not in said + of_all
    assert len(of_all.split()) > 1


@pytest.mark.thorough
@settings(suppress_health_check=list(HealthCheck), max_examples=40)
@given(worlds())
def test_in_any_world_what_is_advised_helps_and_who_is_named_can(of: World) -> None:
    of = of.granting(Grant(id="root", subject="root", role=SERVER_ADMINISTRATOR, scope=SERVER))
    of = disabled(of, "root", Standing.ENABLED)
    access = compiled(of, NOW)
    for permission, thing in questions(of)[::5]:
        answer = access.may("ann", permission, thing)
        found = why(access, "ann", permission, thing, reader="root")
        if found.answer is None:
            assert not access.may("root", Permission(f"{of.objects[thing].kind}.view"), thing).allowed
            continue
        assert found.answer == answer
        for role in found.roles:
            scope = thing if role.level != "server" and answer.rule is not Rule.CAPABILITY else SERVER
            new = Grant(id="new", subject="ann", role=role, scope=scope)
            after = compiled(of.granting(new), NOW).may("ann", permission, thing)
            assert (after.rule, after.view) != (answer.rule, answer.view), (role.name, answer)
        for who in found.grantors:
            assert who != "ann"
            if answer.grant is not None:
                assert may_revoke(access, who, answer.grant) == ()
            elif found.roles:
                offers = [Grant(id="n", subject="ann", role=r, scope=s) for r in found.roles for s in (SERVER, thing)]
                assert any(may_grant(access, who, one) == () for one in offers)
