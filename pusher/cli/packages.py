"""``pusher packages``: what the store has of packages, by content, for runs that wait in the queue.

Not here: how a package is stored (``wiring.packages``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from pusher.config.wording import listed, shown
from pusher.install.manifest import Manifest
from pusher.models import ContentKind, Stored
from pusher.problems import BadInput
from pusher.report.record import write_line
from pusher.report.style import console_for
from pusher.report.text import visible
from pusher.settings import open_default_store
from pusher.store import Store
from pusher.wiring.packages import keep_package, stored_manifest

_LEAST = 6
"""Digits by which a package may be named."""


@dataclass(frozen=True, kw_only=True)
class _Known:
    stored: Stored
    manifest: Manifest

    @property
    def words(self) -> str:
        return " ".join(self.manifest.name_and_version())

    def record(self) -> dict[str, Any]:
        name, version = self.manifest.name_and_version()
        return {"digest": self.manifest.digest, "name": name, "version": version,
                "files": len(self.manifest.files()), "stored_at": self.stored.stored_at.isoformat()}  # fmt: skip


def add(folder: Path, store: str | None, as_json: bool) -> None:
    with closing(open_default_store(store)) as opened:
        kept = keep_package(opened, folder)
    name, version = kept.manifest.name_and_version()
    if as_json:
        write_line({"digest": kept.manifest.digest, "name": name, "version": version, "added": kept.added}, sys.stdout)
        return
    new = f"{kept.added:,} bytes that were not there before" if kept.added else "all of it was there already"
    _print(f"Stored {visible(name)} {version}: {new}.")
    _print(kept.manifest.digest)


def list_packages(store: str | None, as_json: bool) -> None:
    with closing(open_default_store(store)) as opened:
        found = list(_packages(opened))
    if as_json:
        for known in found:
            write_line(known.record(), sys.stdout)
        return
    if not found:
        _print("The store has no package.")
        return
    table = Table("digest", "package", "files", "stored", box=None)
    for known in found:
        table.add_row(known.manifest.short, visible(known.words), f"{len(known.manifest.files()):,}",
                      f"{known.stored.stored_at:%Y-%m-%d %H:%M}")  # fmt: skip
    console_for(sys.stdout).print(table)


def show(which: str, store: str | None, as_json: bool) -> None:
    with closing(open_default_store(store)) as opened:
        known = _the_one(opened, which)
        wanted = opened.wanted_by(known.manifest.digest)
        sizes = {part.sha256: part.size for part in opened.parts_of(known.manifest.digest)}
    if as_json:
        files = [{"source": source, "sha256": sha256, "size": sizes.get(sha256)}
                 for source, sha256 in known.manifest.files().items()]  # fmt: skip
        write_line(known.record() | {"files": files, "runs": wanted}, sys.stdout)
        return
    _print(f"{visible(known.words)}, stored {known.stored.stored_at:%Y-%m-%d %H:%M} UTC")
    _print(known.manifest.digest)
    for source, sha256 in known.manifest.files().items():
        size = f"{sizes[sha256]:,} bytes" if sha256 in sizes else "missing"
        _print(f"  {visible(source)}  {size}  {sha256}")
    if wanted:
        _print(f"Needed by {_runs(wanted)}.")


def remove(which: str, store: str | None, as_json: bool) -> None:
    with closing(open_default_store(store)) as opened:
        known = _the_one(opened, which)
        digest = known.manifest.digest
        freed = opened.forget_package(digest)
        if freed is None:
            found = f"{visible(known.words)} is needed by {_runs(opened.wanted_by(digest))} in the queue"
            raise BadInput(None, found, "a package that no run waits for: let it end, or pusher cancel RUN")
    if as_json:
        write_line({"digest": digest, "bytes": freed}, sys.stdout)
        return
    _print(f"Removed {visible(known.words)}: {freed:,} bytes.")


def _packages(store: Store) -> Iterator[_Known]:
    for stored in store.stored_of(ContentKind.PACKAGE):
        yield _Known(stored=stored, manifest=stored_manifest(store, stored.sha256))


def _the_one(store: Store, which: str) -> _Known:
    """The package that is called so, or whose digest begins so; BadInput where that is not one."""
    known = list(_packages(store))
    by_digest = [one for one in known if len(which) >= _LEAST and one.manifest.digest.startswith(which.lower())]
    found = by_digest or [one for one in known if which in (one.manifest.name_and_version()[0], one.words)]
    if len(found) != 1:
        what = "no package of the store is" if not found else f"{len(found)} packages of the store are"
        some = [f"{one.manifest.short} ({one.words})" for one in found or known]
        raise BadInput(None, f"{what} called {shown(which)}", f"a digest: {listed(some) or 'it has none'}")
    return found[0]


def _runs(runs: Sequence[str]) -> str:
    return f"run {runs[0]}" if len(runs) == 1 else f"{len(runs)} runs ({runs[0]} …)"


def _print(words: str) -> None:
    console_for(sys.stdout).print(words, soft_wrap=True)
