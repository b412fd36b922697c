"""docs/access.md against the rules, the roles and the words."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from pusher.access import (
    ACTS,
    NEEDS,
    OUTWARD,
    PREDEFINED,
    SERVER,
    Act,
    Grant,
    Level,
    Object,
    Person,
    Role,
    Rule,
    World,
)
from pusher.access.permissions import OBJECTS, Permission
from pusher.access.table import markdown
from tests.unit.access import plain
from tests.unit.access.test_why import REASONS
from tests.unit.access.worlds import NOW
from tests.unit.packaging.scripts import ROOT

PAGE = (ROOT / "docs" / "access.md").read_text(encoding="utf-8")


def cells(heading: str) -> list[list[str]]:
    """The rows of the table that begins with a heading."""
    table = PAGE.partition(heading)[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
            for line in table.splitlines()[2:]]  # fmt: skip


def test_its_tables_of_roles_are_those_that_are_printed() -> None:
    assert markdown(Level.SERVER) in PAGE
    assert markdown(Level.OBJECT) in PAGE


def plainly(roles: Sequence[Role], level: Level, permission: Permission) -> bool:
    """What the plain model says of somebody who has these roles: the first there, the others on the server."""
    objects = {kind.value: Object(id=kind.value, kind=kind) for kind in OBJECTS}
    thing = permission.kind.value if permission.kind in OBJECTS and not permission.creates else SERVER
    if level is Level.OBJECT and permission.creates:
        thing = "group"
    scopes = [SERVER if level is Level.SERVER else thing, *[SERVER] * len(roles)]
    given = tuple(Grant(id=f"g{n}", subject="p", role=role, scope=scopes[n]) for n, role in enumerate(roles))
    return plain.may(World(people={"p": Person(id="p")}, objects=objects, grants=given), "p", permission, thing, NOW)


ROLES = {role.name: role for role in PREDEFINED}
SEES = Role(name="Sees", adds=frozenset(one for one in Permission if one.is_view))
CAN = Role(name="Can", capabilities=OUTWARD)
DOES = Role(name="Does", adds=OUTWARD)


@pytest.mark.parametrize("level", [Level.SERVER, Level.OBJECT])
def test_every_cell_is_what_the_plain_model_says_complete(level: Level) -> None:
    heading = "Given server-wide:" if level is Level.SERVER else "Given on an object:"
    table = PAGE.partition(heading)[2].strip().partition("\n\n")[0].splitlines()
    names = [name.strip() for name in table[0].strip("| ").split("|")][1:]
    assert names == [role.name for role in PREDEFINED if role.level in {level, Level.EITHER}]
    told = {line.split("|")[1].strip(" `"): [cell.strip() for cell in line.split("|")[2:-1]] for line in table[2:]}
    in_groups = {Permission.MACHINE_CREATE, Permission.GROUP_CREATE}
    on_objects = {one for one in Permission if one.kind in OBJECTS and (not one.creates or one in in_groups)}
    assert set(told) == (set(Permission) if level is Level.SERVER else on_objects)
    for asked, row in told.items():
        permission = Permission(asked)
        for name, cell in zip(names, row, strict=True):
            role = ROLES[name]
            alone = plainly([role], level, permission)
            completed = [plainly([role, *others], level, permission) for others in ([SEES], [CAN], [SEES, CAN])]
            says = {
                "yes": alone,
                "with view": not alone and completed[0],
                "with the capability": not alone and completed[1],
                "the capability": not any(completed[:2]) and plainly([role, SEES, DOES], level, permission),
                "": (not any(completed) or permission.is_view) and not alone,
            }
            assert says[cell], (asked, name, cell)


def test_its_rules_are_complete_and_in_order() -> None:
    told = [(row[1].strip("`"), row[3]) for row in cells("| | rule | applies where |")]
    yes = {Rule.OWNER, Rule.ALLOW}
    assert told == [(rule.value, "yes" if rule in yes else "no") for rule in Rule]


def test_its_refusals_are_said_so() -> None:
    said = cells("| rule | for example |")
    rules = {Rule(row[0].strip("`")) for row in said}
    assert rules == set(Rule) - {Rule.OWNER, Rule.ALLOW, Rule.TOKEN}
    sentences = {sentence for _, _, sentence, *_ in REASONS.values()}
    assert {row[1] for row in said} <= sentences


def test_what_its_acts_ask_for_is_complete() -> None:
    told = {row[0]: [re.findall("`([a-z.-]+)`", cell) for cell in row[1:]] for row in cells("| act | of the server |")}
    for act in Act:
        assert told[act] == [
            [str(one.permission) for one in NEEDS[act] if one.server is server] for server in (True, False)
        ]
    assert set(told) == set(Act) == set(ACTS)
