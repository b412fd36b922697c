"""A small world that a test can tell a story about, and worlds by chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from pusher.access import (
    ALL,
    PREDEFINED,
    SERVER,
    Access,
    Answer,
    Effect,
    Grant,
    Kind,
    Object,
    PeopleGroup,
    Permission,
    Person,
    Role,
    Standing,
    Token,
    World,
    compiled,
    read_role,
    result,
)
from pusher.access.roles import (
    DEPLOYMENT_ADMINISTRATOR,
    FULL_CONTROL,
    MODIFIER,
    OPERATOR,
    PUSHER,
    SERVER_ADMINISTRATOR,
    VIEWER,
)

A, D = Effect.ALLOW, Effect.DENY
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
SOON, PAST = NOW + timedelta(hours=8), NOW - timedelta(days=1)
P = Permission

RESTRICTED = Role(
    name="Restricted Group Administrator",
    includes=(DEPLOYMENT_ADMINISTRATOR,),
    adds=frozenset(
        {P.GROUP_VIEW, P.GROUP_CREATE, P.GROUP_MODIFY, P.GROUP_DELETE, P.GROUP_ASSIGN, P.GROUP_EXPORT, P.MACHINE_VIEW}
        | {P.MACHINE_ASSIGN, P.PACKAGE_CREATE, P.REPORT_VIEW, P.REPORT_EXPORT}
    ),
)
WRITER = read_role("Writer", ["machine.modify", "group.modify"])
MAKER = read_role("Maker", ["machine.create", "group.create", "group.assign", "machine.assign"])
REPORTER = Role(
    name="Reporter",
    includes=(OPERATOR,),
    adds=frozenset({P.REPORT_VIEW, P.REPORT_EXPORT}),
    capabilities=frozenset({P.MACHINE_PUSH, P.ACCOUNT_TEST}),
)
ROLES = (*PREDEFINED, RESTRICTED)
EVERY_ROLE = (*ROLES, WRITER, MAKER, REPORTER)

PEOPLE = ("ann", "bob", "eve", "root")
CREWS = ("helpdesk", "staff", "night")


def grants(*rows: tuple[str, Role, Effect, str]) -> tuple[Grant, ...]:
    return tuple(Grant(id=f"g{n}", subject=s, role=r, effect=e, scope=c) for n, (s, r, e, c) in enumerate(rows))


def world(*rows: tuple[str, Role, Effect, str], objects: Sequence[Object] = ()) -> World:
    """Ann and Bob are of the help desk, which is of the staff. Paris has a lab; ``objects`` come in the place of its
    namesakes.
    """
    here = (
        Object(id="paris", kind=Kind.GROUP),
        Object(id="lab", kind=Kind.GROUP, parents=("paris",)),
        Object(id="stale", kind=Kind.GROUP, dynamic=True),
        Object(id="ws1", kind=Kind.MACHINE, parents=("lab",), results=("stale",)),
        Object(id="ws2", kind=Kind.MACHINE, parents=("paris",)),
        Object(id="srv", kind=Kind.MACHINE, results=("stale",)),
        Object(id="agent", kind=Kind.PACKAGE),
        Object(id="push-2026", kind=Kind.ACCOUNT),
        Object(id="anns", kind=Kind.GROUP, owner="ann"),
        Object(id="annspkg", kind=Kind.PACKAGE, owner="ann"),
        Object(id="run1", kind=Kind.RUN, owner="bob"),
        *objects,
    )
    return World(
        people={name: Person(id=name, name=name.title()) for name in PEOPLE},
        groups={name: PeopleGroup(id=name) for name in CREWS},
        members={
            "ann": frozenset({"helpdesk"}),
            "bob": frozenset({"helpdesk"}),
            "helpdesk": frozenset({"staff"}),
        },
        objects={one.id: one for one in here},
        grants=grants(*rows),
        roles=(*ROLES, WRITER, MAKER),
    )


def ask(where: World | Access, person: str, asked: str, thing: str = SERVER, token: Token | None = None) -> Answer:
    access = where if isinstance(where, Access) else compiled(where, NOW)
    return access.may(person, Permission(asked), thing, token)


def told(where: World | Access, person: str, asked: str) -> Answer:
    """The answer to ``PERMISSION THING``."""
    permission, thing = asked.split()
    return ask(where, person, permission, thing)


def disabled(where: World, person: str, standing: Standing = Standing.DISABLED) -> World:
    return replace(where, people={**where.people, person: replace(where.people[person], standing=standing)})


GROUPS, FINDERS, MACHINES = ("paris", "lab", "tier0"), ("stale", "old"), ("ws1", "ws2", "srv")
SCOPES = (SERVER, *GROUPS, *FINDERS, *map(result, FINDERS), *MACHINES, "agent", "push-2026")


def some(names: Sequence[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(names), max_size=2, unique=True).map(tuple)


standings = st.sampled_from([*[Standing.ENABLED] * 5, *Standing])
owners = st.sampled_from([None, None, None, "ann", "helpdesk", "eve", "gone"])
grant_rows = st.tuples(
    st.sampled_from(["ann", "bob", "eve", *CREWS]),
    st.sampled_from(EVERY_ROLE),
    st.sampled_from([A, A, D]),
    st.sampled_from([SERVER, SERVER, *SCOPES]),
    st.sampled_from([None, None, None, SOON, PAST]),
)
tokens = st.none() | st.builds(
    Token,
    permissions=st.frozensets(st.sampled_from(sorted(ALL)), max_size=4).map(lambda some: some | {P.MACHINE_PUSH}),
    within=st.sampled_from([None, "paris", result("stale"), "ws1", SERVER]),
)


@st.composite
def worlds(draw: st.DrawFn, most: int = 6) -> World:
    """Any: people in circles of groups, groups in circles, owners who are gone, results outside of their ``within``."""
    rows = draw(st.lists(grant_rows, max_size=most))
    objects = [
        *(Object(id=one, kind=Kind.GROUP, parents=draw(some(GROUPS)), owner=draw(owners)) for one in GROUPS),
        Object(id="stale", kind=Kind.GROUP, dynamic=True, owner=draw(owners)),
        Object(id="old", kind=Kind.GROUP, dynamic=True, within=draw(st.sampled_from(GROUPS))),
        *(
            Object(
                id=one, kind=Kind.MACHINE, parents=draw(some(GROUPS)), results=draw(some(FINDERS)), owner=draw(owners)
            )
            for one in MACHINES
        ),
        Object(id="agent", kind=Kind.PACKAGE, owner=draw(owners)),
        Object(id="push-2026", kind=Kind.ACCOUNT, owner=draw(owners)),
    ]
    return World(
        people={
            one: Person(id=one, standing=draw(st.sampled_from([*[Standing.ENABLED] * 5, *Standing]))) for one in PEOPLE
        },
        groups={one: PeopleGroup(id=one) for one in CREWS},
        members={one: frozenset(draw(some(CREWS))) for one in (*PEOPLE, *CREWS)},
        objects={one.id: one for one in objects},
        grants=tuple(
            Grant(id=f"g{n}", subject=s, role=r, effect=e, scope=c, until=u) for n, (s, r, e, c, u) in enumerate(rows)
        ),
        roles=EVERY_ROLE,
    )


__all__ = [
    "CREWS",
    "DEPLOYMENT_ADMINISTRATOR",
    "EVERY_ROLE",
    "FINDERS",
    "FULL_CONTROL",
    "GROUPS",
    "MACHINES",
    "MAKER",
    "MODIFIER",
    "NOW",
    "OPERATOR",
    "PAST",
    "PEOPLE",
    "PUSHER",
    "REPORTER",
    "RESTRICTED",
    "ROLES",
    "SCOPES",
    "SERVER_ADMINISTRATOR",
    "SOON",
    "VIEWER",
    "WRITER",
    "A",
    "D",
    "P",
    "ask",
    "disabled",
    "grants",
    "tokens",
    "told",
    "world",
    "worlds",
]  # fmt: skip
