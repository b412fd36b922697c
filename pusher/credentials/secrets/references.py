"""References to secrets, as ``secret = "…"`` of the accounts file writes them: which there are, and their shape.

What must not live here: reading what they point to (``providers``, ``laps``, ``kerberos.tickets``). No reference is
ever repeated in a sentence, but for the paths of files: whoever wrote the password itself there shall not find it in a
log.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from pusher.config.wording import Wrong

AVAILABLE = (
    "env:NAME, file:PATH, keyring:SERVICE/USER, vault:PATH#FIELD, keytab:PATH, ccache:PATH, laps: (of a local "
    "account) or prompt"
)
KERBEROS_ONLY = frozenset({"keytab", "ccache"})
"""Schemes that hold no password, but what Kerberos makes of one."""

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_VAULT = re.compile(r"(?!/)[^#\s?%\x00-\x1f\x7f]{1,512}(?<!/)#[^#\x00-\x1f\x7f]{1,128}")

_SHAPES: Mapping[str, Callable[[str], bool]] = {
    "env": lambda rest: _ENV_NAME.fullmatch(rest) is not None,
    "file": lambda rest: bool(rest.strip()),
    "keyring": lambda rest: all(part.strip() for part in rest.split("/", 1)),
    "vault": lambda rest: _VAULT.fullmatch(rest) is not None and ".." not in rest.partition("#")[0].split("/"),
    "keytab": lambda rest: bool(rest.strip()),
    "ccache": lambda rest: bool(rest.strip()),
    "laps": lambda rest: not rest,
}


def scheme_of(reference: str) -> str:
    return reference.partition(":")[0]


def path_of(text: str) -> Path:
    """A path that the operator wrote, ``~`` for his home folder."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 (Path's own raises where it knows no such user)


def checked(reference: str, folder: Path) -> str:
    """The reference, with the path of a keytab or ticket cache made absolute (it counts from ``folder``); Wrong."""
    if reference == "prompt":
        return reference
    scheme, colon, rest = reference.partition(":")
    shape = _SHAPES.get(scheme)
    if shape is None or not colon:
        raise Wrong("secret is no reference to a secret (a password is never written in this file)", AVAILABLE)
    if not shape(rest):
        raise Wrong(f"what follows {scheme}: is not complete", AVAILABLE)
    if scheme not in KERBEROS_ONLY:
        return reference
    path = folder / path_of(rest)
    if not path.is_file():
        raise Wrong(f"there is no file {path}", "a keytab" if scheme == "keytab" else "a Kerberos ticket cache")
    return f"{scheme}:{path.absolute()}"
