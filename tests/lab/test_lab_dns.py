"""The lab's zone: addresses, pointers, and no such name for the rest."""

from __future__ import annotations

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.reversename
import pytest

from lab.dns import Zone

ZONE = Zone(
    addresses={"ws01.lab.test": "127.0.20.1", "ws02.lab.test": "127.0.20.1"}, pointers={"127.0.20.1": "ws01.lab.test"}
)


def ask(name: str, kind: str) -> dns.message.Message:
    wire = ZONE.answer(dns.message.make_query(name, kind).to_wire())
    assert wire is not None
    return dns.message.from_wire(wire)


@pytest.mark.parametrize("name", ["ws01.lab.test", "WS01.Lab.Test", "ws02.lab.test"])
def test_a_name_has_its_address(name: str) -> None:
    reply = ask(name, "A")
    assert reply.flags & dns.flags.AA
    assert [str(record) for record in reply.answer[0]] == ["127.0.20.1"]


def test_an_address_has_one_name() -> None:
    reply = ask(dns.reversename.from_address("127.0.20.1").to_text(), "PTR")
    assert [str(record) for record in reply.answer[0]] == ["ws01.lab.test."]


def test_a_name_without_such_records_exists_all_the_same() -> None:
    reply = ask("ws01.lab.test", "AAAA")
    assert (reply.rcode(), reply.answer) == (dns.rcode.NOERROR, [])


@pytest.mark.parametrize(
    ("name", "kind"), [("ws99.lab.test", "A"), ("example.com", "A"), ("1.2.3.10.in-addr.arpa", "PTR")]
)
def test_other_names_do_not_exist(name: str, kind: str) -> None:
    assert ask(name, kind).rcode() == dns.rcode.NXDOMAIN


def test_what_is_no_query_gets_no_answer() -> None:
    assert ZONE.answer(b"nonsense") is None
    answer = dns.message.make_response(dns.message.make_query("ws01.lab.test", "A"))
    assert ZONE.answer(answer.to_wire()) is None  # or two servers could talk for ever


def test_other_requests_are_not_implemented() -> None:
    query = dns.message.make_query("ws01.lab.test", "A")
    query.set_opcode(dns.opcode.STATUS)
    wire = ZONE.answer(query.to_wire())
    assert wire is not None
    assert dns.message.from_wire(wire).rcode() == dns.rcode.NOTIMP
