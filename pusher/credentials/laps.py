"""LAPS: the password of a machine's own local account, read from the directory when the machine is signed in to.

Here: which attribute holds it, and what its absence means. A directory does not refuse a reader without the right:
it leaves the attribute out, and shows the expiry time to everybody; so an expiry time without a password is a missing
right. What must not live here: the directory's protocol, and how often the password may be tried.
Sources: MS-ADTS (ms-Mcs-AdmPwd of legacy LAPS), and the schema of Windows LAPS: msLAPS-Password is JSON with the
account's name ``n``, the time of the change ``t`` and the password ``p``; msLAPS-EncryptedPassword is a DPAPI-NG blob.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Protocol

from pusher.directory.filters import escape_filter_value
from pusher.directory.port import Directory, Entry
from pusher.directory.values import integer
from pusher.models import Account, Secret, Target
from pusher.problems import ProblemError, Stage, problem

SCHEME = "laps"
LEGACY, LEGACY_EXPIRY = "ms-mcs-admpwd", "ms-mcs-admpwdexpirationtime"
CLEAR, ENCRYPTED, EXPIRY = "mslaps-password", "mslaps-encryptedpassword", "mslaps-passwordexpirationtime"
ATTRIBUTES = (LEGACY, LEGACY_EXPIRY, CLEAR, ENCRYPTED, EXPIRY)

_MAX_VALUE = 4096
_MAX_PASSWORD = 256


class PerHostSecrets(Protocol):
    """The port to secrets that are another one on each machine."""

    async def secret_for(self, account: Account, target: Target) -> Secret:
        """The account's secret on ``target``; ProblemError where there is none."""


def is_laps(account: Account) -> bool:
    return account.secret.partition(":")[0] == SCHEME


class Laps:
    """Reads below ``base``. ``learn`` is told of each secret before anybody else gets it, so that no log holds it."""

    def __init__(self, directory: Directory, base: str, learn: Callable[[Secret], None]) -> None:
        self._directory, self._base, self._learn = directory, base, learn

    async def secret_for(self, account: Account, target: Target) -> Secret:
        secret = password_in(await self._computer(target), account)
        self._learn(secret)
        return secret

    async def _computer(self, target: Target) -> Entry:
        wanted = f"(&(objectCategory=computer){_named(target.name)})"
        found = [entry async for entry in self._directory.search(self._base, wanted, ATTRIBUTES)]
        if not found:
            raise _refused("laps-no-computer", f"{target.name} below {self._base}")
        if len(found) > 1:
            # Whose password would be sent to whom? The names are the machines' own claims.
            raise _refused("laps-no-computer", f"{len(found)} computers claim to be {target.name}")
        return found[0]


def password_in(computer: Entry, account: Account) -> Secret:
    """The password of ``account`` on the machine; ProblemError says why there is none. Pure.

    Where a machine has been moved from one kind of LAPS to the other, the one that expires last is the one in force.
    """
    attributes = computer.attributes
    windows, legacy = integer(computer, EXPIRY) or 0, integer(computer, LEGACY_EXPIRY) or 0
    kinds = [(windows, 2, CLEAR), (windows, 1, ENCRYPTED), (legacy, 0, LEGACY)]
    present = sorted((kind for kind in kinds if attributes.get(kind[2])), reverse=True)
    if not present:
        expires = EXPIRY in attributes or LEGACY_EXPIRY in attributes
        raise _refused("laps-no-right" if expires else "laps-not-set", computer.dn)
    attribute = present[0][2]
    if attribute == ENCRYPTED:
        raise _refused("laps-encrypted", computer.dn)
    value = attributes[attribute][0]
    return _from_json(value, computer, account) if attribute == CLEAR else _password(_text(value), attribute, computer)


def _from_json(value: bytes, computer: Entry, account: Account) -> Secret:
    """``{"n": "Administrator", "t": "1d8161b41c41cde", "p": "…"}``."""
    try:
        said = json.loads(_text(value) or "")
    except (ValueError, RecursionError):
        # Not "from" it: that error carries what it was to parse.
        raise _refused("laps-unreadable", f"{CLEAR} of {computer.dn}") from None
    name = said.get("n") if isinstance(said, dict) else None
    if not isinstance(name, str):
        raise _refused("laps-unreadable", f"{CLEAR} of {computer.dn}")
    secret = _password(said.get("p"), CLEAR, computer)
    if name.casefold() != account.user.rpartition("\\")[2].casefold():
        shown = name if name.isprintable() and len(name) <= _MAX_PASSWORD else "a name that cannot be shown"
        raise _refused("laps-other-account", f"of {shown}, on {computer.dn}")
    return secret


def _password(value: object, attribute: str, computer: Entry) -> Secret:
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_PASSWORD:
        raise _refused("laps-unreadable", f"{attribute} of {computer.dn}")
    return Secret(value)


def _text(value: bytes) -> str | None:
    if len(value) > _MAX_VALUE:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _named(name: str) -> str:
    """The filter for the machine: by its DNS name, or where the inventory has a bare name by its account's."""
    plain = name.lower().rstrip(".")
    if "." in plain:
        return f"(dNSHostName={escape_filter_value(plain)})"
    return f"(sAMAccountName={escape_filter_value(plain)}$)"


def _refused(code: str, detail: str) -> ProblemError:
    return ProblemError(problem(code, Stage.SIGN_IN, detail))
