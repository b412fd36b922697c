"""An independent WinRM client for the lab's tests: pypsrp's, and what a test wants of it in a line."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from unittest import mock
from xml.etree import ElementTree

from pypsrp.client import Client
from pypsrp.wsman import NAMESPACES, SelectorSet

from lab import Host, Lab

CIMV2 = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/"
DEFAULT = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/default/"
_WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"


@contextmanager
def resolved(host: Host) -> Iterator[None]:
    """The host's name leads to its address: pypsrp connects to the name that it verifies."""
    real = socket.getaddrinfo

    def look_up(name: Any, *rest: Any, **more: Any) -> Any:
        return real(host.address if name == host.fqdn else name, *rest, **more)

    with mock.patch("socket.getaddrinfo", look_up):
        yield


class WinRm:
    """One user's way to one host's endpoint."""

    def __init__(
        self, lab: Lab, host: Host, user: str = "pushadm", secret: str = "push-2026", *, http: bool = False, **more: Any
    ) -> None:
        self.host = host
        options: dict[str, Any] = {
            "ssl": not http,
            "port": 5985 if http else 5986,
            "auth": "ntlm",
            "username": user,
            "password": lab.secret(secret),
            "cert_validation": str(lab.ca),
            "connection_timeout": 5,
            "read_timeout": 30,
        }
        self.client = Client(more.pop("server", host.fqdn), **{**options, **more})

    def run(self, line: str) -> tuple[str, str, int]:
        with resolved(self.host):
            out, err, code = self.client.execute_cmd(line)
        return out, err, code & 0xFFFFFFFF

    def get(self, name: str, **keys: str) -> dict[str, str | None]:
        with resolved(self.host):
            body = self.client.wsman.get(CIMV2 + name, selector_set=_selectors(keys) if keys else None)
        return _values(body[0])

    def invoke(
        self, name: str, method: str, keys: dict[str, str] | None = None, /, **given: str
    ) -> dict[str, str | None]:
        space = DEFAULT if name == "StdRegProv" else CIMV2
        body = ElementTree.Element(f"{{{space}{name}}}{method}_INPUT")
        for key, value in given.items():
            ElementTree.SubElement(body, f"{{{space}{name}}}{key}").text = value
        with resolved(self.host):
            envelope = self.client.wsman.invoke(
                f"{space}{name}/{method}", space + name, body, selector_set=_selectors(keys) if keys else None
            )
        found = envelope.find("s:Body", NAMESPACES)
        assert found is not None
        return _values(found[0])

    def code(self, name: str, method: str, keys: dict[str, str] | None = None, /, **given: str) -> int:
        return int(self.invoke(name, method, keys, **given)["ReturnValue"] or -1)

    def query(self, wql: str) -> list[dict[str, str | None]]:
        enumeration = NAMESPACES["wsen"]
        asked = ElementTree.Element(f"{{{enumeration}}}Enumerate")
        ElementTree.SubElement(asked, f"{{{NAMESPACES['wsman']}}}Filter", Dialect=_WQL).text = wql
        rows: list[dict[str, str | None]] = []
        with resolved(self.host):
            body = self.client.wsman.enumerate(CIMV2 + "*", asked)
            while (context := body.find(".//wsen:EnumerationContext", NAMESPACES)) is not None:
                pull = ElementTree.Element(f"{{{enumeration}}}Pull")
                ElementTree.SubElement(pull, f"{{{enumeration}}}EnumerationContext").text = context.text
                ElementTree.SubElement(pull, f"{{{enumeration}}}MaxElements").text = "3"
                body = self.client.wsman.pull(CIMV2 + "*", pull)
                items = body.find(".//wsen:Items", NAMESPACES)
                assert items is not None
                rows += [_values(item) for item in items]
        return rows


def _selectors(keys: dict[str, str]) -> SelectorSet:
    made = SelectorSet()
    for name, value in keys.items():
        made.add_option(name, value)
    return made


def _values(element: ElementTree.Element) -> dict[str, str | None]:
    return {part.tag.rpartition("}")[2]: part[0].text if len(part) else part.text for part in element}


class Tap:
    """A TCP relay on the way to a host's port: keeps what it has passed on, and may change what goes there."""

    def __init__(self, host: Host, port: int, change: Callable[[bytes], bytes] = lambda data: data) -> None:
        self.seen = b""
        self._target = (host.address, port)
        self._change = change
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for source, target, outwards in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pass, args=(source, target, outwards), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, outwards: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                data = self._change(data) if outwards else data
                self.seen += data
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
