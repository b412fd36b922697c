"""The lab's DNS server: one zone from a file of names and addresses, over UDP and TCP.

    python -m lab.dns --zone FILE --udp FD --tcp FD --go FD

Answers A for every name of the file, PTR for its addresses, and NXDOMAIN for everything else; with
authority, no recursion. The wire format is dnspython's. Not here: which names there are (fleet.py).
"""

from __future__ import annotations

import argparse
import json
import socket
import threading
from collections.abc import Mapping
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.reversename
import dns.rrset

from lab.processes import wait_for_go

_TTL = 5


class Zone:
    """Forward and reverse records of the lab's hosts."""

    def __init__(self, addresses: Mapping[str, str], pointers: Mapping[str, str]) -> None:
        """`addresses`: full name to address. `pointers`: address to full name."""
        self._forward = {dns.name.from_text(name): address for name, address in addresses.items()}
        self._reverse = {dns.reversename.from_address(address): name + "." for address, name in pointers.items()}

    def answer(self, wire: bytes) -> bytes | None:
        """The answer to a query; None for what is no query at all."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR:
            return None
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.AA
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            reply.set_rcode(dns.rcode.NOTIMP)
            return reply.to_wire()
        asked = query.question[0]
        kind, value = dns.rdatatype.A, self._forward.get(asked.name)
        if value is None:
            kind, value = dns.rdatatype.PTR, self._reverse.get(asked.name)
        if value is None:
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif asked.rdtype in (kind, dns.rdatatype.ANY):
            reply.answer.append(dns.rrset.from_text(asked.name, _TTL, dns.rdataclass.IN, kind, value))
        return reply.to_wire()


def _serve_udp(zone: Zone, udp: socket.socket) -> None:
    while True:
        wire, client = udp.recvfrom(65536)
        reply = zone.answer(wire)
        if reply is not None:
            udp.sendto(reply, client)


def _serve_tcp(zone: Zone, tcp: socket.socket) -> None:
    tcp.listen(64)
    while True:
        connection, _ = tcp.accept()
        threading.Thread(target=_converse, args=(zone, connection), daemon=True).start()


def _converse(zone: Zone, connection: socket.socket) -> None:
    """Queries of one TCP connection, each with its length in front."""
    connection.settimeout(30)
    with connection, connection.makefile("rb") as stream:
        try:
            while len(head := stream.read(2)) == 2:
                reply = zone.answer(stream.read(int.from_bytes(head, "big")))
                if reply is None:
                    return
                connection.sendall(len(reply).to_bytes(2, "big") + reply)
        except OSError:
            pass


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.dns", description=__doc__)
    parser.add_argument("--zone", type=Path, required=True)
    for descriptor in ("--udp", "--tcp", "--go"):
        parser.add_argument(descriptor, type=int, required=True)
    arguments = parser.parse_args()
    wait_for_go(arguments.go)
    content = json.loads(arguments.zone.read_text(encoding="utf-8"))
    zone = Zone(content["addresses"], content["pointers"])
    threading.Thread(target=_serve_udp, args=(zone, socket.socket(fileno=arguments.udp)), daemon=True).start()
    _serve_tcp(zone, socket.socket(fileno=arguments.tcp))


if __name__ == "__main__":
    main()
