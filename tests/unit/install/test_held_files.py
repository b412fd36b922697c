"""Files that another process holds: an old one in nobody's way, and a removal that comes half-way."""

from __future__ import annotations

from pusher.models import Status, Verb
from pusher.store import Store
from pusher.transports.memory import MemoryHost, StartFault
from pusher.transports.memory.disk import key_of
from tests.pe import program
from tests.unit.push.flying import fly
from tests.unit.push.harness import (
    CONF,
    EXE,
    SERVICE,
    install_by_hand,
    make_host,
    make_package,
    make_payload,
    push,
)

PROGRAM = f"Windows\\{EXE}"


def hold(host: MemoryHost, path: str, held: bool = True) -> None:
    entry = host.disk.find(key_of(path))
    assert entry is not None
    entry.held = held


def files_of(version: str) -> dict[str, bytes]:
    return {EXE: program(version), CONF: b"the same"}


def lying_about(host: MemoryHost) -> list[str]:
    return sorted(path for path in host.disk.snapshot() if ".pusher-" in path)


def test_an_old_file_that_stays_blocks_no_later_push(store: Store) -> None:
    """A scanner holds for days what an upgrade has set aside; then it lets go."""
    host = make_host()

    async def upgrade(version: str) -> Status:
        files = files_of(version)
        package = make_package(version, files)
        outcome, _ = await push(host, store, package=package, payload=make_payload(package, files))
        assert host.read(PROGRAM) == files[EXE], outcome
        return outcome.status

    async def story() -> None:
        install_by_hand(host, make_package("1.0.0", files_of("1.0.0")), files_of("1.0.0"))
        host.write(f"{PROGRAM}.pusher-old", program("0.9.0"))
        hold(host, f"{PROGRAM}.pusher-old")
        assert await upgrade("1.1.0") is Status.UPGRADED
        assert await upgrade("1.2.0") is Status.UPGRADED
        assert lying_about(host) == [f"{PROGRAM}.pusher-old".lower()]
        hold(host, f"{PROGRAM}.pusher-old", held=False)
        assert await upgrade("1.3.0") is Status.UPGRADED
        assert lying_about(host) == []

    fly(story())


def test_a_push_that_fails_beside_a_held_old_file_is_undone(store: Store) -> None:
    host = make_host()
    old, new = files_of("1.0.0"), files_of("1.1.0")

    async def story() -> None:
        install_by_hand(host, make_package("1.0.0", old), old)
        host.write(f"{PROGRAM}.pusher-old", program("0.9.0"))
        hold(host, f"{PROGRAM}.pusher-old")
        before = host.snapshot()
        host.services.start_faults[SERVICE.lower()] = StartFault.EXIT
        package = make_package("1.1.0", new)
        outcome, _ = await push(host, store, package=package, payload=make_payload(package, new))
        assert (outcome.status, outcome.code) == (Status.FAILED, "service-exited")
        assert host.snapshot()["disk"] == before["disk"]

    fly(story())


def test_a_removal_that_comes_half_way_says_how_far(store: Store) -> None:
    host, files = make_host(), files_of("1.4.2")
    package = make_package(files=files)

    async def story() -> None:
        install_by_hand(host, package, files)
        running = host.disk.find(key_of(PROGRAM))
        assert running is not None
        running.running += 1  # somebody has started it by hand as well
        outcome, _ = await push(host, store, package=package, payload=make_payload(package, files), verb=Verb.REMOVE)
        assert (outcome.status, outcome.code) == (Status.FAILED, "file-in-use")
        message = outcome.message or ""
        assert f"service {SERVICE} stopped, service {SERVICE} deleted, 2 files removed" in message  # one is the log
        assert message.endswith(f"still there: ADMIN$\\{EXE}")
        assert {step.step for step in outcome.steps} >= {"stop", "delete-service", "remove-files"}
        running.running -= 1
        again, _ = await push(host, store, package=package, payload=make_payload(package, files), verb=Verb.REMOVE)
        assert again.status is Status.REMOVED
        assert host.read(PROGRAM) is None

    fly(story())
