"""Enumerations: whatever is answered at once, or page by page, is all that there is."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pusher.transports.winrm.cim import Instance
from pusher.transports.winrm.client import CIMV2, Client
from pusher.transports.winrm.orphans import Owner, Register
from pusher.transports.winrm.wire import Wire

_SPACES = (
    'xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:n="http://schemas.xmlsoap.org/ws/2004/09/enumeration" '
    'xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"'
)
ONE, TWO, THREE = ("<X><Name>one</Name></X>", "<X><Name>two</Name></X>", "<X><Name>three</Name></X>")


class Answers:
    """What a service says to each message, in its order."""

    endpoint = "https://h:5986/wsman"

    def __init__(self, *bodies: str) -> None:
        self.bodies, self.asked = list(bodies), list[str]()

    def send(self, message: bytes, **_: Any) -> bytes:
        said = message.decode()
        self.asked.append(said)
        identifier = re.search(r"MessageID[^>]*>([^<]*)<", said)
        assert identifier is not None
        head = f"<s:Header><a:RelatesTo>{identifier[1]}</a:RelatesTo></s:Header>"
        return f"<s:Envelope {_SPACES}>{head}<s:Body>{self.bodies.pop(0)}</s:Body></s:Envelope>".encode()


def names(*bodies: str) -> tuple[list[str], Answers]:
    answers = Answers(*bodies)
    wire = SimpleNamespace(url=answers.endpoint, host="h", port=5986, certificate=object())
    client = Client(cast(Wire, wire), None, 30.0, Owner("h", 5986, "u"), Register())
    client.wsman.transport = answers  # type: ignore[assignment]
    return [Instance(found).text("Name") for found in client.enumerate(CIMV2, "SELECT Name FROM X")], answers


def pulled(*items: str, more: str = "") -> str:
    rest = f"<n:EnumerationContext>{more}</n:EnumerationContext>" if more else "<n:EndOfSequence/>"
    return f"<n:PullResponse>{rest}<n:Items>{''.join(items)}</n:Items></n:PullResponse>"


@pytest.mark.parametrize("end", ["<w:EndOfSequence/>", "<n:EndOfSequence/>"])
def test_what_comes_at_once_is_not_asked_for_again(end: str) -> None:
    first = f"<n:EnumerateResponse><n:EnumerationContext/><w:Items>{ONE}{TWO}</w:Items>{end}</n:EnumerateResponse>"
    found, answers = names(first)
    assert found == ["one", "two"]
    assert len(answers.asked) == 1 and "OptimizeEnumeration" in answers.asked[0]


@pytest.mark.parametrize("at_once", ["", ONE])
def test_what_does_not_come_at_once_is_pulled(at_once: str) -> None:
    items = f"<w:Items>{at_once}</w:Items>" if at_once else ""
    first = f"<n:EnumerateResponse><n:EnumerationContext>c1</n:EnumerationContext>{items}</n:EnumerateResponse>"
    found, answers = names(first, pulled(TWO, more="c2"), pulled(THREE))
    assert found == [*(["one"] if at_once else []), "two", "three"]
    assert ["c1" in asked for asked in answers.asked] == [False, True, False]
    assert "c2" in answers.asked[2]
