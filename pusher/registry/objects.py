"""Changes of objects that nobody has to sync: packages, accounts, windows; and of any object's owner.

Each is an edit for ``Registrar.change``. What must not live here: machines (``sync``) and their groups (``groups``).
"""

from __future__ import annotations

from dataclasses import replace

from pusher.access import Kind, check_owner
from pusher.models import Package
from pusher.models.registry import GrantRow, ObjectRow, RegisteredPackageRow
from pusher.problems import BadInput
from pusher.registry import names
from pusher.registry.change import Draft, Edit

BY_NAME = (Kind.ACCOUNT, Kind.WINDOW)
"""What is registered by its name alone: an accounts file's account, a time in which may be pushed."""


KINDS = (Kind.MACHINE, Kind.GROUP, Kind.PACKAGE, *BY_NAME)
"""What there are objects of by now."""


def by_name(text: str) -> Kind:
    """The kind that is spelled so. BadInput where it is none that is registered by its name."""
    if text not in BY_NAME:
        raise BadInput(None, f"a {text!r} cannot be added", " or ".join((Kind.PACKAGE, *BY_NAME)))
    return Kind(text)


def add(draft: Draft, kind: Kind, name: str) -> Edit:
    """An account or a window. BadInput where there is one of that name."""
    row = _new(draft, kind, name)
    draft.change.put(row)
    return Edit(object=row.id, after={"kind": row.kind, "name": row.name}, moved=(row.id,))


def add_package(draft: Draft, package: Package, digest: str) -> Edit | None:
    """What a package's folder says and holds; None where it is registered. BadInput where that version was other.

    ``digest``: of its manifest, by which the queue knows it too.
    """
    name = f"{package.name} {package.version}"
    known = next((one for one in draft.things.packages if one.id == names.object_id(Kind.PACKAGE, name)), None)
    if known is not None and known.sha256 == digest:
        return None
    if known is not None:
        found = f"{name} is registered with another content (from {known.root})"
        raise BadInput(package.source, found, "another version, or the removal of that one first")
    row = _new(draft, Kind.PACKAGE, name)
    registered = RegisteredPackageRow(
        id=row.id, version=package.version, sha256=digest, root=str(package.root.absolute())
    )
    draft.change.put(row)
    draft.change.put(registered)
    after = {"kind": row.kind, "name": row.name, "sha256": digest, "root": registered.root}
    return Edit(object=row.id, after=after, moved=(row.id,))


def own(draft: Draft, thing: str, owner: str | None) -> Edit | None:
    """Give an object to somebody, or to nobody; None where it is theirs. BadInput where the owner is gone."""
    thing = names.thing(draft.world, thing)
    row = next((one for one in draft.things.objects if one.id == thing), None)
    if row is None:
        raise BadInput(None, "the server is nobody's own", "an object")
    if owner is not None:
        check_owner(draft.world, owner)
    if row.owner == owner:
        return None
    draft.change.put(replace(row, owner=owner))
    return Edit(object=thing, before={"owner": row.owner}, after={"owner": owner}, moved=())


def remove(draft: Draft, thing: str) -> Edit:
    """An account, a window or a package, with the grants on it. BadInput for another."""
    thing = names.thing(draft.world, thing)
    row = next((one for one in draft.things.objects if one.id == thing), None)
    if row is None or row.kind not in (*BY_NAME, Kind.PACKAGE):
        raise BadInput(None, f"{thing} is not removed here", "a package, an account or a window")
    grants = drop_grants(draft, thing)
    draft.change.drop(RegisteredPackageRow, thing)
    draft.change.drop(ObjectRow, thing)
    before = {"kind": row.kind, "name": row.name, "owner": row.owner, "grants": grants}
    return Edit(object=thing, before=before, moved=(thing,))


def drop_grants(draft: Draft, *scopes: str) -> list[str]:
    """The grants on what goes, which go with it; as the audit has them."""
    gone = [one for one in draft.subjects.grants if one.scope in scopes]
    draft.change.drop(GrantRow, *(one.id for one in gone))
    return [f"{one.id}: {one.subject} {one.effect} {one.role} on {one.scope}" for one in gone]


def _new(draft: Draft, kind: Kind, name: str) -> ObjectRow:
    row = ObjectRow(id=names.object_id(kind, names.checked_name(name, f"a {kind}")), kind=kind.value, name=name)
    if row.id in draft.world.objects:
        raise BadInput(None, f"{row.id} is registered already", "another name")
    return row
