"""WS-Management messages: SOAP envelopes and faults. DSP0226, MS-WSMV 2.2.4.

Here: text to values and back. Not here: what an action does (service.py).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
TRANSFER = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
ENUMERATION = "http://schemas.xmlsoap.org/ws/2004/09/enumeration"
SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
IDENTITY = "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
_FAULT = "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"
_WMI_ERROR = "http://schemas.microsoft.com/wbem/wsman/1/wmi/root/standardcimv2/MSFT_WmiError"
_FAULT_ACTION = "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
_ANONYMOUS = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
_PREFIXES = {"s": SOAP, "a": ADDRESSING, "w": WSMAN, "x": TRANSFER, "n": ENUMERATION, "rsp": SHELL}

_DEFAULT_TIMEOUT = 60.0
_MAX_TIMEOUT = 60.0  # MaxTimeoutms: whatever a client asks for
_DEFAULT_ENVELOPE = 153_600


@dataclass(frozen=True, kw_only=True)
class Message:
    """A request's envelope."""

    action: str
    resource: str
    id: str
    selectors: dict[str, str]
    options: dict[str, str]
    timeout: float
    max_envelope: int
    body: ElementTree.Element

    def element(self, space: str, name: str) -> ElementTree.Element | None:
        return self.body.find(f".//{{{space}}}{name}")

    def elements(self, space: str, name: str) -> Iterator[ElementTree.Element]:
        return self.body.iter(f"{{{space}}}{name}")

    def text(self, space: str, name: str) -> str | None:
        found = self.element(space, name)
        return None if found is None else found.text or ""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """An answer's body, as XML text with the prefixes of `_PREFIXES`; its action is the request's by default."""

    body: str
    action: str = ""


@dataclass(frozen=True, kw_only=True)
class Fault(Exception):
    """A WSManFault; `provider` is who raised it, where it was not the service itself."""

    code: int
    reason: str
    subcode: str = "w:InternalError"
    provider: str = ""
    of_cim: bool = False  # said as an MSFT_WmiError, with no number of WSMan's own, as Windows 2012 R2 and newer do


def access_denied() -> Fault:
    return Fault(code=5, reason="Access is denied. ", subcode="w:AccessDenied")


def no_such_resource() -> Fault:
    return Fault(
        code=2150858752,
        reason="The WS-Management service cannot process the request. The service cannot find the resource "
        "identified by the resource URI and selectors. ",
        subcode="a:DestinationUnreachable",
    )


def no_such_shell(shell: str) -> Fault:
    return Fault(
        code=2150858843,
        reason=f"The request for the Windows Remote Shell with ShellId {shell} failed because the shell was not found "
        "on the server. Possible causes are: the specified ShellId is incorrect or the shell no longer exists on "
        "the server. Provide the correct ShellId or create a new shell and retry the operation. ",
        subcode="w:InvalidSelectors",
    )


def timed_out() -> Fault:
    return Fault(
        code=2150858793,
        reason="The WS-Management service cannot complete the operation within the time specified in "
        "OperationTimeout.  ",
        subcode="w:TimedOut",
    )


def shell_quota(limit: int) -> Fault:
    return Fault(
        code=2150859173,
        reason="The WS-Management service cannot process the request. This user is allowed a maximum number of "
        f"{limit} concurrent shells, which has been exceeded. Close existing shells or raise the quota for this "
        "user. ",
        subcode="w:QuotaLimit",
        of_cim=True,
    )


def envelope_too_large() -> Fault:
    return Fault(
        code=2150858790,
        reason="The WinRM client or service envelope exceeds the configured MaxEnvelopeSize. ",
        subcode="w:EncodingLimit",
    )


def no_such_action() -> Fault:
    return Fault(
        code=2150858753,
        reason="The WS-Management service does not support the action. ",
        subcode="a:ActionNotSupported",
    )


def no_such_enumeration() -> Fault:
    return Fault(
        code=2150858779,
        reason="The WS-Management service cannot process the request. The supplied enumeration context is invalid. ",
        subcode="n:InvalidEnumerationContext",
    )


def from_wmi(code: int) -> Fault:
    return Fault(code=code, reason=f"The WMI service returned the error 0x{code:08X}. ", provider="WMI Provider")


def parse(data: bytes) -> Message:
    """The envelope; ValueError where it is none."""
    try:
        root = ElementTree.fromstring(data)  # noqa: S314 (the only client is a test of ours)
    except ElementTree.ParseError as exc:
        raise ValueError(str(exc)) from exc
    header, body = root.find(f"{{{SOAP}}}Header"), root.find(f"{{{SOAP}}}Body")
    if header is None or body is None:
        raise ValueError("no SOAP envelope")

    def text(space: str, name: str) -> str:
        found = header.find(f"{{{space}}}{name}")
        return "" if found is None else (found.text or "").strip()

    return Message(
        action=text(ADDRESSING, "Action"),
        resource=text(WSMAN, "ResourceURI"),
        id=text(ADDRESSING, "MessageID"),
        selectors={row.attrib["Name"]: row.text or "" for row in header.iter(f"{{{WSMAN}}}Selector")},
        options={row.attrib["Name"]: row.text or "" for row in header.iter(f"{{{WSMAN}}}Option")},
        timeout=min(seconds(text(WSMAN, "OperationTimeout"), _DEFAULT_TIMEOUT), _MAX_TIMEOUT),
        max_envelope=int(text(WSMAN, "MaxEnvelopeSize") or _DEFAULT_ENVELOPE),
        body=body,
    )


def seconds(text: str | None, otherwise: float) -> float:
    """An xs:duration of the kind that WS-Man clients send: PT60S, PT1M30.5S, P0DT1H."""
    found = re.fullmatch(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?)?", text or "", re.IGNORECASE)
    if found is None or not any(found.groups()):
        return otherwise
    days, hours, minutes, rest = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + rest


def _envelope(action: str, relates_to: str, body: str) -> bytes:
    spaces = " ".join(f"xmlns:{prefix}={quoteattr(space)}" for prefix, space in _PREFIXES.items())
    return (
        f'<s:Envelope xml:lang="en-US" {spaces}><s:Header><a:Action>{escape(action)}</a:Action>'
        f"<a:MessageID>uuid:{str(uuid.uuid4()).upper()}</a:MessageID><a:To>{_ANONYMOUS}</a:To>"
        f"<a:RelatesTo>{escape(relates_to)}</a:RelatesTo></s:Header><s:Body>{body}</s:Body></s:Envelope>"
    ).encode()


def answer(message: Message, reply: Reply) -> bytes:
    return _envelope(reply.action or message.action + "Response", message.id, reply.body)


def fault(relates_to: str, trouble: Fault, machine: str) -> bytes:
    text = escape(trouble.reason)
    inner = text
    if trouble.provider:
        path = r"%systemroot%\system32\WsmWmiPl.dll"
        inner = f'<f:ProviderFault provider="{trouble.provider}" path="{path}">{text}</f:ProviderFault>'
    detail = (
        f'<f:WSManFault xmlns:f="{_FAULT}" Code="{trouble.code}" Machine="{machine}"><f:Message>{inner}</f:Message>'
        "</f:WSManFault>"
    )
    if trouble.of_cim:
        detail = (
            f'<p:MSFT_WmiError xmlns:p="{_WMI_ERROR}"><p:CIMStatusCode>27</p:CIMStatusCode><p:error_Category>30'
            f"</p:error_Category><p:error_Code>{trouble.code}</p:error_Code><p:error_Type>HRESULT</p:error_Type>"
            f"<p:Message>{text}</p:Message><p:MessageID>HRESULT 0x{trouble.code:08x}</p:MessageID></p:MSFT_WmiError>"
        )
    return _envelope(
        _FAULT_ACTION,
        relates_to,
        "<s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode>"
        f"<s:Value>{trouble.subcode}</s:Value></s:Subcode></s:Code>"
        f'<s:Reason><s:Text xml:lang="en-US">{text}</s:Text></s:Reason><s:Detail>{detail}</s:Detail>'
        "</s:Fault>",
    )


def identify_answer() -> bytes:
    """Identify's answer has no WS-Addressing headers. DSP0226 11."""
    return (
        f'<s:Envelope xml:lang="en-US" xmlns:s="{SOAP}"><s:Header/><s:Body><wsmid:IdentifyResponse '
        f'xmlns:wsmid="{IDENTITY}"><wsmid:ProtocolVersion>{WSMAN}</wsmid:ProtocolVersion>'
        "<wsmid:ProductVendor>Microsoft Corporation</wsmid:ProductVendor>"
        "<wsmid:ProductVersion>OS: 10.0.20348 SP: 0.0 Stack: 3.0</wsmid:ProductVersion>"
        "</wsmid:IdentifyResponse></s:Body></s:Envelope>"
    ).encode()
