"""May a person do something to an object? Eight rules, and the first that applies decides.

==== ============= ================================================================================== =======
rule               applies where                                                                      answer
==== ============= ================================================================================== =======
1    DISABLED      the person is disabled, here or in the directory                                   no
2    TOKEN         the token has not the permission, or is limited to a group that the object is not in  no
3    CAPABILITY    it signs in somewhere, and no server-wide allow gives the capability, or a
                   server-wide deny takes it                                                          no
4    OWNER         the object is owned by the person or a group of theirs                             yes
5    DENY          a deny of it or of the object's view is on any scope that covers the object        no
6    VIEW_FIRST    it is not view, and view would be refused                                          no
7    ALLOW         an allow of it is on any scope that covers the object                              yes
8    NOTHING       nothing above                                                                      no
==== ============= ================================================================================== =======

Grants on the server and on objects add up, and neither overrides. Who owns a group may do to it what can be done to a
group, and to nothing that is in it; nor may they add machines to the console by it. What creates is asked of the place
where the object shall be: a static group, whose view it asks for first, or the server, which everybody sees.
``where`` is the same decision for all objects of a kind at once.
What must not live here: how a person's grants are found (``compiled``), and how an answer is worded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from pusher.access.permissions import IN_GROUPS, OUTWARD, Permission
from pusher.access.places import Place
from pusher.access.world import SERVER, Grant, Standing, Token
from pusher.models.conditions import Condition, Covered, Everything, Nothing, Owned, all_of, any_of, none_of


class Rule(StrEnum):
    """What decided. The values are what the API and the audit say: they do not change."""

    DISABLED = "disabled"
    TOKEN = "token"  # noqa: S105
    CAPABILITY = "capability"
    OWNER = "owner"
    DENY = "deny"
    VIEW_FIRST = "view-first"
    ALLOW = "allow"
    NOTHING = "nothing-gives-it"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """All that bears on one person and one permission: the grants in force, by scope.

    ``subjects``: the person and all groups of theirs. ``capability``, ``capability_denied``: the server-wide grants
    that give and take it. ``view``: the same of the view that is asked for first; None where none is.
    """

    person: str
    permission: Permission
    standing: Standing
    subjects: frozenset[str]
    allow: Mapping[str, Grant]
    deny: Mapping[str, Grant]
    capability: Grant | None = None
    capability_denied: Grant | None = None
    view: Reach | None = None

    @property
    def scopes(self) -> frozenset[str]:
        """All that its grants name, and those of its view."""
        return frozenset((*self.allow, *self.deny)) | (self.view.scopes if self.view is not None else frozenset())

    @property
    def lacks_capability(self) -> bool:
        return self.permission in OUTWARD and (self.capability is None or self.capability_denied is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """``grant``: the one that decided, or whose view was denied. ``view``: the refusal of the view, by VIEW_FIRST."""

    rule: Rule
    person: str
    permission: Permission
    place: str
    grant: Grant | None = None
    token: Token | None = None
    view: Answer | None = None

    @property
    def allowed(self) -> bool:
        return self.rule in {Rule.OWNER, Rule.ALLOW}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    reach: Reach
    place: Place
    token: Token | None

    @property
    def view(self) -> Reach | None:
        """What must be allowed to be seen first; the server is seen by everybody who would create something in it."""
        seen = self.place.kind is None and self.reach.permission.creates
        return None if seen else self.reach.view

    def answer(self, rule: Rule, grant: Grant | None = None, view: Answer | None = None) -> Answer:
        return Answer(
            rule=rule,
            person=self.reach.person,
            permission=self.reach.permission,
            place=self.place.id,
            grant=grant,
            token=self.token,
            view=view,
        )


def _disabled(asked: _Question) -> Answer | None:
    return asked.answer(Rule.DISABLED) if asked.reach.standing is not Standing.ENABLED else None


def _token(asked: _Question) -> Answer | None:
    token, permission = asked.token, asked.reach.permission
    if token is None:
        return None
    outside = permission.kind in IN_GROUPS and token.within is not None and token.within not in asked.place.scopes
    return asked.answer(Rule.TOKEN) if permission not in token.permissions or outside else None


def _capability(asked: _Question) -> Answer | None:
    return asked.answer(Rule.CAPABILITY, asked.reach.capability_denied) if asked.reach.lacks_capability else None


def _owner(asked: _Question) -> Answer | None:
    own = asked.place.owner in asked.reach.subjects and asked.place.kind is asked.reach.permission.kind
    return asked.answer(Rule.OWNER) if own else None


def _deny(asked: _Question) -> Answer | None:
    levels = [level.deny for level in (asked.reach, asked.view) if level is not None]
    for scope in asked.place.scopes:
        for deny in levels:
            if scope in deny:
                return asked.answer(Rule.DENY, deny[scope])
    return None


def _view_first(asked: _Question) -> Answer | None:
    if asked.view is None:
        return None
    seen = decide(asked.view, asked.place)
    return None if seen.allowed else asked.answer(Rule.VIEW_FIRST, seen.grant, seen)


def _allow(asked: _Question) -> Answer | None:
    allow = asked.reach.allow
    return next((asked.answer(Rule.ALLOW, allow[scope]) for scope in asked.place.scopes if scope in allow), None)


RULES: tuple[Callable[[_Question], Answer | None], ...] = (
    _disabled,
    _token,
    _capability,
    _owner,
    _deny,
    _view_first,
    _allow,
)


def decide(reach: Reach, place: Place, token: Token | None = None) -> Answer:
    """The answer for one object."""
    asked = _Question(reach=reach, place=place, token=token)
    for rule in RULES:
        answer = rule(asked)
        if answer is not None:
            return answer
    return asked.answer(Rule.NOTHING)


def where(reach: Reach, token: Token | None = None) -> Condition:
    """The same decision as a condition on the rows of the permission's kind; for a permission that creates nothing."""
    if reach.standing is not Standing.ENABLED or reach.lacks_capability:
        return Nothing()
    permission = reach.permission
    if token is not None and permission not in token.permissions:
        return Nothing()
    inside: Condition = Everything()
    if token is not None and token.within is not None and permission.kind in IN_GROUPS:
        inside = _covered({token.within})
    levels = [level for level in (reach, reach.view) if level is not None]
    return all_of(inside, any_of(Owned(reach.subjects), _granted(levels)))


def _granted(levels: Iterable[Reach]) -> Condition:
    """Allowed, and not denied, by grants alone."""
    return all_of(*(one for level in levels for one in (none_of(_covered(level.deny)), _covered(level.allow))))


def _covered(scopes: Collection[str]) -> Condition:
    if SERVER in scopes:
        return Everything()
    return Covered(frozenset(scopes)) if scopes else Nothing()
