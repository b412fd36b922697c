"""What cannot have been meant is one sentence, and the world is as it was."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings

from pusher.access import (
    PREDEFINED,
    SERVER,
    Grant,
    Kind,
    Level,
    Object,
    PeopleGroup,
    Role,
    World,
    check_grant,
    check_owner,
    check_world,
    read_permission,
    read_role,
    result,
)
from pusher.problems import BadInput
from tests.unit.access.worlds import NOW, OPERATOR, PAST, PUSHER, SOON, VIEWER, A, D, P, world, worlds

FINDS = Object(id="stale", kind=Kind.GROUP, dynamic=True)


def refused(of: World) -> str:
    before = repr(of)
    with pytest.raises(BadInput) as raised:
        check_world(of)
    assert repr(of) == before
    return str(raised.value)


def test_a_world_as_it_should_be_is_not_refused() -> None:
    check_world(world(("ann", VIEWER, A, SERVER), ("staff", PUSHER, D, result("stale"))))


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"helpdesk": {"staff"}, "staff": {"helpdesk"}}, "helpdesk, which is in staff, which is in helpdesk"),
        ({"night": {"night"}}, "night, which is in night"),
        ({"ann": {"helpdesk"}, "helpdesk": {"staff"}, "staff": {"night"}, "night": {"staff"}},
         "staff, which is in night, which is in staff"),
    ],
)  # fmt: skip
def test_a_circle_of_groups_of_people(members: dict[str, set[str]], said: str) -> None:
    of = replace(world(), members={one: frozenset(groups) for one, groups in members.items()})
    assert refused(of) == f"a circle of groups: {said}"


def test_a_circle_of_groups_of_machines() -> None:
    of = world(objects=[Object(id="paris", kind=Kind.GROUP, parents=("lab",), name="Paris")])
    assert refused(of) == "a circle of groups: Paris, which is in lab, which is in Paris"


def test_two_ways_to_one_group_are_no_circle() -> None:
    check_world(world(objects=[Object(id="ws1", kind=Kind.MACHINE, parents=("lab", "paris"))]))
    of = world()
    check_world(replace(of, members={**of.members, "ann": frozenset({"helpdesk", "staff"})}))


@pytest.mark.parametrize(
    ("of", "said"),
    [
        (replace(world(), members={"gone": frozenset({"staff"})}), "'gone' is nobody and cannot be a member"),
        (replace(world(), members={"ann": frozenset({"gone"})}), "Ann is put into 'gone'"),
        (replace(world(), groups={"ann": PeopleGroup(id="ann")}), "ann is a person and a group of people"),
        (world(objects=[Object(id=SERVER, kind=Kind.RUN)]), "an object cannot be called 'server'"),
        (world(objects=[Object(id="result:x", kind=Kind.RUN)]), "an object cannot be called 'result:x'"),
        (world(objects=[Object(id="agent", kind=Kind.PACKAGE, parents=("lab",))]), "agent is a package and cannot"),
        (world(objects=[Object(id="ws1", kind=Kind.MACHINE, parents=("stale",))]), "ws1 is put into 'stale'"),
        (world(objects=[Object(id="ws1", kind=Kind.MACHINE, parents=("ws2",))]), "ws1 is put into 'ws2'"),
        (world(objects=[Object(id="ws1", kind=Kind.MACHINE, results=("lab",))]), "ws1 is found by 'lab'"),
        (world(objects=[Object(id="lab", kind=Kind.GROUP, results=("stale",))]), "lab is a group, and dynamic"),
        (world(objects=[Object(id="ws1", kind=Kind.MACHINE, dynamic=True)]), "ws1 is a machine, and only groups"),
        (world(objects=[Object(id="lab", kind=Kind.GROUP, within="paris")]), "lab is kept within 'paris'"),
        (world(objects=[replace(FINDS, within="ws1")]), "stale is kept within 'ws1'"),
        (world(("gone", VIEWER, A, SERVER)), "'gone' is nobody and cannot be given a role"),
        (world(("ann", VIEWER, A, "nowhere")), "'nowhere' is no scope"),
        (world(("ann", VIEWER, A, "result:lab")), "'result:lab' is no scope"),
    ],
    ids=lambda one: one if isinstance(one, str) else "world",
)  # fmt: skip
def test_what_does_not_fit_together(of: World, said: str) -> None:
    assert refused(of).startswith(said)


@pytest.mark.parametrize(
    ("grant", "said"),
    [
        (Grant(id="n", subject="nobody", role=VIEWER, scope=SERVER),
         "'nobody' is nobody and cannot be given a role; expected a person or a group of people"),
        (Grant(id="n", subject="ann", role=VIEWER, scope="ws9"),
         "'ws9' is no scope; expected server, an object, or result:GROUP"),
        (Grant(id="n", subject="ann", role=PUSHER, scope=SERVER), "Pusher is given on objects, not on the server"),
        (Grant(id="n", subject="ann", role=OPERATOR, scope="lab"), "Operator is given on the server, not on objects"),
        (Grant(id="n", subject="ann", role=VIEWER, scope="lab", until=PAST),
         "the grant ends at 2026-11-01 09:00 UTC, which is past; expected a later time"),
        (Grant(id="n", subject="ann", role=VIEWER, scope="lab", until=NOW), "the grant ends at 2026-11-02"),
        (Grant(id="g0", subject="ann", role=VIEWER, scope="lab"), "there is a grant 'g0' already"),
        (Grant(id="n", subject="ann", role=Role(name="Ghost", adds=VIEWER.adds), scope="lab"), "there is no role"),
    ],
    ids=lambda one: one if isinstance(one, str) else "grant",
)  # fmt: skip
def test_a_grant_that_cannot_be(grant: Grant, said: str) -> None:
    of = world(("ann", VIEWER, A, SERVER))
    with pytest.raises(BadInput) as raised:
        check_grant(of, grant, NOW)
    assert str(raised.value).startswith(said)


def test_a_grant_of_a_role_that_is_empty_gives_nothing() -> None:
    empty = Role(name="Empty")
    with pytest.raises(BadInput, match=r"^Empty gives nothing$"):
        check_grant(replace(world(), roles=(empty,)), Grant(id="n", subject="ann", role=empty, scope="lab"), NOW)


def test_a_grant_that_can_be_is_not_refused() -> None:
    for subject, role, scope in (("ann", VIEWER, SERVER), ("staff", PUSHER, "lab"), ("ann", PUSHER, result("stale"))):
        check_grant(world(), Grant(id="n", subject=subject, role=role, scope=scope, until=SOON), NOW)


def test_an_owner_who_is_gone() -> None:
    check_owner(world(), "ann")
    check_owner(world(), "staff")
    with pytest.raises(BadInput, match=r"^'gone' is nobody and cannot be an owner; expected a person or a group"):
        check_owner(world(), "gone")


@pytest.mark.parametrize(
    ("text", "expected"), [("machine.psuh", "machine.push"), ("Machine.View", "machine.view"), ("", "KIND.ACTION")]
)
def test_an_unknown_permission_says_what_may_have_been_meant(text: str, expected: str) -> None:
    with pytest.raises(BadInput) as raised:
        read_permission(text)
    assert str(raised.value) == f"there is no permission {text!r}; expected {expected}"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"name": "Viewer", "permissions": ["machine.view"]}, "a role cannot be called 'Viewer'"),
        ({"name": " ", "permissions": ["machine.view"]}, "a role cannot be called ' '"),
        ({"permissions": ["machine.psuh"]}, "there is no permission 'machine.psuh'; expected machine.push"),
        ({"permissions": []}, "role Mine gives nothing"),
        ({"permissions": [], "level": "everywhere"}, "role Mine: 'everywhere' is no level; expected server, object"),
        ({"permissions": [], "includes": ["Boss"]}, "role Mine includes 'Boss', which is no role"),
        ({"permissions": [], "includes": ["Mine"]}, "role Mine includes itself"),
        ({"permissions": [], "includes": ["Around"]}, "role Mine includes itself"),
        ({"permissions": [], "capabilities": ["machine.view"]}, "role Mine: machine.view is no capability"),
        ({"permissions": [], "capabilities": ["machine.push"], "level": "object"}, "role Mine: a role on objects"),
        ({"permissions": [], "includes": ["Operator"], "level": "object"}, "role Mine: a role on objects"),
    ],
    ids=lambda one: one if isinstance(one, str) else "role",
)  # fmt: skip
def test_a_role_that_cannot_be(asked: dict[str, list[str]], said: str) -> None:
    known = (*PREDEFINED, Role(name="Around", includes=(Role(name="Mine", adds=VIEWER.adds),)))
    with pytest.raises(BadInput) as raised:
        read_role(**{"name": "Mine", "known": known, **asked})  # type: ignore[arg-type]
    assert str(raised.value).startswith(said)


def test_a_role_is_what_was_written() -> None:
    role = read_role("Mine", ["run.view"], level="server", includes=iter(["Operator"]), capabilities=["account.test"])
    assert role.permissions == OPERATOR.permissions | {P.RUN_VIEW}
    assert role.all_capabilities == {P.MACHINE_PUSH, P.MACHINE_REMOVE, P.ACCOUNT_TEST}
    assert role.level is Level.SERVER


def test_a_role_in_code_that_cannot_be_is_a_fault_of_the_code() -> None:
    with pytest.raises(ValueError, match="signs in"):
        Role(name="x", capabilities=frozenset({P.RUN_CREATE}))
    with pytest.raises(ValueError, match="no capability"):
        Role(name="x", level=Level.OBJECT, includes=(OPERATOR,))


@pytest.mark.thorough
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=100)
@given(worlds())
def test_a_circle_is_found_in_any_world_that_has_one(of: World) -> None:
    """By what the plain model says is around: whatever is above what is above it."""

    def circles(above: dict[str, set[str]]) -> bool:
        def reached(start: str) -> set[str]:
            found: set[str] = set()
            for _ in above:
                found |= above[start] | {up for one in found for up in above.get(one, ())}
            return found

        return any(one in reached(one) for one in above)

    has_one = circles({one: set(groups) for one, groups in of.members.items()}) or circles(
        {name: set(one.parents) for name, one in of.objects.items() if one.kind is Kind.GROUP}
    )
    try:
        check_world(of)
        said = ""
    except BadInput as exc:
        said = str(exc)
    assert bool(re.match("a circle of groups: ", said)) == has_one
