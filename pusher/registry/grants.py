"""Changes of grants: a role given to, or denied, a person or a group of people; and the way back in.

Each is an edit for ``Registrar.change``. What must not live here: what a grant gives (``access``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pusher.access import SERVER, Access, Act, Effect, Grant, Standing, check_grant
from pusher.access.guards import administrators
from pusher.access.lacks import Missing, dead_buttons
from pusher.access.roles import SERVER_ADMINISTRATOR
from pusher.config.durations import parse_duration
from pusher.config.wording import Wrong, listed
from pusher.models.registry import GrantRow, PersonRow
from pusher.problems import BadInput
from pusher.registry import names
from pusher.registry.change import Draft, Edit


@dataclass(frozen=True, kw_only=True, slots=True)
class GrantAsked:
    """``scope``: as ``names.scope`` reads it. ``until``: aware."""

    subject: str
    role: str
    scope: str = SERVER
    effect: Effect = Effect.ALLOW
    until: datetime | None = None
    note: str = ""


def add(draft: Draft, asked: GrantAsked) -> Edit:
    """BadInput for one that cannot be, or that there is already."""
    world = draft.world
    grant = Grant(
        id=_next_id(draft),
        subject=names.subject(world, asked.subject),
        role=names.role(world.roles, asked.role),
        scope=names.scope(world, asked.scope),
        effect=asked.effect,
        until=asked.until,
    )
    check_grant(world, grant, draft.now)
    _refuse_twice(draft, grant)
    note = names.checked_name(asked.note, "a note") if asked.note else ""
    row = _row(draft, grant, note)
    draft.change.put(row)
    return Edit(object=row.id, after=said(row), notes=lambda access: list(_warnings(access, grant)))


def remove(draft: Draft, grant: str) -> Edit:
    """BadInput where there is none of that id."""
    row = next((one for one in draft.subjects.grants if one.id == grant), None)
    if row is None:
        raise BadInput(None, f"there is no grant {grant!r}", "an id that is listed")
    draft.change.drop(GrantRow, row.id)
    return Edit(object=row.id, before=said(row))


def make_administrator(draft: Draft, person: str) -> Edit | None:
    """The way back in: the person, made where there is none, may do everything from now on, with no end.

    A person who is disabled is let in again; a deny that still keeps them from it is told of. None where nothing has to
    be done.
    """
    if person in draft.world.groups:
        raise BadInput(None, f"{person} is a group of people", "a person")
    if person in administrators(draft.world, draft.now):
        return None
    row = next((one for one in draft.subjects.people if one.id == person), None)
    changed = PersonRow(id=names.checked_name(person, "a person"), name=row.name if row is not None else "")
    draft.change.put(changed)
    grant = Grant(id=_next_id(draft), subject=person, role=SERVER_ADMINISTRATOR, scope=SERVER)
    made = _row(draft, grant, "")
    draft.change.put(made)
    return Edit(
        object=person,
        before={"standing": row.standing} if row is not None else None,
        after={"standing": changed.standing, "grant": said(made)},
        notes=lambda access: list(_still_denied(access, person)),
    )


def read_end(text: str, now: datetime) -> datetime:
    """``8h`` from now on, or a time, which is UTC where it does not say otherwise. BadInput."""
    try:
        end = datetime.fromisoformat(text)
    except ValueError:
        try:
            return now + timedelta(seconds=parse_duration(text))
        except (Wrong, OverflowError):
            raise BadInput(None, f"{text!r} is no end of a grant", "8h, 30d, or 2026-12-24T18:00 (UTC)") from None
    return end.replace(tzinfo=UTC) if end.tzinfo is None else end.astimezone(UTC)


def said(row: GrantRow) -> dict[str, object]:
    return {
        "id": row.id,
        "subject": row.subject,
        "role": row.role,
        "effect": row.effect,
        "scope": row.scope,
        "until": row.until.isoformat() if row.until is not None else None,
        "note": row.note,
    }


def _row(draft: Draft, grant: Grant, note: str) -> GrantRow:
    return GrantRow(
        id=grant.id,
        subject=grant.subject,
        role=grant.role.name,
        effect=grant.effect.value,
        scope=grant.scope,
        until=grant.until,
        made_by=draft.actor.name,
        made_at=draft.now,
        note=note,
    )


def _next_id(draft: Draft) -> str:
    """``g`` and a number that no grant has had: the registry's own, which every change raises."""
    return f"g{draft.change.number + 1}"


def _refuse_twice(draft: Draft, grant: Grant) -> None:
    for one in draft.world.grants:
        same = (one.subject, one.role.name, one.scope, one.effect) == (
            *(grant.subject, grant.role.name, grant.scope, grant.effect),
        )
        if same and one.ends >= grant.ends:
            raise BadInput(None, f"grant {one.id} says the same already", "another grant")


def _warnings(access: Access, grant: Grant) -> Iterator[str]:
    world = access.world
    known = world.people.get(grant.subject)
    if known is not None and known.standing is not Standing.ENABLED:
        yield f"{world.label(grant.subject)} is disabled, and has nothing by it until they are let in again"
    if grant.effect is Effect.DENY and not _takes(access, grant):
        yield f"nothing gives {world.label(grant.subject)} what this takes: it takes nothing now"
    if grant.effect is Effect.ALLOW:
        yield from dead(access, [name for name in world.people if grant.subject in access.subjects(name)])


def dead(access: Access, people: Sequence[str]) -> Iterator[str]:
    """For whom of these people an act that they have part in can only be refused, and what nothing gives them."""
    for act in Act:
        alike: dict[tuple[Missing, ...], list[str]] = {}
        for name, missing in dead_buttons(access, act, people=people).items():
            alike.setdefault(missing, []).append(access.world.label(name))
        for missing, some in alike.items():
            who = f"{some[0]} has" if len(some) == 1 else f"{len(some)} people ({listed(some, 'and')}) have"
            lacks = ", ".join(map(str, missing))
            yield f"{who} part in {act} and it can only be refused: nothing gives them {lacks}"


def _takes(access: Access, grant: Grant) -> bool:
    """Whether any allow of theirs gives what the deny is of."""
    taken = grant.role.denies | grant.role.denies_capabilities
    people = [name for name in access.world.people if grant.subject in access.subjects(name)]
    held = [one for name in (grant.subject, *people) for one in access.grants_of(name) if one.effect is Effect.ALLOW]
    return any(not taken.isdisjoint(one.role.permissions | one.role.all_capabilities) for one in held)


def _still_denied(access: Access, person: str) -> Sequence[str]:
    denies = [one for one in access.grants_of(person) if one.effect is Effect.DENY]
    if person in administrators(access.world, access.at):
        return []
    which = ", ".join(f"{one.id} ({one.role.name} to {one.subject})" for one in denies)
    return [f"{person} may not do everything yet: a deny stands against it; remove {which}"]
