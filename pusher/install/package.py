"""The package: a folder with ``package.toml`` and the files it lists, checked before anything is contacted.

Here live the format, its checks and the rendering of the service's command for one target. What must not live
here: transports, the target's own state. Implements "Package" of the surface.
"""

from __future__ import annotations

import hashlib
import re
import stat
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from pydantic import AfterValidator, Field

from pusher.config import Document, Duration, FormatModel, Wrong, hint, listed, read_toml, shown, validate
from pusher.config import Path as Place
from pusher.models import Package, PackageFile, ServiceSpec, Source, Target
from pusher.problems import BadInput

PACKAGE_FILE = "package.toml"
MAX_FILE = 2 * 1024**3
MAX_COMMAND = 32_767  # what the service manager stores at most

_ROOTS = ("%ProgramFiles%", "%ProgramData%", "%SystemDrive%")
_WITH_SPACES = "%programfiles%"  # expands to "C:\Program Files": a path below it has a space without showing one
_FROM_DRIVE = {
    "%systemroot%": "%systemdrive%\\windows",
    "%windir%": "%systemdrive%\\windows",
    "%programfiles%": "%systemdrive%\\program files",
    "%programdata%": "%systemdrive%\\programdata",
}
_OWN_ENDINGS = (".pusher-new", ".pusher-old")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])", re.IGNORECASE)
_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]')
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_ACCOUNTS = {
    "localsystem": "LocalSystem",
    "localservice": "NT AUTHORITY\\LocalService",
    "nt authority\\localservice": "NT AUTHORITY\\LocalService",
    "networkservice": "NT AUTHORITY\\NetworkService",
    "nt authority\\networkservice": "NT AUTHORITY\\NetworkService",
}
_GROUP_MANAGED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}\\[A-Za-z0-9_.-]{1,15}\$", re.ASCII)
_HIVES = {"HKLM": "HKLM", "HKEY_LOCAL_MACHINE": "HKLM", "HKU": "HKU", "HKEY_USERS": "HKU"}

_DEST = "a path such as labagent\\labagent.exe (below ADMIN$), or one that starts with " + listed(_ROOTS)
_SHA256 = "64 hexadecimal digits"
_ACCOUNT = "LocalSystem, LocalService, NetworkService or a group managed service account DOMAIN\\name$"
_RIGHT = "a right such as SeServiceLogonRight"
_VERSION = "one to four numbers with dots, such as 1.4.2"
_SERVICE_NAME = '1 to 250 characters without / \\ : * ? " < > |'  # it is also the name of the host's lock file


def _matching(pattern: str, found: str, expected: str) -> AfterValidator:
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str) -> str:
        if not compiled.fullmatch(value):
            raise Wrong(f"{shown(value)} {found}", expected)
        return value

    return AfterValidator(check)


def _one_line(limit: int, what: str) -> AfterValidator:
    characters = r"[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"  # no line ends, nothing that turns text around
    return _matching(f"{characters}{{0,{limit}}}", f"is not {what}", f"one line of at most {limit} characters")


def _service_name(value: str) -> str:
    if (
        not 1 <= len(value) <= 250
        or re.search(r'[/\\:*?"<>|]', value)
        or not value.isprintable()
        or value != value.strip()
    ):
        raise Wrong(f"{shown(value)} is not a service name", _SERVICE_NAME)
    return value


def _service_account(value: str) -> str:
    if value.lower() in _ACCOUNTS:
        return _ACCOUNTS[value.lower()]
    if _GROUP_MANAGED.fullmatch(value):
        return value
    raise Wrong(f"{shown(value)} would need a password, which is not supported", _ACCOUNT)


def _registry_key(value: str) -> str:
    hive, _, rest = value.partition("\\")
    if hive.upper() not in _HIVES or not rest or any(not part.strip() for part in rest.split("\\")):
        raise Wrong(f"{shown(value)} is not a registry key", "a key such as HKLM\\SOFTWARE\\LabAgent")
    return f"{_HIVES[hive.upper()]}\\{rest}"


def _destination(value: str) -> str:
    path = value.replace("/", "\\")
    root, below = "", path
    if path.startswith("%"):
        root, _, below = path.partition("\\")
        known = next((name for name in _ROOTS if name.lower() == root.lower()), None)
        if root.lower() in {"%systemroot%", "%windir%"}:
            raise Wrong(f"{shown(value)} names the Windows folder, below which dest is anyway", shown(below))
        if known is None:
            raise Wrong(f"{shown(value)} starts with a folder that is not known{hint(root, _ROOTS)}", _DEST)
        root = known + "\\"
    if re.match(r"[A-Za-z]:", below) or below.startswith("\\"):
        raise Wrong(f"{shown(value)} is absolute", _DEST)
    for part in below.split("\\"):
        if part in {"", ".", ".."} or _FORBIDDEN.search(part) or "%" in part or not part.isprintable():
            raise Wrong(f"{shown(value)} has the part {shown(part)}, which is not allowed", _DEST)
        if part[-1] in ". " or part[0] == " ":
            raise Wrong(f"{shown(value)} has the part {shown(part)}, whose dot or space Windows drops", _DEST)
        if _DEVICES.fullmatch(part.partition(".")[0].rstrip(" ")):
            raise Wrong(f"{shown(value)} has the part {shown(part)}, which Windows reserves for a device", _DEST)
    if path.lower().endswith(_OWN_ENDINGS):
        raise Wrong(f"{shown(value)} has an ending that pusher uses for itself", f"no {listed(_OWN_ENDINGS)}")
    if len(path) > 240:
        raise Wrong(f"{shown(value)} is too long", "at most 240 characters")
    return root + below


class _FileModel(FormatModel):
    source: str = Field(min_length=1, description="the path of a file in the package's folder")
    dest: Annotated[str, AfterValidator(_destination)] = Field(description=_DEST)
    sha256: Annotated[str, _matching("[0-9A-Fa-f]{64}", "is not a SHA-256", _SHA256)] = Field(description=_SHA256)


class _ServiceModel(FormatModel):
    name: Annotated[str, AfterValidator(_service_name)] = Field(description=_SERVICE_NAME)
    display_name: Annotated[str, _one_line(256, "a display name")] | None = Field(default=None, description="text")
    description: Annotated[str, _one_line(1024, "a description")] = Field(default="", description="text")
    command: str = Field(description="the quoted path of one of the package's programs, and its arguments")
    start: Literal["auto", "delayed", "demand", "disabled"] = Field(
        default="auto", description="auto, delayed, demand or disabled"
    )
    account: Annotated[str, AfterValidator(_service_account)] = Field(default="LocalSystem", description=_ACCOUNT)


class _VerifyModel(FormatModel):
    stay_running: Duration = Field(default=5.0, ge=0, le=600, description='a duration from "0s" to "10m"')
    start_timeout: Duration = Field(default=60.0, ge=1, le=3600, description='a duration from "1s" to "1h"')
    stop_timeout: Duration = Field(default=30.0, ge=1, le=3600, description='a duration from "1s" to "1h"')


class _NeedsModel(FormatModel):
    registry: list[Annotated[str, AfterValidator(_registry_key)]] = Field(
        default=[], description="a list of keys such as HKLM\\SOFTWARE\\LabAgent"
    )
    rights: list[Annotated[str, _matching("Se[A-Z][A-Za-z]{2,40}(Right|Privilege)", "is not a right", _RIGHT)]] = Field(
        default=[], description="a list of rights such as SeServiceLogonRight"
    )
    architectures: list[Literal["x64", "x86", "arm64"]] = Field(default=[], description="a list of x64, x86 and arm64")


class _RemoveModel(FormatModel):
    leftovers: list[Annotated[str, AfterValidator(_destination)]] = Field(
        default=[], description="a list of files that the agent itself makes"
    )


class _PackageModel(FormatModel):
    name: Annotated[
        str, _matching("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "is not a package name", "letters, digits, dots and hyphens")
    ] = Field(description="the package's name")
    version: Annotated[str, _matching(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}", "is not a version", _VERSION)] = Field(
        description=_VERSION
    )
    file: list[_FileModel] = Field(min_length=1, max_length=10_000, description="at least one [[file]]")
    service: _ServiceModel = Field(description="a [service] table")
    verify: _VerifyModel = Field(default=_VerifyModel(), description="a [verify] table")
    needs: _NeedsModel = Field(default=_NeedsModel(), description="a [needs] table")
    remove: _RemoveModel = Field(default=_RemoveModel(), description="a [remove] table")


def load_package(folder: Path, verify_hashes: bool = True) -> Package:
    """The package in ``folder``; raises BadInput. Its ``source`` is the place of the service's command."""
    document = read_toml(folder / PACKAGE_FILE)
    model = validate(_PackageModel, document)
    _refuse_overlaps(document, model)
    _check_command(document, model)
    command_place = document.source(("service", "command"))
    files = tuple(_file(document, number, entry, folder, verify_hashes) for number, entry in enumerate(model.file))
    service = model.service
    return Package(
        name=model.name,
        version=model.version,
        root=folder,
        files=files,
        service=ServiceSpec(
            name=service.name,
            display_name=service.display_name or service.name,
            command=service.command,
            start=service.start,
            account=service.account,
            description=service.description,
        ),
        stay_running=model.verify.stay_running,
        start_timeout=model.verify.start_timeout,
        stop_timeout=model.verify.stop_timeout,
        architectures=tuple(model.needs.architectures),
        registry_keys=tuple(model.needs.registry),
        rights=tuple(model.needs.rights),
        leftovers=tuple(model.remove.leftovers),
        source=command_place,
    )


# -- files ------------------------------------------------------------------------------------------------


def _file(document: Document, number: int, entry: _FileModel, folder: Path, verify: bool) -> PackageFile:
    place: Place = ("file", number, "source")

    def refuse(found: str, expected: str = "") -> NoReturn:
        raise BadInput(document.source(place), f"{shown(entry.source)} {found}", expected)

    relative = Path(entry.source)
    if relative.is_absolute() or ".." in relative.parts or "\x00" in entry.source:
        refuse("leads out of the package's folder", "a path inside it")
    path = folder / relative
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            refuse("is a link that leads out of the package's folder", "a file inside it")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            refuse("is not a file", "a file")
        size = status.st_size
        if size == 0:
            refuse("is empty", "a file with content")
        if size > MAX_FILE:
            refuse(f"has {size:,} bytes", f"at most {MAX_FILE:,}")
        actual, read = _sha256(path) if verify else (entry.sha256.lower(), size)
    except FileNotFoundError:
        refuse("does not exist in the package's folder", "a file")
    except PermissionError:
        refuse("may not be read by this user", "a readable file")
    except (OSError, RuntimeError) as exc:  # RuntimeError: a link that leads to itself
        refuse(f"cannot be read ({getattr(exc, 'strerror', None) or 'a link in a circle'})", "a readable file")
    if read != size:
        refuse("changed while it was read", "a file that nobody writes to")
    place = ("file", number, "sha256")
    if actual != entry.sha256.lower():
        refuse(f"has the SHA-256 {actual}, not {entry.sha256.lower()} (package-hash-mismatch)", "the file's own hash")
    return PackageFile(source=path, dest=entry.dest, sha256=actual, size=size, written=document.source(place))


def _sha256(path: Path) -> tuple[str, int]:
    """The digest and how many bytes went into it; read in chunks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()


def _refuse_overlaps(document: Document, model: _PackageModel) -> None:
    """Two files at one destination, or a file where another file needs a folder."""
    seen: dict[str, int] = {}
    for number, entry in enumerate(model.file):
        path = _fixed(image_path(entry.dest))
        first = seen.setdefault(path, number)
        if first != number:
            where = document.source(("file", first, "dest"))
            raise BadInput(
                document.source(("file", number, "dest")),
                f"{shown(entry.dest)} is the destination of two files (the other is in line {where.line})",
                "a destination of its own for each file",
            )
    for number, entry in enumerate(model.file):
        folder = _fixed(image_path(entry.dest))
        while "\\" in folder:
            folder = folder.rpartition("\\")[0]
            if folder in seen:
                raise BadInput(
                    document.source(("file", number, "dest")),
                    f"{shown(entry.dest)} is below the file {shown(model.file[seen[folder]].dest)}",
                    "a folder that is not also a file",
                )


# -- the command ------------------------------------------------------------------------------------------


def image_path(dest: str) -> str:
    """The full path of a destination as a service's command writes it."""
    return dest if dest.startswith("%") else f"%SystemRoot%\\{dest}"


def _check_command(document: Document, model: _PackageModel) -> None:
    command = model.service.command
    try:
        _check_command_text(command, [image_path(entry.dest) for entry in model.file])
    except Wrong as exc:
        raise BadInput(document.source(("service", "command")), f"service.command {exc.found}", exc.expected) from None


def _check_command_text(command: str, paths: list[str]) -> None:
    programs = [path for path in paths if path.lower().endswith(".exe")]
    if not programs:
        raise Wrong("has no program to start: no file of the package ends in .exe", "a [[file]] with a dest in .exe")
    example = f'"{programs[0]}"'
    if not command:
        raise Wrong("is empty", f"{example} and arguments")
    if not command.isprintable() or command != command.strip():
        raise Wrong("has control characters or spaces around it", f"{example} and arguments")
    if '\\"' in command or any(m.start() and command.count('"', 0, m.start()) % 2 for m in re.finditer('""', command)):
        raise Wrong('has an escaped quotation mark (\\" or "")', "arguments without quotation marks inside")
    if command.count('"') % 2:
        raise Wrong("has a quotation mark without its partner", f"{example} and arguments")
    if re.search(r"[{}]", _PLACEHOLDER.sub("", command)):
        raise Wrong("has a brace that is no placeholder", "placeholders such as {site}")
    if command.startswith('"'):
        executable, behind = command[1:].partition('"')[::2]
        if behind and not behind.startswith(" "):
            raise Wrong("has text right behind the quoted program", f"{example} and arguments")
    else:
        executable = command.partition(" ")[0]
        for path in programs:
            spaced = " " in path or path.lower().startswith(_WITH_SPACES)
            if spaced and re.match(re.escape(path) + r"(?: |$)", command, re.IGNORECASE):
                raise Wrong(
                    "starts a program in a path with spaces without quotation marks, so that anyone who may write "
                    "C:\\Program.exe could run as the service",
                    f'"{path}"{command[len(path) :]}',
                )
    if _fixed(executable) not in {_fixed(path) for path in programs}:
        raise Wrong(f"starts {shown(executable)}, which is no file of this package", listed(f'"{p}"' for p in programs))


def _fixed(path: str) -> str:
    """One spelling for paths that lead to one file: lower case, and every folder from the system drive on."""
    name, backslash, rest = path.lower().partition("\\")
    return _FROM_DRIVE.get(name, name) + backslash + rest


def placeholders(service: ServiceSpec) -> tuple[str, ...]:
    """The names in braces that the command asks for."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(service.command)))


def render_command(service: ServiceSpec, target: Target, source: Source | None = None) -> str:
    """The service's command for one target. ``source`` is the command's place (``Package.source``).

    Placeholders are ``{name}``, ``{site}`` and the target's variables. A value becomes part of a command line
    that Windows takes apart again, so it can neither end an argument nor begin another one:

    - never quotation marks, ``%`` (the service manager expands it) or characters that do not print;
    - spaces, and nothing at all, only where the placeholder stands inside quotation marks;
    - no backslash before the quotation mark behind it, neither its own nor, where it is empty, the command's;
    - at the beginning of an argument, no ``-`` and no ``/`` (it would pass for an option).
    """
    values = dict(target.variables) | {"name": target.name}
    if target.site is not None:
        values["site"] = target.site
    text, at = "", 0
    for match in _PLACEHOLDER.finditer(service.command):
        text += service.command[at : match.start()]
        inside = service.command[: match.start()].count('"') % 2 == 1
        begins = text.endswith(" ") or (inside and text.endswith(' "'))
        word = match[1]
        if word not in values:
            found = f"the command asks for {{{word}}}, which {_of(target)} does not have"
            raise BadInput(source, found + hint(word, values), f"a variable {word} in the inventory"
                           if word != "site" else "a site in the inventory")  # fmt: skip
        escapes = text.endswith("\\")
        reason = next(_unsafe(values[word], inside=inside, begins=begins, escapes=escapes), None)
        if reason is not None:
            found = f"the value {shown(values[word])} of {{{word}}} for {_of(target)} {reason[0]}"
            raise BadInput(source, found, reason[1])
        text += values[word]
        at = match.end()
    text += service.command[at:]
    if len(text) > MAX_COMMAND:
        found = f"the command for {_of(target)} has {len(text):,} characters"
        raise BadInput(source, found, f"at most {MAX_COMMAND:,}")
    return text


def _unsafe(value: str, *, inside: bool, begins: bool, escapes: bool) -> Iterator[tuple[str, str]]:
    """Why ``value`` may not be put into a command line, and what could be."""
    if '"' in value or "%" in value:
        yield "has a quotation mark or a percent sign", "a value without them"
    if any(unicodedata.category(c).startswith(("C", "Z")) and c != " " for c in value):
        yield "has characters that do not print", "printable characters"
    if not inside and " " in value:
        yield "has a space, and its placeholder stands outside quotation marks", "quotation marks around it"
    if not inside and not value:
        yield "is empty, and its placeholder stands outside quotation marks", "a value, or quotation marks"
    if value.endswith("\\") or (escapes and not value):
        yield "leaves a backslash at the end", "a value that ends in something else"
    if begins and value.startswith(("-", "/")):
        yield "would be read as an option", "a value that does not start with - or /"


def _of(target: Target) -> str:
    return f"{target.name} ({target.source})" if target.source is not None else target.name
