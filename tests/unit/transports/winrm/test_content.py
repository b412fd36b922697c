"""The content endpoint, from a real TLS client's side."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pusher.transports.winrm.content import Bounds, ContentServer, Offer

HERE = "127.0.0.1"
ELSEWHERE = "192.0.2.7"
PAYLOAD = memoryview(bytes(range(256)) * 8192)


def ignore(count: int) -> None:
    """For transfers whose progress nobody follows."""


@pytest.fixture
def server() -> Iterator[ContentServer]:
    with ContentServer() as server:
        yield server


def bounded(**bounds: float) -> ContentServer:
    return ContentServer(bounds=Bounds(**bounds))  # type: ignore[arg-type]


def context(version: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.maximum_version = version
    return made


@contextlib.contextmanager
def connected(offer: Offer) -> Iterator[ssl.SSLSocket]:
    where = urlsplit(offer.url)
    assert where.hostname and where.port
    with socket.create_connection((where.hostname, where.port), 10) as plain, context().wrap_socket(plain) as secure:
        yield secure


def ask(offer: Offer, path: str | None = None, method: str = "GET") -> tuple[int, bytes, http.client.HTTPMessage]:
    where = urlsplit(offer.url)
    client = http.client.HTTPSConnection(where.netloc, context=context(), timeout=10)
    with contextlib.closing(client):
        client.request(method, where.path if path is None else path)
        answer = client.getresponse()
        return answer.status, answer.read(), answer.headers


def until_closed(connection: socket.socket) -> bytes:
    """What still comes; that it ends is what the caller wants to know."""
    got = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while part := connection.recv(65536):
            got += part
    return got


def test_what_is_offered_is_fetched_once(server: ContentServer) -> None:
    moved = list[int]()
    with server.offer(PAYLOAD, HERE, moved.append) as offer:
        assert (offer.asked_for, offer.complete, offer.sent) == (False, False, 0)
        status, body, headers = ask(offer)
        assert (status, body) == (200, bytes(PAYLOAD))
        assert headers["Content-Length"] == str(len(PAYLOAD))
        _wait(lambda: offer.complete)
        assert (offer.asked_for, offer.sent) == (True, len(PAYLOAD))
        assert sum(moved) == len(PAYLOAD)
        # Nobody is expected any more: not even a handshake is to be had.
        with pytest.raises(OSError):
            ask(offer)


def test_a_second_get_is_refused_while_others_are_served(server: ContentServer) -> None:
    with server.offer(PAYLOAD, HERE, ignore) as one, server.offer(memoryview(b"other"), HERE, ignore) as other:
        assert ask(one)[0] == 200
        assert ask(one)[:2] == (404, b"")
        assert ask(other)[:2] == (200, b"other")


def test_nothing_is_a_payload_too(server: ContentServer) -> None:
    with server.offer(memoryview(b""), HERE, ignore) as offer:
        assert not offer.complete
        assert ask(offer)[:2] == (200, b"")
        _wait(lambda: offer.complete)


@pytest.mark.parametrize("path", ["/", "", "/x", "//", "/../", "*", "/%2e%2e/", "/favicon.ico"])
def test_nothing_else_is_served(server: ContentServer, path: str) -> None:
    with server.offer(PAYLOAD, HERE, ignore) as offer:
        assert ask(offer, path or "/?")[:2] == (404, b"")
        assert not offer.asked_for
        assert ask(offer)[0] == 200


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "OPTIONS", "DELETE"])
def test_only_get_spends_the_offer(server: ContentServer, method: str) -> None:
    with server.offer(PAYLOAD, HERE, ignore) as offer:
        assert ask(offer, method=method)[:2] == (404, b"")
        assert ask(offer)[0] == 200


def test_urls_cannot_be_guessed_from_each_other(server: ContentServer) -> None:
    tokens = {urlsplit(server.offer(PAYLOAD, HERE, ignore).url).path for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) > 40


def test_the_pin_is_the_keys(server: ContentServer) -> None:
    with server.offer(PAYLOAD, HERE, ignore) as offer, connected(offer) as connection:
        der = connection.getpeercert(binary_form=True)
        assert der
        public = x509.load_der_x509_certificate(der).public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert offer.pin == "sha256//" + base64.b64encode(hashlib.sha256(spki).digest()).decode()


def test_each_process_has_a_key_of_its_own() -> None:
    with ContentServer() as one, ContentServer() as other:
        assert one.offer(PAYLOAD, HERE, ignore).pin != other.offer(PAYLOAD, HERE, ignore).pin


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
def test_old_tls_is_refused(server: ContentServer) -> None:
    with server.offer(PAYLOAD, HERE, ignore) as offer:
        where = urlsplit(offer.url)
        old = context(ssl.TLSVersion.TLSv1_1)
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        with socket.create_connection((HERE, where.port or 0), 10) as plain, pytest.raises((ssl.SSLError, OSError)):
            old.wrap_socket(plain)


def test_old_tls_is_refused_whatever_this_system_allows(server: ContentServer) -> None:
    with server.offer(PAYLOAD, HERE, ignore):
        assert server._running is not None
        assert server._running._context.minimum_version >= ssl.TLSVersion.TLSv1_2


def test_tls_1_2_is_enough(server: ContentServer) -> None:
    """Windows 10 speaks no newer one."""
    with server.offer(PAYLOAD, HERE, ignore) as offer:
        where = urlsplit(offer.url)
        client = http.client.HTTPSConnection(where.netloc, context=context(ssl.TLSVersion.TLSv1_2), timeout=10)
        with contextlib.closing(client):
            client.request("GET", where.path)
            assert client.getresponse().read() == bytes(PAYLOAD)


def test_another_machine_does_not_get_it(server: ContentServer) -> None:
    """Knowing the path is not enough; the offer stays for whom it is."""
    try:
        foreign = server.offer(PAYLOAD, ELSEWHERE, ignore)
    except OSError:
        pytest.skip("no route that could lead elsewhere")
    with server.offer(memoryview(b"mine"), HERE, ignore) as mine:
        assert ask(mine, urlsplit(foreign.url).path)[:2] == (404, b"")
        assert not foreign.asked_for
        assert ask(mine)[:2] == (200, b"mine")


def test_a_stranger_gets_no_handshake(server: ContentServer) -> None:
    try:
        foreign = server.offer(PAYLOAD, ELSEWHERE, ignore)
    except OSError:
        pytest.skip("no route that could lead elsewhere")
    where = urlsplit(foreign.url)
    with socket.create_connection((where.hostname or "", where.port or 0), 10) as plain, pytest.raises(OSError):
        context().wrap_socket(plain)


def test_an_offer_expires() -> None:
    with bounded(life=0) as server, server.offer(PAYLOAD, HERE, ignore) as offer:
        with pytest.raises(OSError):
            ask(offer)
        assert not offer.asked_for


def test_an_expired_offer_is_refused_while_others_are_served(server: ContentServer) -> None:
    with server.offer(PAYLOAD, HERE, ignore) as old, server.offer(memoryview(b"new"), HERE, ignore) as new:
        old._entry.ends = 0
        assert ask(old)[:2] == (404, b"")
        assert ask(new)[:2] == (200, b"new")


def test_an_expired_offer_lends_out_its_memory_no_longer(server: ContentServer) -> None:
    server.offer(PAYLOAD, HERE, ignore)._entry.ends = 0
    server.offer(memoryview(b"next"), HERE, ignore)
    assert server._running is not None
    assert [bytes(entry.data) for entry in server._running.offers] == [b"next"]


def test_closing_an_offer_ends_it(server: ContentServer) -> None:
    offer = server.offer(PAYLOAD, HERE, ignore)
    offer.close()
    offer.close()
    with pytest.raises(OSError):
        ask(offer)


def test_closing_an_offer_cuts_its_transfer(server: ContentServer) -> None:
    moved, going = list[int](), threading.Event()

    def note(count: int) -> None:
        moved.append(count)
        going.set()

    big = memoryview(bytes(64_000_000))
    offer = server.offer(big, HERE, note)
    with connected(offer) as connection:
        connection.sendall(b"GET " + urlsplit(offer.url).path.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        assert going.wait(10)
        offer.close()
        told = len(moved)
        assert len(until_closed(connection)) < len(big)
        assert len(moved) == told, "nothing is told after the close"
    assert not offer.complete


def test_a_reader_that_stalls_is_cut() -> None:
    big = memoryview(bytes(64_000_000))
    with bounded(stall=0.2) as server, server.offer(big, HERE, ignore) as offer, connected(offer) as connection:
        connection.sendall(b"GET " + urlsplit(offer.url).path.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        _wait(lambda: not server._running or not server._running._connections)
        assert 0 < offer.sent < len(big)
        assert not offer.complete
        assert len(until_closed(connection)) < len(big)


def test_one_who_never_asks_is_cut() -> None:
    with bounded(request=0.3) as server, server.offer(PAYLOAD, HERE, ignore) as offer, connected(offer) as connection:
        connection.sendall(b"GET /")
        assert until_closed(connection) == b""
        assert ask(offer)[0] == 200


def test_one_who_never_shakes_hands_is_cut() -> None:
    with bounded(handshake=0.3) as server, server.offer(PAYLOAD, HERE, ignore) as offer:
        with socket.create_connection((HERE, urlsplit(offer.url).port or 0), 10) as plain:
            assert until_closed(plain) == b""
        assert ask(offer)[0] == 200


@pytest.mark.parametrize(
    "request_bytes", [b"\x00\xff nonsense\r\n\r\n", b"GET /" + b"x" * 20_000, b"GET / HTTP/1.1\r\n\r\n"]
)
def test_nonsense_is_cut(server: ContentServer, request_bytes: bytes) -> None:
    with server.offer(PAYLOAD, HERE, ignore) as offer:
        with connected(offer) as connection:
            connection.sendall(request_bytes)
            assert until_closed(connection) == b""
        assert ask(offer)[0] == 200


def test_only_so_many_at_once() -> None:
    with bounded(connections=2) as server, server.offer(PAYLOAD, HERE, ignore) as offer:
        with connected(offer), connected(offer), pytest.raises(OSError), connected(offer):
            pass
        _wait(lambda: not server._running or not server._running._connections)
        assert ask(offer)[0] == 200


def test_many_machines_share_the_same_bytes(server: ContentServer) -> None:
    offers = [server.offer(PAYLOAD, f"127.0.0.{number}", ignore) for number in range(1, 25)]
    got = list[bool]()
    threads = [threading.Thread(target=lambda o=o: got.append(ask(o)[1] == bytes(PAYLOAD))) for o in offers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == [True] * len(offers)


def test_one_port_serves_all_that_share_an_address(server: ContentServer) -> None:
    ports = {urlsplit(server.offer(PAYLOAD, HERE, ignore).url).port for _ in range(3)}
    assert len(ports) == 1


def test_the_port_may_be_given() -> None:
    with socket.create_server((HERE, 0)) as taken:
        port = taken.getsockname()[1]
        with ContentServer(port=port) as server, pytest.raises(OSError):
            server.offer(PAYLOAD, HERE, ignore)
    with ContentServer(port=port) as server, server.offer(PAYLOAD, HERE, ignore) as offer:
        assert urlsplit(offer.url).port == port
        assert ask(offer)[0] == 200


def test_ipv6(server: ContentServer) -> None:
    try:
        offer = server.offer(PAYLOAD, "::1", ignore)
    except OSError:
        pytest.skip("no IPv6 here")
    assert offer.url.startswith("https://[::1]:")
    assert ask(offer)[0] == 200


def test_one_connection_brings_many(server: ContentServer) -> None:
    """A handshake for each small file would cost more than the file."""
    offers = [server.offer(memoryview(f"{number}".encode()), HERE, ignore) for number in range(20)]
    client = http.client.HTTPSConnection(urlsplit(offers[0].url).netloc, context=context(), timeout=10)
    with contextlib.closing(client):
        client.connect()
        connection = client.sock
        for number, offer in enumerate(offers):
            client.request("GET", urlsplit(offer.url).path)
            assert client.getresponse().read() == f"{number}".encode()
            assert client.sock is connection
        _wait(lambda: all(offer.complete for offer in offers))


@pytest.mark.parametrize("why", ["guessed", "fetched", "withdrawn", "with a body"])
def test_who_asks_for_what_is_not_his_is_hung_up_on(server: ContentServer, why: str) -> None:
    """Not even with the next request is he given what is: a connection is good for one wrong guess."""
    one, other, last = (server.offer(memoryview(b"x"), HERE, ignore) for _ in range(3))
    wrong = {"guessed": "/guess", "fetched": urlsplit(one.url).path}.get(why, urlsplit(other.url).path)
    if why == "withdrawn":
        other.close()
    paths = [urlsplit(one.url).path, wrong, urlsplit(last.url).path]
    size = {"with a body": b"Content-Length: 1\r\n"}.get(why, b"")
    with connected(one) as connection:
        for path in paths:
            connection.sendall(b"GET " + path.encode() + b" HTTP/1.1\r\nHost: x\r\n" + size + b"\r\n")
        until_closed(connection)
    assert one.asked_for
    assert not last.asked_for
    assert ask(last)[:2] == (200, b"x")


def test_one_who_has_had_his_and_stays_is_cut(server: ContentServer) -> None:
    big = memoryview(bytes(16_000_000))
    with server.offer(big, HERE, ignore) as offer, connected(offer) as connection:
        connection.sendall(b"GET " + urlsplit(offer.url).path.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n")
        _wait(lambda: offer.asked_for)
        assert server._running is not None
        server._running._bounds = Bounds(request=1.5)
        assert len(until_closed(connection)) > len(big)


def test_nothing_listens_before_the_first_offer_and_after_the_close() -> None:
    before = threading.active_count()
    server = ContentServer()
    assert threading.active_count() == before
    offer = server.offer(PAYLOAD, HERE, ignore)
    with connected(offer) as connection:
        server.close()
        server.close()
        assert until_closed(connection) == b""
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        ask(offer)
    offer.close()
    with pytest.raises(OSError):
        server.offer(PAYLOAD, HERE, ignore)


def _wait(what: Callable[[], bool]) -> None:
    """Until it is so; pytest's time limit is what ends the waiting otherwise."""
    pause = threading.Event()
    while not what():
        pause.wait(0.01)
