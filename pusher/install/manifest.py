"""A package's manifest: package.toml as content, by whose hash a package is known wherever it is stored.

It says what package.toml says, in one spelling (JSON, keys in order), but for the reference to a secret: where a secret
lies is the matter of whoever uses it. What must not live here: storing anything.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pusher.config.document import Document
from pusher.config.document import Path as Place
from pusher.config.toml_source import read_toml
from pusher.install.package import PACKAGE_FILE, package_of
from pusher.models import Package
from pusher.problems import BadInput

_SHORT = 12


class _Nowhere:
    """A manifest has no lines to point at."""

    def find(self, path: Place, *, key: bool) -> tuple[int, int] | None:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """``content`` is what ``digest`` (SHA-256, in lower case) is of."""

    content: bytes
    digest: str

    @property
    def short(self) -> str:
        return self.digest[:_SHORT]

    def files(self) -> Mapping[str, str]:
        """The hash of each file, by its ``source``."""
        return {entry["source"]: entry["sha256"].lower() for entry in self._data()["file"]}

    def name_and_version(self) -> tuple[str, str]:
        data = self._data()
        return str(data["name"]), str(data["version"])

    def service_account(self) -> str | None:
        """Who its service logs on as, as written; None where it does not say."""
        return (self._data().get("service") or {}).get("account")

    def is_installer(self) -> bool:
        return self._data().get("installer") is not None

    def package(self, folder: Path, secret: str | None = None) -> Package:
        """The package, with its files in ``folder`` under their hashes (which are not compared); BadInput.

        ``secret``: the reference to the password of its service's account.
        """
        data = self._data()
        if secret is not None:
            data["service"]["secret"] = secret
        file = f"package-{self.short}/{PACKAGE_FILE}"
        return package_of(Document(file=file, data=data, positions=_Nowhere()), folder, False, by_hash=True)

    def _data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.content)
        return data


def manifest_of(content: bytes) -> Manifest:
    return Manifest(content=content, digest=hashlib.sha256(content).hexdigest())


def load_manifest(folder: Path) -> tuple[Manifest, Package]:
    """Of the package in ``folder``, whose files' hashes are not compared yet; BadInput."""
    document = read_toml(folder / PACKAGE_FILE)
    package = package_of(document, folder, verify_hashes=False)
    data = document.data
    if not isinstance(data, dict):
        raise BadInput(document.source(()), "it is no table", "a package")
    said = {name: value for name, value in data.items() if name != "service"}
    if isinstance(service := data.get("service"), dict):
        said["service"] = {name: value for name, value in service.items() if name != "secret"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return manifest_of(text.encode()), package
