"""Content that the store keeps by its SHA-256, and what of it a worker needs for a queued run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ContentKind(StrEnum):
    """What a piece of content is to whoever lists it."""

    PACKAGE = "package"
    """A package's manifest, which names its files by their hashes."""
    FILE = "file"
    """A file of packages."""
    INVENTORY = "inventory"
    """The inventory of a run, as it was when that was queued."""
    AUTHORITY = "authority"
    """The certificates of an authority, in PEM."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """Content that is in the store, whole. ``size`` in bytes; ``sha256`` in lower case."""

    sha256: str
    kind: ContentKind
    size: int
    stored_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class RunNeeds:
    """What a worker needs for a queued run and has from the store: digests, no paths.

    ``package``: of the package's manifest; None: a run without a package. ``inventory``: of its snapshot.
    ``authority``: of the certificates by which WinRM's are proven; None: the worker's own system's. ``profile``: what
    its accounts are called on every worker, and ``profile_digest``, of what they are.
    """

    package: str | None = None
    inventory: str | None = None
    authority: str | None = None
    profile: str | None = None
    profile_digest: str | None = None
