"""The payload: a package's bytes, read and hashed once for all hosts and then only lent out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from pusher.models import Package
from pusher.problems import BadInput


class Payload:
    """The bytes of every file of a package, by its ``dest``. Memory: the package's size, once."""

    def __init__(self, content: Mapping[str, bytes]) -> None:
        self._content = {dest: memoryview(data).toreadonly() for dest, data in content.items()}

    def __getitem__(self, dest: str) -> memoryview:
        return self._content[dest]


def load_payload(package: Package) -> Payload:
    """Read the package's files; BadInput where one does not (or no longer) hold what package.toml says."""
    content = {}
    for file in package.files:
        try:
            data = file.source.read_bytes()
        except OSError as error:
            found = f"{file.source} cannot be read: {error.strerror}"
            raise BadInput(file.written, found, "a readable file") from error
        actual = hashlib.sha256(data).hexdigest()
        if actual != file.sha256:
            found = f"{file.source} has the SHA-256 {actual}, not {file.sha256} (package-hash-mismatch)"
            raise BadInput(file.written, found, "the file's own hash")
        content[file.dest] = data
    return Payload(content)
