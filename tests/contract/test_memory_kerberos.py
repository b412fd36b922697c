"""Kerberos in memory keeps the contract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pusher.credentials.kerberos.memory import Cached, MemoryKerberos
from tests.contract.kerberos_contract import RIGHT, KerberosContract


def now() -> datetime:
    return datetime.now(UTC)


class MemoryRealm:
    name = "MEMORY.TEST"

    def __init__(self) -> None:
        self.made: list[MemoryKerberos] = []
        self._stopped = False
        self._keytabs: dict[Path, dict[str, str]] = {}
        self._caches: dict[Path, Cached] = {}

    def kerberos(self, *, own: str | None = None, own_key: tuple[str, str] | None = None) -> MemoryKerberos:
        known = {f"{user}@{self.name}": RIGHT for user in ("push", "other")}
        made = MemoryKerberos(now, known, own=own)
        made.keytabs, made.caches = self._keytabs, self._caches
        made.own_keytab = dict([own_key] if own_key else [])
        made.unreachable = self._stopped
        self.made.append(made)
        return made

    def keytab(self, name: str, *principals: str) -> Path:
        self._keytabs[Path(name)] = dict.fromkeys(principals, RIGHT)
        return Path(name)

    def cache(self, principal: str, life: timedelta) -> Path:
        path = Path(f"cache-{len(self._caches)}")
        self._caches[path] = Cached(principal=principal, ends=now() + life)
        return path

    def preauthenticated(self) -> int:
        return sum(len(made.asked) for made in self.made)

    def stop(self) -> None:
        self._stopped = True
        for made in self.made:
            made.unreachable = True


class TestMemoryKerberos(KerberosContract):
    @pytest.fixture
    def realm(self) -> MemoryRealm:
        return MemoryRealm()
