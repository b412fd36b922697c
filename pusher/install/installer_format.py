"""The tables [installer] and [detect] of package.toml: what they may say, and what an MSI says for itself.

Everything that can be known to fail is refused here, before anything is contacted: an EXE that would wait for a
click, a rule that can never match, an MSI of another product or version. Not here: how installers are run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, NoReturn

from pydantic import AfterValidator, Field

from pusher.config.document import Document
from pusher.config.document import Path as Place
from pusher.config.durations import Duration
from pusher.config.validate import FormatModel
from pusher.config.wording import Wrong, hint, is_visible, listed, shown
from pusher.install.destinations import PLACES, destination, place
from pusher.install.fields import SERVICE_NAME, VERSION, matching, one_line, registry_key, service_name
from pusher.install.msi import MsiError, read_properties
from pusher.install.names import staging_folder
from pusher.models import RUN_AS_ACCOUNT, RUN_AS_SYSTEM, Detect, DetectBy, Installer, InstallerKind, PackageFile
from pusher.problems import BadInput
from pusher.remote.detection import numbers

MSI_SUCCESS = frozenset({0, 1641, 3010})
"""Done; done and a reboot was begun; done and a reboot is needed."""

_MOST_ARGUMENTS = 8000  # what a command line through WinRM holds with all that stands around them
_LARGEST_PART = 0xFFFF  # of a file's version (VS_FIXEDFILEINFO)
_QUOTED, _NAME = re.compile(r'"[^"]*"'), re.compile(r"%([^%]*)%")
_PLACEHOLDER = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}", re.ASCII)
_GUID = r"\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\}"
_CODES = "a list of exit codes such as [0, 3010]"
_RULES = tuple(by.value for by in DetectBy)
_RUN_AS = "system (the machine itself), account (the one that signs in) or the name of an account of the accounts file"
_LABEL = re.compile(r"[\w][\w.@-]{0,63}")  # as the accounts file names its accounts
_ONE_RULE = f"one of {listed(_RULES)}"


def _arguments(value: str) -> str:
    if not is_visible(value) or value != value.strip():
        raise Wrong("has control characters or spaces around it", "one line of arguments")
    if len(value) > _MOST_ARGUMENTS:
        raise Wrong(f"has {len(value):,} characters", f"at most {_MOST_ARGUMENTS:,}")
    if value.count('"') % 2:
        raise Wrong("has a quotation mark without its partner", "arguments with quotation marks in pairs")
    if found := re.search(r"[&|<>^]", _QUOTED.sub("", value)):
        raise Wrong(
            f"has a {found[0]} outside quotation marks, which no shell is there to understand", "no shell signs"
        )
    if found := _PLACEHOLDER.search(value):
        raise Wrong(f"has the placeholder {found[0]}, and an installer is run alike on every target", "no placeholder")
    for name in _NAME.findall(value):
        if f"%{name}%".lower() not in {known.lower() for known in PLACES}:
            raise Wrong(f"names %{name}%, which is not known{hint(f'%{name}%', PLACES)}", listed(PLACES))
    if "%" in _NAME.sub("", value):
        raise Wrong("has a percent sign without its partner", f"a folder such as {PLACES[1]}")
    return value


def _command(value: str) -> str:
    if not re.match(r'"[^"]+"( |$)', value):
        raise Wrong(f"{shown(value)} does not begin with a quoted program", '"%ProgramFiles%\\LabTool\\uninst.exe" /S')
    return _arguments(value)


def _run_as(value: str) -> str:
    reserved = (RUN_AS_SYSTEM, RUN_AS_ACCOUNT)
    if value not in reserved and (value.lower() in reserved or not _LABEL.fullmatch(value)):
        raise Wrong(f"{shown(value)} is nobody that an installer can be run as", _RUN_AS)
    return value


class InstallerModel(FormatModel):
    file: str = Field(min_length=1, description="the source of one of the package's files, an .msi or an .exe")
    arguments: Annotated[str, AfterValidator(_arguments)] | None = Field(default=None, description="arguments")
    success: list[Annotated[int, Field(ge=0, le=0xFFFFFFFF)]] | None = Field(
        default=None, min_length=1, max_length=64, description=_CODES
    )
    run_as: Annotated[str, AfterValidator(_run_as)] = Field(default=RUN_AS_SYSTEM, description=_RUN_AS)
    timeout: Duration = Field(default=900.0, ge=1, le=21_600, description='a duration from "1s" to "6h"')
    log: Annotated[str, AfterValidator(place)] | None = Field(default=None, description="the path of a log file")
    uninstall: Annotated[str, AfterValidator(_command)] | None = Field(
        default=None, description="a quoted program and its silent arguments"
    )


class DetectModel(FormatModel):
    service: Annotated[str, AfterValidator(service_name)] | None = Field(default=None, description=SERVICE_NAME)
    file: Annotated[str, AfterValidator(place)] | None = Field(
        default=None, description=f"a path below {listed(PLACES)}"
    )
    registry: Annotated[str, AfterValidator(registry_key)] | None = Field(
        default=None, description="a key such as HKLM\\SOFTWARE\\LabTool"
    )
    product_code: Annotated[str, matching(_GUID, "is not a product code", "a GUID in braces")] | None = Field(
        default=None, description="a GUID in braces"
    )
    version: Annotated[str, matching(r"[0-9]{1,9}(\.[0-9]{1,9}){0,3}", "is not a version", VERSION)] | None = Field(
        default=None, description=VERSION
    )
    value: Annotated[str, one_line(255, "the name of a registry value")] | None = Field(
        default=None, min_length=1, max_length=255, description="the name of a registry value"
    )
    equals: Annotated[str, one_line(1024, "the text of a registry value")] | None = Field(
        default=None, min_length=1, max_length=1024, description="text"
    )


def staged(package: str, source: str, dest: str | None) -> str:
    """Where an installer's file is put while it runs; raises Wrong."""
    folder = staging_folder(package)
    if dest is None:
        return destination(f"{folder}\\{source}")
    if not dest.lower().startswith(folder.lower() + "\\"):
        raise Wrong(
            f"{shown(dest)} is not in the installer's own folder, from which all is taken away afterwards",
            f"a path below {folder}, or no dest",
        )
    return dest


def installer_of(
    document: Document, model: InstallerModel, files: Mapping[str, PackageFile], version: str
) -> Installer:
    """The package's installer; ``files`` by their source."""

    def refuse(key: str, found: str, expected: str) -> NoReturn:
        raise BadInput(document.source(("installer", key)), found, expected)

    file = files.get(model.file.replace("\\", "/"))
    if file is None:
        refuse("file", f"{shown(model.file)} is no file of the package{hint(model.file, files)}", listed(files))
    ending = model.file.lower().rpartition(".")[2]
    if ending not in tuple(InstallerKind):
        refuse("file", f"{shown(model.file)} is no kind of installer that is known", "a file in .msi or .exe")
    if InstallerKind(ending) is InstallerKind.EXE:
        if not model.arguments:
            found = "installer.arguments is missing, and an installer without them may wait for a click for ever"
            refuse("arguments", found, "the arguments that make it silent")
        if model.success is None:
            refuse("success", "installer.success is missing, and every maker's exit codes mean something else", _CODES)
        return Installer(
            kind=InstallerKind.EXE,
            file=file,
            arguments=model.arguments,
            success=frozenset(model.success),
            timeout=model.timeout,
            log=model.log,
            uninstall=model.uninstall,
            run_as=model.run_as,
            run_as_written=document.source(("installer", "run_as")),
        )
    for key, instead in (("log", "pusher keeps Windows Installer's own"), ("uninstall", "its product code removes it")):
        if getattr(model, key) is not None:
            refuse(key, f"installer.{key} is for an .exe; of an .msi {instead}", f"no {key}")
    return Installer(
        kind=InstallerKind.MSI,
        file=file,
        arguments=model.arguments or "",
        success=MSI_SUCCESS if model.success is None else frozenset(model.success),
        timeout=model.timeout,
        run_as=model.run_as,
        run_as_written=document.source(("installer", "run_as")),
        product_code=_product_code(document, file, version),
    )


def _product_code(document: Document, file: PackageFile, version: str) -> str:
    """The MSI's, whose version is the package's."""
    name, at = shown(file.source.name), document.source(("installer", "file"))
    try:
        properties = read_properties(file.source)
    except (MsiError, OSError) as error:
        raise BadInput(at, f"{name} is not a Windows Installer package: {error}", "an .msi") from None
    code, inside = properties.get("ProductCode", ""), properties.get("ProductVersion", "")
    if not re.fullmatch(_GUID, code, re.ASCII):
        raise BadInput(at, f"{name} has no product code", "an .msi that installs a product")
    if numbers(inside) is None or numbers(inside) != numbers(version):
        found = f"version is {version}, and {name} installs {shown(inside)}"
        raise BadInput(document.source(("version",)), found, "the product's own version")
    return code.upper()


def detect_of(document: Document, model: DetectModel | None, installer: Installer, version: str) -> Detect:
    """The rule that tells whether the product is there; an MSI's own where none is given."""
    if model is None:
        if installer.product_code is None:
            raise BadInput(
                document.source(("installer",)), "detect is missing, and nothing would tell whether it is installed",
                f"a [detect] table with {_ONE_RULE}",
            )  # fmt: skip
        return Detect(by=DetectBy.PRODUCT_CODE, what=installer.product_code, version=version)
    given = [rule for rule in _RULES if getattr(model, rule) is not None]

    def refuse(key: str, found: str, expected: str) -> NoReturn:
        at: Place = ("detect", key) if key else ("detect",)
        raise BadInput(document.source(at), found, expected)

    if len(given) != 1:
        found = f"detect has {' and '.join(given)}" if given else "detect has no rule"
        refuse(given[1] if given else "", found, f"exactly {_ONE_RULE}")
    by = DetectBy(given[0])
    for key, rules in (("version", _VERSIONED), ("value", _VALUED), ("equals", _VALUED)):
        if getattr(model, key) is not None and by not in rules:
            refuse(key, f"detect.{key} says nothing beside {by.value}", f"{key} beside {listed(rules)}")
    _refuse_newer(refuse, model, version)
    what = getattr(model, by.value)
    if by is DetectBy.SERVICE:
        return Detect(by=by, what=what)
    if by is DetectBy.REGISTRY:
        if model.value is None:
            refuse("registry", "detect.value is missing, and a key alone tells no version", "the name of a value")
        return Detect(by=by, what=what, value=model.value, equals=model.equals or version)
    if by is DetectBy.PRODUCT_CODE:
        if installer.product_code is None:
            refuse("product_code", "detect.product_code is for an .msi", f"one of {listed(_RULES[:-1])}")
        if what.upper() != installer.product_code:
            found = f"{what} is not the product code of {shown(installer.file.source.name)}"
            refuse("product_code", found, installer.product_code)
        return Detect(by=by, what=installer.product_code, version=model.version or version)
    if what.lower().startswith(installer.file.dest.lower().rpartition("\\")[0] + "\\"):
        refuse("file", f"{shown(what)} is in the installer's own folder, which is taken away", "a file that stays")
    wanted = model.version or version
    if max(numbers(wanted) or ()) > _LARGEST_PART:
        refuse(
            "version" if model.version else "file", f"{wanted} can be no file's version", f"parts up to {_LARGEST_PART}"
        )
    return Detect(by=by, what=what, version=wanted)


_VERSIONED = (DetectBy.FILE, DetectBy.PRODUCT_CODE)
_VALUED = (DetectBy.REGISTRY,)


def _refuse_newer(refuse: object, model: DetectModel, version: str) -> None:
    assert callable(refuse)
    own = numbers(version)
    assert own is not None, "the format has checked it"
    for key in ("version", "equals"):
        asked = numbers(getattr(model, key) or "")
        if asked is not None and asked > own:
            refuse(key, f"detect.{key} is newer than the package, so the rule can never match", f"{version} or older")
