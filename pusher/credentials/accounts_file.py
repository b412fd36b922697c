"""The accounts file (TOML): which accounts are tried, in which order, and how much of a lockout threshold is left.

Here lives its format. What must not live here: reading a secret (the providers do, at sign-in), the account selection,
the budget. Implements "Accounts" of the surface. No value of ``secret`` ever appears in a sentence: an operator who
wrote the password itself there shall not find it in a log.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pusher.config.document import Document
from pusher.config.toml_source import read_toml
from pusher.config.validate import FormatModel, validate
from pusher.config.wording import Wrong, hint, shown
from pusher.credentials.accounts.directory_account import DirectoryModel, directory_account
from pusher.credentials.accounts.selection import OWN_IDENTITY
from pusher.credentials.accounts.users import USER, is_domain, is_upn
from pusher.credentials.kerberos.tickets import principal_of
from pusher.credentials.secrets import references
from pusher.credentials.secrets.laps import is_laps
from pusher.directory.port import DirectoryAccount
from pusher.models import Account, Protocol, Source
from pusher.problems import BadInput

DEFAULT_RESERVE = 2
DEFAULT_THRESHOLD = 3

_SCOPE = "patterns such as site:paris, group:labs or *.corp.example"
_NEVER = "patterns such as group:domain-controllers, tier0 or *.dmz.example"
_PACKAGES = "names of packages such as labagent or lab*"
_REALM = "a Kerberos realm such as CORP.EXAMPLE"
_LEAVE = "true or false: whether it may be sent to a domain controller"
_USE = "push (it signs in) or run (it never does; installers may be run as it)"

_PACKAGE = re.compile(r"[A-Za-z0-9._*?-]{1,64}", re.ASCII)
_RANGE = re.compile(r"\[[^\]]*:[^\]]*\]")
_LABEL = re.compile(r"[\w][\w.@-]{0,63}")


class _AccountModel(FormatModel):
    name: str = Field(description="the name that outcomes and logs show")
    user: str = Field(description=USER)
    secret: str = Field(description=references.AVAILABLE)
    scope: list[Annotated[str, Field(description="a pattern such as site:paris")]] | None = Field(
        default=None, description=f"a list of {_SCOPE}"
    )
    protocol: Literal["kerberos", "ntlm"] | None = Field(default=None, description="kerberos or ntlm")
    realm: str | None = Field(default=None, description=_REALM)
    never: list[Annotated[str, Field(description="a pattern such as group:domain-controllers")]] | None = Field(
        default=None, description=f"a list of {_NEVER}"
    )
    packages: list[Annotated[str, Field(description="the name of a package")]] | None = Field(
        default=None, description=f"a list of {_PACKAGES}"
    )
    domain_controllers: bool = Field(default=False, description=_LEAVE)
    use: Literal["push", "run"] = Field(default="push", description=_USE)


class _FallbackModel(FormatModel):
    enabled: bool | None = Field(default=None, description="true or false")
    never: list[Annotated[str, Field(description="a pattern such as group:domain-controllers")]] | None = Field(
        default=None, description=f"a list of {_NEVER}"
    )
    domain_controllers: bool = Field(default=False, description=_LEAVE)


class _LockoutModel(FormatModel):
    reserve: int = Field(
        default=DEFAULT_RESERVE, ge=0, le=998, description="a number of sign-ins from 0 to 998 that are never used"
    )
    assume_threshold: int = Field(
        default=DEFAULT_THRESHOLD, ge=1, le=999, description="a lockout threshold from 1 to 999"
    )
    local_threshold: int | None = Field(default=None, ge=1, le=999, description="a lockout threshold from 1 to 999")


class _ElsewhereModel(FormatModel):
    names: list[Annotated[str, Field(description="a pattern of scope or never")]] = Field(
        description="a list of patterns of scope or never that other inventories bear"
    )


class _AccountsModel(FormatModel):
    account: list[_AccountModel] | None = Field(default=None, description="[[account]] tables")
    fallback: _FallbackModel | None = Field(default=None, description="a [fallback] table")
    lockout: _LockoutModel | None = Field(default=None, description="a [lockout] table")
    directory: DirectoryModel | None = Field(default=None, description="a [directory] table")
    elsewhere: _ElsewhereModel | None = Field(default=None, description="an [elsewhere] table")


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A pattern of an account's ``scope`` or ``never`` (``key``), and where it stands."""

    account: str
    key: str
    text: str
    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountsFile:
    """The accounts in the order of trying. ``fallback``: the process's own identity, which comes last."""

    accounts: tuple[Account, ...]
    fallback: Account | None
    reserve: int = DEFAULT_RESERVE
    assume_threshold: int = DEFAULT_THRESHOLD
    local_threshold: int | None = None
    directory: DirectoryAccount | None = None
    written: tuple[Written, ...] = ()
    """Every pattern of ``scope`` and ``never``, in the order of the file."""
    elsewhere: frozenset[str] = frozenset()
    """Patterns that an inventory need not bear, case folded."""
    missing: Path | None = None
    """Where no accounts file is, though one was looked for."""

    @classmethod
    def own_identity_only(cls, missing: Path | None = None) -> AccountsFile:
        """What holds where no accounts file exists: the process's own identity, as a site server does."""
        return cls(accounts=(), fallback=OWN_IDENTITY, missing=missing)


def load_accounts(path: Path) -> AccountsFile:
    """The accounts file; raises BadInput."""
    document = read_toml(path)
    model = validate(_AccountsModel, document)
    _check_lockout(document, model.lockout)
    accounts = tuple(_account(document, number, entry) for number, entry in enumerate(model.account or []))
    _refuse_twice(document, accounts)
    _refuse_laps_alone(document, accounts, model)
    enabled = model.fallback.enabled if model.fallback is not None else None
    fallback = _fallback(document, model.fallback)
    if not accounts and enabled is False:
        raise BadInput(
            document.source(("fallback", "enabled")),
            "no account is listed and the fallback is off, so nobody could sign in",
            "an [[account]], or enabled = true",
        )
    lockout = model.lockout or _LockoutModel()
    return AccountsFile(
        accounts=accounts,
        fallback=fallback if enabled or not accounts else None,
        reserve=lockout.reserve,
        assume_threshold=lockout.assume_threshold,
        local_threshold=lockout.local_threshold,
        directory=directory_account(document, model.directory) if model.directory is not None else None,
        written=(written := tuple(_written(document, model))),
        elsewhere=_elsewhere(document, model, written),
    )


def _written(document: Document, model: _AccountsModel) -> Iterator[Written]:
    tables: list[tuple[tuple[str | int, ...], str, _AccountModel | _FallbackModel]] = [
        (("account", number), entry.name, entry) for number, entry in enumerate(model.account or [])
    ]
    if model.fallback is not None:
        tables.append((("fallback",), OWN_IDENTITY.name, model.fallback))
    for path, account, entry in tables:
        for key in ("scope", "never"):
            for number, text in enumerate(getattr(entry, key, None) or ()):
                source = document.source((*path, key, number))
                yield Written(account=account, key=key, text=text, source=source)


def _elsewhere(document: Document, model: _AccountsModel, written: tuple[Written, ...]) -> frozenset[str]:
    names = model.elsewhere.names if model.elsewhere is not None else []
    used = {pattern.text.casefold() for pattern in written}
    for number, name in enumerate(names):
        if name.casefold() not in used:
            near = hint(name, [pattern.text for pattern in written])
            found = f"{shown(name)} stands in no scope and no never{near}"
            raise BadInput(document.source(("elsewhere", "names", number)), found, "a pattern as it stands there")
    return frozenset(name.casefold() for name in names)


def _account(document: Document, number: int, entry: _AccountModel) -> Account:
    key = "name"
    try:
        if not _LABEL.fullmatch(entry.name):
            raise Wrong(f"{shown(entry.name)} cannot be the name of an account", "letters, digits, dots, hyphens")
        key = "user"
        upn = is_upn(entry.user)
        key = "secret"
        secret = _secret(document, entry)
        key = "scope"
        _check_patterns(key, entry.scope, _SCOPE)
        key = "never"
        _check_patterns(key, entry.never, _NEVER)
        key = "packages"
        _check_packages(entry.packages)
        key = "protocol"
        protocol = _protocol(entry, upn)
        key = "realm"
        _check_realm(entry.realm, entry.user)
        account = Account(
            name=entry.name,
            user=entry.user,
            secret=secret,
            protocol=protocol,
            scope=tuple(entry.scope or ()),
            never=tuple(entry.never or ()),
            packages=tuple(entry.packages or ()),
            realm=entry.realm,
            domain_controllers=entry.domain_controllers,
            signs_in=entry.use == "push",
            source=document.source(("account", number)),
        )
        key = "user"
        if protocol is Protocol.KERBEROS and principal_of(account) is None:
            raise Wrong(
                f"the Kerberos realm of {shown(entry.user)} cannot be told", 'user@domain, or realm = "CORP.EXAMPLE"'
            )
    except Wrong as exc:
        place = document.source(("account", number, key))
        raise BadInput(place, f"account {shown(entry.name)}: {exc.found}", exc.expected) from None
    return account


def _fallback(document: Document, entry: _FallbackModel | None) -> Account:
    if entry is None:
        return OWN_IDENTITY
    try:
        _check_patterns("never", entry.never, _NEVER)
    except Wrong as exc:
        raise BadInput(document.source(("fallback", "never")), exc.found, exc.expected) from None
    return replace(OWN_IDENTITY, never=tuple(entry.never or ()), domain_controllers=entry.domain_controllers)


def _secret(document: Document, entry: _AccountModel) -> str:
    """The reference to the account's secret, fit for the account; raises Wrong."""
    reference = references.checked(entry.secret, Path(document.file).parent)
    scheme, is_local = references.scheme_of(reference), entry.user.startswith(".\\")
    if scheme == "laps" and not is_local:
        raise Wrong("laps: is for a local account", "user = '.\\Administrator', or another secret")
    if scheme in references.KERBEROS_ONLY and (is_local or entry.protocol == "ntlm"):
        raise Wrong(f"{scheme}: is for kerberos only", 'a domain account without protocol = "ntlm"')
    return reference


def _check_patterns(key: str, patterns: list[str] | None, expected: str) -> None:
    if patterns is None:
        return
    if not patterns:
        instead = "no scope for every target" if key == "scope" else "no never"
        raise Wrong(f"{key} is an empty list", f"{expected}, or {instead}")
    for pattern in patterns:
        kind, colon, rest = pattern.partition(":")
        if not pattern.strip() or pattern != pattern.strip():
            raise Wrong(f"{shown(pattern)} is not a pattern", expected)
        if colon and kind.isalpha() and (kind not in {"site", "group"} or not rest):
            raise Wrong(f"{shown(pattern)} is not a pattern", expected)
        if not (colon and kind in {"site", "group"}):
            _check_host_pattern(pattern)


def _check_host_pattern(pattern: str) -> None:
    """What --limit would take and is compared as a glob here would fit nothing, without a word."""
    if "/" in pattern:
        try:
            ipaddress.ip_network(pattern)
        except ValueError:
            raise Wrong(f"{shown(pattern)} is not a block of addresses", "a block such as 10.9.0.0/26") from None
    combined = any(mark in pattern for mark in "!&,") and "[!" not in pattern
    if combined or pattern.startswith("~") or _RANGE.search(pattern):
        raise Wrong(
            f"{shown(pattern)} is neither a name nor a glob", "one name or glob each, such as ws01* or dc[12].*"
        )


def _check_packages(names: list[str] | None) -> None:
    if names is None:
        return
    if not names:
        raise Wrong("packages is an empty list", f"{_PACKAGES}, or no packages for every package")
    for name in names:
        if not _PACKAGE.fullmatch(name):
            raise Wrong(f"{shown(name)} is not the name of a package", _PACKAGES)


def _check_realm(realm: str | None, user: str) -> None:
    if realm is None:
        return
    if user.startswith(".\\"):
        raise Wrong("a local account has no realm", "no realm")
    if not is_domain(realm):
        raise Wrong(f"{shown(realm)} is not a realm", _REALM)


def _protocol(entry: _AccountModel, upn: bool) -> Protocol:
    if entry.protocol is None:
        kerberos = upn or references.scheme_of(entry.secret) in references.KERBEROS_ONLY
        return Protocol.KERBEROS if kerberos else Protocol.NTLM
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


def _refuse_laps_alone(document: Document, accounts: tuple[Account, ...], model: _AccountsModel) -> None:
    for number, account in enumerate(accounts):
        if model.directory is None and is_laps(account):
            found = f"account {shown(account.name)}: nothing says which directory holds its passwords"
            raise BadInput(document.source(("account", number, "secret")), found, "a [directory] table in this file")


def _check_lockout(document: Document, lockout: _LockoutModel | None) -> None:
    if lockout is None:
        return
    for key in ("assume_threshold", "local_threshold"):
        threshold = getattr(lockout, key)
        if threshold is None or lockout.reserve < threshold:
            continue
        place = ("lockout", "reserve" if "reserve" in lockout.model_fields_set else key)
        found = f"a reserve of {lockout.reserve} leaves no sign-in of a threshold of {threshold}"
        raise BadInput(document.source(place), found, f"a reserve below {threshold}")
