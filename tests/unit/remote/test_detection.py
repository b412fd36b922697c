"""Detection rules on a machine in memory, and versions as numbers."""

from __future__ import annotations

import pytest

from pusher.models import Detect, DetectBy
from pusher.remote.detection import Found, detect, numbers
from pusher.transports.memory import MemoryHost
from pusher.transports.port import ServiceConfig, StartType
from tests.pe import program
from tests.unit.push.flying import fly
from tests.unit.push.harness import make_host, signed_in

CODE = "{6D3B3E0A-5C11-4A53-8E0B-000000000200}"
UNINSTALL = "\\microsoft\\windows\\currentversion\\uninstall\\" + CODE.lower()


def found(host: MemoryHost, rule: Detect) -> Found:
    async def story() -> Found:
        return await detect(await signed_in(host), rule)

    return fly(story())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", (2,)), ("2.0.0", (2,)), ("2.0.10.0", (2, 0, 10)), ("0", (0,)), ("", None), ("2.x", None), ("v2", None),
        ("2..1", None), ("1.2.3.4.5", (1, 2, 3, 4, 5)), ("٢", None),
    ],
)  # fmt: skip
def test_numbers(text: str, expected: tuple[int, ...] | None) -> None:
    assert numbers(text) == expected


def test_a_service() -> None:
    host, rule = make_host(), Detect(by=DetectBy.SERVICE, what="LabTool")
    assert not found(host, rule).present

    async def story() -> Found:
        config = ServiceConfig(image_path="x", display_name="x", start_type=StartType.AUTO)
        host.services.create("LabTool", config, host.now())
        return await detect(await signed_in(host), rule)

    assert fly(story()).matches


@pytest.mark.parametrize(
    ("there", "matches", "version"),
    [("1.9.9", False, "1.9.9.0"), ("2.0.0", True, "2.0.0.0"), ("2.1.0", True, "2.1.0.0"), (None, False, None)],
)
def test_a_file_of_a_version(there: str | None, matches: bool, version: str | None) -> None:
    host = make_host()
    rule = Detect(by=DetectBy.FILE, what="%ProgramFiles%\\LabTool\\labtool.exe", version="2.0.0")
    assert found(host, rule) == Found(present=False, matches=False, seen=f"{rule.what} is absent")
    host.write("Program Files\\LabTool\\labtool.exe", program(there) if there else b"no version in it")
    assert (seen := found(host, rule)).present
    assert (seen.matches, seen.version) == (matches, version)


@pytest.mark.parametrize(
    ("there", "matches", "version"),
    [
        ("2.0.0", True, "2.0.0"),
        ("1.0", False, "1.0"),
        (2, False, "2"),
        ("full", False, None),
        ("a\x1b[31m", False, None),
    ],
)
def test_a_registry_value(there: str | int, matches: bool, version: str | None) -> None:
    host = make_host()
    rule = Detect(by=DetectBy.REGISTRY, what="HKLM\\SOFTWARE\\Lab", value="Version", equals="2.0.0")
    assert not found(host, rule).present
    host.values["hklm\\software\\lab", "version"] = there
    seen = found(host, rule)
    assert (seen.present, seen.matches, seen.version) == (True, matches, version)
    assert seen.seen.isprintable()


@pytest.mark.parametrize("view", ["hklm\\software", "hklm\\software\\wow6432node"])
def test_a_product(view: str) -> None:
    host, rule = make_host(), Detect(by=DetectBy.PRODUCT_CODE, what=CODE, version="2.0.0")
    assert not found(host, rule).present
    host.values[view + UNINSTALL, "displayversion"] = "2.0.0"
    assert found(host, rule).matches
    host.values[view + UNINSTALL, "displayversion"] = "1.0.0"
    assert (found(host, rule).matches, found(host, rule).version) == (False, "1.0.0")
