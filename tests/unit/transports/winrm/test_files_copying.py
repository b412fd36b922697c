"""Which way a payload goes, and what curl's numbers say."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Callable, Iterator
from shutil import which
from typing import cast

import pytest

from pusher.problems import ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.port import Limits
from pusher.transports.winrm import copying
from pusher.transports.winrm.client import Client
from pusher.transports.winrm.content import ContentServer
from pusher.transports.winrm.copying import Copier
from pusher.transports.winrm.curl import CURL, Ended, Ending, fetch_line
from pusher.transports.winrm.facts import Folders
from pusher.transports.winrm.files import Files
from pusher.transports.winrm.shell import Kept, Shell
from tests.unit.transports.winrm.machine import SYSTEM, FakeMachine, fetch

HERE = RemotePath(share="ADMIN$", path="Temp\\x")
PLACE = "c:\\windows\\temp\\x"
DATA = memoryview(b"payload" * 10_000)


def ignore(count: int = 0) -> None:
    """For copies whose progress nobody follows."""


@pytest.fixture
def content() -> Iterator[ContentServer]:
    with ContentServer() as server:
        yield server


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What went by PSRP; the machine has no PowerShell."""
    sent = list[bytes]()

    def send(copier: Copier, there: str, data: memoryview, moved: Callable[[int], None], keep: object) -> bool:
        cast(FakeMachine, copier._client).files[there.lower()] = bytes(data)
        sent.append(bytes(data))
        moved(len(data))
        return True

    monkeypatch.setattr(Copier, "_send", send)
    return sent


def on(machine: FakeMachine, content: ContentServer | None) -> Files:
    return Files(cast(Client, machine), Folders(windows="C:\\Windows", drive="C:"), content, Limits())


def fetched(machine: FakeMachine) -> int:
    return sum("curl.exe" in line for line in machine.lines)


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as caught:
        call()
    return caught.value.problem.code


def test_the_target_fetches_it(content: ContentServer, sent: list[bytes]) -> None:
    machine = FakeMachine()
    files = on(machine, content)
    files.put(HERE, DATA, ignore)
    files.put(HERE, DATA, ignore)
    assert (fetched(machine), sent) == (2, [])


@pytest.mark.parametrize("code", [code for code, (ending, _) in CURL.items() if ending is Ending.NO_WAY] + [28, 56, 99])
def test_who_cannot_fetch_is_sent_it_and_not_asked_again(content: ContentServer, sent: list[bytes], code: int) -> None:
    machine, moved = FakeMachine(curl_code=lambda: code), list[int]()
    files = on(machine, content)
    files.put(HERE, DATA, moved.append)
    files.put(HERE, DATA, ignore)
    assert (fetched(machine), len(sent)) == (1, 2)
    assert sum(moved) == len(DATA)


def test_the_way_that_was_taken_is_told(content: ContentServer, sent: list[bytes]) -> None:
    """Which may be the reason why a copy took so long."""
    machine = FakeMachine()
    files = on(machine, content)
    assert files.copied_by == ""
    files.put(HERE, DATA, ignore)
    assert "curl.exe of the target" in files.copied_by
    machine.curl_code = lambda: 7
    files.put(HERE, DATA, ignore)
    assert "PowerShell" in files.copied_by and "cannot fetch from here" in files.copied_by
    del machine.files[SYSTEM + "curl.exe"]
    without = on(machine, content)
    without.put(HERE, DATA, ignore)
    assert "PowerShell" in without.copied_by and "no curl.exe" in without.copied_by


def test_without_curl(content: ContentServer, sent: list[bytes]) -> None:
    machine = FakeMachine()
    del machine.files[SYSTEM + "curl.exe"]
    on(machine, content).put(HERE, DATA, ignore)
    assert (fetched(machine), len(sent)) == (0, 1)


def test_without_an_endpoint(sent: list[bytes]) -> None:
    machine = FakeMachine()
    on(machine, None).put(HERE, DATA, ignore)
    assert (fetched(machine), len(sent)) == (0, 1)


def test_where_nothing_can_be_offered(content: ContentServer, sent: list[bytes]) -> None:
    content.close()
    machine = FakeMachine()
    on(machine, content).put(HERE, DATA, ignore)
    assert (fetched(machine), len(sent)) == (0, 1)


@pytest.mark.parametrize("code", [code for code, (ending, _) in CURL.items() if ending is Ending.FORGED])
def test_another_key_is_an_alarm(content: ContentServer, sent: list[bytes], code: int) -> None:
    machine = FakeMachine(curl_code=lambda: code)
    assert code_of(lambda: on(machine, content).put(HERE, DATA, ignore)) == "tampered"
    assert sent == []


@pytest.mark.parametrize("code", [18, 28, 52, 55, 56, 7])
def test_what_breaks_off_on_the_way_is_told(content: ContentServer, sent: list[bytes], code: int) -> None:
    """Whoever has come for it could reach us: another way would not be better."""
    machine = FakeMachine()

    def half() -> int:
        fetch(machine.lines[-1].split()[-2])
        return code

    machine.curl_code = half
    assert code_of(lambda: on(machine, content).put(HERE, DATA, ignore)) == "transfer-stalled"
    assert sent == []


@pytest.mark.parametrize(
    ("code", "words"),
    [(56, "exit code 56, receiving failed"), (35, "exit code 35, TLS"), (99, "exit code 99, an exit code that")],
)
def test_why_a_fetch_failed_is_told(content: ContentServer, sent: list[bytes], code: int, words: str) -> None:
    """A target is no friend: what it says is one short line, in which no terminal finds an order."""
    machine = FakeMachine(curl_says=b"curl: (56) schannel: closed\r\n\x1b[2J\xe2\x80\xae" + b"x" * 4000)

    def half() -> int:
        url = machine.lines[-1].split()[-2]
        fetch(url)
        machine.curl_says = url.encode() + b" " + machine.curl_says
        return code

    machine.curl_code = half
    with pytest.raises(ProblemError) as caught:
        on(machine, content).put(HERE, DATA, ignore)
    said = caught.value.problem.message
    assert words in said and "curl: (56) schannel: closed" in said
    assert said.isprintable() and "\u202e" not in said and len(said) < 400
    assert machine.lines[-1].split()[-2].rpartition("/")[2] not in said, "the path is what lets one in"


def test_why_nothing_can_be_fetched_is_told_with_the_way_that_was_taken(
    content: ContentServer, sent: list[bytes]
) -> None:
    machine = FakeMachine(curl_code=lambda: 7, curl_says=b"curl: (7) Failed to connect\n")
    files = on(machine, content)
    files.put(HERE, DATA, ignore)
    assert "it cannot fetch from here (exit code 7, it could not connect; curl: (7) Failed" in files.copied_by
    assert Ended.of(7, b"", asked_for=False, url="https://h/x").reason == "exit code 7, it could not connect"


def test_sent_and_not_written(content: ContentServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Copier, "_send", lambda *_: False)
    machine = FakeMachine()
    machine.files[PLACE] = b"x"
    machine.busy.add(PLACE)
    assert code_of(lambda: on(machine, None).put(HERE, DATA, ignore)) == "file-in-use"


def test_a_scanner_after_the_last_byte_is_no_stall(content: ContentServer) -> None:
    """While curl has all and does not end, the target's answers are signs of life; for a time."""
    machine = FakeMachine()
    moved = list[int]()
    shell = Shell(cast(Client, machine))
    copier = Copier(
        cast(Client, machine),
        shell,
        Folders(windows="C:\\Windows", drive="C:"),
        content,
        Limits(call=25),
        lambda _: True,
    )

    def run(line: str, *, made: Callable[[], None]) -> object:
        made()
        assert moved == [], "nothing has moved, so nothing is said"
        fetch(line.split()[-2])
        for _ in range(10):
            made()
        return type("Ran", (), {"exit_code": 0, "stderr": b""})

    shell.run = run  # type: ignore[method-assign, assignment]
    assert copier.copy("C:\\Windows\\Temp\\x", DATA, moved.append, ignore)
    assert sum(moved) == len(DATA)
    assert 0 < moved.count(0) < 5, "not for ever"


def test_the_line() -> None:
    line = fetch_line("C:\\Windows\\System32\\curl.exe", "https://192.0.2.1:4433/t", "sha256//k=", 7, 15, "C:\\a b\\x")
    assert line == (
        '@"C:\\Windows\\System32\\curl.exe" -q --silent --show-error --fail --insecure --pinnedpubkey sha256//k= '
        '--proto =https --noproxy "*" --connect-timeout 10 --speed-limit 1 --speed-time 15 --max-filesize 7 '
        'https://192.0.2.1:4433/t >"C:\\a b\\x"'
    )


@pytest.mark.skipif(not which("curl"), reason="no curl here")
def test_the_real_curl_understands_the_line(content: ContentServer) -> None:
    def curl(url: str, pin: str) -> subprocess.CompletedProcess[bytes]:
        words = fetch_line("curl", url, pin, len(DATA), 15, "x").replace('"', "").lstrip("@").split()
        return subprocess.run(words[:-1], capture_output=True, check=False)

    with content.offer(DATA, "127.0.0.1", ignore) as offer:
        assert CURL[curl(offer.url, "sha256//" + "A" * 43 + "=").returncode][0] is Ending.FORGED
        assert CURL[curl(offer.url + "x", offer.pin).returncode][0] is Ending.NO_WAY
        assert not offer.asked_for
        assert curl(offer.url, offer.pin).stdout == DATA


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 3000])
def test_what_the_script_is_given(size: int) -> None:
    """Pieces in base64; with the last one the base64 of the whole's SHA-1 in hexadecimal, as copy.ps1 wants it."""
    data, moved = bytes(range(256)) * 12, list[int]()
    given = list(copying._pieces(memoryview(data[:size]), 1000, moved.append))
    *pieces, proof = [piece for part in given for piece in part]
    assert b"".join(map(base64.b64decode, pieces)) == data[:size]
    assert base64.b64decode(proof).decode() == hashlib.sha1(data[:size]).hexdigest()
    assert sum(moved) == size


def test_a_scanner_between_two_files_that_are_read_back_is_no_stall(content: ContentServer) -> None:
    """What has been shown before takes nothing off the time that the next file may need."""
    machine, moved = FakeMachine(), list[int]()
    copier = Copier(
        cast(Client, machine),
        Shell(cast(Client, machine)),
        Folders(windows="C:\\Windows", drive="C:"),
        content,
        Limits(call=25),
        lambda _: True,
    )

    def run(line: str, *, stdin: bytes, stdout: Kept, made: Callable[[], None]) -> None:
        for _ in range(10):
            stdout.add(b"x")
            made()
        moved.clear()
        made()
        assert moved == [0]
        for _ in range(10):
            made()
        assert moved.count(0) < 5, "not for ever"

    copier._shell.run = run  # type: ignore[method-assign, assignment]
    assert copier.read_together({"C:\\a": 20, "C:\\b": 20}, moved.append, ignore) == {}
