"""``pusher access people`` and ``groups``: whom something can be given to."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from pusher.cli.options import AsJson, StoreUrl, group_of_commands

people = group_of_commands("The people of the console.")
groups = group_of_commands("Groups of people: local ones, and a directory's by their SIDs.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A person's.")]
Group = Annotated[str, typer.Argument(metavar="GROUP", help="A group of people.")]
Member = Annotated[str, typer.Argument(metavar="MEMBER", help="A person, or a group of people.")]


@people.command("add")
def add_person(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What they sign in as.")],
    full_name: Annotated[str, typer.Option("--name", help="What readers call them. [default: NAME]")] = "",
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Add a person, who has nothing until a role is given to them.

    Example: pusher access people add ann --name 'Ann Roy'
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.people import add_person as add

    changed("people.add", partial(add, name=name, full_name=full_name), f"Added {name}.", {"person": name}, store, json)


@people.command("disable")
def disable(name: Name, store: StoreUrl = None, json: AsJson = False) -> None:
    """Keep a person out. What they have is kept with them; 'pusher access revoke' takes it away.

    Example: pusher access people disable ann
    """
    _stand(name, "disabled", f"{name} is disabled.", store, json)


@people.command("enable")
def enable(name: Name, store: StoreUrl = None, json: AsJson = False) -> None:
    """Let a person in again.

    Example: pusher access people enable ann
    """
    _stand(name, "enabled", f"{name} may sign in.", store, json)


@people.command("list")
def list_people(store: StoreUrl = None, json: AsJson = False) -> None:
    """List the people, with the groups that they are directly in.

    Example: pusher access people list
    """
    from pusher.cli.registry_desk import desk, show
    from pusher.registry.asked import groups_of
    from pusher.report.access import people_table, person_record
    from pusher.report.record import write_line

    with desk(store) as opened:
        subjects = opened.store.registry.rows().subjects
    above = groups_of(subjects.memberships)
    if json:
        for one in subjects.people:
            write_line(person_record(one, above), sys.stdout)
    else:
        show(people_table(subjects.people, above))


@groups.command("add")
def add_group(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What the group is called here.")],
    sid: Annotated[
        str | None, typer.Option("--sid", help="Of a directory's group: its SID, by which alone it is known.")
    ] = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Add a group of people.

    Example: pusher access groups add helpdesk
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.people import add_group as add

    changed("groups.add", partial(add, name=name, sid=sid), f"Added {name}.", {"group": name}, store, json)


@groups.command("join")
def join(member: Member, group: Group, store: StoreUrl = None, json: AsJson = False) -> None:
    """Put a person, or a group of people, into a group of people.

    Example: pusher access groups join ann helpdesk
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.people import join as put

    record = {"member": member, "group": group}
    changed("groups.join", partial(put, member=member, group=group), f"{member} is in {group}.", record, store, json)


@groups.command("leave")
def leave(member: Member, group: Group, store: StoreUrl = None, json: AsJson = False) -> None:
    """Take a person, or a group of people, out of a group of people.

    Example: pusher access groups leave ann helpdesk
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.people import leave as take

    record = {"member": member, "group": group}
    edit = partial(take, member=member, group=group)
    changed("groups.leave", edit, f"{member} is not in {group} any more.", record, store, json)


@groups.command("list")
def list_groups(store: StoreUrl = None, json: AsJson = False) -> None:
    """List the groups of people, with who is directly in them.

    Example: pusher access groups list
    """
    from pusher.cli.registry_desk import desk, show
    from pusher.registry.asked import groups_of, members_of
    from pusher.report.access import people_group_record, people_groups_table
    from pusher.report.record import write_line

    with desk(store) as opened:
        subjects = opened.store.registry.rows().subjects
    above, inside = groups_of(subjects.memberships), members_of(subjects.memberships)
    if json:
        for one in subjects.groups:
            write_line(people_group_record(one, above, inside), sys.stdout)
    else:
        show(people_groups_table(subjects.groups, above, inside))


def _stand(name: str, standing: str, sentence: str, store: str | None, as_json: bool) -> None:
    from pusher.access import Standing
    from pusher.cli.registry_desk import changed
    from pusher.registry.people import set_standing

    edit = partial(set_standing, name=name, standing=Standing(standing))
    changed(f"people.{standing.removesuffix('d')}", edit, sentence, {"person": name}, store, as_json)
