"""Machines as an inventory names them, before anything is asked of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pusher.models.common import Source, TransportKind

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, slots=True)
class WinrmSettings:
    """How WinRM is reached on a target; None: https on 5986, then http on 5985 with message encryption.

    ``scheme`` is ``https`` or ``http``; ``fingerprint`` the SHA-256 of the only certificate to accept, 64 hexadecimal
    digits in lower case.
    """

    port: int | None = None
    scheme: str | None = None
    fingerprint: str | None = None


DOMAIN_CONTROLLERS = "domain-controllers"
"""The group of which all members are taken for domain controllers: for ``never``, ``--limit`` and ``--exclude``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """One machine of an inventory, before it is resolved.

    ``address`` is an IP address given by the operator (None: the name is to be resolved); ``port`` overrides
    SMB's own; ``variables`` fill ``{name}`` placeholders of a package's service command. ``machine`` is what it calls
    itself, where its name in the inventory is only a label; ``aliases`` are other names that the inventory has for it.
    """

    name: str
    address: str | None = None
    port: int | None = None
    site: str | None = None
    transports: tuple[TransportKind, ...] = (TransportKind.SMB,)
    groups: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: _NOTHING, hash=False)
    domain_controller_allowed: bool = False
    winrm: WinrmSettings = WinrmSettings()
    machine: str | None = None
    aliases: tuple[str, ...] = ()
    source: Source | None = None

    @property
    def own_name(self) -> str:
        """The name that the machine itself has to prove: in its challenge, its certificate and its Kerberos ticket."""
        return self.machine or self.name

    @property
    def all_names(self) -> tuple[str, ...]:
        """Every name by which a pattern may mean it, as written; the inventory's own comes first."""
        return (self.name, *((self.machine,) if self.machine else ()), *self.aliases)
