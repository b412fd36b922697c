"""The directory in memory keeps the contract."""

from __future__ import annotations

import pytest

from pusher.directory.memory import MemoryDirectory, Values, entry
from pusher.directory.port import Bounds, Directory, Entry
from pusher.problems import Code
from tests.contract.directory_contract import ODD, DirectoryBench, DirectoryContract

BASE = "DC=corp,DC=example"
FLEET = f"OU=Fleet,{BASE}"
CATEGORY = f"CN=Computer,CN=Schema,CN=Configuration,{BASE}"


def computer(name: str, place: str = FLEET, **more: Values) -> Entry:
    kinds: dict[str, Values] = {"objectClass": ["top", "computer"], "objectCategory": CATEGORY}
    return entry(
        f"CN={name},{place}", {**kinds, "cn": name, "sAMAccountName": f"{name}$", "userAccountControl": 4096, **more}
    )


def tree() -> list[Entry]:
    outer, inner = f"CN=Outer,{BASE}", f"CN=Inner,{BASE}"
    return [
        entry(BASE, {"objectClass": "domainDNS"}),
        entry(FLEET, {"objectClass": "organizationalUnit"}),
        entry(f"OU=Paris,{FLEET}", {"objectClass": "organizationalUnit"}),
        entry(outer, {"objectClass": "group", "sAMAccountName": "Outer"}),
        entry(inner, {"objectClass": "group", "sAMAccountName": "Inner", "memberOf": outer}),
        *(computer(f"PC{number}") for number in range(3)),
        *(computer(f"PC{number}", f"OU=Paris,{FLEET}") for number in range(3, 6)),
        computer("ODD1", description=ODD),
        computer("NESTED", memberOf=inner),
    ]


class MemoryBench:
    base, fleet, odd = BASE, FLEET, "ODD1$"
    nested_group, nested_member = f"CN=Outer,{BASE}", "NESTED$"

    def directory(self, bounds: Bounds | None = None) -> Directory:
        return MemoryDirectory(tree(), root={"defaultNamingContext": BASE}, bounds=bounds)

    def wrong_password(self) -> Directory:
        return MemoryDirectory(tree(), fails={"": Code.DIRECTORY_SIGN_IN_FAILED})

    def unreachable(self) -> Directory:
        return MemoryDirectory(tree(), fails={"": Code.DIRECTORY_UNREACHABLE})


class TestMemoryDirectory(DirectoryContract):
    @pytest.fixture
    def bench(self) -> DirectoryBench:
        return MemoryBench()
