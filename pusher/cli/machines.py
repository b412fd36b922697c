"""``pusher machines``: the machines of the registry, which are those of the inventories, and groups of them.

What must not live here: what an inventory says (``targets``).
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from pusher.cli import machine_groups
from pusher.cli.options import AsJson, StoreUrl, group_of_commands, with_options
from pusher.settings import Options

app = group_of_commands("The machines that something can be granted on: those of the inventories.")
app.add_typer(machine_groups.app, name="groups")


@app.command("sync")
@with_options("inventory", "accounts", "store")
def sync(
    *,
    options: Options,
    name: Annotated[
        str | None, typer.Option("--name", help="What the inventory is called. [default: as its file]")
    ] = None,
    json: AsJson = False,
) -> None:
    """Make an inventory's machines and groups those of the registry.

    The inventory is a group, and its groups are in that: paris, paris/lab. What is not in its file any more is taken
    out; a machine that no inventory has is kept with its history, and marked gone. No machine is contacted; --accounts
    is for groups of a directory.

    Example: pusher machines sync inventory/paris.yaml
    """
    from pusher.cli.registry_desk import actor_s_registrar, told
    from pusher.registry.sync import read
    from pusher.registry.sync import sync as synced
    from pusher.wiring.engine import open_engine
    from pusher.wiring.inventory import inventory_of

    with open_engine(options.store) as engine:
        listed = read(inventory_of(options, engine), options.inventory, name)
        done = actor_s_registrar(engine.store()).change("machines.sync", partial(synced, listed=listed))
    after = (done.edit.after or {}) if done.edit is not None else {}
    called = listed.root.partition(":")[2]
    words = f"{called}: {len(listed.machines):,} machines in {len(listed.groups):,} groups"
    if done.edit is not None:
        words += "; " + ", ".join(f"{after[f'{one} count']:,} {one}" for one in ("added", "back", "gone"))
    record = {"inventory": called, "machines": len(listed.machines), "groups": len(listed.groups),
              **{one: after.get(f"{one} count", 0) for one in ("added", "back", "gone")}}  # fmt: skip
    told(done, f"{words}.", record, json, f"{words}; nothing has changed.")


@app.command("list")
def list_machines(
    who: Annotated[
        str | None, typer.Option("--who", metavar="PERSON", help="Only those that this person may see (see --may).")
    ] = None,
    may: Annotated[
        str, typer.Option("--may", metavar="PERMISSION", help="With --who: those that they may do this to.")
    ] = "machine.view",
    group: Annotated[
        str | None, typer.Option("--group", help="Only what is in this group, or what a dynamic one finds.")
    ] = None,
    gone: Annotated[bool, typer.Option("--gone", help="Those that no inventory has any more.")] = False,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """List the machines of the registry: all, a group's, or those that a person may do something to.

    Example: pusher machines list --who ann --may machine.push
    """
    from pusher.access import compiled
    from pusher.cli.registry_desk import desk, show
    from pusher.clock import utc_now
    from pusher.registry.asked import groups_of, machines_that
    from pusher.registry.world import world_of
    from pusher.report.access import machine_record, machines_table
    from pusher.report.record import write_line

    with desk(store) as opened:
        registry = opened.store.registry
        rows = registry.rows()
        condition = machines_that(compiled(world_of(rows), utc_now()), who, may, group)
        found = frozenset(registry.found("machine", condition))
    things = rows.things
    machines = [one for one in things.machines if one.id in found and (one.gone_at is not None) is gone]
    named = {one.id: one for one in things.objects}
    above = groups_of(things.members)
    if json:
        for one in machines:
            write_line(machine_record(one, named, above), sys.stdout)
    else:
        show(machines_table(machines, named, above))
