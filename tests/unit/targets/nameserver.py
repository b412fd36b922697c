"""A small real name server on a loopback port, over UDP and TCP, that also misbehaves by name."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

MANY = [f"10.0.{n // 250}.{n % 250 + 1}" for n in range(100)]
ZONE: dict[tuple[str, str], list[str]] = {
    ("host.test.", "A"): ["10.0.0.7"],
    ("six.test.", "AAAA"): ["2001:db8::7"],
    ("both.test.", "A"): ["10.0.0.8"],
    ("both.test.", "AAAA"): ["2001:db8::8"],
    ("many.test.", "A"): MANY,
    ("zero.test.", "A"): ["0.0.0.0"],
    ("partly.test.", "A"): ["0.0.0.0", "224.0.0.1", "10.0.0.9", "10.0.0.9"],
    ("brief.test.", "A"): ["10.0.0.10"],
    ("alias.test.", "CNAME"): ["host.test."],
    ("half.test.", "CNAME"): ["host.test."],
    ("halfsix.test.", "CNAME"): ["six.test."],
    ("ring1.test.", "CNAME"): ["ring2.test."],
    ("ring2.test.", "CNAME"): ["ring1.test."],
    ("slow1.test.", "CNAME"): ["slow2.test."],
    ("slow2.test.", "CNAME"): ["slow1.test."],
    ("empty.test.", "TXT"): ['"x"'],
    ("_ldap._tcp.dc._msdcs.corp.test.", "SRV"): ["0 100 389 DC1.corp.test.", "0 100 389 dc2.corp.test."],
    ("_ldap._tcp.dc._msdcs.large.test.", "SRV"): [f"0 100 389 dc{n}.large.test." for n in range(400)],
}
_SRV = "_ldap._tcp.dc._msdcs."


class NameServer:
    """Counts what it is asked; ``address`` is what an inventory would list."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.port = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def reply(self, wire: bytes, over_tcp: bool) -> list[bytes]:
        """What is sent back, which may be nothing or nonsense."""
        query = dns.message.from_wire(wire)
        name, kind = query.question[0].name.to_text().lower(), dns.rdatatype.to_text(query.question[0].rdtype)
        self.asked[name] += 1
        behave: Callable[[dns.message.Message, int], list[bytes]] | None = getattr(
            self, f"_{name.removeprefix(_SRV).split('.')[0]}", None
        )
        if behave is not None:
            return behave(query, self.asked[name])
        answer = dns.message.make_response(query)
        if not any(known == name for known, _ in ZONE):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        alias = ZONE.get((name, "CNAME"))
        if alias:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", *alias))
            if name == "alias.test.":
                name = alias[0]
        if (name, kind) in ZONE:
            ttl = 0 if name == "brief.test." else 60
            answer.answer.append(dns.rrset.from_text(name, ttl, "IN", kind, *ZONE[name, kind]))
        if len(answer.answer) and len(answer.answer[-1]) > 30 and not over_tcp:
            answer.answer = []
            answer.flags |= dns.flags.TC
        return [answer.to_wire()]

    @staticmethod
    def _servfail(query: dns.message.Message, _: int) -> list[bytes]:
        answer = dns.message.make_response(query)
        answer.set_rcode(dns.rcode.SERVFAIL)
        return [answer.to_wire()]

    @staticmethod
    def _refused(query: dns.message.Message, _: int) -> list[bytes]:
        answer = dns.message.make_response(query)
        answer.set_rcode(dns.rcode.REFUSED)
        return [answer.to_wire()]

    def _flaky(self, query: dns.message.Message, times: int) -> list[bytes]:
        if times == 1:
            return self._servfail(query, times)
        answer = dns.message.make_response(query)
        answer.answer.append(dns.rrset.from_text("flaky.test.", 60, "IN", "A", "10.0.0.11"))
        return [answer.to_wire()]

    @staticmethod
    def _silent(query: dns.message.Message, _: int) -> list[bytes]:
        return []

    @staticmethod
    def _garbage(query: dns.message.Message, _: int) -> list[bytes]:
        return [b"", b"\x00", struct.pack("!H", query.id) + b"\x81\x80" + b"\xff" * 40]

    @staticmethod
    def _forged(query: dns.message.Message, _: int) -> list[bytes]:
        """An answer to another question, then one with another identity: neither may be believed."""
        other = dns.message.make_response(dns.message.make_query("other.test.", "A", id=query.id))
        other.answer.append(dns.rrset.from_text("other.test.", 60, "IN", "A", "10.6.6.6"))
        twin = dns.message.make_response(query)
        twin.id = query.id ^ 1
        twin.answer.append(dns.rrset.from_text("forged.test.", 60, "IN", "A", "10.6.6.6"))
        return [other.to_wire(), twin.to_wire()]


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # not a subclass of it in every Python

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        delay = 0.2 if b"\x05slow" in data else 0.0
        for answer in self._server.reply(data, over_tcp=False):
            asyncio.get_running_loop().call_later(delay, self._transport.sendto, answer, addr)


@asynccontextmanager
async def running() -> AsyncIterator[NameServer]:
    """The server, answering on one port over both transports."""
    server = NameServer()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            for answer in server.reply(await reader.readexactly(length), over_tcp=True):
                writer.write(struct.pack("!H", len(answer)) + answer)
            await writer.drain()
        finally:
            writer.close()

    tcp = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.port = tcp.sockets[0].getsockname()[1]
    udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Udp(server), local_addr=("127.0.0.1", server.port)
    )
    try:
        yield server
    finally:
        udp.close()
        tcp.close()
        await tcp.wait_closed()
