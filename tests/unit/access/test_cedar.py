"""Another judge: the grants as Cedar policies, decided by Cedar's engine, in worlds by chance.

Cedar has no rule that view comes first and no people who are disabled: view is asked for beside the permission, and the
worlds' people are all enabled. Who is in which group, and what covers what, it is told by the plain model.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import cedarpy
import pytest
from hypothesis import HealthCheck, given, settings

from pusher.access import ALL, OUTWARD, SERVER, Effect, Grant, Kind, Permission, Standing, World, compiled
from tests.unit.access import plain
from tests.unit.access.test_rules import questions
from tests.unit.access.worlds import CREWS, NOW, PEOPLE, disabled, worlds

OWNED = "resource has owner && principal in resource.owner"


def acts(permissions: set[str]) -> str:
    return ", ".join(f'Action::"{one}"' for one in sorted(permissions)) or 'Action::"none"'


def owner_policies() -> Iterator[str]:
    """An owner has all that is of the object's own kind."""
    for kind in Kind:
        own = acts({one for one in map(str, ALL) if plain.kind_of(one) == kind})
        yield f'permit(principal, action in [{own}], resource) when {{ {OWNED} && resource.kind == "{kind}" }};'


def hidden_by(view: str) -> set[str]:
    """What is asked of an object whose view is that one, and asks for it first."""
    found = {one for one in map(str, ALL) if not one.endswith(".create") and plain.asks_to_see(one, None) == view}
    return found | ({"machine.create", "group.create"} if view == "group.view" else set())


def policies(grant: Grant) -> Iterator[str]:
    here = f'principal in Subject::"{grant.subject}"', f'resource in Scope::"{grant.scope}"'
    server = 'resource == Object::"server"'
    if grant.effect is Effect.ALLOW:
        yield f"permit({here[0]}, action in [{acts(plain.gives(grant.role))}], {here[1]});"
        if grant.scope == SERVER:
            can = acts({f"capability:{one}" for one in plain.enables(grant.role)})
            yield f"permit({here[0]}, action in [{can}], {server});"
        return
    taken = plain.takes(grant.role)
    for kind in Kind:
        gone = {one for one in taken if plain.kind_of(one) == kind}
        own = f'{OWNED} && resource.kind == "{kind}"'
        yield f"forbid({here[0]}, action in [{acts(gone)}], {here[1]}) unless {{ {own} }};"
        for view in {one for one in gone if one.endswith(".view")}:
            # What would be created is hidden by its group's view, and on the server by nothing.
            for shown in hidden_by(view):
                itself = f'{OWNED} && resource.kind == "{plain.kind_of(shown)}"'
                made = ' || resource == Object::"server"' if shown.endswith(".create") else ""
                yield f"forbid({here[0]}, action in [{acts({shown})}], {here[1]}) unless {{ ({itself}){made} }};"
    if grant.scope == SERVER:
        lost = {one for one in map(str, OUTWARD) if one in taken | plain.disables(grant.role)}
        lost |= {one for one in map(str, OUTWARD) if plain.kind_of(one) + ".view" in taken}
        yield f"forbid({here[0]}, action in [{acts({f'capability:{one}' for one in lost})}], {server});"


def uid(kind: str, name: str) -> dict[str, str]:
    return {"type": kind, "id": name}


def entities(of: World) -> Iterator[dict[str, Any]]:
    for name in (*PEOPLE, *CREWS, "gone"):
        parents = [uid("Subject", one) for one in sorted(plain.who(of, name) - {name})] if name in PEOPLE else []
        yield {"uid": uid("Subject", name), "attrs": {}, "parents": parents}
    for name in (*of.objects, SERVER):
        one = of.objects.get(name)
        attrs: dict[str, Any] = {"kind": str(one.kind) if one is not None else "server"}
        if one is not None and one.owner is not None:
            attrs["owner"] = {"__entity": uid("Subject", one.owner)}
        parents = [uid("Scope", scope) for scope in sorted(plain.around(of, name))]
        yield {"uid": uid("Object", name), "attrs": attrs, "parents": parents}


def asked(of: World, permission: Permission, thing: str) -> list[tuple[str, str]]:
    """What Cedar is asked for one question: the permission, its view, its capability."""
    view = plain.asks_to_see(str(permission), of.objects.get(thing))
    found = [(str(permission), thing)] + ([(view, thing)] if view is not None else [])
    return found + ([(f"capability:{permission}", SERVER)] if permission in OUTWARD else [])


def request(person: str, act: str, thing: str) -> dict[str, Any]:
    return {"principal": uid("Subject", person), "action": uid("Action", act), "resource": uid("Object", thing)}


@pytest.mark.thorough
@settings(suppress_health_check=list(HealthCheck), max_examples=30)
@given(worlds())
def test_in_any_world_cedar_decides_the_same(of: World) -> None:
    for name in PEOPLE:
        of = disabled(of, name, Standing.ENABLED)
    access = compiled(of, NOW)
    live = [one for one in of.grants if one.until is None or one.until > NOW]
    texts = [*owner_policies(), *(text for one in live for text in policies(one))]
    rules = cedarpy.PolicySet.from_str("\n".join(texts))
    things = cedarpy.Entities.from_json_str(json.dumps(list(entities(of))))
    for person in ("ann", "eve"):
        told = [(p, t, access.may(person, p, t).allowed) for p, t in questions(of)]
        each = [asked(of, permission, thing) for permission, thing, _ in told]
        requests = [request(person, act, thing) for act, thing in itertools.chain(*each)]
        answers = iter(cedarpy.is_authorized_batch(requests, rules, things))
        for (permission, thing, allowed), wanted in zip(told, each, strict=True):
            by_cedar = all([next(answers).allowed for _ in wanted])  # noqa: C419, each is taken
            assert by_cedar == allowed, (person, permission, thing)


def test_cedar_is_asked_rightly() -> None:
    """A policy that cannot be read would refuse everything, and agree with every refusal."""
    text = "\n".join(owner_policies())
    assert cedarpy.policies_to_json_str(text).count("Action") >= len(ALL)
