"""``pusher machines groups``: static groups of machines, and dynamic ones by a query."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from pusher.cli.options import AsJson, StoreUrl, group_of_commands

app = group_of_commands("Groups of machines: the inventories' own, static ones that you fill, dynamic ones by a query.")

Group = Annotated[str, typer.Argument(metavar="GROUP", help="A group of machines.")]
Thing = Annotated[str, typer.Argument(metavar="OBJECT", help="A machine, or a group of machines.")]
Query = Annotated[
    str | None,
    typer.Option("--query", help="Makes it dynamic; written as --limit: ws0*.paris.example, site:paris, group:paris."),
]
Within = Annotated[
    str | None,
    typer.Option("--within", metavar="GROUP", help="Of a dynamic one: the static group that its result never leaves."),
]


@app.command("add")
def add(name: Group, query: Query = None, within: Within = None, store: StoreUrl = None, json: AsJson = False) -> None:
    """Add a static group, or with --query a dynamic one.

    Example: pusher machines groups add old --query 'site:paris,!group:paris/lab' --within paris
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.groups import add as add_group

    edit = partial(add_group, name=name, query=query, within=within)
    changed("machine-groups.add", edit, f"Added the group {name}.", {"group": name}, store, json)


@app.command("change")
def change(
    name: Group, query: Query = None, within: Within = None, store: StoreUrl = None, json: AsJson = False
) -> None:
    """Change the query of a dynamic group, or the group that its result never leaves.

    Example: pusher machines groups change old --query 'site:lyon'
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.groups import change as change_group

    edit = partial(change_group, group=name, query=query, within=within)
    changed("machine-groups.change", edit, f"Changed the group {name}.", {"group": name}, store, json)


@app.command("put")
def put(object: Thing, group: Group, store: StoreUrl = None, json: AsJson = False) -> None:
    """Put a machine, or a group, into a static group.

    Example: pusher machines groups put ws017.paris.corp.example pilot
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.groups import put as put_into

    record = {"object": object, "group": group}
    edit = partial(put_into, thing=object, group=group)
    changed("machine-groups.put", edit, f"{object} is in {group}.", record, store, json)


@app.command("take")
def take(object: Thing, group: Group, store: StoreUrl = None, json: AsJson = False) -> None:
    """Take a machine, or a group, out of a static group.

    Example: pusher machines groups take ws017.paris.corp.example pilot
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.groups import take as take_out

    record = {"object": object, "group": group}
    edit = partial(take_out, thing=object, group=group)
    changed("machine-groups.take", edit, f"{object} is not in {group} any more.", record, store, json)


@app.command("remove")
def remove(name: Group, store: StoreUrl = None, json: AsJson = False) -> None:
    """Remove a static or dynamic group, with the grants on it; what was in it stays.

    Example: pusher machines groups remove pilot
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.groups import remove as remove_group

    edit = partial(remove_group, group=name)
    changed("machine-groups.remove", edit, f"Removed the group {name}.", {"group": name}, store, json)


@app.command("list")
def list_groups(store: StoreUrl = None, json: AsJson = False) -> None:
    """List the groups of machines, and how many machines each holds or finds.

    Example: pusher machines groups list
    """
    from pusher.access import compiled
    from pusher.cli.registry_desk import desk, show
    from pusher.clock import utc_now
    from pusher.registry.asked import held
    from pusher.registry.world import world_of
    from pusher.report.access import machine_group_record, machine_groups_table
    from pusher.report.record import write_line

    with desk(store) as opened:
        rows = opened.store.registry.rows()
    count = held(rows, compiled(world_of(rows), utc_now()))
    if json:
        for one in rows.things.groups:
            write_line(machine_group_record(one, count), sys.stdout)
    else:
        show(machine_groups_table(rows.things.groups, count))
