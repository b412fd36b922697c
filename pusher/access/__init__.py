"""Access: who may do what to which object of the console, and why. Pure functions over values that they are handed.

Here live ``permissions`` and ``roles`` (what can be given), ``world`` (people, objects, grants), ``places`` (which
scopes cover what), ``decide`` (the eight rules) and ``compiled``: one value that answers every question by them.
``checks`` refuses what cannot have been meant, ``guards`` what would give away more than one holds (``holding``);
``why`` has the words, ``remains`` is what somebody still has, ``lacks`` what an act will miss, ``table`` prints what
the predefined roles give. What must not live here: I/O, a clock, HTTP, SQL, and what a worker does
with a yes: domain controllers, exclusions, windows and the lockout budget are lifted by no role.
"""

from pusher.access.checks import check_grant, check_owner, check_world
from pusher.access.compiled import Access, compiled
from pusher.access.decide import Answer, Rule
from pusher.access.permissions import ACTS, ALL, NEEDS, OUTWARD, Act, Kind, Permission, read_permission
from pusher.access.roles import PREDEFINED, Level, Role, read_role
from pusher.access.world import (
    FOREVER,
    SERVER,
    Effect,
    Grant,
    Object,
    PeopleGroup,
    Person,
    Standing,
    Token,
    World,
    result,
)

__all__ = [
    "ACTS", "ALL", "FOREVER", "NEEDS", "OUTWARD", "PREDEFINED", "SERVER", "Access", "Act", "Answer", "Effect", "Grant",
    "Kind", "Level", "Object", "PeopleGroup", "Permission", "Person", "Role", "Rule", "Standing", "Token", "World",
    "check_grant", "check_owner", "check_world", "compiled", "read_permission", "read_role", "result",
]  # fmt: skip
