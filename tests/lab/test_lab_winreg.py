"""The registry's pipe: absent to others than Samba itself until the service behind it runs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import npa, winreg

SAMPLES = Path(__file__).parent / "samples"
ADMINISTRATOR = bytes.fromhex((SAMPLES / "npa-administrator.hex").read_text(encoding="ascii"))


now = [100.0]


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    """A socket that echoes what it is sent, with the pipe in front of it."""
    path = tmp_path / "winreg"
    samba = socket.socket(socket.AF_UNIX)
    samba.bind(str(path))
    samba.listen()
    winreg.RegistryPipe(path, lambda: now[0]).start()

    def echo() -> None:
        while True:
            connection, _ = samba.accept()
            with connection:
                while data := connection.recv(65536):
                    connection.sendall(data)

    threading.Thread(target=echo, daemon=True).start()
    yield path


def opened(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(ADMINISTRATOR)
        return client.recv(65536)


def test_the_first_open_is_refused_and_a_later_one_is_samba_s(pipe: Path) -> None:
    refusal = npa.reply(winreg.PIPE_NOT_AVAILABLE)
    assert (opened(pipe), opened(pipe)) == (refusal, refusal)
    now[0] += 1.0
    assert opened(pipe) == ADMINISTRATOR


def test_samba_s_own_opens_start_nothing(pipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    caller = npa.Caller(user="root", sids=("S-1-5-18",))
    monkeypatch.setattr(npa, "parse_request", lambda _: caller)
    assert opened(pipe) == ADMINISTRATOR
