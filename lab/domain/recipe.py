"""What the lab's directory holds: names, policies and states, as values.

The snapshot's key is a hash of this file among others (see snapshot.py), so whoever changes it gets a new one.
Not here: how any of it is written into a directory (populate.py), passwords (made with every lab, see controller.py).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import StrEnum

REALM = "AD.LAB.TEST"
DNS_DOMAIN = REALM.lower()
NETBIOS = "ADLAB"
BASE_DN = ",".join(f"DC={label}" for label in DNS_DOMAIN.split("."))
CONTROLLER = "dc1"
CONTROLLER_FQDN = f"{CONTROLLER}.{DNS_DOMAIN}"
ADMINISTRATOR = "Administrator"

SITES = ("Seattle", "Paris")  # the domain controller is in the first
FIXED_SUBNETS = {"10.77.0.0/24": "Seattle", "10.78.0.0/16": "Paris", "10.78.9.0/24": "Seattle"}

PUSH = "OU=Push"
PUSHER = "push1"
SEATTLE, PARIS = "OU=Seattle,OU=Fleet", "OU=Paris,OU=Fleet"
UNITS = ("OU=Fleet", SEATTLE, PARIS, PUSH)
BULK = "OU=Bulk,OU=Fleet"  # made only where a lab wants many computers

TARGETS, NESTED, LAPS_READERS, ADMINS = "Push-Targets", "Push-Nested", "LAPS-Readers", "Srv-Admins"
GROUPS = (TARGETS, NESTED, LAPS_READERS, ADMINS)
GROUPS_IN_GROUPS = {NESTED: TARGETS}


@dataclass(frozen=True, kw_only=True)
class LockoutPolicy:
    """How many wrong passwords lock an account, how long they are counted, and for how long it is locked."""

    threshold: int
    window_minutes: int
    duration_minutes: int


DOMAIN_POLICY = LockoutPolicy(threshold=5, window_minutes=30, duration_minutes=30)
STRICT_POLICY = LockoutPolicy(threshold=4, window_minutes=60, duration_minutes=45)
STRICT_POLICY_NAME = "Strict-Push"  # a fine-grained one, which `reader` may read and nobody else


class UserState(StrEnum):
    ORDINARY = "ordinary"
    DISABLED = "disabled"
    EXPIRED = "expired"
    MUST_CHANGE = "must-change"


@dataclass(frozen=True, kw_only=True)
class User:
    """An account that a person or pusher has."""

    name: str
    groups: tuple[str, ...] = ()
    state: UserState = UserState.ORDINARY
    strict: bool = False  # under the fine-grained policy


USERS = (
    *(User(name=name, groups=(ADMINS,)) for name in (PUSHER, "push2", "push3")),
    User(name="strict1", groups=(ADMINS,), strict=True),
    User(name="reader"),
    User(name="lapsreader", groups=(LAPS_READERS,)),
    User(name="nolaps"),
    User(name="dis1", groups=(ADMINS,), state=UserState.DISABLED),
    User(name="exp1", groups=(ADMINS,), state=UserState.EXPIRED),
    User(name="must1", groups=(ADMINS,), state=UserState.MUST_CHANGE),
)


class Laps(StrEnum):
    """Which attributes hold the password of a computer's local administrator."""

    NONE = "none"
    LEGACY = "legacy"  # ms-Mcs-AdmPwd
    WINDOWS = "windows"  # msLAPS-Password, in plain text


LAPS_ACCOUNT = "lapsadm"
"""The local account that the passwords are for."""


@dataclass(frozen=True, kw_only=True)
class Computer:
    """A computer's account. `fresh` is whether it has signed in of late."""

    name: str
    unit: str = SEATTLE
    groups: tuple[str, ...] = ()
    enabled: bool = True
    fresh: bool = True
    laps: Laps = Laps.NONE
    system: str = "Windows 11 Enterprise"
    build: str = "10.0 (22631)"


COMPUTERS = (
    Computer(name="pc01", groups=(TARGETS,), laps=Laps.LEGACY),
    Computer(name="pc02", groups=(NESTED,), laps=Laps.WINDOWS),
    Computer(name="pc03", unit=PARIS),
    Computer(name="pc04", unit=PARIS, system="Windows Server 2019 Standard", build="10.0 (17763)"),
    Computer(name="pcoff", enabled=False, groups=(TARGETS,)),
    Computer(name="pcstale", unit=PARIS, fresh=False, groups=(TARGETS,)),
)


def new_password() -> str:
    """A random one that any policy takes: letters of both cases, digits and more."""
    return f"Aa1-{secrets.token_urlsafe(18)}"
