"""What is asked of the registry: may somebody, why not, who may, and what they still have.

What must not live here: deciding it (``access``), and printing it (``cli``).
"""

from __future__ import annotations

from pusher.access import SERVER, Access, Answer, Kind, Permission, read_permission
from pusher.access.permissions import OBJECTS
from pusher.access.why import Why, why
from pusher.models.conditions import Condition, Covered, all_of
from pusher.models.registry import RegistryRows
from pusher.problems import BadInput
from pusher.registry import names


def explained(access: Access, person: str, permission: str, thing: str) -> tuple[str, Permission, Why]:
    """The object that is meant, the permission and the reason. BadInput."""
    asked = read_permission(permission)
    who = names.person(access.world, person)
    what = _thing(access, asked, thing)
    return what, asked, why(access, who, asked, what, sees_all=True)


def who_may(access: Access, permission: str, thing: str) -> tuple[str, list[Answer]]:
    """The object that is meant, and the answers for all people who may. BadInput."""
    asked = read_permission(permission)
    what = _thing(access, asked, thing)
    answers = [access.may(person, asked, what) for person in access.world.people]
    return what, [one for one in answers if one.allowed]


def machines_that(access: Access, person: str | None, permission: str, group: str | None) -> Condition:
    """The machines of a group, or that a person may do it to, or both. BadInput."""
    wanted: list[Condition] = []
    if person is not None:
        asked = read_permission(permission)
        if asked.kind is not Kind.MACHINE:
            raise BadInput(None, f"{asked} is not asked of machines", "machine.push, or another of theirs")
        wanted.append(access.where(names.person(access.world, person), asked))
    if group is not None:
        wanted.append(Covered(frozenset({_covering(access, group)})))
    return all_of(*wanted)


def groups_of(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    """Of each member, the groups that it is directly in."""
    found: dict[str, list[str]] = {}
    for member, group in pairs:
        found.setdefault(member, []).append(group)
    return found


def members_of(pairs: tuple[tuple[str, str], ...]) -> dict[str, list[str]]:
    """Of each group, what is directly in it."""
    return groups_of(tuple((group, member) for member, group in pairs))


def held(rows: RegistryRows, access: Access) -> dict[str, int]:
    """How many machines each group of machines covers, or finds."""
    count: dict[str, int] = {}
    for one in rows.things.machines:
        if one.gone_at is None:
            for scope in access.places.of(one.id).scopes:
                name = scope.removeprefix("result:")
                count[name] = count.get(name, 0) + 1
    return count


def _thing(access: Access, permission: Permission, text: str) -> str:
    """A bare name is first that of an object of the kind that is asked of."""
    kind = permission.asked_of
    if text != SERVER and kind in OBJECTS and (name := names.object_id(kind, text)) in access.world.objects:
        return name
    return names.thing(access.world, text)


def _covering(access: Access, group: str) -> str:
    name = names.machine_group(access.world, group)
    return f"result:{name}" if access.world.objects[name].dynamic else name
