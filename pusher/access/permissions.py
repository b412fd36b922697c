"""What can be permitted: a permission is an act on a kind of object. And what an act of the console asks for in all.

What must not live here: which role has which permission (``roles``), and who has which role (``world``).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from pusher.problems import BadInput


class Kind(StrEnum):
    """What a permission is about. Those after REPORT are one thing a server, not objects each with its own grants."""

    MACHINE = "machine"
    GROUP = "group"
    PACKAGE = "package"
    ACCOUNT = "account"
    WINDOW = "window"
    RUN = "run"
    REPORT = "report"
    PERSON = "person"
    ROLE = "role"
    AUDIT = "audit"
    SETTINGS = "settings"


OBJECTS = (Kind.MACHINE, Kind.GROUP, Kind.PACKAGE, Kind.ACCOUNT, Kind.WINDOW, Kind.RUN, Kind.REPORT)
"""The kinds of which there are objects: each may have an owner and grants of its own."""
IN_GROUPS = frozenset({Kind.MACHINE, Kind.GROUP})
"""What a static group may hold, so that a grant on the group reaches it."""


class Permission(StrEnum):
    """``KIND.ACTION``. The values are what roles, tokens and the API spell: they do not change."""

    MACHINE_VIEW = "machine.view"
    MACHINE_CREATE = "machine.create"
    MACHINE_MODIFY = "machine.modify"
    MACHINE_DELETE = "machine.delete"
    MACHINE_ASSIGN = "machine.assign"
    MACHINE_PUSH = "machine.push"
    MACHINE_REMOVE = "machine.remove"
    MACHINE_MANAGE_ACCESS = "machine.manage-access"
    MACHINE_CHANGE_OWNERSHIP = "machine.change-ownership"
    MACHINE_EXPORT = "machine.export"

    GROUP_VIEW = "group.view"
    GROUP_CREATE = "group.create"
    GROUP_MODIFY = "group.modify"
    GROUP_DELETE = "group.delete"
    GROUP_ASSIGN = "group.assign"
    GROUP_MANAGE_ACCESS = "group.manage-access"
    GROUP_CHANGE_OWNERSHIP = "group.change-ownership"
    GROUP_EXPORT = "group.export"

    PACKAGE_VIEW = "package.view"
    PACKAGE_CREATE = "package.create"
    PACKAGE_MODIFY = "package.modify"
    PACKAGE_DELETE = "package.delete"
    PACKAGE_ASSIGN = "package.assign"
    PACKAGE_MANAGE_ACCESS = "package.manage-access"
    PACKAGE_CHANGE_OWNERSHIP = "package.change-ownership"

    ACCOUNT_VIEW = "account.view"
    ACCOUNT_ASSIGN = "account.assign"
    ACCOUNT_TEST = "account.test"
    ACCOUNT_MANAGE_ACCESS = "account.manage-access"
    ACCOUNT_CHANGE_OWNERSHIP = "account.change-ownership"

    WINDOW_VIEW = "window.view"
    WINDOW_CREATE = "window.create"
    WINDOW_MODIFY = "window.modify"
    WINDOW_DELETE = "window.delete"
    WINDOW_ASSIGN = "window.assign"
    WINDOW_OVERRIDE = "window.override"
    WINDOW_MANAGE_ACCESS = "window.manage-access"
    WINDOW_CHANGE_OWNERSHIP = "window.change-ownership"

    RUN_VIEW = "run.view"
    RUN_CREATE = "run.create"
    RUN_CANCEL = "run.cancel"
    RUN_EXPORT = "run.export"
    RUN_MANAGE_ACCESS = "run.manage-access"
    RUN_CHANGE_OWNERSHIP = "run.change-ownership"

    REPORT_VIEW = "report.view"
    REPORT_CREATE = "report.create"
    REPORT_MODIFY = "report.modify"
    REPORT_DELETE = "report.delete"
    REPORT_EXPORT = "report.export"
    REPORT_MANAGE_ACCESS = "report.manage-access"
    REPORT_CHANGE_OWNERSHIP = "report.change-ownership"

    PERSON_VIEW = "person.view"
    PERSON_CREATE = "person.create"
    PERSON_MODIFY = "person.modify"
    PERSON_DELETE = "person.delete"
    ROLE_VIEW = "role.view"
    ROLE_CREATE = "role.create"
    ROLE_MODIFY = "role.modify"
    ROLE_DELETE = "role.delete"
    AUDIT_VIEW = "audit.view"
    AUDIT_EXPORT = "audit.export"
    SETTINGS_VIEW = "settings.view"
    SETTINGS_MODIFY = "settings.modify"

    @property
    def kind(self) -> Kind:
        return _KINDS[self]

    @property
    def action(self) -> str:
        return self.value.partition(".")[2]

    @property
    def is_view(self) -> bool:
        return self in _VIEWS

    @property
    def creates(self) -> bool:
        """It is asked of the place where the object is to be, not of the object, which is not there yet."""
        return self.value.endswith(".create")

    @property
    def asked_of(self) -> Kind:
        """The kind of object that it is asked of: its own, or for what creates, the group that shall hold it."""
        return Kind.GROUP if self.creates and self.kind in IN_GROUPS else self.kind


P = Permission
_KINDS: Mapping[Permission, Kind] = MappingProxyType({one: Kind(one.value.partition(".")[0]) for one in Permission})
_VIEWS = frozenset(one for one in Permission if one.value.endswith(".view"))
ALL = frozenset(Permission)
OUTWARD = frozenset({P.MACHINE_PUSH, P.MACHINE_REMOVE, P.ACCOUNT_TEST})
"""What signs in somewhere. It wants access to the object and a capability, which only a server-wide grant gives."""


def view_of(kind: Kind) -> Permission:
    """The permission to view a kind of object."""
    return Permission(f"{kind}.view")


def every(action: str) -> frozenset[Permission]:
    """An action on every kind of object that has it."""
    return frozenset(one for one in Permission if one.kind in OBJECTS and one.action == action)


def read_permission(text: str) -> Permission:
    """The permission that is spelled so. BadInput, which says what may have been meant."""
    try:
        return Permission(text)
    except ValueError:
        near = difflib.get_close_matches(text, [one.value for one in Permission], n=1)
        raise BadInput(None, f"there is no permission {text!r}", near[0] if near else "KIND.ACTION") from None


class Act(StrEnum):
    """What a button of the console does that asks for more than one permission."""

    PUSH = "push"
    REMOVE = "remove"
    TEST = "test"


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """A permission that an act asks for. ``server``: once, of the server; else of each object that has part in it."""

    permission: Permission
    server: bool = False


def _run_of(permission: Permission) -> tuple[Need, ...]:
    return (
        Need(permission=P.RUN_CREATE, server=True),
        Need(permission=P.MACHINE_VIEW),
        Need(permission=permission),
        Need(permission=P.PACKAGE_VIEW),
        Need(permission=P.PACKAGE_ASSIGN),
        Need(permission=P.ACCOUNT_VIEW),
        Need(permission=P.ACCOUNT_ASSIGN),
    )


NEEDS: Mapping[Act, tuple[Need, ...]] = MappingProxyType(
    {
        Act.PUSH: _run_of(P.MACHINE_PUSH),
        Act.REMOVE: _run_of(P.MACHINE_REMOVE),
        Act.TEST: (Need(permission=P.ACCOUNT_VIEW), Need(permission=P.ACCOUNT_TEST)),
    }
)
"""All that an act asks for: what its handler asks beyond this is a need that nobody could have known of."""
ACTS: Mapping[Act, Permission] = MappingProxyType(
    {Act.PUSH: P.MACHINE_PUSH, Act.REMOVE: P.MACHINE_REMOVE, Act.TEST: P.ACCOUNT_TEST}
)
"""The outward permission of each act: who has it has a button."""
