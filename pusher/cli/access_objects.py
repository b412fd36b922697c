"""``pusher access objects``: what something can be granted on besides machines, and who owns what."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from pusher.cli.options import AsJson, StoreUrl, group_of_commands
from pusher.problems import BadInput

app = group_of_commands("Packages, accounts and windows that something can be granted on, and who owns what.")

Object = Annotated[str, typer.Argument(metavar="OBJECT", help="KIND:NAME, or a name that one object has.")]


@app.command("add")
def add(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="package, account or window.")],
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="An account's name in the accounts file, a window's; a package's folder."),
    ],
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Register a package by its folder, and what it holds now; or an account or a window by its name.

    Example: pusher access objects add package packages/labagent; pusher access objects add account push-2026
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.objects import add as add_object
    from pusher.registry.objects import add_package, by_name

    edit: partial[Any]
    if kind == "package":
        from pusher.install.manifest import load_manifest
        from pusher.install.package import load_package

        manifest, _ = load_manifest(Path(name))
        package = load_package(Path(name))
        called = f"package:{package.name} {package.version}"
        edit = partial(add_package, package=package, digest=manifest.digest)
    else:
        called = f"{kind}:{name}"
        edit = partial(add_object, kind=by_name(kind), name=name)
    changed("objects.add", edit, f"Registered {called}.", {"object": called}, store, json)


@app.command("list")
def list_objects(
    kind: Annotated[str | None, typer.Option("--kind", help="Only machine, group, package, account or window.")] = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """List the objects with their owners.

    Example: pusher access objects list --kind package
    """
    from pusher.cli.registry_desk import desk, show
    from pusher.registry.objects import KINDS
    from pusher.report.access import object_record, objects_table
    from pusher.report.record import write_line

    if kind is not None and kind not in KINDS:
        raise BadInput(None, f"--kind {kind} is unknown", " or ".join(KINDS))
    with desk(store) as opened:
        found = [one for one in opened.store.registry.rows().things.objects if kind in (None, one.kind)]
    if json:
        for one in found:
            write_line(object_record(one), sys.stdout)
    else:
        show(objects_table(found))


@app.command("own")
def own(
    object: Object,
    owner: Annotated[
        str | None, typer.Argument(metavar="OWNER", help="A person or a group of people; none: nobody's.")
    ] = None,
    store: StoreUrl = None,
    json: AsJson = False,
) -> None:
    """Give an object to somebody, or to nobody. Its owner may do with it whatever can be done without signing in.

    Example: pusher access objects own group:paris/lab helpdesk
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.objects import own as give

    sentence = f"{object} is {f'owned by {owner}' if owner is not None else 'owned by nobody'}."
    record = {"object": object, "owner": owner}
    changed("objects.own", partial(give, thing=object, owner=owner), sentence, record, store, json)


@app.command("remove")
def remove(object: Object, store: StoreUrl = None, json: AsJson = False) -> None:
    """Remove a package, an account or a window, with the grants on it. Its folder, its file stay as they are.

    Example: pusher access objects remove 'package:labagent 1.4.2'
    """
    from pusher.cli.registry_desk import changed
    from pusher.registry.objects import remove as take

    changed("objects.remove", partial(take, thing=object), f"Removed {object}.", {"object": object}, store, json)
