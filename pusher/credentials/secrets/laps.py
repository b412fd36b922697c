"""LAPS: the password of a machine's own local account, read from the directory when the machine is signed in to.

Here: which attribute holds it, and what its absence means. A directory does not refuse a reader without the right:
it leaves the attribute out, and shows the expiry time to everybody; so an expiry time without a password is a missing
right. What must not live here: the directory's protocol, and how often the password may be tried.
Sources: MS-ADTS (ms-Mcs-AdmPwd of legacy LAPS), and the schema of Windows LAPS: msLAPS-Password is JSON with the
account's name ``n``, the time of the change ``t`` and the password ``p``; msLAPS-EncryptedPassword is that JSON in
UTF-16 as a DPAPI-NG blob, behind a header: the time, the blob's size, and flags that are not used.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Protocol

from pusher.config.wording import Wrong
from pusher.credentials.secrets.passwords import password_in as typed
from pusher.directory.filters import escape_filter_value
from pusher.directory.port import Directory, Entry
from pusher.directory.values import integer
from pusher.models import Account, Secret, Target
from pusher.problems import Code, ProblemError, Stage, problem

SCHEME = "laps"
LEGACY, LEGACY_EXPIRY = "ms-mcs-admpwd", "ms-mcs-admpwdexpirationtime"
CLEAR, ENCRYPTED, EXPIRY = "mslaps-password", "mslaps-encryptedpassword", "mslaps-passwordexpirationtime"
ATTRIBUTES = (LEGACY, LEGACY_EXPIRY, CLEAR, ENCRYPTED, EXPIRY)

_MAX_VALUE = 4096
_MAX_NAME = 256
_MAX_ENCRYPTED = 4096
"""About 1,300 bytes are usual: a public key, the names of domain and forest, and the password."""
_HEADER = struct.Struct("<IIII")
"""The time of the change (upper half first), the size of what follows, and flags, zero."""


class PerHostSecrets(Protocol):
    """The port to secrets that are another one on each machine."""

    async def secret_for(self, account: Account, target: Target) -> Secret:
        """The account's secret on ``target``; ProblemError where there is none."""


class Unprotect(Protocol):
    """The port to whoever can decrypt."""

    async def __call__(self, blob: bytes, whose: str) -> bytes:
        """What the DPAPI-NG blob (CMS, RFC 5652) protects; ProblemError, whose detail names ``whose``."""


def is_laps(account: Account) -> bool:
    return account.secret.partition(":")[0] == SCHEME


class Laps:
    """Reads below ``base``. ``learn`` is told of each secret before anybody else gets it, so that no log holds it.

    ``unprotect`` None: an encrypted password stays ``laps-encrypted``.
    """

    def __init__(
        self, directory: Directory, base: str, learn: Callable[[Secret], None], unprotect: Unprotect | None = None
    ) -> None:
        self._directory, self._base, self._learn, self._unprotect = directory, base, learn, unprotect

    async def secret_for(self, account: Account, target: Target) -> Secret:
        computer, plaintext = await self._computer(target), None
        if self._unprotect is not None and attribute_in_force(computer) == ENCRYPTED:
            plaintext = await self._unprotect(blob_in(computer), f"{ENCRYPTED} of {computer.dn}")
        secret = password_in(computer, account, plaintext)
        self._learn(secret)
        return secret

    async def _computer(self, target: Target) -> Entry:
        wanted = f"(&(objectCategory=computer){_named(target.own_name)})"
        found = [entry async for entry in self._directory.search(self._base, wanted, ATTRIBUTES)]
        if not found:
            raise _refused(Code.LAPS_NO_COMPUTER, f"{target.own_name} below {self._base}")
        if len(found) > 1:
            # Whose password would be sent to whom? The names are the machines' own claims.
            raise _refused(Code.LAPS_NO_COMPUTER, f"{len(found)} computers claim to be {target.own_name}")
        return found[0]


def attribute_in_force(computer: Entry) -> str:
    """The attribute that has the machine's password; ProblemError where none has. Pure.

    Where a machine has been moved from one kind of LAPS to the other, the one that expires last is the one in force.
    """
    attributes = computer.attributes
    windows, legacy = integer(computer, EXPIRY) or 0, integer(computer, LEGACY_EXPIRY) or 0
    kinds = [(windows, 2, CLEAR), (windows, 1, ENCRYPTED), (legacy, 0, LEGACY)]
    present = sorted((kind for kind in kinds if attributes.get(kind[2])), reverse=True)
    if not present:
        expires = EXPIRY in attributes or LEGACY_EXPIRY in attributes
        raise _refused(Code.LAPS_NO_RIGHT if expires else Code.LAPS_NOT_SET, computer.dn)
    return present[0][2]


def blob_in(computer: Entry) -> bytes:
    """The DPAPI-NG blob of an encrypted password; ProblemError where it is not of LAPS' form. Pure."""
    value = computer.attributes[ENCRYPTED][0]
    blob = value[_HEADER.size :]
    if blob and len(value) <= _MAX_ENCRYPTED:
        _, _, size, flags = _HEADER.unpack_from(value)
        if size == len(blob) and not flags:
            return blob
    raise _refused(Code.LAPS_UNREADABLE, f"{ENCRYPTED} of {computer.dn}")


def password_in(computer: Entry, account: Account, plaintext: bytes | None = None) -> Secret:
    """The password of ``account`` on the machine; ProblemError says why there is none. Pure.

    ``plaintext``: what an encrypted one says, where it has been decrypted.
    """
    attribute = attribute_in_force(computer)
    value = computer.attributes[attribute][0]
    if attribute == LEGACY:
        return _password(_text(value), attribute, computer)
    if attribute == CLEAR:
        return _from_json(_text(value), attribute, computer, account)
    if plaintext is None:
        raise _refused(Code.LAPS_ENCRYPTED, computer.dn)
    text = _text(plaintext, "utf-16-le")
    return _from_json(text and text.removesuffix("\0"), attribute, computer, account)


def _from_json(text: str | None, attribute: str, computer: Entry, account: Account) -> Secret:
    """``{"n": "Administrator", "t": "1d8161b41c41cde", "p": "…"}``."""
    try:
        said = json.loads(text or "")
    except (ValueError, RecursionError):
        # Not "from" it: that error carries what it was to parse.
        raise _refused(Code.LAPS_UNREADABLE, f"{attribute} of {computer.dn}") from None
    name = said.get("n") if isinstance(said, dict) else None
    if not isinstance(name, str):
        raise _refused(Code.LAPS_UNREADABLE, f"{attribute} of {computer.dn}")
    secret = _password(said.get("p"), attribute, computer)
    if name.casefold() != account.user.rpartition("\\")[2].casefold():
        shown = name if name.isprintable() and len(name) <= _MAX_NAME else "a name that cannot be shown"
        raise _refused(Code.LAPS_OTHER_ACCOUNT, f"of {shown}, on {computer.dn}")
    return secret


def _password(value: object, attribute: str, computer: Entry) -> Secret:
    try:
        if isinstance(value, str):
            return Secret(typed(value))
        said = "no text"
    except Wrong as wrong:
        said = f"it {wrong.found}"
    raise _refused(Code.LAPS_UNREADABLE, f"{attribute} of {computer.dn}: {said}") from None


def _text(value: bytes, encoding: str = "utf-8") -> str | None:
    if len(value) > _MAX_VALUE:
        return None
    try:
        return value.decode(encoding)
    except UnicodeDecodeError:
        return None


def _named(name: str) -> str:
    """The filter for the machine: by its DNS name, or where the inventory has a bare name by its account's."""
    plain = name.lower().rstrip(".")
    if "." in plain:
        return f"(dNSHostName={escape_filter_value(plain)})"
    return f"(sAMAccountName={escape_filter_value(plain)}$)"


def _refused(code: Code, detail: str) -> ProblemError:
    return ProblemError(problem(code, Stage.SIGN_IN, detail))
