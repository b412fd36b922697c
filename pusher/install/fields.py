"""What a value in package.toml may be: checks of single fields, as the formats' models use them.

Pure. Not here: the formats themselves, and what several fields have to do with one another.
"""

from __future__ import annotations

import re

from pydantic import AfterValidator

from pusher.config import Wrong, hint, listed, shown

ROOTS = ("%ProgramFiles%", "%ProgramData%", "%SystemDrive%")
_OWN_ENDINGS = (".pusher-new", ".pusher-old")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')
_ACCOUNTS = {
    "localsystem": "LocalSystem",
    "localservice": "NT AUTHORITY\\LocalService",
    "nt authority\\localservice": "NT AUTHORITY\\LocalService",
    "networkservice": "NT AUTHORITY\\NetworkService",
    "nt authority\\networkservice": "NT AUTHORITY\\NetworkService",
}
_GROUP_MANAGED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}\\[A-Za-z0-9_.-]{1,15}\$", re.ASCII)
_HIVES = {"HKLM": "HKLM", "HKEY_LOCAL_MACHINE": "HKLM", "HKU": "HKU", "HKEY_USERS": "HKU"}

PLACES = ("%SystemRoot%", "%ProgramFiles%", "%ProgramFiles(x86)%", "%ProgramData%", "%SystemDrive%")
"""Where a file may lie that an installer makes."""

DEST = "a path such as labagent\\labagent.exe (below ADMIN$), or one that starts with " + listed(ROOTS)
PLACE = "a path that starts with " + listed(PLACES)
SHA256 = "64 hexadecimal digits"
ACCOUNT = "LocalSystem, LocalService, NetworkService or a group managed service account DOMAIN\\name$"
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
    characters = r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"  # no line ends, nothing that turns text around
    return matching(f"{characters}{{0,{limit}}}", f"is not {what}", f"one line of at most {limit} characters")


def service_name(value: str) -> str:
    if (
        not 1 <= len(value) <= 250
        or re.search(r'[/\\:*?"<>|]', value)
        or not value.isprintable()
        or value != value.strip()
    ):
        raise Wrong(f"{shown(value)} is not a service name", SERVICE_NAME)
    return value


def service_account(value: str) -> str:
    if value.lower() in _ACCOUNTS:
        return _ACCOUNTS[value.lower()]
    if _GROUP_MANAGED.fullmatch(value):
        return value
    raise Wrong(f"{shown(value)} would need a password, which is not supported", ACCOUNT)


def registry_key(value: str) -> str:
    hive, _, rest = value.partition("\\")
    if hive.upper() not in _HIVES or not rest or any(not part.strip() for part in rest.split("\\")):
        raise Wrong(f"{shown(value)} is not a registry key", "a key such as HKLM\\SOFTWARE\\LabAgent")
    return f"{_HIVES[hive.upper()]}\\{rest}"


def destination(value: str) -> str:
    """Where a file of a package goes."""
    path = value.replace("/", "\\")
    if path.lower().startswith(("%systemroot%", "%windir%")):
        below = path.partition("\\")[2]
        raise Wrong(f"{shown(value)} names the Windows folder, below which dest is anyway", shown(below))
    return _path(value, ROOTS)


def place(value: str) -> str:
    """Where a file lies that is no file of the package; in the spelling of a ``dest``."""
    return _path(value, PLACES).removeprefix("%SystemRoot%\\")


def _path(value: str, roots: tuple[str, ...]) -> str:
    path, expected = value.replace("/", "\\"), DEST if roots is ROOTS else PLACE
    root, below = "", path
    if path.startswith("%"):
        root, _, below = path.partition("\\")
        known = next((name for name in roots if name.lower() == root.lower()), None)
        if known is None:
            raise Wrong(f"{shown(value)} starts with a folder that is not known{hint(root, roots)}", expected)
        root = known + "\\"
    if re.match(r"[A-Za-z]:", below) or below.startswith("\\"):
        raise Wrong(f"{shown(value)} is absolute", expected)
    for part in below.split("\\"):
        if part in {"", ".", ".."} or _FORBIDDEN.search(part) or "%" in part or not part.isprintable():
            raise Wrong(f"{shown(value)} has the part {shown(part)}, which is not allowed", expected)
        if part[-1] in ". " or part[0] == " ":
            raise Wrong(f"{shown(value)} has the part {shown(part)}, whose dot or space Windows drops", expected)
        if _DEVICES.fullmatch(part.partition(".")[0].rstrip(" ")):
            raise Wrong(f"{shown(value)} has the part {shown(part)}, which Windows reserves for a device", expected)
    if path.lower().endswith(_OWN_ENDINGS):
        raise Wrong(f"{shown(value)} has an ending that pusher uses for itself", f"no {listed(_OWN_ENDINGS)}")
    if len(path) > 240:
        raise Wrong(f"{shown(value)} is too long", "at most 240 characters")
    return root + below
