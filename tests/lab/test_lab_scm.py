"""The service manager's pipe between a client that is told by hand and a service manager that is played."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from impacket.dcerpc.v5 import scmr

from lab import dcerpc, npa, scm
from lab.dcerpc import Call, Pdu, Type
from lab.samba import without_svcctl

SAMPLES = Path(__file__).parent / "samples"
HANDLE = bytes(range(20))


@dataclass
class PlayedWine:
    """Answers every bind with call id 1 and sizes of its own, as Wine does, and every call as told."""

    answer: Callable[[Call], bytes] = lambda call: b"\0\0\0\0"
    calls: list[Call] = field(default_factory=list)

    def connect(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        threading.Thread(target=self._serve, args=(theirs,), daemon=True).start()
        return ours

    def _serve(self, connection: socket.socket) -> None:
        stream, parts = connection.makefile("rb"), list[Call]()
        while len(header := stream.read(16)) == 16:
            pdu = dcerpc.parse(header + stream.read(dcerpc.announced_size(header) - 16))
            if pdu.type == Type.BIND:
                body = struct.pack("<HHI", 5840, 5840, 1) + b"rest"
                connection.sendall(Pdu(type=Type.BIND_ACK, flags=3, call_id=1, body=body).pack())
                continue
            parts.append(dcerpc.request_fragment(pdu))
            if pdu.is_last:
                call, parts = dcerpc.join(parts), []
                self.calls.append(call)
                for piece in dcerpc.split_response(call, self.answer(call), 5840):
                    connection.sendall(Pdu(type=piece.type, flags=piece.flags, call_id=1, body=piece.body).pack())


class Client:
    """smbd's end of the pipe."""

    def __init__(self, path: Path, who: str) -> None:
        self.largest = 4280
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(10)
        self.socket.connect(str(path))
        self.stream = self.socket.makefile("rb")
        self.socket.sendall(bytes.fromhex((SAMPLES / f"npa-{who}.hex").read_text(encoding="ascii")))
        size = int.from_bytes(self.stream.read(4), "big")
        self.handshake = self.stream.read(size)

    def send(self, pdu: Pdu) -> None:
        self.socket.sendall(npa.message(pdu.pack()))

    def receive(self) -> Pdu:
        size = int.from_bytes(self.stream.read(2), "little")
        assert size <= self.largest
        return dcerpc.parse(self.stream.read(size))

    def bind(self, size: int = 4280, call_id: int = 41) -> Pdu:
        self.largest = size
        self.send(Pdu(type=Type.BIND, flags=3, call_id=call_id, body=struct.pack("<HHI", size, size, 0)))
        return self.receive()

    def call(self, opnum: int, stub: bytes, call_id: int = 42) -> bytes:
        for pdu in dcerpc.split_request(Call(call_id=call_id, context=0, opnum=opnum, stub=stub), 600):
            self.send(pdu)
        answer = b""
        while True:
            pdu = self.receive()
            assert pdu.type == Type.RESPONSE
            assert pdu.call_id == call_id
            answer += dcerpc.response_stub(pdu)
            if pdu.is_last:
                return answer


@pytest.fixture
def wine() -> PlayedWine:
    return PlayedWine()


@pytest.fixture
def pipe(tmp_path: Path, wine: PlayedWine) -> Iterator[Path]:
    path = tmp_path / "svcctl"
    scm.ServiceManagerPipe(path, wine.connect).start()
    yield path
    path.unlink()


def test_a_bind_keeps_the_clients_call_id_and_sizes(pipe: Path) -> None:
    answer = Client(pipe, "administrator").bind(size=2000, call_id=77)
    assert answer.call_id == 77
    assert dcerpc.fragment_sizes(answer) == (2000, 2000)


def test_a_large_call_passes_in_fragments_both_ways(pipe: Path, wine: PlayedWine) -> None:
    wine.answer = lambda call: call.stub[::-1]
    client = Client(pipe, "administrator")
    client.bind(size=600)
    stub = bytes(range(256)) * 100
    assert client.call(12, stub) == stub[::-1]
    assert wine.calls[0].stub == stub


def test_an_administrators_mask_is_left_alone(pipe: Path, wine: PlayedWine) -> None:
    client = Client(pipe, "administrator")
    client.bind()
    client.call(15, b"name" + struct.pack("<I", 0xF003F))
    assert wine.calls[0].stub[-4:] == struct.pack("<I", 0xF003F)


@pytest.mark.parametrize("opnum", [15, 16, 27, 28])
def test_everybody_else_is_refused_without_wine_being_asked(pipe: Path, wine: PlayedWine, opnum: int) -> None:
    client = Client(pipe, "ordinary")
    client.bind()
    assert client.call(opnum, b"name" + struct.pack("<I", 0xF003F)) == bytes(20) + struct.pack("<I", 5)
    assert wine.calls == []


def test_a_status_is_asked_the_way_wine_knows(pipe: Path, wine: PlayedWine) -> None:
    status = struct.pack("<9I", 0x10, 4, 5, 0, 0, 0, 0, 1234, 0)
    wine.answer = lambda call: struct.pack("<I", 36) + status + struct.pack("<II", 0, 0)
    client = Client(pipe, "administrator")
    client.bind()
    assert client.call(6, HANDLE) == status[:28] + bytes(4)
    assert (wine.calls[0].opnum, wine.calls[0].stub) == (40, HANDLE + struct.pack("<II", 0, 36))


def test_a_status_that_cannot_be_had_keeps_its_error(pipe: Path, wine: PlayedWine) -> None:
    wine.answer = lambda call: struct.pack("<III", 0, 36, 6)
    client = Client(pipe, "administrator")
    client.bind()
    assert client.call(6, HANDLE) == bytes(28) + struct.pack("<I", 6)


def test_a_signed_bind_is_refused(pipe: Path) -> None:
    client = Client(pipe, "administrator")
    client.send(
        Pdu(type=Type.BIND, flags=3, call_id=5, body=struct.pack("<HHI", 4280, 4280, 0) + bytes(24), auth_length=16)
    )
    assert client.receive().type == Type.BIND_NAK


def test_without_a_service_manager_the_pipe_is_not_there(tmp_path: Path) -> None:
    def refuse() -> socket.socket:
        raise ConnectionRefusedError

    scm.ServiceManagerPipe(tmp_path / "svcctl", refuse).start()
    assert Client(tmp_path / "svcctl", "administrator").handshake[-4:] == struct.pack("<I", 0xC0000034)


def test_pipes_do_not_wait_for_each_other(pipe: Path, wine: PlayedWine) -> None:
    release = threading.Event()

    def answer(call: Call) -> bytes:
        if call.opnum == 19:
            release.wait(10)
        return b"done"

    wine.answer = answer
    slow, quick = Client(pipe, "administrator"), Client(pipe, "administrator")
    for client in (slow, quick):
        client.bind()
    slow.send(next(dcerpc.split_request(Call(call_id=1, context=0, opnum=19, stub=HANDLE), 600)))
    assert quick.call(0, HANDLE) == b"done"
    release.set()
    assert dcerpc.response_stub(slow.receive()) == b"done"


# What Windows' service manager makes of an image path, and Wine's does not.


def config_stub(image_path: str, *rest: str) -> bytes:
    """The answer of QueryServiceConfigW, by hand: fixed part, strings, the size that was needed, no error."""
    texts = [image_path, *rest]
    stub = struct.pack("<9I", 16, 2, 1, 0x20000, 0x20004, 0, 0x20008, 0x2000C, 0x20010)
    for text in texts:
        units = text.encode("utf-16-le") + b"\0\0"
        stub += struct.pack("<III", len(units) // 2, 0, len(units) // 2) + units + bytes(-len(units) % 4)
    return stub + struct.pack("<II", 300, 0)


@pytest.mark.parametrize(
    ("given", "windows", "back"),
    [
        ('"%SystemRoot%\\lab\\x.exe" --a', "C:\\WINDOWS", '"C:\\WINDOWS\\lab\\x.exe" --a'),
        (
            '"%windir%\\x.exe" %ProgramData% %OTHER%',
            "D:\\Windows",
            '"D:\\Windows\\x.exe" D:\\ProgramData %OTHER%',
        ),
        ("C:\\windows\\system32\\rpcss.exe", "D:\\Windows", "D:\\Windows\\system32\\rpcss.exe"),
        ('"C:\\Program Files\\x.exe"', "D:\\Windows", '"C:\\Program Files\\x.exe"'),
    ],
)
def test_an_image_path_comes_back_expanded(given: str, windows: str, back: str) -> None:
    others = ("", "", "LocalSystem", "Lab agent")
    assert scm.config_as_windows(config_stub(given, *others), windows) == config_stub(back, *others)


def test_an_answer_without_a_configuration_is_passed_on() -> None:
    for stub in (bytes(36) + struct.pack("<II", 300, 122), b"", bytes(100)):
        assert scm.config_as_windows(stub, "C:\\WINDOWS") == stub


@pytest.mark.parametrize("name", ["LabAgent", "x", "", "Ünï ☃", "n" * 256])
def test_the_name_of_an_opened_service_is_read_as_a_client_writes_it(name: str) -> None:
    request = scmr.ROpenServiceW()
    request["hSCManager"], request["lpServiceName"], request["dwDesiredAccess"] = HANDLE, name + "\0", 4
    stub = request.getData()
    assert scm.opened_service(stub) == name
    assert scm.opened_service(stub[:30]) == "", "cut short"


def test_a_name_longer_than_its_call_is_what_there_is_of_it() -> None:
    stub = HANDLE + struct.pack("<III", 1 << 30, 0, 1 << 30) + "ab".encode("utf-16-le") + b"\0"
    assert scm.opened_service(stub).startswith("ab")


def test_sambas_own_service_manager_is_hidden_and_nothing_else() -> None:
    before = "5\n60\n4b32/0x3 srvsvc\n ncacn_np:[\\pipe\\srvsvc]\n ncalrpc:\n"
    hidden = "367a/0x2 svcctl\n ncacn_np:[\\pipe\\svcctl]\n ncalrpc:\n"
    after = "8d9f/0x1 ntsvcs\n ncacn_np:[\\pipe\\ntsvcs]\n"
    assert without_svcctl(before + hidden + after) == before + after
    assert without_svcctl(before + hidden) == before
    assert without_svcctl(before + after) == before + after
