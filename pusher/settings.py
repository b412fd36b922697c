"""Settings: what a command was asked, and where things are kept. Light, so that reading commands start at once."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from pusher.store import Store, open_store

_UNRECORDED = "unrecorded"


def _unrecorded(why: str) -> Mapping[str, str]:
    """Metadata of a field that is no part of a run's record, with the reason."""
    return {_UNRECORDED: why}


def is_recorded(one: Field[Any]) -> bool:
    """Whether the field is part of a run's record."""
    return not one.metadata.get(_UNRECORDED)


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a run that is made from an earlier one keeps to, whatever its own options say.

    ``only``: the names, in lower case, of the targets that it takes up. ``limits`` and ``exclude`` are what ``run``
    and those before it were told, the oldest first; each limit has to be fitted.
    """

    run: str
    only: frozenset[str] = field(metadata=_unrecorded("the run's targets are recorded one by one"))
    limits: tuple[tuple[str, ...], ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks for. Times in seconds.

    All of it is the run's record, but for what says here why not: a later run is made from it.
    """

    inventory: Path
    package: Path | None = None
    accounts: Path | None = None
    limit: Sequence[str] = ()
    exclude: Sequence[str] = ()
    store: str | None = field(default=None, metadata=_unrecorded("the record is in it"))
    log: Path | None = field(default=None, metadata=_unrecorded("where another run logs is that run's matter"))
    concurrency: int = 50
    per_site: int = 0
    per_subnet: int = 25
    transport: str = "auto"
    ca: Path | None = None
    content_port: int = 0
    attempts: int = 2
    deadline: float = 900.0
    connect_timeout: float = 5.0
    max_failures: int = 0
    origin: Origin | None = None

    def to_json(self) -> dict[str, Any]:
        """The run's record; no secret is among it."""
        record: dict[str, Any] = _plain(self)
        return record

    @classmethod
    def made_from(cls, record: Mapping[str, Any], run: str, only: frozenset[str], given: Mapping[str, Any]) -> Options:
        """The options of a run over ``only``, some targets of ``run``: as ``record`` has them, but for ``given``.

        A limit or exclusion that is given adds to those recorded: who was spared stays spared.
        """
        earlier = record.get("origin") or {}
        limits = (*earlier.get("limits", ()), *([limit] if (limit := record.get("limit")) else ()))
        origin = Origin(
            run=run,
            only=only,
            limits=tuple(tuple(limit) for limit in limits),
            exclude=(*earlier.get("exclude", ()), *record.get("exclude", ())),
        )
        # A store of an earlier version lacks what has come since: then the default holds.
        kept = {name: record[name] for name in _told_anew(cls) if name in record}
        return cls(**{**_typed(cls, kept), **given, "origin": origin})


def _told_anew(kind: type[Options]) -> frozenset[str]:
    """The fields that a later run takes over as they are."""
    return frozenset(one.name for one in fields(kind)) - {"limit", "exclude", "origin"}


def _typed(kind: type, record: Mapping[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    is_path = {name for name, hint in hints.items() if Path in (hint, *get_args(hint))}
    return {name: Path(value) if value and name in is_path else value for name, value in record.items()}


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if is_dataclass(value):
        recorded = (one.name for one in fields(value) if is_recorded(one))
        return {name: _plain(getattr(value, name)) for name in recorded}
    if isinstance(value, Path):
        return str(value.absolute())
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def data_folder() -> Path:
    """Where the store and the log are kept unless told otherwise (XDG base directories)."""
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "pusher"


def open_default_store(url: str | None) -> Store:
    """The store at ``url``, or the user's own."""
    return open_store(url or str(data_folder() / "pusher.sqlite"))
