"""Nobody gives more than they hold: in any world, by any kind of change; and each guard by a story."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st

from pusher.access import (
    SERVER,
    Access,
    Effect,
    Grant,
    Kind,
    Object,
    Permission,
    Role,
    Standing,
    World,
    compiled,
    guards,
    read_role,
    result,
)
from pusher.access.holding import Part
from pusher.access.roles import with_role
from pusher.problems import BadInput
from tests.unit.access.test_rules import questions
from tests.unit.access.worlds import (
    CREWS,
    DEPLOYMENT_ADMINISTRATOR,
    EVERY_ROLE,
    FINDERS,
    FULL_CONTROL,
    GROUPS,
    MACHINES,
    MODIFIER,
    NOW,
    OPERATOR,
    PEOPLE,
    PUSHER,
    RESTRICTED,
    SCOPES,
    SERVER_ADMINISTRATOR,
    SOON,
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

SUBJECTS = (*PEOPLE, *CREWS)
MANAGER = read_role(
    "Manager", [p for p in Permission if p.kind in {"person", "role"} or "manage" in p or "assign" in p]
)
"""Who may make changes of every kind, and holds little else."""
PORTER = read_role("Porter", ["machine.view", "machine.assign", "group.view", "group.assign"])
CHIEF = ("eve", read_role("Chief", ["person.view", "person.modify"]), A, SERVER)
Change = tuple[tuple[Part, ...], World]


def put(of: World, thing: str, **new: object) -> World:
    return replace(of, objects={**of.objects, thing: replace(of.objects[thing], **new)})  # type: ignore[arg-type]


def moved(of: World, member: str, groups: frozenset[str]) -> World:
    return replace(of, members={**of.members, member: groups})


def granting(draw: st.DrawFn, access: Access) -> Change:
    new = Grant(id="new", subject=draw(st.sampled_from(SUBJECTS)), role=draw(st.sampled_from(EVERY_ROLE)),
                scope=draw(st.sampled_from(SCOPES)), effect=draw(st.sampled_from([A, A, A, D])),
                until=draw(st.sampled_from([None, SOON])))  # fmt: skip
    return guards.may_grant(access, "ann", new), access.world.granting(new)


def revoking(draw: st.DrawFn, access: Access) -> Change:
    assume(access.world.grants)
    old = draw(st.sampled_from(access.world.grants))
    return guards.may_revoke(access, "ann", old), access.world.revoking(old.id)


def putting(draw: st.DrawFn, access: Access) -> Change:
    thing, group = draw(st.sampled_from([*MACHINES, *GROUPS])), draw(st.sampled_from(GROUPS))
    after = put(access.world, thing, parents=(*access.world.objects[thing].parents, group))
    return guards.may_put(access, "ann", thing, group), after


def taking_out(draw: st.DrawFn, access: Access) -> Change:
    thing = draw(st.sampled_from([*MACHINES, *GROUPS]))
    parents = access.world.objects[thing].parents
    assume(parents)
    group = draw(st.sampled_from(parents))
    return guards.may_take_out(access, "ann", thing, group), put(
        access.world, thing, parents=tuple(one for one in parents if one != group)
    )


def finding_anew(draw: st.DrawFn, access: Access) -> Change:
    """Another query: from then on it finds any machines, all or none of those it found before."""
    group, within = draw(st.sampled_from(["stale", "old"])), draw(st.sampled_from([None, *GROUPS]))
    after = put(access.world, group, within=within)
    for name in MACHINES:
        found = set(after.objects[name].results) - {group}
        results = tuple(sorted(found | ({group} if draw(st.booleans()) else set())))
        after = put(after, name, results=results)
    return guards.may_find_anew(access, "ann", group, within), after


def deleting(draw: st.DrawFn, access: Access) -> Change:
    """Who was in it is in nothing of that name from then on."""
    thing = draw(st.sampled_from([*GROUPS, *FINDERS]))
    kept = {name: one for name, one in access.world.objects.items() if name != thing}
    return guards.may_delete(access, "ann", thing), replace(access.world, objects=kept)


def giving_to(draw: st.DrawFn, access: Access) -> Change:
    thing = draw(st.sampled_from(sorted(access.world.objects)))
    return guards.may_give_to(access, "ann", thing), put(access.world, thing, owner=draw(st.sampled_from(SUBJECTS)))


def joining(draw: st.DrawFn, access: Access) -> Change:
    member, group = draw(st.sampled_from(SUBJECTS)), draw(st.sampled_from(CREWS))
    groups = access.world.members.get(member, frozenset()) | {group}
    return guards.may_join(access, "ann", member, group), moved(access.world, member, groups)


def leaving(draw: st.DrawFn, access: Access) -> Change:
    member = draw(st.sampled_from(SUBJECTS))
    groups = access.world.members.get(member, frozenset())
    assume(groups)
    group = draw(st.sampled_from(sorted(groups)))
    return guards.may_leave(access, "ann", member, group), moved(access.world, member, groups - {group})


def enabling(draw: st.DrawFn, access: Access) -> Change:
    return guards.may_enable(access, "ann", "bob"), disabled(access.world, "bob", Standing.ENABLED)


def changing_a_role(draw: st.DrawFn, access: Access) -> Change:
    assume(access.world.grants)
    old = draw(st.sampled_from(access.world.grants)).role
    adds = draw(st.frozensets(st.sampled_from(sorted(plain_permissions())), max_size=6))
    new = replace(old, adds=draw(st.sampled_from([adds, old.adds | adds, old.adds - adds])))
    after = tuple(replace(one, role=with_role(one.role, new)) for one in access.world.grants)
    return guards.may_change_role(access, "ann", new), replace(access.world, grants=after)


def plain_permissions() -> set[Permission]:
    return {one for one in Permission if one.kind in {Kind.MACHINE, Kind.GROUP, Kind.PERSON, Kind.PACKAGE}}


CHANGES: list[Callable[[st.DrawFn, Access], Change]] = [
    granting, revoking, putting, taking_out, finding_anew, deleting, giving_to, joining, leaving, enabling,
    changing_a_role,
]  # fmt: skip

holdings = st.lists(
    st.tuples(
        st.sampled_from(["ann", "ann", "helpdesk"]),
        st.sampled_from([SERVER_ADMINISTRATOR, SERVER_ADMINISTRATOR, MANAGER, FULL_CONTROL, DEPLOYMENT_ADMINISTRATOR]),
        st.sampled_from([SERVER, SERVER, SERVER, "paris", "lab"]),
        st.sampled_from([None, None, SOON]),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.thorough
@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
@settings(suppress_health_check=list(HealthCheck), max_examples=50)
@given(data=st.data())
def test_nobody_gives_what_they_do_not_hold(change: Callable[[st.DrawFn, Access], Change], data: st.DataObject) -> None:
    """Whoever may do something after a change of Ann's that they could not before: Ann could, then and now."""
    of = data.draw(worlds(most=4))
    held = tuple(Grant(id=f"h{n}", subject=s, role=r, scope=c, until=u)
                 for n, (s, r, c, u) in enumerate(data.draw(holdings)))  # fmt: skip
    of = disabled(of, "ann", Standing.ENABLED).granting(*held)
    of = disabled(of, "bob") if change is enabling else of
    lacks, after = data.draw(st.composite(lambda draw: change(draw, compiled(of, NOW)))())
    if lacks:
        event("refused")
        return
    event("allowed")
    for at in (NOW, SOON - timedelta(seconds=1), SOON + timedelta(days=1)):
        before, then = compiled(of, at), compiled(after, at)
        for person in ("ann", "bob", "eve"):
            for permission, thing in questions(after):
                gained = (
                    then.may(person, permission, thing).allowed and not before.may(person, permission, thing).allowed
                )
                assert not gained or before.may("ann", permission, thing).allowed, (person, permission, thing, at)


def lacks(*parts: tuple[Part, ...]) -> list[str]:
    return [str(part) for some in parts for part in some]


def grant(subject: str, role: Role, scope: str, effect: Effect = A, until: timedelta | None = None) -> Grant:
    end = None if until is None else NOW + until
    return Grant(id="new", subject=subject, role=role, scope=scope, effect=effect, until=end)


def at_now(*rows: tuple[str, Role, Effect, str], objects: tuple[Object, ...] = ()) -> Access:
    return compiled(world(*rows, objects=objects), NOW)


def test_an_administrator_may_make_another() -> None:
    access = at_now(("root", SERVER_ADMINISTRATOR, A, SERVER))
    assert guards.may_grant(access, "root", grant("eve", SERVER_ADMINISTRATOR, SERVER)) == ()
    assert lacks(guards.may_grant(access, "ann", grant("eve", VIEWER, SERVER)))[0] == "account.view on server"


def test_who_manages_a_group_gives_there_what_they_hold_and_no_more() -> None:
    access = at_now(("eve", FULL_CONTROL, A, "paris"), ("eve", DEPLOYMENT_ADMINISTRATOR, A, SERVER))
    assert guards.may_grant(access, "eve", grant("bob", FULL_CONTROL, "lab")) == ()
    assert lacks(guards.may_grant(access, "eve", grant("bob", VIEWER, "anns"))) == [
        "group.manage-access on anns", "group.view on anns", "machine.view on anns"]  # fmt: skip
    assert guards.may_grant(access, "eve", grant("bob", PUSHER, "paris")) == ()


def test_a_deny_further_in_keeps_one_from_giving_all_around_it() -> None:
    access = at_now(
        ("eve", FULL_CONTROL, A, "paris"), ("eve", DEPLOYMENT_ADMINISTRATOR, A, SERVER), ("eve", PUSHER, D, "ws1")
    )
    assert lacks(guards.may_grant(access, "eve", grant("bob", PUSHER, "paris"))) == [
        "machine.push on paris", "machine.remove on paris"]  # fmt: skip


def test_a_deny_wants_no_more_than_to_manage_access() -> None:
    access = at_now(("eve", read_role("Warden", ["group.view", "group.manage-access"]), A, "paris"))
    assert guards.may_grant(access, "eve", grant("bob", FULL_CONTROL, "paris", D)) == ()
    assert lacks(guards.may_grant(access, "eve", grant("bob", FULL_CONTROL, "ws2", D))) == [
        "machine.manage-access on ws2"
    ]


def test_nobody_lifts_the_deny_that_holds_them() -> None:
    access = at_now(("eve", SERVER_ADMINISTRATOR, A, SERVER), ("eve", PUSHER, D, "lab"))
    assert lacks(guards.may_revoke(access, "eve", access.world.grants[1])) == [
        "machine.push on lab", "machine.remove on lab"]  # fmt: skip
    assert guards.may_revoke(access, "eve", access.world.grants[0]) == ()


def test_the_lifting_of_a_denied_view_gives_all_that_it_hid() -> None:
    access = at_now(("eve", read_role("Warden", ["machine.view", "group.view", "group.manage-access"]), A, SERVER),
                    ("bob", VIEWER, D, "lab"))  # fmt: skip
    said = lacks(guards.may_revoke(access, "eve", access.world.grants[1]))
    assert "machine.push on lab" in said
    assert "machine.view on lab" not in said


def test_nobody_gives_for_longer_than_they_have() -> None:
    access = compiled(world().granting(replace(grant("eve", FULL_CONTROL, "paris"), until=SOON)), NOW)
    assert guards.may_grant(access, "eve", grant("bob", VIEWER, "lab", until=timedelta(hours=8))) == ()
    assert lacks(guards.may_grant(access, "eve", grant("bob", VIEWER, "lab", until=timedelta(hours=9)))) == [
        "group.view on lab", "machine.view on lab"]  # fmt: skip


def test_the_owner_of_a_group_shares_the_group_and_reaches_no_machine_through_it() -> None:
    rows = [
        ("eve", DEPLOYMENT_ADMINISTRATOR, A, SERVER),
        ("eve", RESTRICTED, A, SERVER),
        ("bob", FULL_CONTROL, A, "mine"),
    ]
    access = at_now(*rows, objects=(Object(id="mine", kind=Kind.GROUP, owner="eve"),))
    said = lacks(guards.may_grant(access, "eve", grant("eve", FULL_CONTROL, "mine")))
    assert "machine.delete on mine" in said
    assert not [one for one in said if one.startswith("group.")]
    assert "machine.manage-access on ws2" in lacks(guards.may_put(access, "eve", "ws2", "mine")), "Bob would get it"


def test_the_owner_of_a_group_does_not_own_the_groups_inside() -> None:
    inner = Object(id="inner", kind=Kind.GROUP, parents=("anns",))
    access = at_now(objects=(inner,))
    assert lacks(guards.may_grant(access, "ann", grant("bob", read_role("Sees", ["group.view"]), "anns"))) == [
        "group.view on anns"]  # fmt: skip
    assert guards.may_grant(at_now(), "ann", grant("bob", read_role("Sees", ["group.view"]), "anns")) == ()


def test_the_capability_is_given_by_who_has_it() -> None:
    boss = ("eve", read_role("Boss", ["person.view", "person.modify", *OPERATOR.permissions]), A, SERVER)
    access = at_now(boss)
    assert lacks(guards.may_grant(access, "eve", grant("bob", OPERATOR, SERVER))) == [
        "the capability machine.push", "the capability machine.remove"]  # fmt: skip
    assert guards.may_grant(at_now(boss, ("eve", OPERATOR, A, SERVER)), "eve", grant("bob", OPERATOR, SERVER)) == ()


def test_a_result_is_given_by_who_holds_all_that_it_may_come_to_find() -> None:
    rows = [("eve", FULL_CONTROL, A, "paris"), ("eve", MODIFIER, A, "stale"), ("eve", FULL_CONTROL, A, "stale")]
    free, kept = (
        at_now(*rows),
        at_now(*rows, objects=(Object(id="stale", kind=Kind.GROUP, dynamic=True, within="paris"),)),
    )
    assert lacks(guards.may_grant(free, "eve", grant("bob", VIEWER, result("stale")))) == [
        "machine.view on result:stale"
    ]
    assert guards.may_grant(kept, "eve", grant("bob", VIEWER, result("stale"))) == ()


def test_a_query_is_changed_by_who_holds_what_its_result_gives() -> None:
    stale = Object(id="stale", kind=Kind.GROUP, dynamic=True, within="lab")
    access = at_now(("eve", FULL_CONTROL, A, "lab"), ("eve", MODIFIER, A, "stale"), ("bob", WRITER, A, result("stale")),
                    objects=(stale,))  # fmt: skip
    assert guards.may_find_anew(access, "eve", "stale", "lab") == ()
    assert lacks(guards.may_find_anew(access, "eve", "stale", "paris")) == ["machine.modify on paris"]
    assert lacks(guards.may_find_anew(access, "eve", "stale", None)) == ["machine.modify on server"]
    assert lacks(guards.may_find_anew(access, "bob", "stale", "lab"))[0] == "group.modify on stale"


def test_what_comes_into_a_group_may_come_into_the_results_within_it() -> None:
    stale = Object(id="stale", kind=Kind.GROUP, dynamic=True, within="lab")
    access = at_now(("eve", PORTER, A, SERVER),
                    ("bob", WRITER, A, result("stale")), objects=(stale,))  # fmt: skip
    assert lacks(guards.may_put(access, "eve", "srv", "lab")) == ["machine.modify on srv"]
    assert guards.may_put(access, "eve", "srv", "anns") == ()


def test_what_leaves_a_group_leaves_its_denies() -> None:
    access = at_now(("eve", PORTER, A, SERVER),
                    ("bob", WRITER, A, SERVER), ("bob", WRITER, D, "lab"))  # fmt: skip
    assert lacks(guards.may_take_out(access, "eve", "ws1", "lab")) == ["machine.modify on ws1"]
    assert guards.may_take_out(access, "eve", "ws2", "paris") == ()


def test_a_group_is_deleted_with_the_denies_that_reach_what_is_in_it() -> None:
    deletes = read_role("Deletes", ["machine.view", "group.view", "group.delete"])
    for scope in ("lab", "paris"):
        access = at_now(("eve", deletes, A, SERVER), ("bob", WRITER, D, scope))
        assert "machine.modify on lab" in lacks(guards.may_delete(access, "eve", "lab"))
        assert guards.may_delete(access, "eve", "anns") == ()
    access = at_now(("eve", deletes, A, SERVER), ("bob", WRITER, D, result("stale")))
    assert lacks(guards.may_delete(access, "eve", "stale")) == ["machine.modify on result:stale"]
    assert lacks(guards.may_delete(access, "bob", "stale"))[0] == "group.delete on stale"


def test_what_is_not_done_to_a_kind_is_a_sentence() -> None:
    with pytest.raises(BadInput, match=r"there is no permission 'run\.delete'"):
        guards.may_delete(at_now(), "ann", "run1")
    with pytest.raises(BadInput, match=r"there is no permission 'run\.assign'"):
        guards.may_put(at_now(), "ann", "run1", "lab")


def test_a_member_gets_what_the_group_has_and_what_it_owns() -> None:
    access = at_now(
        CHIEF, ("staff", WRITER, A, "lab"), objects=(Object(id="theirs", kind=Kind.PACKAGE, owner="helpdesk"),)
    )
    said = lacks(guards.may_join(access, "eve", "root", "helpdesk"))
    assert "machine.modify on lab" in said
    assert "package.delete on theirs" in said
    assert guards.may_join(access, "eve", "root", "night") == ()
    assert guards.may_join(access, "eve", "ann", "staff") == (), "she is of the staff already"
    assert lacks(guards.may_join(access, "bob", "root", "night")) == ["person.modify on server"]


def test_who_leaves_a_group_leaves_its_denies() -> None:
    access = at_now(CHIEF, ("helpdesk", WRITER, D, "lab"))
    assert lacks(guards.may_leave(access, "eve", "ann", "helpdesk")) == ["group.modify on lab", "machine.modify on lab"]
    assert guards.may_leave(access, "eve", "helpdesk", "staff") == ()


def test_who_is_let_in_again_has_what_they_had() -> None:
    of = disabled(world(CHIEF, ("root", SERVER_ADMINISTRATOR, A, SERVER)), "root")
    assert "settings.modify on server" in lacks(guards.may_enable(compiled(of, NOW), "eve", "root"))
    assert guards.may_enable(compiled(of, NOW), "eve", "night") == ()


def test_a_new_owner_gets_all_that_an_owner_has() -> None:
    access = at_now(("eve", read_role("Heir", ["package.view", "package.change-ownership"]), A, SERVER))
    assert lacks(guards.may_give_to(access, "eve", "annspkg")) == [
        "package.assign on annspkg", "package.delete on annspkg", "package.manage-access on annspkg",
        "package.modify on annspkg"]  # fmt: skip
    assert guards.may_give_to(access, "ann", "annspkg") == ()
    assert lacks(guards.may_give_to(access, "bob", "annspkg"))[1] == "package.change-ownership on annspkg"


def test_a_role_is_changed_by_who_holds_what_it_comes_to_give_wherever_it_is_given() -> None:
    keeper = ("eve", read_role("Keeper", ["role.view", "role.modify", "machine.view", "group.view"]), A, SERVER)
    more = replace(WRITER, adds=WRITER.adds | {P.MACHINE_DELETE, P.MACHINE_VIEW})
    access = at_now(keeper, ("bob", WRITER, A, "lab"))
    assert lacks(guards.may_change_role(access, "eve", more)) == ["machine.delete on lab"]
    assert guards.may_change_role(at_now(keeper), "eve", more) == (), "nobody has it"
    including = Role(name="Above", includes=(WRITER,))
    assert lacks(guards.may_change_role(at_now(keeper, ("bob", including, A, "lab")), "eve", more)) == [
        "machine.delete on lab"]  # fmt: skip
    less = replace(WRITER, adds=frozenset({P.GROUP_MODIFY}))
    assert guards.may_change_role(access, "eve", less) == ()
    assert lacks(guards.may_change_role(at_now(keeper, ("bob", WRITER, D, "lab")), "eve", less)) == [
        "machine.modify on lab"
    ]


ROOT = ("root", SERVER_ADMINISTRATOR, A, SERVER)


def without_root() -> dict[str, World]:
    of = world(ROOT)
    return {
        "disabled": disabled(of, "root"),
        "removed": replace(of, people={name: one for name, one in of.people.items() if name != "root"}),
        "revoked": of.revoking("g0"),
        "denied": of.granting(*grants(("root", MODIFIER, D, SERVER))),
        "ends": replace(of, grants=(replace(of.grants[0], until=SOON),)),
        "role changed": replace(of, grants=(replace(of.grants[0], role=VIEWER),)),
    }


@pytest.mark.parametrize("how", without_root())
def test_the_last_administrator_stays(how: str) -> None:
    with pytest.raises(BadInput) as raised:
        guards.check_administrators(world(ROOT), without_root()[how], NOW)
    assert str(raised.value).startswith("after Root nobody is left to administer the server; expected another")


def test_one_of_two_administrators_may_go() -> None:
    both = world(ROOT, ("helpdesk", SERVER_ADMINISTRATOR, A, SERVER))
    guards.check_administrators(both, both.revoking("g0"), NOW)
    guards.check_administrators(both, both.revoking("g1"), NOW)
    guards.check_administrators(world(), world(), NOW)  # before there is a first one, all is allowed
    assert guards.administrators(both, NOW) == ("ann", "bob", "root")
