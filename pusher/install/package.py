"""The package: a folder with ``package.toml`` and the files it lists, checked before anything is contacted.

Here live the format, its checks and the rendering of the service's command for one target. What must not live
here: transports, the target's own state. Implements "Package" of the surface.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, NoReturn

from pydantic import AfterValidator, Field

from pusher.config.document import Document
from pusher.config.document import Path as Place
from pusher.config.durations import Duration
from pusher.config.toml_source import read_toml
from pusher.config.validate import FormatModel, validate
from pusher.config.wording import Wrong, hint, is_visible, listed, shown
from pusher.credentials.secrets import references
from pusher.install.destinations import DEST, destination, from_drive, image_path, in_own_folder, may_meet
from pusher.install.fields import (
    ACCOUNT,
    RIGHT,
    SERVICE_NAME,
    SHA256,
    VERSION,
    is_built_in,
    matching,
    one_line,
    registry_key,
    service_account,
    service_name,
    wants_password,
)
from pusher.install.installer_format import DetectModel, InstallerModel, detect_of, installer_of, staged
from pusher.models import Package, PackageFile, ServiceSpec, Source, Target
from pusher.problems import BadInput

PACKAGE_FILE = "package.toml"
_SECRETS = "env:NAME, file:PATH, keyring:SERVICE/USER, vault:PATH#FIELD or prompt"
NO_SECRETS = references.KERBEROS_ONLY | {"laps"}
MAX_FILE = 2 * 1024**3
MAX_COMMAND = 32_767  # what the service manager stores at most

_WITH_SPACES = ("%programfiles%", "%programfiles(x86)%")
"""They expand to "C:\\Program Files…": a path below them has a space without showing one."""
_PROGRAMS = (".exe", ".msi")
_DRIVE = re.compile(r"[A-Za-z]:")
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)


class _FileModel(FormatModel):
    source: str = Field(min_length=1, description="the path of a file in the package's folder")
    dest: Annotated[str, AfterValidator(destination)] | None = Field(default=None, description=DEST)
    sha256: Annotated[str, matching("[0-9A-Fa-f]{64}", "is not a SHA-256", SHA256)] = Field(description=SHA256)


class _ServiceModel(FormatModel):
    name: Annotated[str, AfterValidator(service_name)] = Field(description=SERVICE_NAME)
    display_name: Annotated[str, one_line(256, "a display name")] | None = Field(default=None, description="text")
    description: Annotated[str, one_line(1024, "a description")] = Field(default="", description="text")
    command: str = Field(description="the quoted path of one of the package's programs, and its arguments")
    start: Literal["auto", "delayed", "demand", "disabled"] = Field(
        default="auto", description="auto, delayed, demand or disabled"
    )
    account: Annotated[str, AfterValidator(service_account)] = Field(default="LocalSystem", description=ACCOUNT)
    secret: str | None = Field(default=None, description=_SECRETS)
    grant_logon_right: bool = Field(
        default=False, description='true or false: whether the account is given "log on as a service" where it lacks it'
    )


class _VerifyModel(FormatModel):
    stay_running: Duration = Field(default=5.0, ge=0, le=600, description='a duration from "0s" to "10m"')
    start_timeout: Duration = Field(default=60.0, ge=1, le=3600, description='a duration from "1s" to "1h"')
    stop_timeout: Duration = Field(default=30.0, ge=1, le=3600, description='a duration from "1s" to "1h"')


class _NeedsModel(FormatModel):
    registry: list[Annotated[str, AfterValidator(registry_key)]] = Field(
        default=[], description="a list of keys such as HKLM\\SOFTWARE\\LabAgent"
    )
    rights: list[Annotated[str, matching("Se[A-Z][A-Za-z]{2,40}(Right|Privilege)", "is not a right", RIGHT)]] = Field(
        default=[], description="a list of rights such as SeServiceLogonRight"
    )
    architectures: list[Literal["x64", "x86", "arm64"]] = Field(default=[], description="a list of x64, x86 and arm64")


class _RemoveModel(FormatModel):
    leftovers: list[Annotated[str, AfterValidator(destination)]] = Field(
        default=[], description="a list of files that the agent itself makes"
    )


class _PackageModel(FormatModel):
    name: Annotated[
        str, matching("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "is not a package name", "letters, digits, dots and hyphens")
    ] = Field(description="the package's name")
    version: Annotated[str, matching(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}", "is not a version", VERSION)] = Field(
        description=VERSION
    )
    file: list[_FileModel] = Field(min_length=1, max_length=10_000, description="at least one [[file]]")
    service: _ServiceModel | None = Field(default=None, description="a [service] table")
    installer: InstallerModel | None = Field(default=None, description="an [installer] table")
    detect: DetectModel | None = Field(default=None, description="a [detect] table")
    verify: _VerifyModel | None = Field(default=None, description="a [verify] table")
    needs: _NeedsModel = Field(default=_NeedsModel(), description="a [needs] table")
    remove: _RemoveModel | None = Field(default=None, description="a [remove] table")


def load_package(folder: Path, verify_hashes: bool = True) -> Package:
    """The package in ``folder``; raises BadInput. Its ``source`` is the place of the service's command."""
    return package_of(read_toml(folder / PACKAGE_FILE), folder, verify_hashes)


def package_of(document: Document, folder: Path, verify_hashes: bool = True, *, by_hash: bool = False) -> Package:
    """The package that ``document`` describes; as ``load_package``.

    ``by_hash``: its files lie in ``folder`` under their hashes, and their ``source`` only tells what they are called.
    """
    model = validate(_PackageModel, document)
    _refuse_what_does_not_belong(document, model)
    dests = [_dest(document, model, number) for number in range(len(model.file))]
    _refuse_own_folder(document, model, dests)
    _refuse_overlaps(document, dests, model.remove.leftovers if model.remove is not None else [])
    if model.service is not None:
        _check_command(document, model.service.command, dests)
    files = tuple(
        _file(document, number, entry, dest, folder, verify_hashes, by_hash)
        for number, (entry, dest) in enumerate(zip(model.file, dests, strict=True))
    )
    installer = detect = None
    if model.installer is not None:
        by_source = {inside(entry.source): file for entry, file in zip(model.file, files, strict=True)}
        installer = installer_of(document, model.installer, by_source, model.version)
        detect = detect_of(document, model.detect, installer, model.version)
    verify, remove = model.verify or _VerifyModel(), model.remove or _RemoveModel()
    return Package(
        name=model.name,
        version=model.version,
        root=Path(document.file).parent,
        files=files,
        service=_service(document, model.service),
        installer=installer,
        detect=detect,
        stay_running=verify.stay_running,
        start_timeout=verify.start_timeout,
        stop_timeout=verify.stop_timeout,
        architectures=tuple(model.needs.architectures),
        registry_keys=tuple(model.needs.registry),
        rights=tuple(model.needs.rights),
        leftovers=tuple(remove.leftovers),
        source=document.source(("service", "command")),
    )


def _refuse_what_does_not_belong(document: Document, model: _PackageModel) -> None:
    if model.installer is None:
        if model.service is None:
            raise BadInput(document.source(()), "service is missing", "a [service] table")
        if model.detect is not None:
            raise BadInput(document.source(("detect",)), "detect has no installer to look for", "an [installer] table")
        return
    for name in ("service", "verify", "remove"):
        if getattr(model, name) is not None:
            found = f"{name} stands beside an installer, which brings what it brings by itself"
            raise BadInput(document.source((name,)), found, f"[{name}] or [installer]")


def _dest(document: Document, model: _PackageModel, number: int) -> str:
    """The file's destination; an installer's files are staged in a folder of their own."""
    entry, at = model.file[number], document.source(("file", number))
    if model.installer is None:
        if entry.dest is None:
            raise BadInput(at, f"file[{number + 1}].dest is missing", DEST)
        return entry.dest
    try:
        return staged(model.name, entry.source, entry.dest)
    except Wrong as exc:
        place: Place = ("file", number, "source" if entry.dest is None else "dest")
        raise BadInput(document.source(place), f"{place[-1]} {exc.found}", exc.expected) from None


def _service(document: Document, model: _ServiceModel | None) -> ServiceSpec | None:
    if model is None:
        return None
    try:
        key = "secret"
        secret = _service_secret(document, model)
        key = "grant_logon_right"
        if model.grant_logon_right and is_built_in(model.account):
            raise Wrong(f"says nothing beside {model.account}, which may log on everywhere", "no grant_logon_right")
    except Wrong as exc:
        place = key if key in model.model_fields_set else "account"
        raise BadInput(document.source(("service", place)), f"service.{place} {exc.found}", exc.expected) from None
    return ServiceSpec(
        name=model.name,
        display_name=model.display_name or model.name,
        command=model.command,
        start=model.start,
        account=model.account,
        description=model.description,
        secret=secret,
        grant_logon_right=model.grant_logon_right,
    )


def _service_secret(document: Document, model: _ServiceModel) -> str | None:
    """The reference to the account's password, where it has one; Wrong."""
    if not wants_password(model.account):
        if model.secret is not None:
            raise Wrong(f"is given, and {model.account} has no password", "no secret")
        return None
    if model.secret is None:
        raise Wrong(f"{shown(model.account)} wants a password, and there is no secret", f"a secret: {_SECRETS}")
    if references.scheme_of(model.secret) in NO_SECRETS:
        raise Wrong(f"is a {references.scheme_of(model.secret)}:, and a service logs on with a password", _SECRETS)
    try:
        return references.checked(model.secret, Path(document.file).parent)
    except Wrong as exc:
        raise Wrong(exc.found.removeprefix("secret "), _SECRETS) from None


# -- files ------------------------------------------------------------------------------------------------


def _file(
    document: Document, number: int, entry: _FileModel, dest: str, folder: Path, verify: bool, by_hash: bool
) -> PackageFile:
    place: Place = ("file", number, "source")

    def refuse(found: str, expected: str = "") -> NoReturn:
        raise BadInput(document.source(place), f"{shown(entry.source)} {found}", expected)

    source = inside(entry.source)
    relative = Path(source)
    if relative.is_absolute() or _DRIVE.match(source) or ".." in relative.parts or "\x00" in entry.source:
        refuse("leads out of the package's folder", "a path inside it")
    if source.endswith("/"):
        refuse("is not a file", "a file")
    path = folder / (entry.sha256.lower() if by_hash else relative)
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            refuse("is a link that leads out of the package's folder", "a file inside it")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            refuse("is not a file", "a file")
        size = status.st_size
        if size == 0 and source.lower().endswith(_PROGRAMS):
            refuse("is empty", "a program")
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
    return PackageFile(source=path, dest=dest, sha256=actual, size=size, written=document.source(place))


def _sha256(path: Path) -> tuple[str, int]:
    """The digest and how many bytes went into it; read in chunks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()


def inside(source: str) -> str:
    """A file's path inside the package's folder; both slashes separate, as they do in a ``dest``."""
    return source.replace("\\", "/")


def _refuse_own_folder(document: Document, model: _PackageModel, dests: list[str]) -> None:
    """An installer's files are staged there, in a folder that ``staged`` sees to; nothing else of a package is."""
    if model.installer is not None:
        if model.name.lower().endswith(".lock") or model.name.lower().startswith("pusher-run."):
            found = f"{shown(model.name)} is the name of a file that pusher keeps where installers are staged"
            raise BadInput(document.source(("name",)), found, "another name")
        return
    for path, dest in _written(dests, model.remove.leftovers if model.remove is not None else []):
        if in_own_folder(dest):
            found = f"{shown(dest)} is in the folder in which pusher keeps a host's locks"
            raise BadInput(document.source(path), found, "another folder")


def _written(dests: Sequence[str], leftovers: Sequence[str]) -> Iterator[tuple[Place, str]]:
    """Where each of them stands."""
    yield from ((("file", number, "dest"), dest) for number, dest in enumerate(dests))
    yield from ((("remove", "leftovers", number), leftover) for number, leftover in enumerate(leftovers))


def _refuse_overlaps(document: Document, dests: list[str], leftovers: list[str]) -> None:
    """Two files at one destination, or a file where another file needs a folder."""
    seen: dict[str, tuple[Place, str]] = {}
    for at, dest in _written(dests, leftovers):
        first, other = seen.setdefault(may_meet(image_path(dest)), (at, dest))
        if first != at:
            line = document.source(first).line
            found = f"{shown(dest)} is the destination of two files (the other is in line {line})"
            if from_drive(image_path(dest)) != from_drive(image_path(other)):
                found = f"{shown(dest)} may be taken for the same file as {shown(other)} in line {line}"
            raise BadInput(document.source(at), found, "a destination of its own for each file")
    for at, dest in _written(dests, leftovers):
        folder = may_meet(image_path(dest))
        while "\\" in folder:
            folder = folder.rpartition("\\")[0]
            if folder in seen:
                raise BadInput(
                    document.source(at),
                    f"{shown(dest)} is below the file {shown(seen[folder][1])}",
                    "a folder that is not also a file",
                )


# -- the command ------------------------------------------------------------------------------------------


def _check_command(document: Document, command: str, dests: list[str]) -> None:
    try:
        _check_command_text(command, [image_path(dest) for dest in dests])
    except Wrong as exc:
        raise BadInput(document.source(("service", "command")), f"service.command {exc.found}", exc.expected) from None


def _check_command_text(command: str, paths: list[str]) -> None:
    programs = [path for path in paths if path.lower().endswith(".exe")]
    if not programs:
        raise Wrong("has no program to start: no file of the package ends in .exe", "a [[file]] with a dest in .exe")
    example = f'"{programs[0]}"'
    if not command:
        raise Wrong("is empty", f"{example} and arguments")
    if not is_visible(command) or command != command.strip():
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
    if from_drive(executable) not in {from_drive(path) for path in programs}:
        raise Wrong(f"starts {shown(executable)}, which is no file of this package", listed(f'"{p}"' for p in programs))


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
    if not is_visible(value):
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
