"""One suite for every adapter of the resolver, then what each has of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import dns.exception
import dns.resolver
import pytest

from pusher.problems import ProblemError, Stage
from pusher.targets.dns_resolver import TRANSLATION, DnsResolver
from pusher.targets.ranges import parse_address
from pusher.targets.resolver import MAX_ADDRESSES, Resolver, resolution
from pusher.targets.system_resolver import NOT_FOUND, SystemResolver
from tests.unit.targets.nameserver import MANY, NameServer, running

DEADLINE = 0.3


async def problem_of(resolver: Resolver, name: str) -> str:
    """The code with which a look-up fails; its problem is well-formed."""
    with pytest.raises(ProblemError) as caught:
        await resolver.resolve(name)
    problem = caught.value.problem
    assert problem.stage is Stage.RESOLVE
    assert name in problem.message
    assert problem.remedy
    return problem.code


class ResolverContract:
    """What every adapter does. A subclass gives ``resolver`` and what the names of the test zone mean to it."""

    async def test_a_name_has_an_address(self, resolver: Resolver) -> None:
        found = await resolver.resolve("host.test")
        assert found.addresses == ("10.0.0.7",)
        assert found.address == "10.0.0.7"
        assert found.source

    async def test_case_and_trailing_dot_say_nothing(self, resolver: Resolver) -> None:
        assert (await resolver.resolve("HOST.Test.")).address == "10.0.0.7"

    @pytest.mark.parametrize("address", ["10.1.2.3", "2001:db8::1"])
    async def test_an_address_needs_no_look_up(self, resolver: Resolver, asked: list[str], address: str) -> None:
        found = await resolver.resolve(address)
        assert (found.addresses, found.source) == ((address,), "given")
        assert not asked

    async def test_ipv4_comes_first_and_ipv6_will_do(self, resolver: Resolver) -> None:
        assert (await resolver.resolve("both.test")).address == "10.0.0.8"
        assert (await resolver.resolve("six.test")).addresses == ("2001:db8::7",)

    async def test_an_unknown_name(self, resolver: Resolver) -> None:
        assert await problem_of(resolver, "nothing.test") == "name-not-found"

    async def test_a_name_without_an_address(self, resolver: Resolver) -> None:
        assert await problem_of(resolver, "empty.test") == "name-not-found"

    async def test_a_server_that_fails(self, resolver: Resolver) -> None:
        assert await problem_of(resolver, "servfail.test") == "name-server-failed"

    async def test_a_server_that_is_silent(self, impatient: Resolver) -> None:
        assert await problem_of(impatient, "silent.test") == "timed-out"

    @pytest.mark.parametrize("name", ["10.1", "0x7f.1", "1", "a b", "", "a..b", "-a", "a/b", "ws1.x\n", "é", "a" * 300])
    async def test_what_is_no_name_is_never_looked_up(self, resolver: Resolver, asked: list[str], name: str) -> None:
        assert await problem_of(resolver, name) == "name-not-found"
        assert not asked

    async def test_answers_are_bounded(self, resolver: Resolver) -> None:
        found = (await resolver.resolve("many.test")).addresses
        assert len(set(found)) == len(found) == MAX_ADDRESSES
        assert set(found) <= set(MANY)

    async def test_addresses_that_are_nobodys_do_not_count(self, resolver: Resolver) -> None:
        assert await problem_of(resolver, "zero.test") == "name-not-found"
        assert (await resolver.resolve("partly.test")).addresses == ("10.0.0.9",)

    async def test_many_at_once(self, resolver: Resolver) -> None:
        names = ["host.test", "both.test", "six.test"] * 20
        found = await asyncio.gather(*(resolver.resolve(name) for name in names))
        assert [r.address for r in found] == ["10.0.0.7", "10.0.0.8", "2001:db8::7"] * 20

    async def test_a_cancelled_look_up_harms_no_other(self, resolver: Resolver) -> None:
        tasks = [asyncio.create_task(resolver.resolve("silent.test")) for _ in range(3)]
        await asyncio.sleep(0.05)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
        assert (await resolver.resolve("host.test")).address == "10.0.0.7"


# -- the system's -----------------------------------------------------------------------------------------


KNOWN = {
    "host.test": ["10.0.0.7"], "both.test": ["2001:db8::8", "10.0.0.8"], "six.test": ["2001:db8::7"],
    "many.test": MANY, "zero.test": ["0.0.0.0"], "partly.test": ["0.0.0.0", "224.0.0.1", "10.0.0.9", "10.0.0.9"],
}  # fmt: skip


class FakeSystem:
    """Stands for the C library, which a test cannot make fail: blocking, and raising what getaddrinfo raises."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.end = threading.Event()

    def __call__(self, name: str) -> Iterable[str]:
        self.asked.append(name)
        name = name.lower().rstrip(".")
        if name == "silent.test":
            self.end.wait(20)
            return []
        if name == "servfail.test":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if name == "empty.test":
            raise socket.gaierror(socket.EAI_NODATA, "No address associated with hostname")
        if name not in KNOWN:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return KNOWN[name]


class TestSystemResolver(ResolverContract):
    @pytest.fixture
    async def system(self) -> AsyncIterator[FakeSystem]:
        system = FakeSystem()
        yield system
        system.end.set()

    @pytest.fixture
    def asked(self, system: FakeSystem) -> list[str]:
        return system.asked

    @pytest.fixture
    def resolver(self, system: FakeSystem) -> SystemResolver:
        return SystemResolver(deadline=20, threads=8, lookup=system)

    @pytest.fixture
    def impatient(self, system: FakeSystem) -> SystemResolver:
        return SystemResolver(deadline=DEADLINE, lookup=system)

    async def test_threads_are_bounded_and_waiting_has_an_end(self, system: FakeSystem) -> None:
        resolver = SystemResolver(deadline=0.1, threads=2, patience=0.2, lookup=system)
        before = threading.active_count()
        codes = await asyncio.gather(*(problem_of(resolver, "silent.test") for _ in range(10)))
        assert set(codes) == {"timed-out"}
        assert system.asked == ["silent.test"] * 2, "an abandoned look-up keeps its place"
        assert threading.active_count() <= before + 2
        system.end.set()
        await asyncio.sleep(0.1)
        assert (await resolver.resolve("host.test")).address == "10.0.0.7"

    @pytest.mark.parametrize("code", sorted({getattr(socket, n) for n in dir(socket) if n.startswith("EAI_")}))
    async def test_every_code_of_getaddrinfo_is_translated(self, code: int) -> None:
        def lookup(_: str) -> Iterable[str]:
            raise socket.gaierror(code, "reason")

        expected = "name-not-found" if code in NOT_FOUND else "name-server-failed"
        if code == socket.EAI_MEMORY:
            expected = "out-of-resources"
        assert await problem_of(SystemResolver(lookup=lookup), "a.test") == expected

    @pytest.mark.parametrize(
        ("error", "code"),
        [
            (OSError(5, "Input/output error"), "name-server-failed"),
            (UnicodeError("label too long"), "name-not-found"),
            (socket.gaierror(-999, "?"), "name-server-failed"),
        ],
    )
    async def test_other_failures_are_translated(self, error: Exception, code: str) -> None:
        def lookup(_: str) -> Iterable[str]:
            raise error

        assert await problem_of(SystemResolver(lookup=lookup), "a.test") == code


def test_a_resolver_outlives_its_event_loop() -> None:
    def lookup(_: str) -> Iterable[str]:
        time.sleep(0.01)
        return ["10.0.0.7"]

    async def many(resolver: Resolver) -> set[str]:
        return {found.address for found in await asyncio.gather(*(resolver.resolve("a.test") for _ in range(6)))}

    system = SystemResolver(threads=2, lookup=lookup)
    for _ in range(2):
        assert asyncio.run(many(system)) == {"10.0.0.7"}


async def test_the_real_system_knows_its_hosts_file() -> None:
    resolver = SystemResolver(deadline=10)
    assert parse_address((await resolver.resolve("localhost")).address) is not None
    for line in Path("/etc/hosts").read_text(encoding="utf-8").splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names[:2]:
            if parse_address(address) is not None and ":" not in address:
                assert address in (await resolver.resolve(name)).addresses


async def test_the_real_system_does_not_know_a_reserved_name() -> None:
    # Without a network the system cannot tell "does not exist" from "nobody to ask".
    assert await problem_of(SystemResolver(deadline=10), "no-such-host.invalid") in {
        "name-not-found", "name-server-failed", "timed-out",
    }  # fmt: skip


# -- name servers -----------------------------------------------------------------------------------------


class TestDnsResolver(ResolverContract):
    @pytest.fixture
    async def server(self) -> AsyncIterator[NameServer]:
        async with running() as server:
            yield server

    @pytest.fixture
    def asked(self, server: NameServer) -> Iterable[str]:
        return server.asked

    @pytest.fixture
    def resolver(self, server: NameServer) -> DnsResolver:
        return DnsResolver([server.address], deadline=20)

    @pytest.fixture
    def impatient(self, server: NameServer) -> DnsResolver:
        return DnsResolver([server.address], deadline=DEADLINE)

    async def test_the_source_names_the_server(self, resolver: DnsResolver, server: NameServer) -> None:
        assert (await resolver.resolve("host.test")).source == f"dns {server.address}"

    async def test_aliases_are_followed_also_by_us(self, resolver: DnsResolver) -> None:
        assert (await resolver.resolve("alias.test")).address == "10.0.0.7"
        assert (await resolver.resolve("half.test")).address == "10.0.0.7"
        assert (await resolver.resolve("halfsix.test")).address == "2001:db8::7"

    async def test_aliases_without_end(self, resolver: DnsResolver, server: NameServer) -> None:
        assert await problem_of(resolver, "ring1.test") == "name-server-failed"
        assert server.asked.total() < 20

    async def test_the_deadline_holds_for_all_questions_together(self, impatient: DnsResolver) -> None:
        assert await problem_of(impatient, "slow1.test") == "timed-out"

    async def test_a_transient_failure_is_asked_again(self, resolver: DnsResolver, server: NameServer) -> None:
        assert (await resolver.resolve("flaky.test")).address == "10.0.0.11"
        assert server.asked["flaky.test."] == 2

    async def test_a_name_that_does_not_exist_is_asked_once(self, resolver: DnsResolver, server: NameServer) -> None:
        assert await problem_of(resolver, "nothing.test") == "name-not-found"
        assert server.asked["nothing.test."] == 1

    @pytest.mark.parametrize(
        ("name", "codes"),
        [
            ("garbage.test", {"timed-out", "name-server-failed"}),
            ("forged.test", {"timed-out", "name-server-failed"}),
            ("refused.test", {"name-server-failed"}),
        ],
    )
    async def test_nonsense_is_never_believed(self, impatient: DnsResolver, name: str, codes: set[str]) -> None:
        assert await problem_of(impatient, name) in codes

    async def test_answers_are_remembered_within_their_time(self, resolver: DnsResolver, server: NameServer) -> None:
        for name in ("host.test", "HOST.test.", "brief.test", "brief.test"):
            await resolver.resolve(name)
        assert server.asked["host.test."] == 1
        assert server.asked["brief.test."] == 2

    async def test_what_is_remembered_is_bounded(self, server: NameServer) -> None:
        resolver = DnsResolver([server.address], remembered=1, longest_ttl=0.1)
        for name in ("host.test", "both.test", "host.test", "host.test"):
            await resolver.resolve(name)
        assert server.asked["host.test."] == 2
        await asyncio.sleep(0.15)
        await resolver.resolve("host.test")
        assert server.asked["host.test."] == 3

    async def test_search_domains_do_not_apply(self, server: NameServer) -> None:
        assert await problem_of(DnsResolver([server.address]), "host") == "name-not-found"
        assert list(server.asked) == ["host."]

    async def test_the_second_server_answers_for_a_dead_first(self, server: NameServer) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
            mute.bind(("127.0.0.1", 0))
            dead = f"127.0.0.1:{mute.getsockname()[1]}"
            resolver = DnsResolver([dead, server.address], deadline=4)
            assert (await resolver.resolve("host.test")).address == "10.0.0.7"

    async def test_a_port_where_nobody_listens(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
            closed.bind(("127.0.0.1", 0))
            port = closed.getsockname()[1]
        code = await problem_of(DnsResolver([f"127.0.0.1:{port}"], deadline=DEADLINE), "host.test")
        assert code in {"timed-out", "name-server-failed"}


def _subclasses(kind: type[Exception]) -> set[type[Exception]]:
    return {kind}.union(*(_subclasses(sub) for sub in kind.__subclasses__()))


def test_every_exception_of_dnspython_has_a_row() -> None:
    """The table covers what the library can raise; new classes at least count as a server that talks nonsense."""
    codes = {kind: next(code for row, code, _ in TRANSLATION if issubclass(kind, row))
             for kind in _subclasses(dns.exception.DNSException)}  # fmt: skip
    assert codes[dns.resolver.NXDOMAIN] == codes[dns.resolver.NoAnswer] == "name-not-found"
    assert codes[dns.resolver.LifetimeTimeout] == codes[dns.exception.Timeout] == "timed-out"
    assert codes[dns.resolver.NoNameservers] == codes[dns.exception.FormError] == "name-server-failed"
    assert len(codes) > 30


def test_addresses_are_ordered_and_each_is_there_once() -> None:
    found = resolution("a", ["2001:db8::1", "10.0.0.2", "fe80::1%eth0", "10.0.0.1", "10.0.0.2"], "s")
    assert found.addresses == ("10.0.0.2", "10.0.0.1", "2001:db8::1", "fe80::1%eth0")
