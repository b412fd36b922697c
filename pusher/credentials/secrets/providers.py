"""Secret providers: what ``env:``, ``file:``, ``keyring:``, ``vault:`` and ``prompt`` point to.

Each reference is read once, before any target is contacted. A secret that others can read is refused, a keytab and a
ticket cache as much as a password. No value ever enters a message: only the reference does. What a password may be is
``passwords``' matter. What is no password is not read here: a keytab and a ticket cache (``tickets``), a password of
each machine's own (``laps``).
"""

from __future__ import annotations

import getpass
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from pusher.config.wording import Wrong
from pusher.credentials.secrets.laps import is_laps
from pusher.credentials.secrets.passwords import password_in, text_of
from pusher.credentials.secrets.references import KERBEROS_ONLY, path_of, scheme_of
from pusher.credentials.secrets.vault import read_vault
from pusher.models import Account, Secret, Source
from pusher.problems import BadInput

Ask = Callable[[str], str]
_LONGEST_FILE = 4096
"""Bytes; what a password has at most, and room for whatever stands around it."""


def read_secret(account: Account, environ: Mapping[str, str] = os.environ, ask: Ask = getpass.getpass) -> Secret | None:
    """The account's password; None for an account that has none here. BadInput where the reference gives none."""
    if account.is_own_identity or is_laps(account):
        return None
    scheme, rest = scheme_of(account.secret), account.secret.partition(":")[2]
    if scheme in KERBEROS_ONLY:
        _check_key_file(Path(rest), account)
        return None
    try:
        return Secret(password_in(_READERS[scheme](rest, account, environ, ask)))
    except Wrong as wrong:
        found = f"the secret of account {account.name!r} ({account.secret}) {wrong.found}"
        raise BadInput(account.source, found, wrong.expected) from None


def _from_environment(name: str, account: Account, environ: Mapping[str, str], _: Ask) -> str:
    if name not in environ:
        raise BadInput(
            account.source,
            f"the secret of account {account.name!r} names the environment variable {name}, which is not set",
            f"{name} in the environment",
        )
    return environ[name]


def _from_file(name: str, account: Account, _: Mapping[str, str], __: Ask) -> str:
    path = path_of(name)
    if not path.is_absolute() and account.source:
        path = Path(account.source.file).parent / path
    try:
        with path.open("rb") as file:
            # Checked on the open file: what is read is what was looked at.
            _check_owner(path, file)
            data = file.read(_LONGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or "it cannot be a path"
        raise BadInput(account.source, f"the secret file {path} cannot be read: {reason}", "a readable file") from error
    if len(data) > _LONGEST_FILE:
        raise Wrong("is too long for a password", f"at most {_LONGEST_FILE} bytes")
    return text_of(data)


def _check_key_file(path: Path, account: Account) -> None:
    """A keytab is as good as a password, and so is a ticket while it lasts."""
    try:
        with path.open("rb") as file:
            _check_owner(path, file)
    except OSError as error:
        reason = error.strerror
        raise BadInput(account.source, f"{path} cannot be read: {reason}", "a readable file") from error


def _check_owner(path: Path, file: IO[Any]) -> None:
    status = os.fstat(file.fileno())
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise BadInput(
            Source(file=str(path)),
            f"others than its owner can read this secret (mode {stat.S_IMODE(status.st_mode):04o})",
            "mode 0600 (chmod 600)",
        )
    if status.st_uid not in (os.geteuid(), 0):
        raise BadInput(Source(file=str(path)), "this secret belongs to another user", "a file of your own")


def _from_vault(name: str, account: Account, environ: Mapping[str, str], _: Ask) -> str:
    return read_vault(name, account, environ)


def _from_keyring(name: str, account: Account, _: Mapping[str, str], __: Ask) -> str:
    import keyring
    from keyring.errors import KeyringError

    service, slash, user = name.partition("/")
    if not slash:
        service, user = "pusher", name
    try:
        value = keyring.get_password(service, user)
    except KeyringError as error:
        raise BadInput(
            account.source, f"the keyring did not open for {account.secret}: {type(error).__name__}"
        ) from error
    if value is None:
        raise BadInput(
            account.source,
            f"the keyring holds no secret for {account.secret}",
            f"one stored with: keyring set {service} {user}",
        )
    return str(value)


def _from_prompt(_: str, account: Account, __: Mapping[str, str], ask: Ask) -> str:
    try:
        return ask(f"Password of {account.user} (account {account.name}): ")
    except UnicodeDecodeError:
        # Not "from" it: that error carries what was typed.
        raise Wrong("is not text", "a terminal of this machine's encoding") from None
    except (EOFError, OSError) as error:
        raise BadInput(
            account.source, f"there is nobody to ask for the secret of account {account.name!r}", "a terminal"
        ) from error


_READERS: Mapping[str, Callable[[str, Account, Mapping[str, str], Ask], str]] = {
    "env": _from_environment,
    "file": _from_file,
    "keyring": _from_keyring,
    "vault": _from_vault,
    "prompt": _from_prompt,
}
