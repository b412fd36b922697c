"""``pusher access``: why somebody may or may not, who may, what somebody has, and taking it all away.

What is given is filled in by the commands below it: ``access_people``, ``access_roles``, ``access_grants``,
``access_objects``. What must not live here: deciding anything (the rooms ``access`` and ``registry``).
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pusher.cli import access_grants, access_objects, access_people, access_roles
from pusher.cli.options import AsJson, StoreUrl, confirmed, group_of_commands, somebody_to_ask

app = group_of_commands(
    "Who may see a machine, push to it, or change what others may. Commands are subject to none of it (whoever has the "
    "store has everything), and each change is entered in the audit."
)
app.add_typer(access_people.people, name="people")
app.add_typer(access_people.groups, name="groups")
app.add_typer(access_roles.app, name="roles")
app.add_typer(access_grants.app, name="grants")
app.add_typer(access_objects.app, name="objects")

_MAY, _MAY_NOT = 0, 1

Person = Annotated[str, typer.Argument(metavar="PERSON", help="Whoever is meant.")]
Permission = Annotated[str, typer.Argument(metavar="PERMISSION", help="KIND.ACTION, such as machine.push.")]
Object = Annotated[
    str,
    typer.Argument(
        metavar="OBJECT", help="KIND:NAME, such as group:paris/lab; a name that one object has; or 'server'."
    ),
]


@app.command("explain")
def explain(
    person: Person, permission: Permission, object: Object = "server", store: StoreUrl = None, json: AsJson = False
) -> None:
    """Say whether a person may do something, and why; of a refusal, what role would give it and who can grant one.

    Exit status: 0 they may, 1 they may not, 2 bad input.

    Example: pusher access explain ann machine.push ws017.paris.corp.example
    """
    from pusher.cli.registry_desk import desk
    from pusher.registry.asked import explained
    from pusher.registry.loaded import Loaded
    from pusher.report.access import why_lines, why_record
    from pusher.report.record import write_line

    with desk(store) as opened:
        access = Loaded(opened.store).access()
    thing, asked, why = explained(access, person, permission, object)
    if json:
        write_line(why_record(why, person, asked.value, thing), sys.stdout)
    else:
        print("\n".join(why_lines(why, access.world)))
    raise typer.Exit(_MAY if why.allowed else _MAY_NOT)


@app.command("who")
def who(permission: Permission, object: Object = "server", store: StoreUrl = None, json: AsJson = False) -> None:
    """List the people who may do something to an object, and by what.

    Example: pusher access who machine.push ws017.paris.corp.example
    """
    from pusher.cli.registry_desk import desk, show
    from pusher.registry.asked import who_may
    from pusher.registry.loaded import Loaded
    from pusher.report.access import who_record, who_table
    from pusher.report.record import write_line

    with desk(store) as opened:
        access = Loaded(opened.store).access()
    _, answers = who_may(access, permission, object)
    if json:
        for one in answers:
            write_line(who_record(one), sys.stdout)
    else:
        show(who_table(answers, access.world))


@app.command("remains")
def remains(person: Person, store: StoreUrl = None, json: AsJson = False) -> None:
    """List all that gives a person anything now: grants, their groups' grants, what they own.

    Example: pusher access remains ann
    """
    from pusher.access.remains import remains as remains_of
    from pusher.cli.registry_desk import desk
    from pusher.registry.loaded import Loaded
    from pusher.registry.names import person as known
    from pusher.report.access import remain_record
    from pusher.report.record import write_line
    from pusher.report.text import visible

    with desk(store) as opened:
        access = Loaded(opened.store).access()
    found = remains_of(access, known(access.world, person))
    if json:
        for one in found:
            write_line(remain_record(one, access.world), sys.stdout)
        return
    for one in found:
        print(visible(one.said(access.world)))
    if not found:
        print(visible(f"Nothing gives {person} anything."))


@app.command("revoke")
def revoke(
    person: Person,
    owner: Annotated[
        str | None,
        typer.Option("--owner", metavar="WHO", help="Who gets what they own; may be a group of people."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before taking it away.")] = False,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Take everything away from a person, at once: grants, groups, what they own, and that they may sign in.

    They are kept, disabled, since the audit speaks of them. The last administrator stays.

    Example: pusher access revoke ann --owner helpdesk
    """
    from functools import partial

    from pusher.cli.registry_desk import desk, told
    from pusher.registry.leaving import revoke as take_away

    if not yes:
        somebody_to_ask("taking everything away")
        remains(person, store, False)
        confirmed(f"Take all of this away from {person}?")
    with desk(store) as opened:
        done = opened.registrar.change("access.revoke", partial(take_away, person=person, new_owner=owner))
    before = (done.edit.before or {}) if done.edit is not None else {}
    lost = {"grants": "grant", "groups": "membership", "owner of": "ownership"}
    words = ", ".join(f"{count} {one}{'' if count == 1 else 's'}" for name, one in lost.items()
                      if (count := len(before.get(name, ()))))  # fmt: skip
    told(done, f"{person} is disabled, and has nothing any more; taken away: {words or 'nothing'}.", {"person": person},
         json, f"{person} has nothing, and is disabled already.")  # fmt: skip


@app.command("admin")
def admin(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A person; made where there is none of that name.")],
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Make somebody a Server Administrator, everywhere and with no end: the first one, and the way back in.

    Example: pusher access admin ann
    """
    from functools import partial

    from pusher.cli.registry_desk import desk, told
    from pusher.registry.grants import make_administrator

    with desk(store) as opened:
        done = opened.registrar.change("access.admin", partial(make_administrator, person=name))
    told(done, f"{name} is a Server Administrator.", {"person": name}, json,
         f"{name} is a Server Administrator already.")  # fmt: skip
