"""What a value in package.toml may be: checks of single fields, as the formats' models use them.

Pure. Not here: the formats themselves, and what several fields have to do with one another.
"""

from __future__ import annotations

import re

from pydantic import AfterValidator

from pusher.config.wording import INVISIBLE, Wrong, is_visible, shown
from pusher.credentials.accounts.users import is_upn
from pusher.install.destinations import is_device
from pusher.transports.by_service import NAME as RUNNER

_BUILT_IN = {
    "LocalSystem": ("localsystem", "system", "nt authority\\system", ".\\localsystem"),
    "NT AUTHORITY\\LocalService": (
        "localservice",
        "local service",
        "nt authority\\localservice",
        "nt authority\\local service",
    ),
    "NT AUTHORITY\\NetworkService": (
        "networkservice",
        "network service",
        "nt authority\\networkservice",
        "nt authority\\network service",
    ),
}
"""The accounts that every Windows has, as the service manager takes them, and what they are called elsewhere: by the
security subsystem (NT AUTHORITY\\SYSTEM), and where Windows shows them."""
_GROUP_MANAGED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}\\[A-Za-z0-9_.-]{1,15}\$", re.ASCII)
_HIVES = {"HKLM": "HKLM", "HKEY_LOCAL_MACHINE": "HKLM", "HKU": "HKU", "HKEY_USERS": "HKU"}

SHA256 = "64 hexadecimal digits"
ACCOUNT = (
    "LocalSystem, LocalService, NetworkService, a group managed service account DOMAIN\\name$, or an ordinary account "
    "with its secret"
)
RIGHT = "a right such as SeServiceLogonRight"
VERSION = "one to four numbers with dots, such as 1.4.2"
SERVICE_NAME = '1 to 250 characters without / \\ : * ? " < > |'  # it is also the name of the host's lock file


def matching(pattern: str, found: str, expected: str) -> AfterValidator:
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise Wrong(f"{shown(value)} {found}", expected)
        return value

    return AfterValidator(check)


def one_line(limit: int, what: str) -> AfterValidator:
    def check(value: str) -> str:
        # No line ends, nothing that turns text around.
        if len(value) > limit or INVISIBLE.search(value):
            raise Wrong(f"{shown(value)} is not {what}", f"one line of at most {limit} characters")
        return value

    return AfterValidator(check)


def service_name(value: str) -> str:
    if (
        not 1 <= len(value) <= 250
        or re.search(r'[/\\:*?"<>|]', value)
        or not is_visible(value)
        or value != value.strip()
        or not value.strip(".")
    ):
        raise Wrong(f"{shown(value)} is not a service name", SERVICE_NAME)
    if is_device(value):
        raise Wrong(f"{shown(value)} is the name of a device, and a file is named by it", SERVICE_NAME)
    if value.casefold() == RUNNER.casefold():
        raise Wrong(f"{shown(value)} is the service that pusher runs installers with", "another name")
    return value


def service_account(value: str) -> str:
    for account, names in _BUILT_IN.items():
        if value.lower() in names:
            return account
    if value.lower().startswith("nt service\\"):
        raise Wrong(f"{shown(value)} is a virtual account, which is not supported", ACCOUNT)
    if _GROUP_MANAGED.fullmatch(value):
        return value
    try:
        is_upn(value)
    except Wrong as exc:
        raise Wrong(exc.found, ACCOUNT) from None
    return value


def is_built_in(account: str) -> bool:
    """Whether every Windows has the account, with the rights of a service; in any of its spellings."""
    return any(account.lower() in (known.lower(), *names) for known, names in _BUILT_IN.items())


def wants_password(account: str) -> bool:
    """Whether a service can log on as the account only with its password."""
    return (
        bool(account)
        and not account.lower().startswith("nt service\\")
        and not is_built_in(account)
        and _GROUP_MANAGED.fullmatch(account) is None
    )


def registry_key(value: str) -> str:
    hive, _, rest = value.partition("\\")
    if (
        hive.upper() not in _HIVES
        or not rest
        or any(not part.strip() for part in rest.split("\\"))
        or not is_visible(rest)
    ):
        raise Wrong(f"{shown(value)} is not a registry key", "a key such as HKLM\\SOFTWARE\\LabAgent")
    return f"{_HIVES[hive.upper()]}\\{rest}"
