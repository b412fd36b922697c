"""Who may do what, as tables, words and records. What must not live here: deciding it (``access``), reading a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.text import Text

from pusher.access import Answer, Level, Role, World
from pusher.access.remains import Remain
from pusher.access.why import Why
from pusher.models.registry import GrantRow, MachineGroupRow, MachineRow, ObjectRow, PeopleGroupRow, PersonRow
from pusher.report.record import Record
from pusher.report.style import plain
from pusher.report.tables import table
from pusher.report.text import iso, visible, when

Groups = Mapping[str, Sequence[str]]


def why_lines(why: Why, world: World) -> list[str]:
    """The sentence, and of a refusal the roles that would give it and the people who can give one of them."""
    lines = [visible(why.sentence)]
    if why.answer is None or why.allowed:
        return lines
    if why.roles:
        lines.append(f"Roles of which each would do away with this: {_names(role.name for role in why.roles)}.")
    elif why.grant is not None:
        lines.append(f"No role helps against this: grant {visible(why.grant.id)} has to go.")
    grantors = _names(map(world.label, why.grantors))
    lines.append(f"Who can change it: {grantors or 'nobody here; pusher access admin NAME makes an administrator'}.")
    return lines


def why_record(why: Why, person: str, permission: str, thing: str) -> Record:
    return {
        "person": person,
        "permission": permission,
        "object": thing,
        "allowed": why.allowed,
        "rule": why.answer.rule.value if why.answer is not None else None,
        "sentence": why.sentence,
        "grant": why.grant.id if why.grant is not None else None,
        "roles": [role.name for role in why.roles],
        "grantors": list(why.grantors),
    }


def who_table(answers: Iterable[Answer], world: World) -> RenderableType:
    """People who may, and by what."""
    made = table("person", "rule", "by")
    for one in answers:
        made.add_row(plain(one.person), Text(one.rule.value), plain(_by(one, world)))
    return made if made.row_count else Text("Nobody may.")


def who_record(one: Answer) -> Record:
    grant = one.grant
    return {
        "person": one.person,
        "rule": one.rule.value,
        "grant": grant.id if grant is not None else None,
        "subject": grant.subject if grant is not None else None,
        "role": grant.role.name if grant is not None else None,
        "scope": grant.scope if grant is not None else None,
    }


def remain_record(one: Remain, world: World) -> Record:
    return {
        "way": one.way.value,
        "group": one.group,
        "grant": one.grant.id if one.grant is not None else None,
        "object": one.thing,
        "said": one.said(world),
    }


def people_table(people: Iterable[PersonRow], groups: Groups) -> RenderableType:
    made = table("person", "name", "standing", "groups")
    for one in people:
        made.add_row(plain(one.id), plain(one.name), Text(one.standing), plain(", ".join(groups.get(one.id, ()))))
    return made if made.row_count else Text("There is nobody yet.")


def person_record(one: PersonRow, groups: Groups) -> Record:
    return {"person": one.id, "name": one.name, "standing": one.standing, "groups": list(groups.get(one.id, ()))}


def people_groups_table(some: Iterable[PeopleGroupRow], groups: Groups, members: Groups) -> RenderableType:
    made = table("group of people", "SID", "in", "members")
    for one in some:
        inside, above = ", ".join(members.get(one.id, ())), ", ".join(groups.get(one.id, ()))
        made.add_row(plain(one.id), plain(one.sid), plain(above), plain(inside))
    return made if made.row_count else Text("There is no group of people yet.")


def people_group_record(one: PeopleGroupRow, groups: Groups, members: Groups) -> Record:
    inside, above = list(members.get(one.id, ())), list(groups.get(one.id, ()))
    return {"group": one.id, "sid": one.sid, "in": above, "members": inside}


def roles_table(roles: Iterable[Role], predefined: frozenset[str]) -> RenderableType:
    made = table("role", "given", "includes", "adds", "capabilities")
    given = {Level.SERVER: "on the server", Level.OBJECT: "on objects", Level.EITHER: "on both"}
    for one in roles:
        adds = f"{len(one.adds)} permissions" if one.name in predefined else ", ".join(sorted(one.adds))
        includes, can = ", ".join(role.name for role in one.includes), ", ".join(sorted(one.capabilities))
        made.add_row(plain(one.name), Text(given[one.level]), plain(includes), plain(adds), plain(can))
    return made


def role_record(one: Role, predefined: frozenset[str]) -> Record:
    """``permissions``: all that it gives, by whatever it includes."""
    return {
        "role": one.name,
        "predefined": one.name in predefined,
        "level": one.level.value,
        "includes": [role.name for role in one.includes],
        "adds": sorted(one.adds),
        "permissions": sorted(one.permissions),
        "capabilities": sorted(one.all_capabilities),
    }


def grants_table(grants: Iterable[GrantRow], now: datetime) -> RenderableType:
    made = table("grant", "to", "effect", "role", "on", "until", "by")
    for one in grants:
        over = " (over)" if one.until is not None and one.until <= now else ""
        until = when(one.until) + over if one.until is not None else ""
        made.add_row(plain(one.id), plain(one.subject), Text(one.effect), plain(one.role), plain(one.scope),
                     plain(until), plain(one.made_by))  # fmt: skip
    return made if made.row_count else Text("Nothing is granted.")


def grant_record(one: GrantRow) -> Record:
    return {
        "grant": one.id,
        "subject": one.subject,
        "effect": one.effect,
        "role": one.role,
        "scope": one.scope,
        "until": iso(one.until) if one.until is not None else None,
        "by": one.made_by,
        "at": iso(one.made_at),
        "note": one.note,
    }


def objects_table(objects: Iterable[ObjectRow]) -> RenderableType:
    made = table("object", "owner")
    for one in objects:
        made.add_row(plain(one.id), plain(one.owner))
    return made if made.row_count else Text("There is no object yet.")


def object_record(one: ObjectRow) -> Record:
    return {"object": one.id, "kind": one.kind, "name": one.name, "owner": one.owner}


def machines_table(machines: Iterable[MachineRow], named: Mapping[str, ObjectRow], groups: Groups) -> RenderableType:
    made = table("machine", "address", "site", "groups", "owner")
    for one in machines:
        name = named[one.id].name + (" (gone)" if one.gone_at is not None else "")
        inside = ", ".join(group.partition(":")[2] for group in groups.get(one.id, ()))
        made.add_row(plain(name), plain(one.address), plain(one.site), plain(inside), plain(named[one.id].owner))
    return made if made.row_count else Text("No machine.")


def machine_record(one: MachineRow, named: Mapping[str, ObjectRow], groups: Groups) -> Record:
    return {
        "machine": named[one.id].name,
        "object": one.id,
        "address": one.address,
        "site": one.site,
        "groups": list(groups.get(one.id, ())),
        "owner": named[one.id].owner,
        "gone_at": iso(one.gone_at) if one.gone_at is not None else None,
    }


def machine_groups_table(groups: Iterable[MachineGroupRow], held: Mapping[str, int]) -> RenderableType:
    made = table("group", "origin", "query", "within", "holds")
    for one in groups:
        within = (one.within or "").partition(":")[2]
        name = one.id.partition(":")[2]
        made.add_row(plain(name), Text(one.origin.value), plain(one.query), plain(within), str(held.get(one.id, 0)))
    return made if made.row_count else Text("There is no group of machines yet.")


def machine_group_record(one: MachineGroupRow, held: Mapping[str, int]) -> Record:
    return {
        "group": one.id.partition(":")[2],
        "object": one.id,
        "origin": one.origin.value,
        "query": one.query,
        "within": one.within,
        "file": one.file,
        "holds": held.get(one.id, 0),
    }


def _names(names: Iterable[str]) -> str:
    return ", ".join(map(visible, names))


def _by(one: Answer, world: World) -> str:
    if one.grant is None:
        return "owner"
    subject = "" if one.grant.subject == one.person else f" as a member of {world.label(one.grant.subject)}"
    return f"{one.grant.role.name} on {world.label(one.grant.scope)}{subject}"
