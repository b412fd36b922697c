"""What somebody still has, and by what: to be taken away when they go.

What must not live here: taking it away; tokens, sessions and what waits in the queue, which the store lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pusher.access.compiled import Access
from pusher.access.world import Effect, Grant, World


class Way(StrEnum):
    """By what they have it, which says how it is taken away: revoke it, leave the group, choose another owner."""

    GRANT = "grant"
    GROUP_GRANT = "group-grant"
    OWNER = "owner"
    GROUP_OWNER = "group-owner"


@dataclass(frozen=True, kw_only=True, slots=True)
class Remain:
    """``group``: the one that has it, where it is not the person's own. ``grant`` or ``thing``: what it is."""

    way: Way
    group: str | None = None
    grant: Grant | None = None
    thing: str | None = None

    def said(self, world: World) -> str:
        """In words."""
        by = f" as a member of {world.label(self.group)}" if self.group is not None else ""
        if self.grant is not None:
            end = f" until {self.grant.until:%Y-%m-%d %H:%M %Z}" if self.grant.until is not None else ""
            return f"{self.grant.role.name} on {world.label(self.grant.scope)}{by}{end}"
        return f"owner of {world.label(self.thing or '')}{by}"


def remains(access: Access, person: str) -> tuple[Remain, ...]:
    """All that gives a person anything now: their own grants, their groups', what they own and what their groups own.

    Without these they may do nothing at all. Denies are not among them.
    """
    own: list[Remain] = []
    shared: list[Remain] = []
    for subject in sorted(access.subjects(person)):
        mine = subject == person
        group = None if mine else subject
        found = own if mine else shared
        for grant in access.grants.get(subject, ()):
            if grant.effect is Effect.ALLOW:
                found.append(Remain(way=Way.GRANT if mine else Way.GROUP_GRANT, group=group, grant=grant))
        for thing in access.places.owned.get(subject, ()):
            found.append(Remain(way=Way.OWNER if mine else Way.GROUP_OWNER, group=group, thing=thing))
    return (*own, *shared)
