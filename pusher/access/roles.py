"""Roles: named sets of permissions, the predefined ones and custom ones, and what a deny of one takes away.

What must not live here: who has a role (``world``), and what follows from it (``decide``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from pusher.access.permissions import ALL, OUTWARD, Permission, every, read_permission
from pusher.problems import BadInput

P = Permission
Permissions = frozenset[Permission]


class Level(StrEnum):
    """Where a role is given."""

    SERVER = "server"
    OBJECT = "object"
    EITHER = "either"


@dataclass(frozen=True, kw_only=True)
class Role:
    """``includes``: roles whose permissions it has too. ``capabilities`` count only where it is given server-wide.

    Raises ValueError for a capability that is none, and for one in a role that is never given server-wide.
    """

    name: str
    adds: Permissions = frozenset()
    level: Level = Level.EITHER
    includes: tuple[Role, ...] = ()
    capabilities: Permissions = frozenset()

    def __post_init__(self) -> None:
        if not self.capabilities <= OUTWARD:
            raise ValueError("a capability is for what signs in somewhere")
        if self.level is Level.OBJECT and self.all_capabilities:
            raise ValueError("a role on objects gives no capability")

    @cached_property
    def permissions(self) -> Permissions:
        return self.adds.union(*(role.permissions for role in self.includes))

    @cached_property
    def all_capabilities(self) -> Permissions:
        return self.capabilities.union(*(role.all_capabilities for role in self.includes))

    @cached_property
    def denies(self) -> Permissions:
        """What a deny of it takes: what it adds to the roles it includes, and not the view that comes with that.

        Allow Viewer with deny Modifier leaves a viewer, deny Pusher leaves the machine in sight; only where a role
        adds nothing but view, view is taken.
        """
        added = self.adds.difference(*(role.permissions for role in self.includes))
        return frozenset(one for one in added if not one.is_view) or added

    @cached_property
    def denies_capabilities(self) -> Permissions:
        """The capabilities that a server-wide deny of it takes: those it adds."""
        return self.capabilities.difference(*(role.all_capabilities for role in self.includes))

    @property
    def is_empty(self) -> bool:
        return not self.permissions and not self.all_capabilities


def has_part(role: Role, name: str) -> bool:
    """Whether it is the role of that name, or includes it at whatever depth."""
    return role.name == name or any(has_part(one, name) for one in role.includes)


def with_role(role: Role, new: Role) -> Role:
    """The same role, with ``new`` in the place of what has its name: itself, or what it includes."""
    if role.name == new.name:
        return new
    return Role(
        name=role.name,
        adds=role.adds,
        level=role.level,
        includes=tuple(with_role(one, new) for one in role.includes),
        capabilities=role.capabilities,
    )


VIEWER = Role(name="Viewer", adds=every("view"))
MODIFIER = Role(name="Modifier", includes=(VIEWER,), adds=every("modify"))
FULL_CONTROL = Role(
    name="Full Control",
    level=Level.OBJECT,
    includes=(MODIFIER,),
    adds=frozenset().union(*map(every, ("delete", "assign", "manage-access", "change-ownership", "export", "cancel"))),
)
PUSHER = Role(name="Pusher", level=Level.OBJECT, adds=frozenset({P.MACHINE_VIEW, P.MACHINE_PUSH, P.MACHINE_REMOVE}))
OPERATOR = Role(
    name="Operator",
    level=Level.SERVER,
    adds=frozenset({P.PACKAGE_VIEW, P.PACKAGE_ASSIGN, P.ACCOUNT_VIEW, P.ACCOUNT_ASSIGN, P.WINDOW_VIEW, P.RUN_CREATE}),
    capabilities=frozenset({P.MACHINE_PUSH, P.MACHINE_REMOVE}),
)
"""Together with Pusher on a group: pushes there, and nowhere else."""
DEPLOYMENT_ADMINISTRATOR = Role(
    name="Deployment Administrator",
    level=Level.SERVER,
    includes=(OPERATOR,),
    adds=frozenset({P.MACHINE_PUSH, P.MACHINE_REMOVE, P.ACCOUNT_TEST}),
    capabilities=OUTWARD,
)
"""Pushes to whatever another role lets its holder see."""
SERVER_ADMINISTRATOR = Role(
    name="Server Administrator",
    level=Level.SERVER,
    includes=(FULL_CONTROL, DEPLOYMENT_ADMINISTRATOR),
    adds=ALL - FULL_CONTROL.permissions - DEPLOYMENT_ADMINISTRATOR.permissions,
)
PREDEFINED = (VIEWER, MODIFIER, FULL_CONTROL, PUSHER, OPERATOR, DEPLOYMENT_ADMINISTRATOR, SERVER_ADMINISTRATOR)


def read_role(
    name: str,
    permissions: Iterable[str],
    *,
    level: str = Level.EITHER,
    includes: Iterable[str] = (),
    capabilities: Iterable[str] = (),
    known: Iterable[Role] = PREDEFINED,
) -> Role:
    """A custom role as a person writes it; ``known``: the roles that it may include.

    BadInput where it has a name that is taken or none, or names a permission, a capability, a level or a role that is
    none; and where it would give nothing at all.
    """
    roles, includes = {role.name: role for role in known}, tuple(includes)
    if not name.strip() or name in {role.name for role in PREDEFINED}:
        raise BadInput(None, f"a role cannot be called {name!r}", "a name that no predefined role has")
    try:
        where = Level(level)
    except ValueError:
        raise BadInput(None, f"role {name}: {level!r} is no level", ", ".join(Level)) from None
    for one in includes:
        if one == name or one not in roles or has_part(roles[one], name):
            found = "includes itself" if one == name or one in roles else f"includes {one!r}, which is no role"
            raise BadInput(None, f"role {name} {found}")
    can = frozenset(map(read_permission, capabilities))
    if wrong := sorted(can - OUTWARD):
        raise BadInput(None, f"role {name}: {wrong[0]} is no capability", ", ".join(sorted(OUTWARD)))
    included = tuple(roles[one] for one in includes)
    if where is Level.OBJECT and can.union(*(role.all_capabilities for role in included)):
        raise BadInput(None, f"role {name}: a role on objects gives no capability", "level server or either")
    adds = frozenset(map(read_permission, permissions))
    role = Role(name=name, adds=adds, level=where, includes=included, capabilities=can)
    if role.is_empty:
        raise BadInput(None, f"role {name} gives nothing", "a permission, a capability or a role that it includes")
    return role
