"""What is short on this side is told as that, and never of the target."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.models import Stage
from pusher.problems import CATALOGUE, ProblemError
from pusher.problems.shortage import CODE, NUMBERS, shortage
from pusher.settings import Options
from pusher.targets.dns_resolver import DnsResolver
from pusher.targets.inventory import load_inventory
from pusher.targets.system_resolver import SystemResolver
from pusher.transports.codes import Operation
from pusher.transports.probe import probe
from pusher.transports.smb import faults as smb
from pusher.transports.smb.connection import _BoundedTcp
from pusher.transports.threaded import Pool
from pusher.transports.winrm import faults as winrm
from pusher.wiring.asking import asker_for
from pusher.wiring.descriptors import A_MACHINE, OWN, fitted, probes, raised_for
from tests.unit.cli.workplace import Workplace

HIGH = 1_100
"""A descriptor that select refuses."""


@pytest.fixture
def many() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 2 * HIGH), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise RuntimeError("whatever it is called")

    monkeypatch.setattr("threading._start_new_thread", refuse)


def raised(what: Any) -> BaseException:
    try:
        what()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def test_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    no_thread(monkeypatch)
    error = raised(threading.Thread(target=print).start)
    monkeypatch.undo()
    assert shortage(error) == "no thread can be started any more"
    for translate in (smb.translate, winrm.translate):
        assert translate(error, Operation.REACH).code == CODE


@pytest.mark.parametrize(
    "error", [RuntimeError("can't start new thread"), OSError("no number"), OSError(errno.ECONNRESET, ""), KeyError()]
)
def test_what_is_none(error: BaseException) -> None:
    assert shortage(error) is None


@pytest.mark.parametrize("error", [MemoryError(), *(OSError(number, "") for number in NUMBERS)])
def test_every_transport_tells_it_so(error: BaseException) -> None:
    for translate in (smb.translate, winrm.translate):
        found = translate(error, Operation.REACH)
        assert (found.code, str(shortage(error)) in found.message) == (CODE, True)
    assert "this machine" in CATALOGUE[CODE].remedy


async def test_a_port_that_cannot_be_asked_is_not_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the others of the machine's ports come to, short of an answer."""
    made = socket.socket

    def refuse(*arguments: Any) -> socket.socket:
        if refuse.calls == 0:  # type: ignore[attr-defined]
            refuse.calls += 1  # type: ignore[attr-defined]
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return made(*arguments)

    refuse.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr("socket.socket", refuse)
    found = await probe("127.0.0.1", [445, 1], 1, smb.translate)
    assert found is not None
    assert (found.code, found.stage) == (CODE, Stage.REACH)


@pytest.mark.parametrize("number", sorted(NUMBERS))
async def test_a_name_that_cannot_be_asked_for_is_not_unknown(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    error = OSError(number, os.strerror(number))

    def refuse(*_: object, **__: object) -> Any:
        raise error

    with pytest.raises(ProblemError, match=CODE):
        await SystemResolver(lookup=refuse).resolve("a.example")
    dns = DnsResolver(["127.0.0.1"])
    monkeypatch.setattr(dns._resolver, "resolve", refuse)
    with pytest.raises(ProblemError, match=CODE):
        await dns.resolve("a.example")


async def test_a_look_up_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = SystemResolver(lookup=lambda _: ["10.0.0.1"])
    with monkeypatch.context() as patch:
        no_thread(patch)
        with pytest.raises(ProblemError, match=CODE):
            await resolver.resolve("a.example")
    assert (await resolver.resolve("a.example")).addresses == ("10.0.0.1",)


def test_a_call_without_a_thread_is_not_made_later(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    pool = Pool(2)
    with closing(pool):
        with monkeypatch.context() as patch:
            no_thread(patch)
            with pytest.raises(ProblemError, match=CODE):
                pool.submit(lambda: made.append("first"))
        later: Future[None] = pool.submit(lambda: made.append("second"))
        later.result(10)
        pool.submit(lambda: None).result(10)
    assert made == ["second"]


# Descriptors


@given(st.integers(1, 1_000), st.integers(0, 10_000))
def test_as_many_machines_as_fit(wanted: int, allowed: int) -> None:
    found = fitted(wanted, allowed)
    assert 1 <= found <= wanted
    assert found == 1 or OWN + found * A_MACHINE <= allowed
    assert found == wanted or OWN + (found + 1) * A_MACHINE > allowed


@given(st.integers(1, 1_000), st.integers(1, 3), st.integers(0, 20_000))
def test_what_is_asked_takes_no_descriptor_of_what_is_worked_on(wanted: int, ports: int, allowed: int) -> None:
    """A machine that is worked on holds three at most; each that is asked, one for every port."""
    machines = fitted(wanted, allowed)
    asked = probes(machines, ports, allowed)
    assert 1 <= asked <= 4 * machines
    assert asked == 1 or OWN + 3 * machines + asked * ports <= allowed
    assert asked == 4 * machines or OWN + 3 * machines + (asked + 1) * ports > allowed


@pytest.mark.parametrize("wanted", [1, 3])
def test_the_soft_limit_is_raised_as_far_as_needed(many: None, wanted: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = OWN + A_MACHINE * 2
    taken = len(os.listdir("/proc/self/fd"))
    assert taken < low, "for this test"
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    needed = OWN + (3 + 4 * 2) * wanted  # of each the four that are asked after it have two ports
    assert raised_for(wanted, 2) == max(low, needed)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (max(low, needed), hard)


def test_a_run_is_fitted_and_says_so_once(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pusher.wiring.run_resources.raised_for", lambda *_: OWN + 2 * A_MACHINE)
    ended = place.check()
    assert (ended.status, ended.pushed) == (0, set("abcdef"))
    assert ended.notes == [
        "this process may have 56 files open: 2 machines are worked on at once, not 6 "
        "(ulimit -n raises it, or LimitNOFILE= of a service)"
    ]
    assert place.check("--limit", "a,b").notes == []


def test_who_asks_what_machines_call_themselves_is_fitted_too(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pusher.wiring.asking.raised_for", lambda *_, **__: OWN + 3 * A_MACHINE)
    with asker_for(Options(inventory=Path("i.yaml")), load_inventory(Path("i.yaml"))) as asker:
        assert asker.at_once == 3


def high(of: socket.socket) -> socket.socket:
    with of:
        return socket.socket(fileno=fcntl.fcntl(of.fileno(), fcntl.F_DUPFD_CLOEXEC, HIGH))


def connected() -> tuple[_BoundedTcp, socket.socket]:
    ours, theirs = socket.socketpair()
    tcp = _BoundedTcp("127.0.0.1", 445)
    tcp._sock, tcp.connected = high(ours), True
    return tcp, theirs


def test_smb_reads_from_any_descriptor(many: None) -> None:
    tcp, theirs = connected()
    body = bytes(range(256)) * 300
    with theirs:
        sending = threading.Thread(target=theirs.sendall, args=(len(body).to_bytes(4, "big") + body,))
        sending.start()
        assert tcp.recv(10) == body
        sending.join()
    assert not tcp.recv(10), "the other side has ended it"
    assert not tcp.connected


def test_smb_that_is_silent_or_closed(many: None) -> None:
    tcp, theirs = connected()
    with theirs:
        with pytest.raises(TimeoutError):
            tcp.recv(0)
        tcp.close()
        assert not tcp.recv(10)


def test_smb_that_is_closed_while_it_waits(many: None) -> None:
    tcp, theirs = connected()
    with theirs:
        found: list[bytes | None] = []
        waiting = threading.Thread(target=lambda: found.append(tcp.recv(60)))
        waiting.start()
        tcp.close()
        waiting.join(20)
    assert found and not found[0]


def test_the_loop_of_asyncio_takes_them_too(many: None) -> None:
    async def told() -> bytes:
        ours, theirs = socket.socketpair()
        with theirs, high(ours) as one:
            one.setblocking(False)
            theirs.sendall(b"x")
            return await asyncio.get_running_loop().sock_recv(one, 1)

    assert asyncio.run(told()) == b"x"
