"""WinRS shells on Wine's cmd.exe, PowerShell's one script, and the host's curl.exe and certutil.exe."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pypsrp.exceptions import WinRMError, WSManFaultError
from pypsrp.shell import Process, SignalCode, WinRS

from lab import Host, Lab
from lab.winrm.download import Exit
from tests.lab.test_lab_scenarios import host_of
from tests.lab.winrm import WinRm, resolved

pytestmark = pytest.mark.lab

_SHELL_GONE, _TIMED_OUT = 2150858843, 2150858793
_SHELL_QUOTA = "w:QuotaLimit"  # all that pypsrp reads of it: the number is in an MSFT_WmiError
_CURL = (
    r'@"C:\Windows\System32\curl.exe" -q --silent --show-error --fail --insecure --pinnedpubkey {pin}'
    r' --proto =https --noproxy "*" --connect-timeout 10 --speed-limit 1 --speed-time {patience} --max-filesize {size}'
    r' {url} > "{place}"'
)


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)


def commands(host: Host) -> list[str]:
    return [process.command for process in host.processes()]


@pytest.fixture
def way(own_lab: Lab, shared_host: Host) -> Iterator[WinRm]:
    way = WinRm(own_lab, shared_host)
    with resolved(shared_host):
        yield way
    shared_host.winrm()
    assert shared_host.shells() == []


# -- commands -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("exit 0", 0),
        ("exit 3010", 3010),
        ("exit -2147024894", 0x80070002),
        ("powershell -c ls", 9009),
        ("nosuch", 9009),
    ],
)
def test_exit_codes_have_32_bits(way: WinRm, line: str, code: int) -> None:
    assert way.run(line)[2] == code


@pytest.mark.parametrize("name", ["icacls", "tasklist", "schtasks", "findstr", "where", "netsh"])
def test_programs_that_wine_only_plays_fail(way: WinRm, name: str) -> None:
    out, err, code = way.run(f"{name} x")
    assert (out, code) == ("", 9009)
    assert "no such program" in err


def test_streams_environment_and_folder(own_lab: Lab, way: WinRm) -> None:
    with WinRS(way.client.wsman, environment={"COLOUR": "green"}, working_directory=r"C:\windows") as shell:
        process = Process(shell, "echo %COLOUR% %CD%& echo trouble>&2& exit 5")
        process.invoke()
    assert process.stdout.decode().strip() == r"green C:\windows"
    assert process.stderr.decode().strip() == "trouble"
    assert process.rc == 5


def test_much_output_comes_whole(shared_host: Host, way: WinRm) -> None:
    data = "".join(f"line {number}\r\n" for number in range(60_000))
    place = shared_host.admin_share / "Temp" / "much.txt"
    place.write_text(data, encoding="ascii", newline="")
    assert way.run(r"type C:\windows\Temp\much.txt")[0] == data
    place.unlink()


def test_standard_input_reaches_the_command_until_it_is_ended(way: WinRm) -> None:
    with WinRS(way.client.wsman) as shell:
        process = Process(shell, "set /p first=& echo %DATE%>nul& set first")
        process.begin_invoke()
        with pytest.raises(WSManFaultError) as waiting:
            shell.receive("stdout stderr", process.id, timeout=1)
        assert waiting.value.code == _TIMED_OUT
        process.send(b"typed\r\n", end=True)
        process.end_invoke()
    assert b"first=typed" in process.stdout


def test_a_signal_ends_the_whole_tree(shared_host: Host, way: WinRm) -> None:
    with WinRS(way.client.wsman) as shell:
        process = Process(shell, "cmd /c ping -n 600 127.0.0.1")
        process.begin_invoke()
        until(lambda: any("ping" in line for line in commands(shared_host)))
        process.signal(SignalCode.TERMINATE)
        until(lambda: not any("ping" in line for line in commands(shared_host)))


def test_deleting_a_shell_ends_what_runs_in_it(shared_host: Host, way: WinRm) -> None:
    with WinRS(way.client.wsman) as shell:
        Process(shell, "ping -n 600 127.0.0.1").begin_invoke()
        until(lambda: any("ping" in line for line in commands(shared_host)))
        assert [opened.commands for opened in shared_host.shells()] == [["ping -n 600 127.0.0.1"]]
    until(lambda: not any("ping" in line for line in commands(shared_host)))


def test_an_idle_shell_is_gone_and_so_is_what_ran_in_it(shared_host: Host, way: WinRm) -> None:
    shell = WinRS(way.client.wsman, idle_time_out=1)
    shell.open()
    process = Process(shell, "ping -n 600 127.0.0.1")
    process.begin_invoke()
    until(lambda: shared_host.shells() == [])
    until(lambda: not any("ping" in line for line in commands(shared_host)))
    assert shared_host.winrm_log()[-1] == {**shared_host.winrm_log()[-1], "event": "shell-expired", "shell": shell.id}
    with pytest.raises(WSManFaultError) as gone:
        process.poll_invoke()
    assert gone.value.code == _SHELL_GONE


def test_a_receive_that_waits_keeps_the_shell(shared_host: Host, way: WinRm) -> None:
    with WinRS(way.client.wsman, idle_time_out=1) as shell:
        process = Process(shell, "set /p x=& exit 6")
        process.begin_invoke()
        with pytest.raises(WSManFaultError) as waiting:
            shell.receive("stdout stderr", process.id, timeout=3)
        assert waiting.value.code == _TIMED_OUT
        process.send(b"x\r\n", end=True)
        process.end_invoke()
    assert process.rc == 6


def test_somebody_elses_shell_is_not_to_be_had(own_lab: Lab) -> None:
    host = host_of(own_lab, "second-account")
    theirs = WinRm(own_lab, host, "oldadm", "push-2025")
    with resolved(host):
        with WinRS(theirs.client.wsman) as shell:
            assert [opened.owner for opened in host.shells()] == ["oldadm"]
            with pytest.raises(WSManFaultError) as refused:
                Process(WinRS(WinRm(own_lab, host).client.wsman, id=shell.id), "ver").invoke()
        assert refused.value.code == 5
    assert host.shells() == []


def test_the_quota_counts_a_users_shells(own_lab: Lab, shared_host: Host, way: WinRm) -> None:
    shared_host.winrm(max_shells=1)
    with WinRS(way.client.wsman):
        with pytest.raises(WSManFaultError) as full:
            way.run("ver")
        assert full.value.code == _SHELL_QUOTA
    assert way.run("exit 2")[2] == 2
    with pytest.raises(WSManFaultError) as none:
        WinRm(own_lab, host_of(own_lab, "winrm-quota")).run("ver")
    assert none.value.code == _SHELL_QUOTA


# -- PowerShell ---------------------------------------------------------------------------------------------


def test_pypsrps_copy_and_nothing_else(shared_host: Host, way: WinRm, tmp_path: Path) -> None:
    source = tmp_path / "payload"
    source.write_bytes(os.urandom(700_000))
    target = r"C:\windows\Temp\payload.bin"
    for _ in range(2):  # over an old one, too
        assert way.client.copy(str(source), target) == target
    place = shared_host.admin_share / "Temp" / "payload.bin"
    assert place.read_bytes() == source.read_bytes()
    shared_host.hold(r"Temp\payload.bin")
    with pytest.raises(WinRMError, match="cannot access the file"):
        way.client.copy(str(source), target)
    shared_host.release(r"Temp\payload.bin")
    with pytest.raises(WinRMError, match="Could not find a part of the path"):
        way.client.copy(str(source), r"C:\nowhere\payload.bin")
    assert way.client.execute_ps("'hello'")[2] is True  # had errors
    assert list((shared_host.admin_share / "Temp").glob("tmp*.tmp")) == []
    place.unlink()


def test_a_copy_onto_a_full_disk_fails(own_lab: Lab, tmp_path: Path) -> None:
    source = tmp_path / "payload"
    source.write_bytes(os.urandom(300_000))
    host = host_of(own_lab, "disk-full")
    with resolved(host), pytest.raises(WinRMError, match="not enough space"):
        WinRm(own_lab, host).client.copy(str(source), r"C:\windows\Temp\payload.bin")


# -- what the host fetches and what it has got --------------------------------------------------------------


class _Server:
    """pusher's part in a download: one path, some bytes, a key."""

    def __init__(self, pem: Path, data: bytes) -> None:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.peers.append(self.client_address[0])
                if self.path != "/token":
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(data) + server.missing))
                self.end_headers()
                with suppress(OSError):  # a client that has enough of it
                    self.wfile.write(data)
                if server.stalls:
                    server.released.wait(20)

            def log_message(self, *_: Any) -> None:
                pass

        self.peers: list[str] = []
        self.missing = 0
        self.stalls = False
        self.released = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(pem)
        self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._http.server_address[1]}"
        key = x509.load_pem_x509_certificate(pem.read_bytes()).public_key()
        digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
        self.pin = f"sha256//{base64.b64encode(digest).decode()}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(shared_host: Host) -> Iterator[_Server]:
    made = _Server(shared_host.folder / "winrm.pem", _DATA)
    yield made
    made.close()


_DATA = bytes(range(256)) * 8000


def fetch(
    way: WinRm, server: _Server, *, url: str = "", pin: str = "", size: int = len(_DATA), patience: int = 15
) -> int:
    line = _CURL.format(
        pin=pin or server.pin,
        patience=patience,
        size=size,
        url=url or f"{server.url}/token",
        place=r"C:\windows\Temp\fetched.bin",
    )
    return way.run(line)[2]


def test_curl_fetches_over_real_tls_from_its_own_address(shared_host: Host, way: WinRm, server: _Server) -> None:
    assert fetch(way, server) == Exit.OK
    place = shared_host.admin_share / "Temp" / "fetched.bin"
    assert place.read_bytes() == _DATA
    assert server.peers == [shared_host.address]
    out, _, code = way.run(r'@"C:\Windows\System32\certutil.exe" -hashfile "C:\windows\Temp\fetched.bin" SHA256')
    assert code == 0
    assert re.fullmatch(rf"SHA256 hash of \S+:\r\n{hashlib.sha256(_DATA).hexdigest()}\r\nCertUtil: .+\r\n", out)
    place.unlink()


def test_curls_refusals(shared_host: Host, way: WinRm, server: _Server) -> None:
    assert fetch(way, server, url=f"{server.url}/other") == Exit.HTTP_ERROR
    assert fetch(way, server, pin="sha256//AAAA") == Exit.PIN_FAILED
    assert fetch(way, server, size=len(_DATA) - 1) == Exit.TOO_LARGE
    assert fetch(way, server, url="https://127.0.0.1:9/token") == Exit.NOT_CONNECTED
    assert fetch(way, server, url=f"{server.url.replace('https', 'http')}/token") == Exit.UNSUPPORTED_PROTOCOL
    assert way.run(r"C:\windows\System32\curl.exe --cookie x https://127.0.0.1/")[2] == Exit.FAILED_INIT
    server.missing = 1
    assert fetch(way, server, size=len(_DATA) + 1) == Exit.PARTIAL
    server.stalls = True
    assert fetch(way, server, size=len(_DATA) + 1, patience=5) == Exit.TIMED_OUT
    server.missing, server.stalls = 0, False
    shared_host.winrm(download_stall=500_000)
    assert fetch(way, server, patience=5) == Exit.TIMED_OUT
    assert 500_000 <= (shared_host.admin_share / "Temp" / "fetched.bin").stat().st_size < len(_DATA)
    shared_host.winrm(downloads=False)
    assert fetch(way, server) == Exit.NOT_CONNECTED


def test_curl_tries_each_of_several_urls(shared_host: Host, way: WinRm, server: _Server) -> None:
    """The n-th output is the n-th URL's; one without is shown; what fails makes no file; the last code counts."""
    temp = shared_host.admin_share / "Temp"
    options = _CURL.partition("{url}")[0].format(pin=server.pin, patience=15, size=len(_DATA))
    (temp / "old.bin").write_bytes(b"as it was")
    outputs = " ".join(rf'-o "C:\windows\Temp\{name}"' for name in ("one & two.bin", "none.bin", "old.bin", "four.bin"))
    urls = f"{server.url}/token {server.url}/no {server.url}/no {server.url}/token file:///C:/windows/Temp/old%2Ebin"
    line = options.replace("=https", "=https,file") + outputs + " --globoff " + urls
    assert way.run(line) == ("as it was", "", Exit.OK)
    assert way.run(line.rpartition(" ")[0] + f" {server.url}/no")[2] == Exit.HTTP_ERROR
    assert (temp / "one & two.bin").read_bytes() == (temp / "four.bin").read_bytes() == _DATA
    assert not (temp / "none.bin").exists()
    for name in ("one & two.bin", "four.bin", "old.bin"):
        (temp / name).unlink()


def test_curl_reads_the_end_of_a_local_file(shared_host: Host, way: WinRm) -> None:
    place = shared_host.admin_share / "Temp" / "some.log"
    place.write_bytes(b"0123456789")
    curl = r"C:\windows\System32\curl.exe -q --silent --fail"
    assert way.run(f"{curl} --range -4 file:///C:/windows/Temp/some.log") == ("6789", "", 0)
    assert way.run(f"{curl} --range -40 file:///C:/windows/Temp/some.log")[0] == "0123456789"
    assert way.run(f"{curl} file:///C:/windows/Temp/some.log")[0] == "0123456789"
    assert way.run(f"{curl} file:///C:/windows/Temp/none.log")[2] == Exit.FILE_NOT_READ
    place.unlink()


def test_a_host_without_curl(own_lab: Lab) -> None:
    host = host_of(own_lab, "winrm-pinned")
    assert WinRm(own_lab, host, cert_validation=False).run(r"C:\windows\System32\curl.exe")[2] == 9009


@pytest.mark.parametrize(
    ("path", "code"),
    [(r"C:\windows\nope", 0x80070002), (r"C:\nope\nope", 0x80070003), (r"C:\windows", 0x80070005)],
)
def test_certutil_fails_with_the_hresult(way: WinRm, path: str, code: int) -> None:
    out, _, found = way.run(rf'certutil -hashfile "{path}" SHA256')
    assert found == code
    assert f"0x{code:x}" in out


def test_certutil_of_a_file_in_use_and_of_an_empty_one(shared_host: Host, way: WinRm) -> None:
    place = shared_host.admin_share / "Temp" / "probe.bin"
    place.touch()
    assert way.run(r"certutil -hashfile C:\windows\Temp\probe.bin SHA256")[2] == 0x800703EE
    place.write_bytes(b"x")
    shared_host.hold(r"Temp\probe.bin")
    assert way.run(r"certutil -hashfile C:\windows\Temp\probe.bin SHA256")[2] == 0x80070020
    shared_host.release(r"Temp\probe.bin")
    assert way.run(r"certutil -hashfile C:\windows\Temp\probe.bin MD5")[2] != 0
    place.unlink()
