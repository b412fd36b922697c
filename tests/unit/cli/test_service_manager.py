"""What a worker tells systemd, and when."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pusher.cli.service_manager import tell
from tests.unit.cli.workplace import Workplace


@pytest.fixture
def listener(tmp_path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(tmp_path / "notify"))
    made.setblocking(False)
    return made


def heard(listener: socket.socket) -> list[str]:
    found = list[str]()
    with listener:
        while True:
            try:
                found += listener.recv(4096).decode().splitlines()
            except BlockingIOError:
                return found


def test_it_is_told_by_name_and_in_the_abstract(listener: socket.socket, tmp_path: Path) -> None:
    tell("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert heard(listener) == ["READY=1"]
    name = f"pusher-test-{tmp_path.name}-{id(listener)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as abstract:
        abstract.bind("\0" + name)
        tell("STOPPING=1", {"NOTIFY_SOCKET": "@" + name})
        assert abstract.recv(99) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "host:5", "@" + "x" * 200])
def test_nobody_who_listens_is_no_trouble(address: str) -> None:
    tell("READY=1", {"NOTIFY_SOCKET": address} if address else {})


def test_a_worker_is_ready_when_the_store_has_heard_of_it(
    place: Workplace, listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    assert place.run("worker", "--until-idle").status == 0
    assert heard(listener)[:2] == ["READY=1", "WATCHDOG=1"]


def test_a_worker_that_does_not_start_is_not_ready(
    place: Workplace, listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    assert place.run("worker", "--until-idle", "--settings", "nowhere.toml").status == 2
    assert heard(listener) == []


def test_a_beat_that_the_store_does_not_hear_feeds_no_watchdog(
    place: Workplace, listener: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unheard(*_: object) -> None:
        return None

    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    monkeypatch.setattr("pusher.cli.worker._TAKEN", 0.0)
    monkeypatch.setattr("pusher.store.Store.register", unheard)
    assert place.run("worker", "--until-idle").status == 1
    assert heard(listener) == []


@pytest.mark.parametrize("address", ["host:9464", "9464x", "127.0.0.1:99999", "127.0.0.1", "-1"])
def test_no_address_for_metrics_is_bad_input(place: Workplace, address: str) -> None:
    said = place.run("worker", "--until-idle", "--metrics", address)
    assert said.status == 2 and f"--metrics {address} " in said.err and "expected HOST:PORT" in said.err


def test_metrics_are_loopbacks_where_only_a_port_is_said(place: Workplace) -> None:
    said = place.run("worker", "--until-idle", "--metrics", "0")
    assert said.status == 0 and "Metrics at 127.0.0.1:" in said.err
