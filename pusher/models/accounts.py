"""Push accounts as the accounts file lists them, and what proves one; a secret that does not print itself."""

from __future__ import annotations

from dataclasses import dataclass

from pusher.models.common import Protocol, Source


class Secret:
    """A secret that does not print itself: its repr, str and format are ``***``; pickling is refused."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The secret itself; called by transports at the moment of sign-in and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a secret is not serialised")


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """A push account as the accounts file lists it; ``secret`` is a reference such as ``env:NAME``.

    ``user`` is a UPN (``svc@corp.example``), ``DOMAIN\\user`` or ``.\\user`` for a local account. The process's
    own identity has an empty ``user`` and no secret reference. ``scope``: the targets it is for; ``never``: those it
    must not be sent to; ``domain_controllers``: whether it may be sent to one. ``packages``: the names of those it is
    for (globs); none: it is a general one. ``realm``: its Kerberos realm, where the user's domain is not that.
    ``signs_in`` False: it is no push account at all, but one that installers may be run as.
    """

    name: str
    user: str
    secret: str
    protocol: Protocol
    scope: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    realm: str | None = None
    domain_controllers: bool = False
    signs_in: bool = True
    source: Source | None = None

    @property
    def is_own_identity(self) -> bool:
        return not self.user

    @property
    def is_local(self) -> bool:
        """True for ``.\\user``: the account exists on each host separately, and so does its lockout counter."""
        return self.user.startswith(".\\")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credential:
    """An account with what proves it, ready for one sign-in. ``domain`` is None for a UPN, empty for a local account.

    ``ccache`` is the name of a Kerberos cache of this process that holds its ticket; then there is no secret.
    """

    account: str
    user: str
    domain: str | None
    secret: Secret | None
    protocol: Protocol
    ccache: str | None = None
