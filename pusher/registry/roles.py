"""Changes of custom roles, and what to tell of one that is saved: what an act asks for and it has not.

Each is an edit for ``Registrar.change``. What must not live here: what a role gives (``access``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pusher.access import PREDEFINED, Access, Act, Effect, Level, Role, read_role
from pusher.access.lacks import dead_buttons, lacks
from pusher.access.roles import has_part
from pusher.models.registry import RoleRow
from pusher.problems import BadInput
from pusher.registry.change import Draft, Edit


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleAsked:
    """A custom role as a person writes it."""

    name: str
    permissions: Sequence[str] = ()
    includes: Sequence[str] = ()
    capabilities: Sequence[str] = ()
    level: str = Level.EITHER


def save(draft: Draft, asked: RoleAsked, *, complete: bool = False) -> Edit | None:
    """A new version of a role, from which on its grants mean that; None where it is that already. BadInput.

    ``complete``: with what the acts that it has part in ask for besides.
    """
    role = _read(draft, asked)
    if complete:
        missing = [one for act in Act for one in lacks(role, act).missing]
        more = [one.permission for one in missing if not one.capability]
        can = [one.permission for one in missing if one.capability]
        role = _read(
            draft,
            replace(asked, permissions=(*asked.permissions, *more), capabilities=(*asked.capabilities, *can)),
        )
    before = next((one for one in draft.subjects.roles if one.name == role.name), None)
    row = RoleRow(
        name=role.name,
        version=draft.change.next_version(role.name),
        level=role.level.value,
        permissions=tuple(sorted(role.adds)),
        includes=tuple(one.name for one in role.includes),
        capabilities=tuple(sorted(role.capabilities)),
    )
    if before is not None and said(before) == said(row):
        return None
    if before is not None:
        _check_level(draft, role)
    draft.change.save_role(row)
    return Edit(
        object=role.name,
        before={**said(before), "version": before.version} if before is not None else None,
        after={**said(row), "version": row.version},
        notes=lambda access: list(warnings(access, role.name)),
    )


def _read(draft: Draft, asked: RoleAsked) -> Role:
    return read_role(
        asked.name,
        asked.permissions,
        level=asked.level,
        includes=asked.includes,
        capabilities=asked.capabilities,
        known=draft.world.roles,
    )


def remove(draft: Draft, name: str) -> Edit:
    """BadInput for a predefined one, one that is given to somebody, and one that another role includes."""
    row = next((one for one in draft.subjects.roles if one.name == name), None)
    if row is None:
        predefined = any(one.name == name for one in PREDEFINED)
        found = f"{name} is predefined and stays" if predefined else f"there is no role {name!r}"
        raise BadInput(None, found, "a custom role")
    used = [one.id for one in draft.subjects.grants if one.role == name]
    if used:
        raise BadInput(None, f"the role {name} is still given", f"no grant of it; there are {', '.join(used)}")
    held = [one.name for one in draft.world.roles if one.name != name and has_part(one, name)]
    if held:
        raise BadInput(None, f"the role {name} is included by {', '.join(held)}", "a role that no other one includes")
    gone = RoleRow(
        name=name,
        version=draft.change.next_version(name),
        level=row.level,
        permissions=row.permissions,
        includes=row.includes,
        capabilities=row.capabilities,
    )
    draft.change.save_role(gone, removed=True)
    return Edit(object=name, before={**said(row), "version": row.version})


def said(row: RoleRow) -> dict[str, object]:
    return {
        "name": row.name,
        "level": row.level,
        "permissions": list(row.permissions),
        "includes": list(row.includes),
        "capabilities": list(row.capabilities),
    }


def warnings(access: Access, name: str) -> Iterator[str]:
    """What acts will miss by the role, and how many of its holders have it from nowhere else."""
    role = next(one for one in access.world.roles if one.name == name)
    holders = _holders(access, name)
    for act in Act:
        missing = lacks(role, act).missing
        if not missing:
            continue
        dead = dead_buttons(access, act, people=holders)
        of = f"; nothing else gives it to {len(dead)} of its {len(holders)} holders" if holders else ""
        yield f"{name} has part in {act} and lacks {', '.join(map(str, missing))}{of}"


def _holders(access: Access, name: str) -> list[str]:
    return [
        person
        for person in access.world.people
        if any(has_part(grant.role, name) and grant.effect is Effect.ALLOW for grant in access.grants_of(person))
    ]


def _check_level(draft: Draft, role: Role) -> None:
    """Its grants stay where they are: they would be of a role that is not given there."""
    wrong = {Level.SERVER: False, Level.OBJECT: True}.get(role.level)
    for grant in draft.world.grants:
        if grant.role.name == role.name and wrong is not None and (grant.scope == "server") is wrong:
            raise BadInput(
                None,
                f"{role.name} would not be given where grant {grant.id} gives it",
                f"a level that fits {grant.scope}",
            )
