"""Why somebody may, or may not: the sentence, the roles that would give it, and who can give one of them.

What the reader may not view is spoken of as if it were not there: the same words, whether it is there or not.
What must not live here: anything that decides; HTTP.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pusher.access.compiled import Access
from pusher.access.decide import Answer, Rule
from pusher.access.guards import could_grant, may_revoke
from pusher.access.permissions import OBJECTS, Kind, Permission, view_of
from pusher.access.roles import Level, Role
from pusher.access.world import SERVER, Effect, Grant, Standing, Token

P = Permission
_ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "view": "view {}",
        "modify": "modify {}",
        "delete": "delete {}",
        "manage-access": "manage access to {}",
        "change-ownership": "change the owner of {}",
        "export": "export {}",
        "push": "push to {}",
        "remove": "remove packages from {}",
        "test": "test {}",
        "override": "override {}",
        "cancel": "cancel {}",
    }
)
_OF_A_KIND: Mapping[Permission, str] = MappingProxyType(
    {
        P.MACHINE_ASSIGN: "put {} into groups",
        P.GROUP_ASSIGN: "assign packages and windows to {}",
        P.PACKAGE_ASSIGN: "use {} in a push",
        P.ACCOUNT_ASSIGN: "use {} in a push",
        P.WINDOW_ASSIGN: "assign {} to groups",
    }
)
_PLURALS: Mapping[Kind, str] = MappingProxyType(
    {Kind.PERSON: "people", Kind.AUDIT: "the audit", Kind.SETTINGS: "the settings"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Why:
    """``roles``: those of which each would do away with the reason, the smallest first. ``grantors``: the people who
    could give one of them or, where a deny is the reason, take it away; never the person themselves.

    ``answer`` is None where the reader may not know whether there is such an object.
    """

    sentence: str
    answer: Answer | None
    roles: tuple[Role, ...] = ()
    grantors: tuple[str, ...] = ()
    grant: Grant | None = None

    @property
    def allowed(self) -> bool:
        return self.answer is not None and self.answer.allowed


def why(
    access: Access,
    person: str,
    permission: Permission,
    thing: str = SERVER,
    *,
    token: Token | None = None,
    reader: str | None = None,
    sees_all: bool = False,
) -> Why:
    """Why a person may or may not; ``reader``: who is told, the person where none is named.

    ``sees_all``: who is told reads the store itself, so that nothing is hidden from them. BadInput where the permission
    is not asked of the object's kind.
    """
    told = "" if sees_all else person if reader is None else reader
    if thing != SERVER and not sees_all and not _sees(access, told, thing):
        return _of_the_kind(access, person, permission, told)
    answer = access.may(person, permission, thing, token)
    options = () if answer.allowed else tuple(_options(access, answer))
    return Why(
        sentence=f"{_may(access, answer, told, _named(access, permission, thing))}: {_reason(access, answer, told)}.",
        answer=answer,
        roles=tuple(dict.fromkeys(one.role for one in options)),
        grantors=() if answer.allowed else tuple(_grantors(access, answer, options)),
        grant=answer.grant,
    )


def doing(permission: Permission, what: str) -> str:
    """The act in words, done to ``what``: "push to ws1"."""
    if permission.creates:
        return f"create {_plural(permission.kind)}" + (f" in {what}" if what else "")
    text = _OF_A_KIND.get(permission) or _ACTIONS[permission.action]
    return text.format(what or _plural(permission.kind))


def _plural(kind: Kind) -> str:
    return _PLURALS.get(kind, f"{kind}s")


def _sees(access: Access, reader: str, thing: str) -> bool:
    here = access.world.objects.get(thing)
    return here is not None and access.may(reader, view_of(here.kind), thing).allowed


def _of_the_kind(access: Access, person: str, permission: Permission, reader: str) -> Why:
    """What is told of an object that the reader may not view, and of one that is not there."""
    kind = permission.asked_of
    sees = sorted(_with(access, view_of(kind)), key=_size) if kind in OBJECTS else []
    who = "You" if person == reader else access.world.label(person)
    return Why(
        sentence=f"{who} may not {doing(permission, f'this {kind}')}: there is none, or you may not view it.",
        answer=None,
        roles=tuple(sees),
    )


def _may(access: Access, answer: Answer, reader: str, what: str) -> str:
    who = "You" if answer.person == reader else access.world.label(answer.person)
    return f"{who} may {'' if answer.allowed else 'not '}{doing(answer.permission, what)}"


def _named(access: Access, permission: Permission, thing: str) -> str:
    return "" if thing == SERVER else access.world.label(thing)


def _reason(access: Access, answer: Answer, reader: str) -> str:
    label, you = access.world.label, _you(access, answer.person, reader)
    grant = answer.grant
    match answer.rule:
        case Rule.DISABLED:
            known = access.world.people.get(answer.person)
            in_directory = known is not None and known.standing is Standing.DISABLED_IN_DIRECTORY
            return f"{you} {_are(you)} disabled" + (" in the directory" if in_directory else "")
        case Rule.TOKEN:
            return _token_s(access, answer)
        case Rule.CAPABILITY if grant is None:
            return f"no role on the server gives {you} the capability to {doing(answer.permission, '')}"
        case Rule.CAPABILITY:
            return f"{_denied(access, grant, answer, reader)}, and with it the capability"
        case Rule.OWNER:
            owner = access.places.of(answer.place).owner or ""
            return f"{you} own it" if owner == answer.person == reader else f"{label(owner)} owns it"
        case Rule.DENY:
            return _denied(access, grant, answer, reader)
        case Rule.VIEW_FIRST if answer.view is not None:
            return f"{you} may not view it, since {_reason(access, answer.view, reader)}"
        case Rule.ALLOW if grant is not None:
            who = _subject(access, grant, answer, reader)
            return f"{who} {_are(who)} allowed {grant.role.name} on {label(grant.scope)}"
        case _:
            return f"no role gives {you} {answer.permission} there" + _ended(access, answer, reader)


def _token_s(access: Access, answer: Answer) -> str:
    token = answer.token
    if token is None or answer.permission not in token.permissions:
        return f"the token is not for {answer.permission}"
    return f"the token is limited to {access.world.label(token.within or SERVER)}"


def _denied(access: Access, grant: Grant | None, answer: Answer, reader: str) -> str:
    if grant is None:
        return "it is denied"
    who = _subject(access, grant, answer, reader)
    return f"{who} {_are(who)} denied {grant.role.name} on {access.world.label(grant.scope)}"


def _ended(access: Access, answer: Answer, reader: str) -> str:
    """The grant that gave it and has ended last, if one did."""
    scopes = access.places.of(answer.place).scopes
    subjects = access.subjects(answer.person)
    over = [
        one
        for one in access.world.grants
        if one.until is not None and one.until <= access.at and one.subject in subjects and one.scope in scopes
        if one.effect is Effect.ALLOW and answer.permission in one.role.permissions
    ]
    if not over:
        return ""
    last = max(over, key=lambda one: one.ends)
    who = _subject(access, last, answer, reader)
    what = f"{last.role.name} on {access.world.label(last.scope)}"
    return f"; what {who} had by {what} ended at {last.ends:%Y-%m-%d %H:%M %Z}"


def _subject(access: Access, grant: Grant, answer: Answer, reader: str) -> str:
    return _you(access, grant.subject, reader if grant.subject == answer.person else "")


def _you(access: Access, person: str, reader: str) -> str:
    return "you" if person == reader else access.world.label(person)


def _are(who: str) -> str:
    return "are" if who == "you" else "is"


def _options(access: Access, answer: Answer) -> Iterable[Grant]:
    """Grants of which each would do away with the reason of a refusal; none where a deny or the token is the reason."""
    last = answer.view if answer.view is not None else answer
    if last.grant is not None or last.rule not in {Rule.CAPABILITY, Rule.NOTHING}:
        return
    if last.rule is Rule.CAPABILITY:
        roles = [one for one in access.world.roles if last.permission in one.all_capabilities]
    else:
        roles = list(_with(access, last.permission))
    for role in sorted(roles, key=_size):
        everywhere = last.rule is Rule.CAPABILITY or role.level is Level.SERVER
        scope = SERVER if everywhere else last.place
        if not (scope == SERVER and role.level is Level.OBJECT):
            yield Grant(id="", subject=answer.person, role=role, scope=scope)


def _with(access: Access, permission: Permission) -> Iterable[Role]:
    return (one for one in access.world.roles if permission in one.permissions)


def _size(role: Role) -> tuple[int, str]:
    """The least that would do comes first."""
    return len(role.permissions), role.name


def _grantors(access: Access, answer: Answer, options: Iterable[Grant]) -> Iterable[str]:
    last = answer.view if answer.view is not None else answer
    for name in access.world.people:
        if name == answer.person:
            continue
        if last.rule is Rule.DISABLED:
            can = access.may(name, P.PERSON_MODIFY).allowed
        elif answer.grant is not None:
            can = not may_revoke(access, name, answer.grant)
        else:
            can = any(could_grant(access, name, one) for one in options)
        if can:
            yield name
