"""Changes of people and their groups: added, told apart, let in or kept out, put together.

Each is an edit for ``Registrar.change``. What must not live here: what they may do (``grants``).
"""

from __future__ import annotations

from dataclasses import replace

from pusher.access import Access, Standing
from pusher.models.registry import PeopleGroupRow, PersonRow
from pusher.problems import BadInput
from pusher.registry import names
from pusher.registry.change import Draft, Edit
from pusher.registry.grants import dead


def add_person(draft: Draft, name: str, full_name: str = "") -> Edit:
    """BadInput where somebody is called that already."""
    _new(draft, name, "a person")
    row = PersonRow(id=name, name=names.checked_name(full_name, "a person") if full_name else "")
    draft.change.put(row)
    return Edit(object=name, after=_person(row))


def set_standing(draft: Draft, name: str, standing: Standing) -> Edit | None:
    """Let in or kept out; None where they are that already."""
    name = names.person(draft.world, name)
    row = next(one for one in draft.subjects.people if one.id == name)
    changed = replace(row, standing=standing.value)
    if changed == row:
        return None
    draft.change.put(changed)
    return Edit(object=name, before=_person(row), after=_person(changed))


def add_group(draft: Draft, name: str, sid: str | None = None) -> Edit:
    """A group of people, of a directory's by its SID. BadInput where there is one of that name or SID already."""
    _new(draft, name, "a group of people")
    if sid is not None:
        _check_sid(draft, sid)
    draft.change.put(PeopleGroupRow(id=name, sid=sid))
    return Edit(object=name, after={"id": name, "sid": sid})


def join(draft: Draft, member: str, group: str) -> Edit | None:
    """Put a person, or a group of people, into a group of people; None where they are in it."""
    pair = names.subject(draft.world, member), names.people_group(draft.world, group)
    if pair in draft.subjects.memberships:
        return None
    draft.change.join([pair])
    return _moved(draft, pair[0], draft.world.members.get(pair[0], frozenset()) | {pair[1]}, notes=True)


def leave(draft: Draft, member: str, group: str) -> Edit:
    """Take them out again. BadInput where they are not directly in it."""
    pair = names.subject(draft.world, member), names.people_group(draft.world, group)
    if pair not in draft.subjects.memberships:
        there = ", ".join(sorted(draft.world.members.get(pair[0], ()))) or "a group; they are in none"
        raise BadInput(None, f"{member} is not directly in {group}", there)
    draft.change.leave([pair])
    return _moved(draft, pair[0], draft.world.members.get(pair[0], frozenset()) - {pair[1]})


def _moved(draft: Draft, member: str, after: frozenset[str], *, notes: bool = False) -> Edit:
    before = draft.world.members.get(member, frozenset())

    def told(access: Access) -> list[str]:
        return list(dead(access, [one for one in access.world.people if member in access.subjects(one)]))

    return Edit(
        object=member,
        before={"groups": sorted(before)},
        after={"groups": sorted(after)},
        notes=told if notes else lambda _: (),
    )


def _new(draft: Draft, name: str, what: str) -> None:
    """A directory knows no case: two who differ by it alone would be one to it."""
    names.checked_name(name, what)
    for kind, known in (("a person", draft.world.people), ("a group of people", draft.world.groups)):
        for one in known:
            if one.casefold() == name.casefold():
                raise BadInput(None, f"{one} is {kind} already", "another name")


def _check_sid(draft: Draft, sid: str) -> None:
    if not sid.startswith("S-1-") or not sid.removeprefix("S-1-").replace("-", "").isdigit():
        raise BadInput(None, f"{sid!r} is no SID", "S-1-5-21-…, as the directory has it")
    if any(one.sid == sid for one in draft.subjects.groups):
        known = next(one.id for one in draft.subjects.groups if one.sid == sid)
        raise BadInput(None, f"the SID {sid} is that of {known} already", "another SID")


def _person(row: PersonRow) -> dict[str, str]:
    return {"id": row.id, "name": row.name, "standing": row.standing}
