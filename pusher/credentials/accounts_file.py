"""The accounts file (TOML): which accounts are tried, in which order, and how much of a lockout threshold is left.

Here lives its format. What must not live here: reading a secret (the providers do, at sign-in), the ladder, the
budget. Implements "Accounts" of the surface. No value of ``secret`` ever appears in a sentence: an operator who
wrote the password itself there shall not find it in a log.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pusher.config import Document, FormatModel, Wrong, read_toml, shown, validate
from pusher.models import Account, Protocol
from pusher.problems import BadInput

DEFAULT_RESERVE = 2
DEFAULT_THRESHOLD = 3

_AVAILABLE = "env:NAME, file:PATH, keyring:SERVICE/USER or prompt"
_LATER = re.compile(r"(vault|laps|keytab|ccache)(?::|$)")
_USER = "user@domain, DOMAIN\\user, or .\\user for a local account"
_SCOPE = "patterns such as site:paris, group:labs or *.corp.example"

# What Windows refuses in an account name, and what would let a name pass for another one in a log.
_ACCOUNT_NAME = re.compile(r"[^\"/\\\[\]:;|=,+*?<>@\s\x00-\x1f\x7f]{1,104}")
_UPN_NAME = re.compile(r"[^\"/\\\[\]:;|=,*?<>@\s\x00-\x1f\x7f]{1,256}")
_DOMAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9_])?", re.ASCII)
_LABEL = re.compile(r"[\w][\w.@-]{0,63}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class _AccountModel(FormatModel):
    name: str = Field(description="the name that outcomes and logs show")
    user: str = Field(description=_USER)
    secret: str = Field(description=_AVAILABLE)
    scope: list[Annotated[str, Field(description="a pattern such as site:paris")]] | None = Field(
        default=None, description=f"a list of {_SCOPE}"
    )
    protocol: Literal["kerberos", "ntlm"] | None = Field(default=None, description="kerberos or ntlm")


class _FallbackModel(FormatModel):
    enabled: bool | None = Field(default=None, description="true or false")


class _LockoutModel(FormatModel):
    reserve: int = Field(
        default=DEFAULT_RESERVE, ge=0, le=998, description="a number of sign-ins from 0 to 998 that are never used"
    )
    assume_threshold: int = Field(
        default=DEFAULT_THRESHOLD, ge=1, le=999, description="a lockout threshold from 1 to 999"
    )


class _AccountsModel(FormatModel):
    account: list[_AccountModel] | None = Field(default=None, description="[[account]] tables")
    fallback: _FallbackModel | None = Field(default=None, description="a [fallback] table")
    lockout: _LockoutModel | None = Field(default=None, description="a [lockout] table")


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountsFile:
    """The accounts in the order of trying. ``fallback_enabled``: the process's own identity comes last."""

    accounts: tuple[Account, ...]
    fallback_enabled: bool
    reserve: int = DEFAULT_RESERVE
    assume_threshold: int = DEFAULT_THRESHOLD

    @classmethod
    def own_identity_only(cls) -> AccountsFile:
        """What holds where no accounts file exists: the process's own identity, as a site server does."""
        return cls(accounts=(), fallback_enabled=True)


def load_accounts(path: Path) -> AccountsFile:
    """The accounts file; raises BadInput."""
    document = read_toml(path)
    model = validate(_AccountsModel, document)
    _check_lockout(document, model.lockout)
    accounts = tuple(_account(document, number, entry) for number, entry in enumerate(model.account or []))
    _refuse_twice(document, accounts)
    enabled = model.fallback.enabled if model.fallback is not None else None
    if not accounts and enabled is False:
        raise BadInput(
            document.source(("fallback", "enabled")),
            "no account is listed and the fallback is off, so nobody could sign in",
            "an [[account]], or enabled = true",
        )
    lockout = model.lockout or _LockoutModel()
    return AccountsFile(
        accounts=accounts,
        fallback_enabled=bool(enabled) if accounts else True,
        reserve=lockout.reserve,
        assume_threshold=lockout.assume_threshold,
    )


def _account(document: Document, number: int, entry: _AccountModel) -> Account:
    key = "name"
    try:
        if not _LABEL.fullmatch(entry.name):
            raise Wrong(f"{shown(entry.name)} cannot be the name of an account", "letters, digits, dots, hyphens")
        key = "user"
        is_upn = _check_user(entry.user)
        key = "secret"
        _check_secret(entry.secret)
        key = "scope"
        _check_scope(entry.scope)
        key = "protocol"
        protocol = _protocol(entry, is_upn)
    except Wrong as exc:
        place = document.source(("account", number, key))
        raise BadInput(place, f"account {shown(entry.name)}: {exc.found}", exc.expected) from None
    return Account(
        name=entry.name,
        user=entry.user,
        secret=entry.secret,
        protocol=protocol,
        scope=tuple(entry.scope or ()),
        source=document.source(("account", number)),
    )


def _check_user(user: str) -> bool:
    """True for a UPN; raises Wrong for a shape that is none of the three."""
    domain, backslash, name = user.partition("\\")
    if backslash:
        if (domain == "." or _DOMAIN.fullmatch(domain)) and _ACCOUNT_NAME.fullmatch(name) and name[-1] != ".":
            return False
        raise Wrong(f"{shown(user)} is not a user", _USER)
    name, at, domain = user.rpartition("@")
    if at and _UPN_NAME.fullmatch(name) and _DOMAIN.fullmatch(domain):
        return True
    raise Wrong(f"{shown(user)} is not a user", _USER)


def _check_secret(reference: str) -> None:
    """Raises Wrong for what is no reference; a relative ``file:`` counts from the accounts file's folder."""
    later = _LATER.match(reference)
    if later is not None:
        raise Wrong(f"{later[1]}: secrets are not available yet", _AVAILABLE)
    scheme, colon, rest = reference.partition(":")
    if reference == "prompt":
        return
    if colon and scheme == "env" and _ENV_NAME.fullmatch(rest):
        return
    if colon and scheme == "file" and rest.strip():
        return
    if colon and scheme == "keyring" and all(part.strip() for part in rest.split("/", 1)):
        return
    if colon and scheme in {"env", "file", "keyring"}:
        raise Wrong(f"what follows {scheme}: is not complete", _AVAILABLE)
    raise Wrong("secret is no reference to a secret (a password is never written in this file)", _AVAILABLE)


def _check_scope(scope: list[str] | None) -> None:
    if scope is None:
        return
    if not scope:
        raise Wrong("scope is an empty list", f"{_SCOPE}, or no scope for every target")
    for pattern in scope:
        kind, colon, rest = pattern.partition(":")
        if not pattern.strip() or pattern != pattern.strip():
            raise Wrong(f"{shown(pattern)} is not a pattern", _SCOPE)
        if colon and kind.isalpha() and (kind not in {"site", "group"} or not rest):
            raise Wrong(f"{shown(pattern)} is not a pattern", _SCOPE)


def _protocol(entry: _AccountModel, is_upn: bool) -> Protocol:
    if entry.protocol is None:
        return Protocol.KERBEROS if is_upn else Protocol.NTLM
    if entry.protocol == "kerberos" and entry.user.startswith(".\\"):
        raise Wrong("a local account cannot sign in with kerberos", 'protocol = "ntlm"')
    return Protocol(entry.protocol)


def _refuse_twice(document: Document, accounts: tuple[Account, ...]) -> None:
    seen: dict[str, Account] = {}
    for number, account in enumerate(accounts):
        first = seen.setdefault(account.name.casefold(), account)
        if first is not account:
            found = f"the account {shown(account.name)} is there twice (first in {first.source})"
            raise BadInput(document.source(("account", number, "name")), found, "a name of its own for each")


def _check_lockout(document: Document, lockout: _LockoutModel | None) -> None:
    if lockout is None or lockout.reserve < lockout.assume_threshold:
        return
    place = ("lockout", "reserve" if "reserve" in lockout.model_fields_set else "assume_threshold")
    raise BadInput(
        document.source(place),
        f"a reserve of {lockout.reserve} leaves no sign-in of a threshold of {lockout.assume_threshold}",
        f"a reserve below {lockout.assume_threshold}",
    )
