"""Content by its hash: what a worker needs of a run that was submitted on another machine.

It is stored a megabyte at a time, so that neither side holds more and nobody else's writing waits longer, and is there
once all of it is and has the hash that was said. What must not live here: what the bytes mean.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from pusher.clock import utc_now
from pusher.models import ContentKind, RunNeeds, Stored
from pusher.store import schema
from pusher.store.database import Repository, unless_there
from pusher.store.faults import StoreError

_BLOBS, _CHUNKS, _PARTS, _RUNS = schema.blobs, schema.chunks, schema.parts, schema.runs
PIECE = 1024 * 1024
"""Bytes of a piece at most."""
ABANDONED = timedelta(days=1)
"""What was begun longer ago and is not whole, or was stored longer ago and is named by nothing, is nobody's."""
_CHUNK, _PART = unless_there(_CHUNKS), unless_there(_PARTS)
_NEEDS = {
    "package": "package_digest",
    "inventory": "inventory_digest",
    "authority": "authority_digest",
    "profile": "profile",
    "profile_digest": "profile_digest",
}
"""Of ``RunNeeds``, by its names: a run's columns."""
_IS_STORED = _BLOBS.c.stored_at.is_not(None)


class ContentChangedError(Exception):
    """The bytes do not have the hash that was said of them: nothing of them is stored."""


class ContentMissingError(Exception):
    """The store does not have it, or not all of it."""


class Content(Repository):
    """For callers without an event loop. What a call tells is durable."""

    def stored(self, sha256s: Collection[str]) -> set[str]:
        """Those that are there."""
        query = select(_BLOBS.c.sha256).where(_IS_STORED)
        with self._database.reading() as connection:
            found = set[str]()
            for some in _some(sorted(sha256s)):
                found.update(connection.execute(query.where(_BLOBS.c.sha256.in_(some))).scalars())
            return found

    def store_content(self, sha256: str, kind: ContentKind, pieces: Iterable[bytes]) -> None:
        """Unless it is there already. ``pieces``: the bytes, in pieces of any size.

        ContentChangedError where they are others; then, or where ``pieces`` raises, nothing of it stays.
        """
        again = update(_BLOBS).where(_IS_STORED, _BLOBS.c.sha256 == sha256).values(stored_at=utc_now())
        if self._database.writer.ask_now(lambda connection: connection.execute(again).rowcount):
            return  # and as new as if it had been stored now, to whoever tidies up
        blob, digest, size = secrets.token_hex(8), hashlib.sha256(), 0
        ask = self._database.writer.ask_now
        row = {"id": blob, "sha256": sha256, "kind": kind.value, "size": 0, "begun_at": utc_now()}
        ask(lambda connection: connection.execute(insert(_BLOBS), row))
        try:
            for number, piece in enumerate(_cut(pieces)):
                digest.update(piece)
                size += len(piece)
                self._add(blob, number, piece)
            if digest.hexdigest() != sha256:
                raise ContentChangedError(sha256)
            ask(lambda connection: _is_whole(connection, blob, size))
        except BaseException:
            with suppress(StoreError):  # it is left for whoever tidies up
                ask(lambda connection: drop(connection, [blob]))
            raise

    def _add(self, blob: str, number: int, piece: bytes) -> None:
        row = {"blob": blob, "number": number, "content": piece}
        statement = _CHUNK[self._database.dialect]
        self._database.writer.ask_now(lambda connection: connection.execute(statement, row))

    def store_whole(self, sha256: str, kind: ContentKind, content: bytes, parts: Collection[str]) -> set[str]:
        """What names others by their hashes (a manifest of a megabyte at most), with them: those that are not there.

        Where some are missing nothing is stored.
        """
        if hashlib.sha256(content).hexdigest() != sha256 or len(content) > PIECE:
            raise ContentChangedError(sha256)

        def storing(connection: Connection) -> set[str]:
            alone(connection)
            there = set[str]()
            for some in _some(sorted(parts)):
                there |= set(connection.execute(select(_BLOBS.c.sha256).where(_IS_STORED, _BLOBS.c.sha256.in_(some)))
                             .scalars())  # fmt: skip
            missing = set(parts) - there
            known = select(_BLOBS.c.id).where(_IS_STORED, _BLOBS.c.sha256 == sha256)
            if not missing and connection.execute(known).first() is None:
                blob, now = secrets.token_hex(8), utc_now()
                row = {"id": blob, "sha256": sha256, "kind": kind.value, "size": len(content), "begun_at": now,
                       "stored_at": now}  # fmt: skip
                connection.execute(insert(_BLOBS), row)
                connection.execute(insert(_CHUNKS), {"blob": blob, "number": 0, "content": content})
                if parts:
                    rows = [{"whole": sha256, "part": part} for part in sorted(parts)]
                    connection.execute(_PART[self._database.dialect], rows)
            return missing

        return self._database.writer.ask_now(storing)

    def content(self, sha256: str) -> Iterator[bytes]:
        """Its bytes, a piece at a time. ContentMissingError; whoever uses them hashes them."""
        query = select(_BLOBS.c.id, _BLOBS.c.size).where(_IS_STORED, _BLOBS.c.sha256 == sha256)
        row = self._database.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise ContentMissingError(sha256)
        blob, left = row
        number = 0
        while left > 0:
            piece = self._piece(blob, number)
            if not piece:
                raise ContentMissingError(sha256)
            yield piece
            left, number = left - len(piece), number + 1

    def _piece(self, blob: str, number: int) -> bytes | None:
        query = select(_CHUNKS.c.content).where(_CHUNKS.c.blob == blob, _CHUNKS.c.number == number)
        found: bytes | None = self._database.read(lambda connection: connection.execute(query).scalar())
        return found

    def stored_of(self, kind: ContentKind) -> list[Stored]:
        """The newest first."""
        query = select(_BLOBS).where(_IS_STORED, _BLOBS.c.kind == kind.value)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(_BLOBS.c.stored_at.desc(), _BLOBS.c.sha256)).mappings()
            return [_stored(row) for row in rows]

    def parts_of(self, whole: str) -> list[Stored]:
        """Those that are there, by their hashes."""
        named = select(_PARTS.c.part).where(_PARTS.c.whole == whole).scalar_subquery()
        query = select(_BLOBS).where(_IS_STORED, _BLOBS.c.sha256.in_(named)).order_by(_BLOBS.c.sha256)
        with self._database.reading() as connection:
            return [_stored(row) for row in connection.execute(query).mappings()]

    def wanted_by(self, package: str) -> list[str]:
        """Queued runs that have not ended and need the package, the oldest first."""
        with self._database.reading() as connection:
            query = select(_RUNS.c.id).where(_goes_on(), _RUNS.c.package_digest == package)
            return list(connection.execute(query.order_by(_RUNS.c.started_at, _RUNS.c.id)).scalars())

    def forget_package(self, package: str) -> int | None:
        """Its manifest, and those of its files that no other package has; how many bytes that was.

        None where a run that has not ended needs it, and nothing is forgotten.
        """

        def forgetting(connection: Connection) -> int | None:
            alone(connection)
            wanted = select(_RUNS.c.id).where(_goes_on(), _RUNS.c.package_digest == package)
            if connection.execute(wanted).first() is not None:
                return None
            files = list(connection.execute(select(_PARTS.c.part).where(_PARTS.c.whole == package)).scalars())
            connection.execute(delete(_PARTS).where(_PARTS.c.whole == package))
            forgotten = _forget(connection, _BLOBS.c.sha256 == package)
            for some in _some(files):
                forgotten += _forget(connection, and_(_BLOBS.c.sha256.in_(some), _is_in_nothing()))
            return forgotten

        return self._database.writer.ask_now(forgetting)

    def needs(self, run: str) -> RunNeeds:
        """What a worker needs for the queued run, as ``begin_run`` was told."""
        query = select(*(_RUNS.c[column] for column in _NEEDS.values())).where(_RUNS.c.id == run)
        with self._database.reading() as connection:
            row = connection.execute(query).one()
            return RunNeeds(**dict(zip(_NEEDS, row, strict=True)))


def needs_row(needs: RunNeeds) -> dict[str, str | None]:
    """The columns of a run."""
    return {column: getattr(needs, name) for name, column in _NEEDS.items()}


def _stored(row: RowMapping) -> Stored:
    kind = ContentKind(row["kind"])
    return Stored(sha256=row["sha256"], kind=kind, size=row["size"], stored_at=row["stored_at"])


def _goes_on() -> Any:
    return and_(_RUNS.c.queued_at.is_not(None), _RUNS.c.ended_at.is_(None))


def _is_in_nothing() -> Any:
    return ~exists().where(_PARTS.c.part == _BLOBS.c.sha256)


def alone(connection: Connection) -> None:
    """Whoever names content and whoever forgets some take turns: between a look and what follows nothing goes."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE blobs IN SHARE ROW EXCLUSIVE MODE")
    else:  # a transaction that has written is alone
        connection.execute(update(_BLOBS).where(_BLOBS.c.id == "").values(size=0))


def _is_whole(connection: Connection, blob: str, size: int) -> None:
    try:
        with connection.begin_nested():
            connection.execute(update(_BLOBS).where(_BLOBS.c.id == blob).values(size=size, stored_at=utc_now()))
    except IntegrityError:  # somebody else has stored the same meanwhile
        drop(connection, [blob])


def _forget(connection: Connection, which: Any) -> int:
    """How many bytes it was."""
    found = connection.execute(select(_BLOBS.c.id, _BLOBS.c.size).where(which)).all()
    drop(connection, [blob for blob, _ in found])
    return sum(size for _, size in found)


def drop(connection: Connection, blobs: Sequence[str]) -> None:
    for some in _some(blobs):
        connection.execute(delete(_CHUNKS).where(_CHUNKS.c.blob.in_(some)))
        connection.execute(delete(_BLOBS).where(_BLOBS.c.id.in_(some)))


def _some(of: Sequence[str], most: int = 500) -> Iterator[Sequence[str]]:
    """As many as a statement takes."""
    return (of[at : at + most] for at in range(0, len(of), most))


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for at in range(0, len(piece), PIECE):
            yield piece[at : at + PIECE]
