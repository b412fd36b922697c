"""``pusher access roles``: the predefined ones, and custom ones."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated

import typer

from pusher.cli.options import AsJson, StoreUrl, group_of_commands

app = group_of_commands("Roles: named sets of permissions, the predefined ones and your own.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="A custom role.")]
Some = list[str] | None


@app.command("list")
def list_roles(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One role: all that it gives.")] = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """List the roles, or all that one of them gives.

    Example: pusher access roles list Operator
    """
    from pusher.access import PREDEFINED
    from pusher.cli.registry_desk import desk, show
    from pusher.registry.names import role
    from pusher.registry.world import roles_of
    from pusher.report.access import role_record, roles_table
    from pusher.report.record import write_line

    with desk(store) as opened:
        roles = list(roles_of(opened.store.registry.rows().subjects.roles).values())
    predefined = frozenset(one.name for one in PREDEFINED)
    if name is not None:
        roles = [role(roles, name)]
    if json:
        for one in roles:
            write_line(role_record(one, predefined), sys.stdout)
    elif name is not None:
        gives = [*sorted(roles[0].permissions), *(f"the capability {one}" for one in sorted(roles[0].all_capabilities))]
        print("\n".join(gives))
    else:
        show(roles_table(roles, predefined))


@app.command("save")
def save(
    name: Name,
    permission: Annotated[
        Some, typer.Option("--permission", metavar="KIND.ACTION", help="That it gives; repeatable.")
    ] = None,
    include: Annotated[
        Some, typer.Option("--include", metavar="ROLE", help="A role whose permissions it has too; repeatable.")
    ] = None,
    capability: Annotated[
        Some,
        typer.Option(
            "--capability",
            metavar="KIND.ACTION",
            help="To sign in somewhere (machine.push, machine.remove, account.test), where it is given on the server.",
        ),
    ] = None,
    level: Annotated[str, typer.Option("--level", help="Where it is given: server, object or either.")] = "either",
    complete: Annotated[
        bool, typer.Option("--complete", help="Add what the acts that it has part in ask for besides.")
    ] = False,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Save a custom role, or put this in the place of what it is: its grants mean that from then on.

    A role that has part in a push and lacks what no other role is meant to give is told of.

    Example: pusher access roles save 'Lab hands' --include Viewer --permission machine.push --capability machine.push
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.roles import RoleAsked
    from pusher.registry.roles import save as save_role

    asked = RoleAsked(name=name, permissions=permission or (), includes=include or (), capabilities=capability or (),
                      level=level)  # fmt: skip
    edit = partial(save_role, asked=asked, complete=complete)
    changed("roles.save", edit, f"Saved the role {name}.", {"role": name}, store, json)


@app.command("remove")
def remove(name: Name, store: StoreUrl = None, json: AsJson = False) -> None:
    """Remove a custom role that is given to nobody.

    Example: pusher access roles remove 'Lab hands'
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.roles import remove as remove_role

    changed("roles.remove", partial(remove_role, name=name), f"Removed the role {name}.", {"role": name}, store, json)
