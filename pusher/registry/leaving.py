"""All that somebody has, taken away in one transaction: their grants, their groups, what they own, and their sign-in.

It is an edit for ``Registrar.change``. What must not live here: what gives somebody anything (``access.remains``).
"""

from __future__ import annotations

from dataclasses import replace

from pusher.access import Standing, check_owner
from pusher.models.registry import GrantRow
from pusher.problems import BadInput
from pusher.registry import names
from pusher.registry.change import Draft, Edit
from pusher.registry.grants import said


def revoke(draft: Draft, person: str, new_owner: str | None) -> Edit | None:
    """None where they have nothing and are disabled already. BadInput where they own something and nobody gets it.

    They are disabled, and kept: the audit and the history speak of them. Denies go with the allows, since they take
    nothing from somebody who has nothing.
    """
    person = names.person(draft.world, person)
    row = next(one for one in draft.subjects.people if one.id == person)
    grants = [one for one in draft.subjects.grants if one.subject == person]
    groups = sorted(draft.world.members.get(person, ()))
    owned = [one for one in draft.things.objects if one.owner == person]
    if not grants and not groups and not owned and row.standing != Standing.ENABLED.value:
        return None
    if owned:
        _check_new_owner(draft, person, new_owner, len(owned))
    draft.change.drop(GrantRow, *(one.id for one in grants))
    draft.change.leave([(person, group) for group in groups])
    draft.change.put(*(replace(one, owner=new_owner) for one in owned))
    draft.change.put(replace(row, standing=Standing.DISABLED.value))
    return Edit(
        object=person,
        before={
            "standing": row.standing,
            "grants": [said(one) for one in grants],
            "groups": groups,
            "owner of": [one.id for one in owned],
        },
        after={"standing": Standing.DISABLED.value, "new owner": new_owner},
        moved=() if owned else None,
    )


def _check_new_owner(draft: Draft, person: str, new_owner: str | None, count: int) -> None:
    if new_owner is None:
        objects = f"{count} object{'' if count == 1 else 's'}"
        raise BadInput(None, f"{person} is the owner of {objects}", "--owner, who gets them")
    if new_owner == person:
        raise BadInput(None, f"{person} would keep what they own", "another owner")
    check_owner(draft.world, new_owner)
