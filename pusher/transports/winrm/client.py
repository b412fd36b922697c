"""WS-Management on one signed-in wire: CIM and shell operations. Blocking, one thread at a time.

The envelope is pypsrp's; what lives here is which operation is called how, bounded. What the answers mean is for
the modules beside this one. Exceptions are the libraries' own (see ``faults``).
Sources: DSP0226 (WS-Management), DSP0227 (its CIM binding), MS-WSMV 3.1.4.
"""

from __future__ import annotations

import contextlib
import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

from pypsrp.encryption import WinRMEncryption
from pypsrp.exceptions import WSManFaultError
from pypsrp.wsman import NAMESPACES, OptionSet, SelectorSet, WSMan

from pusher.transports.winrm.channel import Channel, NotXmlError, fault_code
from pusher.transports.winrm.numbers import Wsman
from pusher.transports.winrm.orphans import Made, Owner, Register
from pusher.transports.winrm.wire import Wire

CIMV2 = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/"
DEFAULT = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/default/"
CMD_SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/cmd"
MAX_TIMEOUT = 60.0
"""Seconds: Windows' default MaxTimeoutms. More is not asked for, nor counted on."""
_WQL = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
_SHELL_ID, _MAX_ID = "ShellId", 256
_NUMBER = re.compile(r"-?[0-9]{1,20}")
_MAX_PULLS, _MAX_ITEMS, _PAGE = 50, 1000, 50
_WSEN, _WSMAN = NAMESPACES["wsen"], NAMESPACES["wsman"]

Names = Mapping[str, str]


class _Wsman(WSMan):
    """Tells the register of every shell that is made and deleted, cmd's and PowerShell's."""

    def __init__(self, wire: Wire, seconds: float, owner: Owner, register: Register) -> None:
        super().__init__(
            wire.host, port=wire.port, ssl=wire.certificate is not None, auth="ntlm", operation_timeout=_whole(seconds)
        )
        self._wire, self._owner, self._register = wire, owner, register

    @staticmethod
    def _parse_wsman_fault(xml_text: str) -> WSManFaultError:
        """As pypsrp reads it, with the number from wherever it stands."""
        found, code = WSMan._parse_wsman_fault(xml_text), fault_code(xml_text)
        return WSManFaultError(int(code) if _NUMBER.fullmatch(code) else code or None, *found.args[1:])

    def create(self, resource_uri: str, *args: Any, **kwargs: Any) -> ET.Element:
        body = super().create(resource_uri, *args, **kwargs)
        for selector in body.iter(f"{{{_WSMAN}}}Selector") if body is not None else ():
            if selector.get("Name") == _SHELL_ID and selector.text and len(selector.text) <= _MAX_ID:
                self._register.add(self._owner, Made(resource_uri, selector.text), self._wire)
        return body

    def delete(
        self,
        resource_uri: str,
        resource: ET.Element | None = None,
        option_set: OptionSet | None = None,
        selector_set: SelectorSet | None = None,
        timeout: int | None = None,
    ) -> ET.Element:
        identifiers = [value for name, value, _ in selector_set.values if name == _SHELL_ID] if selector_set else []
        try:
            body = super().delete(resource_uri, resource, option_set, selector_set, timeout)
        except WSManFaultError as error:
            if error.code != Wsman.UNEXPECTED_SELECTORS:
                raise
            self._forget(resource_uri, identifiers)
            raise
        self._forget(resource_uri, identifiers)
        return body

    def _forget(self, uri: str, identifiers: list[str]) -> None:
        for identifier in identifiers:
            self._register.remove(self._owner, Made(uri, identifier))


class Client:
    """``wsman`` is pypsrp's, for PowerShell remoting; ``owner`` and ``register`` are for the shells it makes.

    ``seconds`` of a call is the OperationTimeout that the service is given; the time that counts is the bridge's.
    """

    def __init__(
        self, wire: Wire, encryption: WinRMEncryption | None, seconds: float, owner: Owner, register: Register
    ) -> None:
        self._wire, self._owner, self._register = wire, owner, register
        self.wsman = _Wsman(wire, seconds, owner, register)
        self.wsman.transport = Channel(wire, encryption)  # type: ignore[assignment]

    def abort(self) -> None:
        """End whatever call is in progress, from any thread."""
        self._wire.abort()

    @property
    def alive(self) -> bool:
        return self._wire.alive

    @property
    def address(self) -> str:
        """The target's."""
        return self._wire.address

    @property
    def local_address(self) -> str:
        """Our end of the connection: the address at which the target can be expected to reach us."""
        return self._wire.local_address

    def end_orphans(self) -> None:
        """Delete the shells that lost connections of the same account have left here."""
        self._end(self._register.orphans(self._owner))

    def end_shells(self) -> None:
        """Delete what this session has made and not deleted, such as a shell whose maker met an error half-way."""
        self._end(self._register.made_on(self._owner, self._wire))

    def _end(self, shells: list[Made]) -> None:
        for made in shells:
            with contextlib.suppress(WSManFaultError):  # gone, or never to go
                self.delete(made.uri, {_SHELL_ID: made.identifier})
            self._register.remove(self._owner, made)

    # CIM

    def get(self, uri: str, selectors: Names | None = None, seconds: float | None = None) -> ET.Element:
        """The Body of a transfer Get."""
        return _body(self.wsman.get(uri, selector_set=_selectors(selectors), timeout=_seconds(seconds)))

    def enumerate(self, namespace: str, query: str, seconds: float | None = None) -> list[ET.Element]:
        """The instances that a WQL query finds."""
        ask = ET.Element(f"{{{_WSEN}}}Enumerate")
        ET.SubElement(ask, f"{{{_WSMAN}}}OptimizeEnumeration")
        ET.SubElement(ask, f"{{{_WSMAN}}}MaxElements").text = str(_PAGE)
        ET.SubElement(ask, f"{{{_WSMAN}}}Filter", Dialect=_WQL).text = query
        uri = namespace + "*"
        answer = _body(self.wsman.enumerate(uri, ask, timeout=_seconds(seconds)))
        found: list[ET.Element] = []
        for _ in range(_MAX_PULLS):
            page = _first(answer)
            items = page.find(f"{{{_WSMAN}}}Items")
            if items is None:
                items = page.find(f"{{{_WSEN}}}Items")
            found.extend(items if items is not None else ())
            context = page.findtext(f"{{{_WSEN}}}EnumerationContext")
            if not context or _ended(page):
                return found
            if len(found) > _MAX_ITEMS:
                break
            pull = ET.Element(f"{{{_WSEN}}}Pull")
            ET.SubElement(pull, f"{{{_WSEN}}}EnumerationContext").text = context
            ET.SubElement(pull, f"{{{_WSEN}}}MaxElements").text = str(_PAGE)
            answer = _body(self.wsman.pull(uri, pull, timeout=_seconds(seconds)))
        raise NotXmlError("an enumeration without end")

    def invoke(
        self,
        uri: str,
        method: str,
        arguments: Names | None = None,
        selectors: Names | None = None,
        seconds: float | None = None,
    ) -> ET.Element:
        """Call a CIM method: ``uri`` is the class's; the answer is its ``Method_OUTPUT``."""
        given = ET.Element(f"{{{uri}}}{method}_INPUT")
        for name, value in (arguments or {}).items():
            ET.SubElement(given, f"{{{uri}}}{name}").text = value
        answer = self.wsman.invoke(
            f"{uri}/{method}", uri, given, selector_set=_selectors(selectors), timeout=_seconds(seconds)
        )
        return _first(_body(answer.find("s:Body", NAMESPACES)))

    # Shells (MS-WSMV 3.1.4.5 and on); ``shell`` is what identifies one: its selectors, as ``create`` gave them

    def create(self, uri: str, resource: ET.Element, options: Names | None = None) -> ET.Element:
        return _body(self.wsman.create(uri, resource, option_set=_options(options)))

    def command(self, uri: str, resource: ET.Element, shell: Names, options: Names | None = None) -> ET.Element:
        return _body(self.wsman.command(uri, resource, option_set=_options(options), selector_set=_selectors(shell)))

    def send(self, uri: str, resource: ET.Element, shell: Names, seconds: float | None = None) -> ET.Element:
        return _body(self.wsman.send(uri, resource, selector_set=_selectors(shell), timeout=_seconds(seconds)))

    def receive(self, uri: str, resource: ET.Element, shell: Names, seconds: float | None = None) -> ET.Element:
        """WSManFaultError 2150858793 where nothing came within ``seconds``: ask again."""
        options = _options({"WSMAN_CMDSHELL_OPTION_KEEPALIVE": "True"})
        return _body(
            self.wsman.receive(
                uri, resource, option_set=options, selector_set=_selectors(shell), timeout=_seconds(seconds)
            )
        )

    def signal(self, uri: str, resource: ET.Element, shell: Names) -> ET.Element:
        return _body(self.wsman.signal(uri, resource, selector_set=_selectors(shell)))

    def delete(self, uri: str, shell: Names) -> None:
        self.wsman.delete(uri, selector_set=_selectors(shell))


def instance(body: ET.Element) -> ET.Element:
    """The one instance that the Body of a Get holds."""
    return _first(body)


def _body(found: ET.Element | None) -> ET.Element:
    if found is None:
        raise NotXmlError("a message without a body")
    return found


def _first(body: ET.Element) -> ET.Element:
    if len(body) == 0:
        raise NotXmlError("an empty body")
    return body[0]


def _ended(page: ET.Element) -> bool:
    return any(page.find(f"{{{namespace}}}EndOfSequence") is not None for namespace in (_WSEN, _WSMAN))


def _selectors(names: Names | None) -> SelectorSet | None:
    if not names:
        return None
    made = SelectorSet()
    for name, value in names.items():
        made.add_option(name, value)
    return made


def _options(names: Names | None) -> OptionSet | None:
    if not names:
        return None
    made = OptionSet()
    for name, value in names.items():
        made.add_option(name, value)
    return made


def _seconds(seconds: float | None) -> int | None:
    return None if seconds is None else _whole(seconds)


def _whole(seconds: float) -> int:
    return max(1, math.ceil(min(seconds, MAX_TIMEOUT)))
