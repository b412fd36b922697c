"""An inventory as content: what a worker on another machine selects from, and spares by, as the submitter did.

It is the inventory as it was read, the directory's computers among it, but for variables that no command asks for: of
what stands in them nothing is known. What must not live here: keeping it anywhere.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pusher.config.wording import Wrong
from pusher.problems import BadInput
from pusher.targets.inventory import Inventory
from pusher.targets.parsed import NO_SETTINGS, ParsedGroup, ParsedInventory, Settings
from pusher.targets.ranges import parse_pattern


def snapshot_of(inventory: Inventory, variables: Collection[str]) -> bytes:
    """The inventory with those of its hosts' ``variables`` alone; its directory has been asked."""
    if inventory.directory_groups:
        raise RuntimeError(f"groups of {inventory.file} wait for the directory")
    return _written(_with(inventory.parsed, frozenset(variables)))


def inventory_of(content: bytes) -> Inventory:
    """The inventory of a snapshot. BadInput where this version does not understand all of it: what it left out might be
    what spares a machine."""
    try:
        tree = json.loads(content)
        for group in tree["groups"]:
            for host in group.get("hosts", ()):
                host["pattern"] = parse_pattern(host["pattern"])
                host.setdefault("settings", {})
            group.setdefault("settings", {})
        tree.setdefault("defaults", {})
        parsed = _adapter().validate_python(tree)
    except (ValueError, TypeError, LookupError, ValidationError, Wrong) as error:
        raise _not_understood() from error
    if _written(parsed) != content:
        raise _not_understood()
    return Inventory(parsed)


def _not_understood() -> BadInput:
    found = "the inventory that was stored with the run is not as this version of pusher writes it"
    return BadInput(None, found, "a worker of the version that the run was queued by")


def _written(parsed: ParsedInventory) -> bytes:
    tree: dict[str, Any] = _adapter().dump_python(parsed, mode="json", exclude_defaults=True)
    for group in tree["groups"]:
        for host in group.get("hosts", ()):
            host["pattern"] = host["pattern"]["text"]  # the rest of it follows
    return json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


@cache
def _adapter() -> TypeAdapter[ParsedInventory]:
    return TypeAdapter(ParsedInventory)


def _with(parsed: ParsedInventory, variables: frozenset[str]) -> ParsedInventory:
    nothing = replace(NO_SETTINGS, variables={})

    def settings(of: Settings) -> Settings:
        if of is NO_SETTINGS:
            return nothing
        return replace(of, variables={name: value for name, value in of.variables.items() if name in variables})

    def group(of: ParsedGroup) -> ParsedGroup:
        hosts = tuple(replace(host, settings=settings(host.settings)) for host in of.hosts)
        return replace(of, settings=settings(of.settings), hosts=hosts)

    return replace(parsed, defaults=settings(parsed.defaults), groups=tuple(map(group, parsed.groups)))
