"""The examples that administrators wrote down of other consoles, by their numbers, as they are decided here."""

from __future__ import annotations

from pusher.access import SERVER, Kind, Object, Rule, read_role, result
from tests.unit.access.worlds import (
    DEPLOYMENT_ADMINISTRATOR,
    FULL_CONTROL,
    MODIFIER,
    OPERATOR,
    PUSHER,
    RESTRICTED,
    SERVER_ADMINISTRATOR,
    VIEWER,
    A,
    D,
    ask,
    told,
    world,
)


def test_004_example_1_a_deny_alone_takes_nothing_from_an_owner() -> None:
    of = world(("ann", MODIFIER, D, SERVER))
    assert ask(of, "ann", "group.modify", "paris").rule is Rule.DENY
    assert ask(of, "ann", "group.modify", "anns").rule is Rule.OWNER


def test_004_example_2_a_member_s_deny_beats_the_group_s_allow() -> None:
    of = world(("helpdesk", MODIFIER, A, SERVER), ("ann", MODIFIER, D, SERVER))
    assert ask(of, "bob", "group.modify", "paris").allowed
    assert ask(of, "ann", "group.modify", "paris").rule is Rule.DENY
    assert ask(of, "ann", "group.view", "paris").allowed
    assert ask(of, "ann", "group.modify", "anns").allowed


def test_004_viewers_allow_viewer_deny_modifier_deny_server_administrator() -> None:
    of = world(("staff", VIEWER, A, SERVER), ("staff", MODIFIER, D, SERVER), ("staff", SERVER_ADMINISTRATOR, D, SERVER))
    assert ask(of, "ann", "group.view", "paris").allowed
    assert ask(of, "ann", "group.modify", "paris").rule is Rule.DENY


def test_004_restricted_group_administrator() -> None:
    of = world(("ann", RESTRICTED, A, SERVER))
    for yes in (
        "group.create server", "group.modify paris", "group.delete paris", "machine.assign ws2", "machine.push ws2",
        "package.view agent", "package.assign agent", "package.create server", "package.delete annspkg",
        "group.manage-access anns",
    ):  # fmt: skip
        assert told(of, "ann", yes).allowed, yes
    for no in (
        "package.delete agent", "package.modify agent", "group.manage-access paris", "machine.delete ws2",
        "machine.manage-access ws2", "settings.modify server", "person.view server",
    ):  # fmt: skip
        assert not told(of, "ann", no).allowed, no


def test_004_package_manager_on_one_group_sees_that_group_only() -> None:
    role = read_role("Package Manager", ["group.view", "group.assign"])
    of = world(("ann", role, A, "lab"))
    assert ask(of, "ann", "group.assign", "lab").allowed
    for no in ("group.view paris", "group.modify lab", "machine.view ws1"):
        assert not told(of, "ann", no).allowed, no


def test_004_server_and_object_roles_add_up_and_neither_overrides() -> None:
    of = world(("ann", VIEWER, A, SERVER), ("ann", FULL_CONTROL, A, "lab"))
    assert ask(of, "ann", "group.delete", "lab").allowed
    assert not ask(of, "ann", "group.delete", "paris").allowed
    of = world(("ann", MODIFIER, A, SERVER), ("ann", MODIFIER, D, "lab"))
    assert not ask(of, "ann", "group.modify", "lab").allowed
    assert ask(of, "ann", "group.modify", "paris").allowed


def test_003_one_device_denied_inside_an_allowed_group() -> None:
    of = world(("helpdesk", DEPLOYMENT_ADMINISTRATOR, A, SERVER), ("helpdesk", VIEWER, A, "paris"),
               ("helpdesk", PUSHER, D, "ws1"))  # fmt: skip
    assert ask(of, "ann", "machine.push", "ws2").allowed
    assert ask(of, "ann", "machine.push", "ws1").rule is Rule.DENY
    assert ask(of, "ann", "machine.view", "ws1").allowed


def test_003_write_without_read_and_a_denied_view_hides_children() -> None:
    writes = read_role("Writer only", ["machine.modify"])
    assert ask(world(("ann", writes, A, SERVER)), "ann", "machine.modify", "ws1").rule is Rule.VIEW_FIRST
    of = world(("ann", FULL_CONTROL, A, SERVER), ("ann", VIEWER, D, "paris"))
    for no in ("group.view lab", "machine.view ws1", "machine.delete ws1"):
        assert told(of, "ann", no).rule is Rule.DENY, no


def test_003_the_right_to_a_dynamic_group_and_to_its_result_are_separate() -> None:
    of = world(("ann", MODIFIER, A, "stale"), ("bob", VIEWER, A, result("stale")))
    assert ask(of, "ann", "group.modify", "stale").allowed
    assert not ask(of, "ann", "machine.view", "srv").allowed
    assert ask(of, "bob", "machine.view", "srv").allowed
    assert not ask(of, "bob", "group.view", "stale").allowed


def test_003_capability_and_access_are_both_needed_by_the_owner_too() -> None:
    only_access = world(("ann", PUSHER, A, "paris"))
    only_capability = world(("ann", OPERATOR, A, SERVER))
    both = world(("ann", PUSHER, A, "paris"), ("ann", OPERATOR, A, SERVER))
    assert ask(only_access, "ann", "machine.push", "ws2").rule is Rule.CAPABILITY
    assert ask(only_capability, "ann", "machine.push", "ws2").rule is Rule.VIEW_FIRST
    assert ask(both, "ann", "machine.push", "ws2").rule is Rule.ALLOW
    owned = world(objects=[Object(id="ws2", kind=Kind.MACHINE, owner="ann")])
    assert ask(owned, "ann", "machine.push", "ws2").rule is Rule.CAPABILITY


def test_an_operator_pushes_where_he_is_pusher_though_he_sees_the_world() -> None:
    of = world(("ann", OPERATOR, A, SERVER), ("ann", VIEWER, A, SERVER), ("ann", PUSHER, A, "paris"))
    assert ask(of, "ann", "machine.push", "ws2").allowed
    assert ask(of, "ann", "machine.push", "ws1").allowed, "the lab is in Paris"
    assert ask(of, "ann", "machine.view", "srv").allowed
    assert ask(of, "ann", "machine.push", "srv").rule is Rule.NOTHING


def test_who_started_a_run_may_cancel_it() -> None:
    of = world(("bob", OPERATOR, A, SERVER), ("ann", OPERATOR, A, SERVER))
    assert ask(of, "bob", "run.cancel", "run1").rule is Rule.OWNER
    assert not ask(of, "ann", "run.cancel", "run1").allowed
