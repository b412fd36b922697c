"""Packages by content: from a folder into the store, and from the store into a worker's data folder.

Here: how many bytes a package may have, and that nothing is used whose hash is another. What must not live here: how
content is kept (``store.content``), what a package is (``install``).
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pusher.credentials.accounts_file import AccountsFile
from pusher.install.fields import wants_password
from pusher.install.manifest import Manifest, load_manifest, manifest_of
from pusher.install.package import PACKAGE_FILE
from pusher.models import ContentKind, Package, PackageFile, Source
from pusher.problems import BadInput, Code, ProblemError, problem
from pusher.settings import data_folder
from pusher.store import Store
from pusher.store.content import PIECE, ContentChangedError, ContentMissingError

MOST = 512 * 1024**2
"""Bytes of a package that the store takes."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A package that is in the store; ``added``: how many bytes of it were not there before."""

    manifest: Manifest
    package: Package
    added: int


def keep_package(store: Store, folder: Path) -> Kept:
    """Store the package in ``folder``, but for what is there already; BadInput where it cannot be."""
    manifest, package = load_manifest(folder)
    place = Source(file=str(folder / PACKAGE_FILE))
    if package.size > MOST:
        found = f"the package has {package.size:,} bytes"
        raise BadInput(place, found, f"at most {MOST:,}: what is larger is no package for the queue")
    if len(manifest.content) > PIECE:
        raise BadInput(place, f"its manifest has {len(manifest.content):,} bytes", f"at most {PIECE:,}")
    by_hash = {file.sha256: file for file in package.files}
    missing: Collection[str] = by_hash.keys() - store.stored(by_hash)
    added = 0
    while True:
        for digest in sorted(missing):
            _store(store, by_hash[digest])
            added += by_hash[digest].size
        # What was there may have been forgotten meanwhile.
        missing = store.store_whole(manifest.digest, ContentKind.PACKAGE, manifest.content, by_hash)
        if not missing:
            return Kept(manifest=manifest, package=package, added=added)


def _store(store: Store, file: PackageFile) -> None:
    try:
        store.store_content(file.sha256, ContentKind.FILE, _pieces(file))
    except ContentChangedError as error:
        found = f"{file.source} does not have the SHA-256 {file.sha256} (package-hash-mismatch)"
        raise BadInput(file.written, found, "the file's own hash") from error


def _pieces(file: PackageFile) -> Iterator[bytes]:
    try:
        with file.source.open("rb") as stream:
            while piece := stream.read(PIECE):
                yield piece
    except OSError as error:
        raise BadInput(file.written, f"{file.source} cannot be read: {error.strerror}", "a readable file") from error


def stored_manifest(store: Store, digest: str) -> Manifest:
    """ProblemError where the store does not have it, or has another under its hash."""
    try:
        manifest = manifest_of(b"".join(store.content(digest)))
    except ContentMissingError as error:
        raise ProblemError(problem(Code.CONTENT_MISSING, detail=f"package {digest}")) from error
    if manifest.digest != digest:
        raise ProblemError(problem(Code.CONTENT_ALTERED, detail=f"package {digest}"))
    return manifest


def stored_package(store: Store, digest: str, accounts: AccountsFile, folder: Path | None) -> Package:
    """The package as the store has it, with its files in this machine's data folder. BadInput, ProblemError.

    The secret of its service's account is that of whoever has its user in ``accounts``; or ``folder`` says it, where
    the very same package lies there.
    """
    manifest = stored_manifest(store, digest)
    secret = _service_secret(manifest, accounts, folder)
    blobs = blobs_folder()
    for source, sha256 in manifest.files().items():
        fetch(store, sha256, blobs, f"{source} of {' '.join(manifest.name_and_version())}")
    return manifest.package(blobs, secret)


def blobs_folder() -> Path:
    """Where content that came from a store is kept, each under its hash; for this user alone. BadInput."""
    folder = data_folder() / "blobs"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(None, f"{folder} cannot be made: {error.strerror}", "a folder that can be written") from error
    return folder


def fetch(store: Store, sha256: str, folder: Path, what: str) -> Path:
    """The file with that hash in ``folder``, fetched where it is not there, or has been altered. ``what`` it is, in
    words. BadInput, ProblemError."""
    path, part = folder / sha256, folder / f".{sha256}.{secrets.token_hex(4)}"
    try:
        if _hash_of(path) != sha256:
            if _written(store, sha256, part) != sha256:
                raise ProblemError(problem(Code.CONTENT_ALTERED, detail=what))
            part.replace(path)
        os.utime(path)
    except ContentMissingError as error:
        raise ProblemError(problem(Code.CONTENT_MISSING, detail=what)) from error
    except OSError as error:
        raise BadInput(None, f"{path} cannot be written: {error.strerror}", "a folder that can be written") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return path


def _hash_of(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        return None


def _written(store: Store, sha256: str, part: Path) -> str:
    """Its hash as it was written."""
    digest = hashlib.sha256()
    with part.open("xb") as stream:
        for piece in store.content(sha256):
            digest.update(piece)
            stream.write(piece)
    return digest.hexdigest()


def _service_secret(manifest: Manifest, accounts: AccountsFile, folder: Path | None) -> str | None:
    """The reference; None where the service's account has no password. BadInput where it is not known here."""
    user = manifest.service_account()
    if user is None or not wants_password(user):
        return None
    for account in accounts.accounts:
        if account.user.casefold() == user.casefold():
            return account.secret
    with suppress(BadInput, OSError):  # it is no matter of ours what lies there
        if folder is not None:
            there, package = load_manifest(folder)
            if there.digest == manifest.digest and package.service is not None:
                return package.service.secret
    found = f"nothing says where the password of {user} is, whom the service of the package logs on as"
    raise BadInput(None, found, f"an [[account]] with user = '{user}' and use = \"run\" in this worker's accounts file")
