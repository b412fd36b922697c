"""``pusher access grants``: what is given to whom, or denied."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from pusher.cli.options import AsJson, StoreUrl, group_of_commands

app = group_of_commands("Grants: a role, given to or denied a person or a group of people.")


@app.command("add")
def add(
    subject: Annotated[str, typer.Argument(metavar="WHO", help="A person, or a group of people.")],
    role: Annotated[str, typer.Argument(metavar="ROLE", help="As 'pusher access roles list' has it.")],
    on: Annotated[
        str,
        typer.Option(
            "--on", metavar="OBJECT", help="KIND:NAME or a name, with all that is in it; result:GROUP; or server."
        ),
    ] = "server",
    deny: Annotated[bool, typer.Option("--deny", help="Take what the role adds, instead of giving it.")] = False,
    until: Annotated[
        str | None, typer.Option("--until", metavar="TIME", help="Its end: 8h, 30d, or 2026-12-24T18:00 (UTC).")
    ] = None,
    note: Annotated[str, typer.Option("--note", help="Why, for whoever reads the list.")] = "",
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Give a role to a person or a group of people, or deny it to them.

    Example: pusher access grants add helpdesk Pusher --on group:paris/lab --until 8h
    """
    from pusher.access import Effect
    from pusher.cli.registry_desk import changed
    from pusher.clock import utc_now
    from pusher.registry.grants import GrantAsked, read_end
    from pusher.registry.grants import add as grant

    effect = Effect.DENY if deny else Effect.ALLOW
    end = read_end(until, utc_now()) if until is not None else None
    asked = GrantAsked(subject=subject, role=role, scope=on, effect=effect, until=end, note=note)
    done = "is denied" if deny else "has"
    record = {"subject": subject, "role": role, "on": on, "effect": effect.value}
    changed("grants.add", partial(grant, asked=asked), f"{subject} {done} {role} on {on}.", record, store, json)


@app.command("list")
def list_grants(
    who: Annotated[str | None, typer.Option("--who", metavar="WHO", help="Only a person's or a group's own.")] = None,
    on: Annotated[str | None, typer.Option("--on", metavar="OBJECT", help="Only those on just this.")] = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """List what is granted; what is over is listed until it is removed.

    Example: pusher access grants list --who helpdesk
    """
    from pusher.cli.registry_desk import desk, show
    from pusher.clock import utc_now
    from pusher.registry.names import scope, subject
    from pusher.registry.world import world_of
    from pusher.report.access import grant_record, grants_table
    from pusher.report.record import write_line

    with desk(store) as opened:
        rows = opened.store.registry.rows()
    found = list(rows.subjects.grants)
    if who is not None or on is not None:
        world = world_of(rows)
        if who is not None:
            asked = subject(world, who)
            found = [one for one in found if one.subject == asked]
        if on is not None:
            place = scope(world, on)
            found = [one for one in found if one.scope == place]
    if json:
        for one in found:
            write_line(grant_record(one), sys.stdout)
    else:
        show(grants_table(found, utc_now()))


@app.command("remove")
def remove(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="Its id, as 'pusher access grants list' has it.")],
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Take a grant away. The end of a deny gives back what it took.

    Example: pusher access grants remove g12
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.grants import remove as take

    changed("grants.remove", partial(take, grant=grant), f"Removed {grant}.", {"grant": grant}, store, json)
