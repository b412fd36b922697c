"""What the endpoint of a host is told: a file of the host's private folder, and what tests may change while it runs.

Here: values. Not here: what they bring about.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Deny(StrEnum):
    """What somebody gets who has signed in and is no administrator."""

    FAULT = "fault"  # WSManFault 5, from whatever was asked
    UNAUTHORIZED = "401"  # as where the listener's own descriptor refuses him


class Binding(StrEnum):
    """CbtHardeningLevel of MS-WSMV: what becomes of a sign-in over TLS by its channel binding."""

    NONE = "none"
    RELAXED = "relaxed"  # verified where the client sends one
    STRICT = "strict"  # without one nobody gets in


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the endpoint behaves; a test replaces it while the host runs."""

    delay_ms: int = 0  # before every answer
    status: int = 0  # this HTTP status to every request, and nothing else
    max_shells: int = 30
    max_envelope_kb: int = 500
    deny: Deny = Deny.FAULT
    binding: Binding = Binding.RELAXED
    allow_unencrypted: bool = False
    drop_after: int = 0  # the connection is cut instead of the answer to this many'th WS-Man request; 0: never
    drop_on: str = ""  # the same, at the first request whose action, method or command line holds this
    hang_on: str = ""  # no answer at all to such requests
    downloads: bool = True  # the host's curl.exe reaches servers outside
    download_stall: int = 0  # after so many bytes nothing more comes; 0: all of it comes

    @classmethod
    def of(cls, values: dict[str, Any]) -> Behaviour:
        known = {**values}
        for name, kind in (("deny", Deny), ("binding", Binding)):
            if name in known:
                known[name] = kind(known[name])
        return cls(**known)


@dataclass(frozen=True, kw_only=True)
class User:
    """A local account. `refused` is the NTSTATUS that keeps it out even with its password."""

    name: str
    password: str = field(repr=False)
    administrator: bool
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """Paths are those inside the host."""

    name: str
    windows: str  # where Windows says that it is
    domain: str
    address: str  # the host's own, outside
    users: list[User]
    certificate: str  # PEM, the key in it
    relay_certificate: str | None  # a relay with this one stands before the HTTPS listener
    keytab: str  # for Kerberos, where somebody has put one there
    egress: str  # the socket of lab/egress_proxy.py
    helper: str
    runner: str
    folder: str  # a private one
    log: str
    behaviour: Behaviour

    @property
    def control(self) -> Path:
        return Path(self.folder) / "control.sock"

    @property
    def users_file(self) -> Path:
        return Path(self.folder) / "users"

    @property
    def fqdn(self) -> str:
        return f"{self.name}.{self.domain}"

    def user(self, name: str) -> User | None:
        return next((user for user in self.users if user.name.lower() == name.lower()), None)

    def write(self, path: Path) -> None:
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        self.users_file.touch(mode=0o600)
        self.users_file.write_text(self._users_text(), encoding="utf-8")

    def _users_text(self) -> str:
        """pyspnego's NTLM_USER_FILE. A host that is in no domain takes any of these for its own name."""
        domains = ("", ".", self.name.upper(), self.domain.partition(".")[0].upper(), "WORKGROUP")
        return "".join(f"{domain}:{user.name}:{user.password}\n" for user in self.users for domain in domains)

    @classmethod
    def read(cls, path: Path) -> Config:
        content = json.loads(path.read_text(encoding="utf-8"))
        content["users"] = [User(**user) for user in content["users"]]
        content["behaviour"] = Behaviour.of(content["behaviour"])
        return cls(**content)
