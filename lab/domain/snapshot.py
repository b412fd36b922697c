"""The snapshot of a directory: Samba's folder as it is after populate.py, packed. Its name has its recipe's hash.

Whoever changes the recipe gets a new one. It holds no password that a lab uses; it does hold the domain's own keys, and
is its owner's only. Not here: what goes into it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_OURS = ("recipe.py", "populate.py", "directory.py", "configuration.py")
_SAMBA = "/usr/sbin/samba"


def name(bulk: int) -> str:
    """The file's name, from all that its content comes from."""
    digest = hashlib.sha256()
    for file in _OURS:
        digest.update((Path(__file__).parent / file).read_bytes())
    version = subprocess.run([_SAMBA, "--version"], capture_output=True, check=True).stdout
    digest.update(version + str(bulk).encode())
    return f"domain-{digest.hexdigest()[:16]}.tar"


def restore(cache: Path, file: str, target: Path, make: Callable[[], None]) -> bool:
    """Fill `target` (which `make` would fill) from the snapshot; False where it had to be made first."""
    place = cache / file
    if _unpack(place, target):
        return True
    with _only_one(cache):
        if _unpack(place, target):  # another lab has made it meanwhile
            return True
        make()
        beside = cache / f"{file}.new"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as output, tarfile.open(fileobj=output, mode="w") as archive:
            archive.add(target, arcname=".")
        beside.rename(place)
    return False


def _unpack(place: Path, target: Path) -> bool:
    try:
        with tarfile.open(place) as archive:
            archive.extractall(target)  # noqa: S202 (our own, from a folder of our own)
    except FileNotFoundError:
        return False
    return True


@contextmanager
def _only_one(cache: Path) -> Iterator[None]:
    """Two labs that start at once must not both make it; the kernel frees the lock however its holder ends."""
    with (cache / "domain.lock").open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
