"""The accounts file's ``scope`` and ``never`` against an inventory: names that nothing in it bears.

A slip in ``never`` would send an account where it must not go, so it is bad input; one in ``scope`` only keeps an
account away, and is told. A glob or a block over hosts is no name: that an inventory has no such host is no slip. One
accounts file serves several inventories: what only another one bears stands under ``[elsewhere]``.
What must not live here: what a pattern fits (``credentials.accounts.selection``).
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from pusher.config.wording import hint, shown
from pusher.credentials.accounts_file import AccountsFile, Written
from pusher.models import DOMAIN_CONTROLLERS
from pusher.problems import BadInput
from pusher.targets.inventory import Inventory

_GLOB = frozenset("*?[")


def unborne(accounts: AccountsFile, inventory: Inventory, *, expanded: bool = True) -> Iterator[str]:
    """A sentence for each name in a scope that nothing bears; BadInput for one in ``never``.

    ``expanded`` False: the directory has not been asked yet, so that only its groups' names are known.
    """
    for pattern in accounts.written:
        if pattern.text.casefold() in accounts.elsewhere or _is_borne(pattern, inventory, expanded):
            continue
        kind, known = _known(pattern, inventory)
        found = f"{pattern.key} of {pattern.account}: {shown(pattern.text)} names no {kind} of {inventory.file}"
        found += hint(pattern.text.rpartition(":")[2], known)
        if pattern.key == "never":
            raise BadInput(pattern.source, found, f"a {kind} of it, or the same under [elsewhere] names in this file")
        yield BadInput(pattern.source, found).sentence


def _is_borne(pattern: Written, inventory: Inventory, expanded: bool) -> bool:
    kind, colon, name = pattern.text.partition(":")
    if colon and kind == "group":
        return _fits_one(name, _groups(inventory))
    if not expanded:
        return True
    if colon and kind == "site":
        return _fits_one(name, inventory.site_names)
    if _GLOB & set(pattern.text) or "/" in pattern.text or inventory.bears(pattern.text):
        return True
    return pattern.key == "never" and _fits_one(pattern.text, _groups(inventory))


def _fits_one(name: str, known: frozenset[str]) -> bool:
    return any(fnmatchcase(one.lower(), name.lower()) for one in known)


def _groups(inventory: Inventory) -> frozenset[str]:
    """That of domain controllers every inventory has: who belongs to it is found out later."""
    return frozenset((*inventory.group_names, DOMAIN_CONTROLLERS))


def _known(pattern: Written, inventory: Inventory) -> tuple[str, list[str]]:
    """What the pattern would name, in words, and what there is of it."""
    kind, colon, _ = pattern.text.partition(":")
    if colon and kind in ("group", "site"):
        return kind, sorted(_groups(inventory) if kind == "group" else inventory.site_names)
    if pattern.key == "never":
        return "host or group", sorted({*inventory.some_names, *_groups(inventory)})
    return "host", list(inventory.some_names)
