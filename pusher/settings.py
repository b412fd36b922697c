"""Settings: what a command may be asked, each option written once, and where things are kept.

A field of ``Options`` is the whole definition of an option: its type, bounds, help and default. The command line, the
environment variable, the record of a run and the options of a later run are made from it. What must not live here: how
a command line is read (``cli.options``), and whatever loads a database's library before a store is opened.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)
from pydantic.fields import FieldInfo

from pusher.next_commands import NextCommands
from pusher.problems import BadInput

if TYPE_CHECKING:
    from pusher.store import Store

_PREFIX = "PUSHER_"
_M = TypeVar("_M")


@dataclass(frozen=True, kw_only=True)
class Option:
    """What makes a field an option: its ``help``.

    ``otherwise``: what holds where it is not given, in words, where the field's own default does not say it.
    ``in_environment``: whether a variable may give it. What a run is about may not: it is said each time.
    ``in_queue``: whether it is about a run's turn in the queue, and says nothing of one that is begun at once.
    """

    help: str
    otherwise: str | None = None
    in_environment: bool = True
    in_queue: bool = False
    positional: bool = False


@dataclass(frozen=True)
class Unrecorded:
    """The field is no part of a run's record."""

    why: str


def _defined(field: FieldInfo, kind: type[_M]) -> _M | None:
    """What the field's definition has of that kind; None: nothing."""
    return next((one for one in field.metadata if isinstance(one, kind)), None)


class _Recorded(BaseModel):
    """Values of which all is in a run's record, but for what says why not. Paths in it are whole."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    @model_serializer(mode="wrap")
    def _record(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        record = {}
        for name, value in plain(self).items():
            if is_recorded(type(self).model_fields[name]):
                own = getattr(self, name)
                record[name] = str(own.absolute()) if isinstance(own, Path) else value
        return record


class Origin(_Recorded):
    """What a run that is made from an earlier one keeps to, whatever its own options say.

    ``only``: the names, in lower case, of the targets that it takes up. ``limits`` and ``exclude`` are what ``run``
    and those before it were told, the oldest first; each limit has to be fitted.
    """

    run: str
    only: Annotated[frozenset[str], Unrecorded("the run's targets are recorded one by one")]
    limits: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[str, ...] = ()


_ATTEMPTS = (
    "Attempts for each machine, each with its own time limits, where the failure may be temporary: the network, a file "
    "in use. A failed sign-in, or a service that does not stop, is never tried again."
)


class Options(_Recorded):
    """What is asked of a run, in the order in which ``--help`` has it. Times in seconds.

    All of it is the run's record, but for what says here why not: a later run is made from it.
    """

    inventory: Annotated[
        Path,
        Option(
            help="The machines: YAML, CSV, a plain list, or an Ansible inventory.",
            in_environment=False,
            positional=True,
        ),
    ]
    package: Annotated[
        Path | None, Option(help="The package's folder, with its package.toml.", in_environment=False)
    ] = None
    accounts: Annotated[
        Path | None,
        # Never from the environment: it would take the place of the file that lies beside an inventory.
        Option(
            help="The file of the push accounts.", otherwise="accounts.toml beside the inventory", in_environment=False
        ),
    ] = None
    limit: Annotated[
        Sequence[str],
        Option(help="Only these machines: a glob, group:NAME, site:NAME, ~REGEX; repeatable.", in_environment=False),
    ] = ()
    exclude: Annotated[Sequence[str], Option(help="Leave these out; written as --limit.", in_environment=False)] = ()
    store: Annotated[
        str | None,
        Option(help="Where outcomes are recorded: a file or a URL.", otherwise="your data folder"),
        Unrecorded("the record is in it"),
    ] = None
    log: Annotated[
        Path | None,
        Option(help="The JSON log.", otherwise="your data folder"),
        Unrecorded("where another run logs is that run's matter"),
    ] = None
    concurrency: Annotated[int, Field(ge=1, le=1000), Option(help="Machines worked on at once.")] = 50
    per_site: Annotated[int, Field(ge=0), Option(help="The same for each site; 0: no limit.")] = 0
    per_subnet: Annotated[int, Field(ge=0), Option(help="The same for each /24; 0: no limit.")] = 25
    transport: Annotated[
        Literal["smb", "winrm", "auto"], Option(help="smb, winrm, or auto: as the inventory says.")
    ] = "auto"
    ca: Annotated[
        Path | None,
        # As with the accounts: an inventory names its own.
        Option(
            help="The authority that signs WinRM's certificates, in PEM.",
            otherwise="this system's list",
            in_environment=False,
        ),
    ] = None
    content_port: Annotated[
        int, Field(ge=0, le=65535), Option(help="The port that WinRM targets fetch files from; 0: any free one.")
    ] = 0
    attempts: Annotated[int, Field(ge=1, le=10), Option(help=_ATTEMPTS)] = 2
    deadline: Annotated[float, Field(ge=1, allow_inf_nan=False), Option(help="Seconds allowed for one machine.")] = (
        900.0
    )
    connect_timeout: Annotated[
        float, Field(ge=0.1, allow_inf_nan=False), Option(help="Seconds to wait for a connection.")
    ] = 5.0
    max_failures: Annotated[int, Field(ge=0), Option(help="Stop the run after this many failures; 0: never.")] = 0
    windows: Annotated[
        Path | None,
        Option(
            help="The maintenance windows, outside of which no machine is touched: TOML, YAML or JSON.",
            otherwise="none; of a retry, its run's",
            in_environment=False,
        ),
        Unrecorded("the run has what is in it"),
    ] = None
    priority: Annotated[
        int | None,
        Field(ge=0, le=999),
        Option(
            help="With --queue, who comes first: the lower.",
            otherwise="100; 50 of a retry",
            in_environment=False,
            in_queue=True,
        ),
    ] = None
    waves: Annotated[
        str | None,
        Option(
            help="With --queue, how far the run has gone out after each wave, in percent: 1,10,50,100.",
            otherwise="all at once",
            in_environment=False,
            in_queue=True,
        ),
    ] = None
    canary: Annotated[
        str | None,
        Option(
            help="Of a run in waves, the group that goes first.",
            otherwise="chosen by a hash of run and name",
            in_environment=False,
            in_queue=True,
        ),
    ] = None
    soak: Annotated[
        str | None,
        Option(
            help="Of a run in waves, how long a wave is watched before the next one opens: 30m, 2h.",
            otherwise="not at all",
            in_environment=False,
            in_queue=True,
        ),
    ] = None
    stop_at: Annotated[
        str | None,
        Option(
            help="With --queue, the part of a wave that may fail before the run stops: 0% to 99%, or never.",
            otherwise="10% of a run in waves",
            in_environment=False,
            in_queue=True,
        ),
    ] = None
    origin: Origin | None = None
    replaces: str | None = None
    """Of a run that takes another one back, by a push of an earlier version: the version that it may replace."""

    def to_json(self) -> dict[str, Any]:
        """The run's record; no secret is among it."""
        return self.model_dump(mode="json")

    @classmethod
    def made_from(cls, record: Mapping[str, Any], run: str, only: frozenset[str], given: Mapping[str, Any]) -> Options:
        """The options of a run over ``only``, some targets of ``run``: as ``record`` has them, but for ``given``.

        A limit or exclusion that is given adds to those recorded: who was spared stays spared. BadInput where the
        record holds what no run of this version is told.
        """
        earlier = record.get("origin") or {}
        limits = (*earlier.get("limits", ()), *([limit] if (limit := record.get("limit")) else ()))
        origin = Origin(
            run=run,
            only=only,
            limits=tuple(tuple(limit) for limit in limits),
            exclude=(*earlier.get("exclude", ()), *record.get("exclude", ())),
        )
        # A store of an earlier version lacks what has come since, and has null for a time without end: then the default
        # holds.
        kept = {name: record[name] for name in cls.model_fields.keys() - _TOLD_ANEW if record.get(name) is not None}
        return cls._of_record({**kept, **given, "origin": origin}, run)

    @classmethod
    def recorded(cls, record: Mapping[str, Any], run: str, only: frozenset[str], given: Mapping[str, Any]) -> Options:
        """The options of ``run`` itself, whose targets are ``only``, as ``record`` has them, but for ``given``.

        BadInput as of ``made_from``.
        """
        origin = record.get("origin")
        kept = {name: record[name] for name in cls.model_fields.keys() - {"origin"} if record.get(name) is not None}
        own = {**kept, **given, "origin": {**origin, "only": only} if origin else None}
        return cls._of_record(own, run)

    @classmethod
    def _of_record(cls, values: Mapping[str, Any], run: str) -> Options:
        try:
            return cls(**values)
        except ValidationError as error:
            name = error.errors()[0]["loc"][0]
            raise BadInput(None, f"the record of run {run} has no {name} that can be used", "another run") from error


OPTIONS: Mapping[str, Option] = MappingProxyType(
    {name: option for name, field in Options.model_fields.items() if (option := _defined(field, Option)) is not None}
)
"""Every option by its field's name."""

_TOLD_ANEW = frozenset({"limit", "exclude", "origin"}) | {name for name, one in OPTIONS.items() if one.in_queue}
"""What a later run does not take over as it is: its origin has it, or it was about the earlier one's turn."""


def is_recorded(field: FieldInfo) -> bool:
    """Whether the field is part of a run's record."""
    return _defined(field, Unrecorded) is None


def bounds(name: str) -> tuple[float | None, float | None]:
    """The least and the greatest number that the option takes."""
    metadata = Options.model_fields[name].metadata
    least, most = ([getattr(one, side) for one in metadata if hasattr(one, side)] for side in ("ge", "le"))
    return (least[0] if least else None), (most[0] if most else None)


def variable(name: str) -> str | None:
    """The environment variable that gives the option; None: none does."""
    return f"{_PREFIX}{name.upper()}" if OPTIONS[name].in_environment else None


def from_environment(name: str, environ: Mapping[str, str] = os.environ) -> Any:
    """The option as its variable gives it; None where it is unset or empty. BadInput names the variable."""
    place = variable(name)
    if place is None or not (text := environ.get(place)):
        return None
    return checked(name, text, place)


_WRONG = {"literal_error": "unknown", "int_parsing": "not a whole number", "float_parsing": "not a number"}


def checked(name: str, value: Any, place: str) -> Any:
    """The value as the option has it. BadInput, with the ``place`` that gave it, where the option takes no such one."""
    field = Options.model_fields[name]
    try:
        return TypeAdapter(Annotated[field.annotation, *field.metadata]).validate_python(value)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = _WRONG.get(error.errors()[0]["type"], "out of range")
        raise BadInput(None, f"{place} {str(value)[:80]} is {wrong}", _expected(name)) from error


def _expected(name: str) -> str:
    kind, (least, most) = Options.model_fields[name].annotation, bounds(name)
    if get_origin(kind) is Literal:
        *others, last = get_args(kind)
        return f"{', '.join(others)} or {last}"
    number = "a whole number" if int in (kind, *get_args(kind)) else "a number"
    return f"{number} from {least} to {most}" if most is not None else f"{number}, {least} or more"


def data_folder() -> Path:
    """Where the store and the log are kept unless told otherwise (XDG base directories)."""
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "pusher"


def audit_key() -> Path:
    """The key that seals the audit, outside of the store: ``PUSHER_AUDIT_KEY``, or a file beside the configuration."""
    named = os.environ.get(f"{_PREFIX}AUDIT_KEY")
    home = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(named) if named else Path(home) / "pusher" / "audit.key"


def place_of_store(url: str | None) -> str:
    """``url``, or the file of the user's own store."""
    return url or str(data_folder() / "pusher.sqlite")


def next_commands(store: str | None, accounts: Path | None = None) -> NextCommands:
    """Those that a command prints which was given these; no password of the store's URL is in them."""
    from pusher.store import url_to_paste  # as below

    return NextCommands(
        store=None if store is None else url_to_paste(store), accounts=None if accounts is None else str(accounts)
    )


def open_default_store(url: str | None) -> Store:
    """The store at ``url``, or the user's own."""
    from pusher.store import open_store  # and the library of its database, which --help and explain do without

    return open_store(place_of_store(url))
