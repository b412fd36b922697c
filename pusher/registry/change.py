"""The one way to change the registry: read, changed, checked and entered in the audit, all in one transaction.

Whatever the change: the world that it leaves is held to access's checks, the last administrator stays, results and the
closure follow, the number is raised. Where any of it fails, nothing is changed.
What must not live here: the changes themselves, and who may make them (``access``).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pusher.access import SERVER, Access, World, check_world, compiled
from pusher.access.guards import check_administrators
from pusher.access.places import Places
from pusher.clock import Now, utc_now
from pusher.models import Secret, Source
from pusher.models.audit import AuditEntry, Decision, SealedEntry
from pusher.models.registry import Subjects, Things
from pusher.problems import BadInput
from pusher.registry.audit_files import add_anchor, anchors_beside, make_key, read_key
from pusher.registry.chain import NEW_KEY, Anchor, name_of, sealed
from pusher.registry.results import covered, refresh_results
from pusher.registry.world import objects_of, world
from pusher.store import Store
from pusher.store.audit import Entries
from pusher.store.registry_change import RegistryChange

_NAMED = 100
"""Names that an entry of the audit lists one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who makes a change. ``via``: how they came; ``origin``: from where."""

    name: str
    via: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What a change is made of: the transaction to write to, and all that stands before."""

    change: RegistryChange
    subjects: Subjects
    things: Things
    world: World
    now: datetime
    actor: Actor


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What was changed, for the audit. ``moved``: the objects that came, went, or are elsewhere than before.

    What follows is looked at again for them and all that is in them; of a dynamic group, for all machines. None: no
    object was changed at all. ``notes``: what to tell of the world that it leaves; asked once it is kept.
    """

    object: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    moved: Collection[str] | None = None
    notes: Callable[[Access], Sequence[str]] = field(default=lambda _: ())


@dataclass(frozen=True, kw_only=True)
class Done:
    """``edit`` is None where there was nothing to change."""

    edit: Edit | None
    notes: tuple[str, ...] = ()


class Registrar:
    """Changes the registry of an open store for one actor. ``key``: the file of the audit's key."""

    def __init__(self, store: Store, key: Path, actor: Actor, now: Now = utc_now) -> None:
        self._store, self._key, self._actor, self._now = store, key, actor, now

    def change(self, act: str, edit: Callable[[Draft], Edit | None]) -> Done:
        """``edit`` writes what it changes to its draft. BadInput, StoreError: nothing was changed.

        It may be called again, with another draft, where a server was away.
        """
        kept: list[tuple[Edit, Access, Anchor]] = []

        def work(change: RegistryChange) -> None:
            kept.clear()
            key = self._sealing_key(change.audit)
            draft = self._draft(change)
            made = edit(draft)
            if made is None:
                return
            after = _settled(draft, made)
            access = compiled(after, draft.now)
            change.raise_number()
            entry = self._entry(act, made, draft.now)
            kept.append((made, access, self._appended(change.audit, key, entry)))

        self._store.registry.change(work)
        if not kept:
            return Done(edit=None)
        made, access, anchor = kept[0]
        return Done(edit=made, notes=(*self._anchored(anchor), *made.notes(access)))

    def enter(self, act: str, thing: str, after: Mapping[str, Any] | None = None) -> tuple[str, ...]:
        """An entry of something that changes nothing here; what to tell of it."""
        kept: list[Anchor] = []

        def work(change: RegistryChange) -> None:
            kept.clear()
            key = self._sealing_key(change.audit)
            entry = self._entry(act, Edit(object=thing, after=after), self._now())
            kept.append(self._appended(change.audit, key, entry))

        self._store.registry.change(work)
        return self._anchored(kept[0])

    def begin_with_another_key(self) -> tuple[str, ...]:
        """Where the key was lost: the one that lies in its place, or a new one, seals what comes. What to tell of it.

        What was sealed before can be proven no more, and the entry of this says so. BadInput where nothing was lost.
        """
        kept: list[Anchor] = []

        def work(change: RegistryChange) -> None:
            kept.clear()
            last, key = change.audit.last(), read_key(self._key)
            if last is None:
                raise BadInput(None, "the audit has no entry yet", "its first one, with which the key is made")
            if key is not None and last.key == name_of(key):
                raise BadInput(Source(file=str(self._key)), "this is the audit's own key, and is not lost")
            key = key or make_key(self._key)
            after = {"key": name_of(key), "seq": last.seq, "hash": last.hash}
            entry = self._entry(NEW_KEY, Edit(object="audit", before={"key": last.key}, after=after), self._now())
            kept.append(_append(change.audit, key, entry, store_name(self._store)))

        self._store.registry.change(work)
        return self._anchored(kept[0])

    def _sealing_key(self, entries: Entries) -> Secret | None:
        """None where there is none yet, and no entry. BadInput where the entries have another one."""
        found, last = read_key(self._key), entries.last()
        if found is None and entries.chain() is not None:
            raise key_missing(self._key)
        if found is not None and last is not None and last.key != name_of(found):
            raise key_missing(self._key)
        return found

    def _appended(self, entries: Entries, key: Secret | None, entry: AuditEntry) -> Anchor:
        """The key is made with the first entry, when nothing else can be refused any more."""
        return _append(entries, key or make_key(self._key), entry, store_name(self._store))

    def _draft(self, change: RegistryChange) -> Draft:
        subjects, things = change.subjects(), change.things()
        before = world(subjects, objects_of(things))
        return Draft(change=change, subjects=subjects, things=things, world=before, now=self._now(), actor=self._actor)

    def _entry(self, act: str, made: Edit, now: datetime) -> AuditEntry:
        return AuditEntry(
            at=now,
            actor=self._actor.name,
            via=self._actor.via,
            origin=self._actor.origin,
            act=act,
            object=made.object,
            decision=Decision.NOT_ASKED,
            before=made.before,
            after=made.after,
        )

    def _anchored(self, anchor: Anchor) -> tuple[str, ...]:
        """It is done by now: an anchor that cannot be written is told of, and undoes nothing."""
        path = anchors_beside(self._key)
        try:
            add_anchor(path, anchor)
        except OSError as error:
            return (f"the anchor of audit entry {anchor.seq} could not be written to {path} ({error.strerror})",)
        return ()


def store_name(store: Store) -> str:
    """What an anchor calls a store: its file's whole path, or its URL without a password."""
    return str(store.path.absolute()) if store.path is not None else store.name


def few(names: Sequence[str]) -> list[str]:
    """As an entry of the audit lists them: the first of many, and how many more there are."""
    more = len(names) - _NAMED
    return [*names[:_NAMED], *([f"and {more} more"] if more > 0 else [])]


def _settled(draft: Draft, made: Edit) -> World:
    """The world that the change leaves, with all that follows written. BadInput where it does not fit together."""
    change = draft.change
    subjects = change.subjects()
    if made.moved is None:
        after = world(subjects, draft.world.objects)
        check_world(after, objects=False)
    else:
        things, moved = change.things(), frozenset(made.moved)
        here, before = Places(objects=objects_of(things)), Places(objects=draft.world.objects)
        affected = covered(before, moved) | covered(here, moved)
        things, found = refresh_results(change, things, here, moved, affected)
        after = world(subjects, objects_of(things) if found else here.objects)
        check_world(after)
        _refresh_closure(change, Places(objects=after.objects), affected | found)
    check_administrators(draft.world, after, draft.now)
    return after


def _refresh_closure(change: RegistryChange, places: Places, affected: frozenset[str]) -> None:
    there = {pair for pair in change.covers() if pair[1] in affected}
    closure = {(scope, name) for name in affected & places.objects.keys() for scope in places.of(name).scopes}
    closure = {pair for pair in closure if pair[0] != SERVER}
    change.cover(closure - there, there - closure)


def _append(entries: Entries, key: Secret, entry: AuditEntry, store: str) -> Anchor:
    chain, last = entries.chain(), entries.last()
    if chain is None:
        chain = secrets.token_hex(16)
        entries.begin(chain)
    seq, prev = (last.seq + 1, last.hash) if last is not None else (1, chain)

    def seal(stored: AuditEntry) -> SealedEntry:
        return sealed(key, seq, prev, stored)

    made = entries.append(entry, seal)
    return Anchor(store=store, chain=chain, seq=made.seq, hash=made.hash)


def key_missing(path: Path) -> BadInput:
    found = "the audit of this store was written with another key than the one here"
    return BadInput(Source(file=str(path)), found, "the key's file as it is where the audit was begun")
