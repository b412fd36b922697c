"""A registry that a test fills by its own changes, and what it comes to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

from pusher.access import SERVER, Access, Effect, Kind, compiled
from pusher.models.registry import RegistryRows
from pusher.problems import BadInput
from pusher.registry import grants, groups, leaving, objects, people, roles, sync
from pusher.registry.change import Actor, Done, Draft, Edit, Registrar
from pusher.registry.world import world_of
from pusher.store import Store
from pusher.targets.inventory import load_inventory
from tests.unit.access.worlds import NOW

ACTOR = Actor(name="root@mgmt1", via="command", origin="mgmt1")


class House:
    """Each method is one change; ``now`` is the time of the next one."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder, self.now = store, folder, NOW
        self.registrar = Registrar(store, folder / "config" / "audit.key", ACTOR, lambda: self.now)

    def change(self, edit: Callable[[Draft], Edit | None], act: str = "test") -> Done:
        return self.registrar.change(act, edit)

    def people(self, *names: str) -> None:
        for name in names:
            self.change(lambda draft, name=name: people.add_person(draft, name))  # type: ignore[misc]

    def crew(self, name: str, *members: str) -> None:
        self.change(lambda draft: people.add_group(draft, name))
        for member in members:
            self.join(member, name)

    def join(self, member: str, group: str) -> Done:
        return self.change(lambda draft: people.join(draft, member, group))

    def grant(self, who: str, role: str, on: str = SERVER, effect: Effect = Effect.ALLOW,
              until: datetime | None = None) -> Done:  # fmt: skip
        asked = grants.GrantAsked(subject=who, role=role, scope=on, effect=effect, until=until)
        return self.change(lambda draft: grants.add(draft, asked))

    def role(self, name: str, *permissions: str, complete: bool = False, **more: Any) -> Done:
        asked = roles.RoleAsked(name=name, permissions=permissions, **more)
        return self.change(lambda draft: roles.save(draft, asked, complete=complete))

    def group(self, name: str, query: str | None = None, within: str | None = None) -> Done:
        return self.change(lambda draft: groups.add(draft, name, query, within))

    def put(self, thing: str, group: str) -> Done:
        return self.change(lambda draft: groups.put(draft, thing, group))

    def account(self, name: str) -> Done:
        return self.change(lambda draft: objects.add(draft, Kind.ACCOUNT, name))

    def own(self, thing: str, owner: str | None) -> Done:
        return self.change(lambda draft: objects.own(draft, thing, owner))

    def revoke(self, person: str, owner: str | None = None) -> Done:
        return self.change(lambda draft: leaving.revoke(draft, person, owner))

    def admin(self, person: str) -> Done:
        return self.change(lambda draft: grants.make_administrator(draft, person))

    def sync(self, text: str, file: str = "paris.yaml", name: str | None = None) -> Done:
        """``text``: the inventory's groups, in YAML."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("version: 1\ngroups:\n" + "".join(f"  {line}\n" for line in text.splitlines()))
        listed = sync.read(load_inventory(path), path, name)
        return self.change(lambda draft: sync.sync(draft, listed))

    @property
    def rows(self) -> RegistryRows:
        return self.store.registry.rows()

    @property
    def access(self) -> Access:
        return compiled(world_of(self.rows), self.now)

    def inside(self, group: str) -> set[str]:
        """The machines that a group covers or finds, by the closure in the store."""
        pairs: set[tuple[str, str]] = set()
        self.store.registry.change(lambda change: pairs.update(change.covers()))
        names = {one.id: one.name.partition(".")[0] for one in self.rows.things.objects if one.kind == "machine"}
        return {names[thing] for scope, thing in pairs if scope == group and thing in names}

    def refuses(self, change: Callable[[], object]) -> str:
        """The sentence; nothing at all was changed."""
        before = self.rows, len(list(self.store.registry.audit.entries()))
        try:
            change()
        except BadInput as error:
            assert (self.rows, len(list(self.store.registry.audit.entries()))) == before
            assert error.sentence.count("\n") == 0
            return error.sentence
        raise AssertionError("it was not refused")

    def said(self) -> Iterable[str]:
        """The acts of the audit, in their order."""
        return [one.entry.act for one in self.store.registry.audit.entries()]
