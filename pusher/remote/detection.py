"""Whether a package's product is on a machine: a detection rule looked up through any session.

Here: what each rule asks and what the answer means, versions as numbers. Not here: what follows from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from pusher.models import Detect, DetectBy
from pusher.remote.images import FileDigest
from pusher.remote.paths import RemotePath, remote_path

Numbers = tuple[int, ...]

_UNINSTALL = "Microsoft\\Windows\\CurrentVersion\\Uninstall"
_VIEWS = ("HKLM\\SOFTWARE", "HKLM\\SOFTWARE\\WOW6432Node")
"""Where 64-bit and 32-bit products are listed."""

_READ_BACK = 64 * 1024 * 1024
"""How much of a file is read for its version."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """``matches``: the rule is satisfied. ``version``: what is there, where the rule can tell. ``seen``: evidence."""

    present: bool
    matches: bool
    seen: str
    version: str | None = None


def numbers(version: str) -> Numbers | None:
    """A dotted version as numbers that can be compared, without trailing zeros; None where it is none."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){0,7}", version, re.ASCII):
        return None
    parts = [int(part) for part in version.split(".")]
    while len(parts) > 1 and not parts[-1]:
        parts.pop()
    return tuple(parts)


class Looks(Protocol):
    """What of a session a rule is looked up by; see ``transports.port``."""

    async def service_config(self, name: str, /) -> object | None: ...

    async def digest(self, path: RemotePath, /, limit: int) -> FileDigest | None: ...

    async def registry_value(self, key: str, name: str, /) -> str | int | None: ...


async def detect(session: Looks, rule: Detect) -> Found:
    """Look the rule up."""
    return await _RULES[rule.by](session, rule)


async def _service(session: Looks, rule: Detect) -> Found:
    there = await session.service_config(rule.what) is not None
    return Found(present=there, matches=there, seen=f"service {rule.what} is {'there' if there else 'absent'}")


async def _file(session: Looks, rule: Detect) -> Found:
    there = await session.digest(remote_path(rule.what), limit=_READ_BACK)
    if there is None:
        return Found(present=False, matches=False, seen=f"{rule.what} is absent")
    return _versioned(rule, rule.what, there.version)


async def _registry(session: Looks, rule: Detect) -> Found:
    there = await session.registry_value(rule.what, rule.value or "")
    what = f"{rule.what}, {rule.value}"
    if there is None:
        return Found(present=False, matches=False, seen=f"{what} is absent")
    text = str(there)
    version = text if numbers(text) is not None else None
    return Found(present=True, matches=text == rule.equals, seen=f"{what} is {_short(text)}", version=version)


async def _product_code(session: Looks, rule: Detect) -> Found:
    for view in _VIEWS:
        there = await session.registry_value(f"{view}\\{_UNINSTALL}\\{rule.what}", "DisplayVersion")
        if there is not None:
            return _versioned(rule, f"product {rule.what}", str(there))
    return Found(present=False, matches=False, seen=f"product {rule.what} is not installed")


def _versioned(rule: Detect, what: str, version: str | None) -> Found:
    there, least = numbers(version or ""), numbers(rule.version or "")
    matches = least is None or (there is not None and there >= least)
    seen = f"{what} is there, version {_short(version) if version else 'unknown'}"
    return Found(present=True, matches=matches, seen=seen, version=version if there is not None else None)


def _short(text: str) -> str:
    """A machine's text in a message: it may hold anything."""
    return "".join(c if c.isprintable() else "?" for c in text[:80])


_RULES = {
    DetectBy.SERVICE: _service,
    DetectBy.FILE: _file,
    DetectBy.REGISTRY: _registry,
    DetectBy.PRODUCT_CODE: _product_code,
}
