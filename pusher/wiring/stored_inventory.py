"""The inventory of a queued run, and the authority that its certificates are proven by: into the store, and out.

What must not live here: what a snapshot is made of (``targets.snapshot``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pusher.install.package import placeholders
from pusher.models import ContentKind, Package
from pusher.problems import BadInput, Code, ProblemError, problem
from pusher.store import Store
from pusher.store.content import PIECE, ContentChangedError, ContentMissingError
from pusher.targets.inventory import Inventory
from pusher.targets.snapshot import inventory_of, snapshot_of
from pusher.wiring.authority import prove_authority
from pusher.wiring.packages import blobs_folder, fetch

_WHAT = "the inventory of the run"


def keep_inventory(store: Store, inventory: Inventory, package: Package | None) -> str:
    """Its digest. Of the hosts' variables those alone are stored that the package's command asks for."""
    service = package.service if package is not None else None
    content = snapshot_of(inventory, placeholders(service) if service is not None else ())
    digest = hashlib.sha256(content).hexdigest()
    store.store_content(digest, ContentKind.INVENTORY, [content])
    return digest


def stored_inventory(store: Store, digest: str) -> Inventory:
    """BadInput, ProblemError."""
    try:
        content = b"".join(store.content(digest))
    except ContentMissingError as error:
        raise ProblemError(problem(Code.CONTENT_MISSING, detail=_WHAT)) from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise ProblemError(problem(Code.CONTENT_ALTERED, detail=_WHAT))
    return inventory_of(content)


def keep_authority(store: Store, file: Path) -> str:
    """Its digest; BadInput where it cannot be read, or changes meanwhile."""
    try:
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        store.store_content(digest, ContentKind.AUTHORITY, _pieces(file))
    except OSError as error:
        raise BadInput(None, f"{file} cannot be read: {error.strerror}", "a readable file") from error
    except ContentChangedError as error:
        raise BadInput(None, f"{file} was changed while it was read", "one that nobody writes to") from error
    return digest


def _pieces(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while piece := stream.read(PIECE):
            yield piece


def stored_authority(store: Store, digest: str) -> Path:
    """A file of this machine's data folder; BadInput, ProblemError."""
    file = fetch(store, digest, blobs_folder(), "the authority of the run's certificates")
    prove_authority(file, None)
    return file
