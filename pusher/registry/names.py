"""What people, groups and objects may be called, and who or what is meant by a word.

An object's id is its kind and its name, ``machine:ws1.paris.example``: that is what is stored, granted on and audited.
What must not live here: whether it is allowed (``access``).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from pusher.access import SERVER, Kind, Role, World
from pusher.access.permissions import OBJECTS
from pusher.access.world import RESULT
from pusher.problems import BadInput
from pusher.targets.ranges import canonical_name

_LONGEST = 250


def object_id(kind: Kind, name: str) -> str:
    return f"{kind}:{canonical_name(name) if kind is Kind.MACHINE else name}"


def checked_name(text: str, what: str) -> str:
    """The name as it is kept. BadInput for none, and for one that could not be read back or told apart."""
    if not text or text != text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise BadInput(None, f"{what} cannot be called {text!r}", f"1 to {_LONGEST} characters that can be seen")
    return text


def person(world: World, text: str) -> str:
    """A person's id. BadInput where there is none of it."""
    if text not in world.people:
        raise BadInput(None, f"there is nobody called {text!r}", _near(text, world.people, "a person of the registry"))
    return text


def people_group(world: World, text: str) -> str:
    """The id of a group of people. BadInput where there is none of it."""
    if text not in world.groups:
        expected = _near(text, world.groups, "a group of people")
        raise BadInput(None, f"there is no group of people called {text!r}", expected)
    return text


def subject(world: World, text: str) -> str:
    """Of a person or a group of people. BadInput where it is nobody's."""
    if text not in world.people and text not in world.groups:
        expected = _near(text, (*world.people, *world.groups), "a person or a group of people")
        raise BadInput(None, f"{text!r} is nobody", expected)
    return text


def role(roles: Iterable[Role], text: str) -> Role:
    """The role of that name, in whatever case. BadInput where there is none."""
    roles = list(roles)
    found = next((one for one in roles if one.name.casefold() == text.casefold()), None)
    if found is None:
        raise BadInput(None, f"there is no role {text!r}", ", ".join(one.name for one in roles))
    return found


def thing(world: World, text: str, kinds: Iterable[Kind] = OBJECTS) -> str:
    """An object's id, by that or by its name alone where one object has it; ``server``. BadInput."""
    if text == SERVER or text in world.objects:
        return text
    kinds = tuple(kinds)
    found = [name for kind in kinds if (name := object_id(kind, text)) in world.objects]
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(None, f"{text!r} is the name of several objects", " or ".join(found))
    some = [one.name for one in world.objects.values() if one.kind in kinds]
    raise BadInput(None, f"there is no object {text!r}", _near(text, some, "one that is registered, or server"))


def machine_group(world: World, text: str, *, dynamic: bool | None = None) -> str:
    """The id of a group of machines; ``dynamic``: of a static or a dynamic one alone. BadInput."""
    found = thing(world, text, (Kind.GROUP,))
    one = world.objects.get(found)
    if one is None or one.kind is not Kind.GROUP or (dynamic is not None and one.dynamic is not dynamic):
        what = "group" if dynamic is None else "dynamic group" if dynamic else "static group"
        raise BadInput(None, f"{text!r} is no {what} of machines", f"a {what}")
    return found


def scope(world: World, text: str) -> str:
    """``server``, an object, or ``result:GROUP`` for what a dynamic group finds. BadInput."""
    if text.startswith(RESULT):
        return RESULT + machine_group(world, text.removeprefix(RESULT), dynamic=True)
    return thing(world, text)


def _near(text: str, known: Iterable[str], otherwise: str) -> str:
    close = difflib.get_close_matches(text, list(known), n=1)
    return close[0] if close else otherwise
