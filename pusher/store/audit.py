"""The audit's rows: appended in the transaction of what they tell of, and read in their order. Nothing changes one.

What must not live here: what makes an entry proof against changes, which takes a key (the registry, above the store).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Text, cast, insert, select, update

from pusher.models.audit import AuditEntry, Decision, SealedEntry
from pusher.store.database import Repository
from pusher.store.registry_schema import access_version, audit
from pusher.store.schema import storable

_SEALED = ("seq", "key", "prev", "hash")


class Entries:
    """Within a change of the registry, which no other one runs beside."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def chain(self) -> str | None:
        """What the first entry follows; None before there was any."""
        found = self._connection.execute(select(access_version.c.audit)).scalar_one()
        return None if found is None else str(found)

    def last(self) -> SealedEntry | None:
        row = self._connection.execute(_EVERY.order_by(audit.c.seq.desc()).limit(1)).mappings().first()
        return None if row is None else _sealed(dict(row))

    def begin(self, chain: str) -> None:
        """What the first entry will follow."""
        self._connection.execute(update(access_version).values(audit=chain))

    def append(self, entry: AuditEntry, seal: Callable[[AuditEntry], SealedEntry]) -> SealedEntry:
        """``seal``: of the entry as it is stored."""
        sealed = seal(_as_stored(entry))
        values = {name: getattr(sealed.entry, name) for name in _ENTRY} | {
            name: getattr(sealed, name) for name in _SEALED
        }
        values["grant_id"] = values.pop("grant")
        self._connection.execute(insert(audit), values)
        return sealed


class Audit(Repository):
    """Reading it."""

    def entries(self) -> Iterator[SealedEntry]:
        """All of them in their order, a few at a time."""
        with self._database.reading_at_leisure() as connection:
            query = _EVERY.order_by(audit.c.seq).execution_options(yield_per=500)
            for row in connection.execute(query).mappings():
                yield _sealed(dict(row))

    def chain(self) -> str | None:
        """What the first entry follows; None before there was any."""
        return self._database.read(lambda connection: Entries(connection).chain())

    def last(self) -> SealedEntry | None:
        return self._database.read(lambda connection: Entries(connection).last())


_ENTRY = ("at", "actor", "via", "origin", "act", "object", "decision", "rule", "grant", "before", "after")
_DOCUMENTS = ("before", "after")


def _as_stored(entry: AuditEntry) -> AuditEntry:
    """With each text in it as the database gives it back."""
    texts = {name: getattr(entry, name) for name in ("actor", "via", "origin", "act", "object", "rule", "grant")}
    changed: dict[str, Any] = {name: None if text is None else storable(text) for name, text in texts.items()}
    return replace(entry, **changed, **{name: _document(getattr(entry, name)) for name in _DOCUMENTS})


def _document(value: Any) -> Any:
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(key): _document(inner) for key, inner in value.items()}
    return [_document(inner) for inner in value] if isinstance(value, list | tuple) else value


_AS_TEXT = ("at", *_DOCUMENTS)
_EVERY = select(
    *(one for one in audit.c if one.name not in _AS_TEXT), *(cast(audit.c[one], Text).label(one) for one in _AS_TEXT)
)
"""What was written over by hand may be neither a time nor a document, and still has to be read to be told of."""


def _sealed(row: Mapping[str, Any]) -> SealedEntry:
    values = {name: row["grant_id" if name == "grant" else name] for name in _ENTRY}
    values |= {name: _read(values[name]) for name in _DOCUMENTS}
    known = values["decision"] in list(Decision)
    values["decision"] = Decision(values["decision"]) if known else values["decision"]
    return SealedEntry(entry=AuditEntry(**{**values, "at": _time(row["at"])}), **{name: row[name] for name in _SEALED})


def _read(text: Any) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return {"unreadable": text}


def _time(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return datetime.min.replace(tzinfo=UTC)
