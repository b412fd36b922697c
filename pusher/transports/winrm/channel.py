"""What pypsrp's WSMan speaks through in place of its own HTTP transport: a wire on which somebody has signed in.

A message is sent once. An answer in clear to an encrypted message is not read, and a document type declaration is
not parsed (there is none in SOAP 1.2; it is where a parser's memory goes).
Sources: MS-WSMV 2.2.9.1, 3.1.4.1; SOAP 1.2 part 1, section 5.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

from pypsrp.encryption import WinRMEncryption
from pypsrp.exceptions import WinRMTransportError

from pusher.transports.winrm.authentication import SOAP, StatusError
from pusher.transports.winrm.wire import Answer, Wire

_SOAP = "http://www.w3.org/2003/05/soap-envelope"
_WITH_NUMBER = ("HRESULT", "WIN32")
"""Kinds of error_Type whose error_Code is a number of these."""
_BOUNDARY = "Encrypted Boundary"


class TamperedError(Exception):
    """An answer that had to be encrypted is not, or does not verify."""


class SignedOutError(Exception):
    """A 401 on a wire that was signed in: the server has forgotten it. Nothing signs in again here."""


class NotXmlError(Exception):
    """An answer that is no SOAP message of this protocol."""


class Channel:
    """``send`` as pypsrp's WSMan calls it. One thread at a time."""

    def __init__(self, wire: Wire, encryption: WinRMEncryption | None) -> None:
        self.endpoint = wire.url
        self._wire, self._encryption = wire, encryption
        self._accepted = False

    def send(self, message: bytes, *, retries_on_read_timeout: int = 0, timeout: Any = None) -> bytes:
        """The SOAP answer to a SOAP message. pypsrp's repetitions are not made: the answer may be under way."""
        if self._encryption is None:
            answer = self._wire.post(message, {"Content-Type": SOAP})
            body = answer.body
        else:
            kind, payload = self._encryption.wrap_message(message)
            content_type = f'{kind};protocol="{self._encryption.protocol}";boundary="{_BOUNDARY}"'
            answer = self._wire.post(payload, {"Content-Type": content_type})
            body = self._decrypted(answer, self._encryption)
        self._look_at(answer.status)
        _refuse_strange(body, answer.status)
        if answer.status == 500:
            ET.fromstring(body)  # noqa: S314  # declarations are refused above; WSMan would log what it cannot parse
            raise WinRMTransportError("http", 500, body.decode())  # WSMan reads the fault in it
        return body

    def close(self) -> None:
        """WSMan's close; the wire belongs to the link."""

    def _look_at(self, status: int) -> None:
        if status == 401:
            self._wire.abort()
            # To the first message it is the sign-in's verdict, come late.
            raise SignedOutError if self._accepted else StatusError(status)
        if status not in (200, 500):
            raise StatusError(status)
        self._accepted = True

    def _decrypted(self, answer: Answer, encryption: WinRMEncryption) -> bytes:
        if not answer.content_type.lower().startswith("multipart/encrypted"):
            if answer.status == 200:
                self._wire.abort()
                raise TamperedError("a plain answer on an encrypted session")
            # Whoever wrote it, only its status is looked at, and that ends the call.
            self._look_at(answer.status)
            raise StatusError(answer.status)
        try:
            return encryption.unwrap_message(answer.body, _BOUNDARY)
        except Exception as error:
            self._wire.abort()
            raise TamperedError("the encrypted answer does not verify") from error


def fault_code(envelope: str) -> str:
    """What names a fault, in this order: WSManFault's Code, MSFT_WmiError's error_Code, the subcode; else empty.

    Windows 2012 R2 and newer put WMI's errors, and some of the service's own, into an MSFT_WmiError (a class of the
    CIM schema) and no number anywhere else; the simplest faults have none at all.
    """
    fault = ET.fromstring(envelope).find(f"{{{_SOAP}}}Body/{{{_SOAP}}}Fault")  # noqa: S314  # as in ``send``
    if fault is None:
        return ""
    found = {element.tag.rpartition("}")[2]: element for element in fault.iterfind(f"{{{_SOAP}}}Detail/*")}
    own, of_wmi = found.get("WSManFault"), found.get("MSFT_WmiError")
    if own is not None and own.get("Code"):
        return own.get("Code", "")
    if of_wmi is not None:
        values = {element.tag.rpartition("}")[2]: (element.text or "").strip() for element in of_wmi}
        if values.get("error_Type", "").upper().startswith(_WITH_NUMBER) and values.get("error_Code"):
            return values["error_Code"]
    subcode = fault.findtext(f"{{{_SOAP}}}Code/{{{_SOAP}}}Subcode/{{{_SOAP}}}Value")
    return (subcode or fault.findtext(f"{{{_SOAP}}}Code/{{{_SOAP}}}Value") or "").strip()


def _refuse_strange(body: bytes, status: int) -> None:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotXmlError("not UTF-8") from error
    if not text.lstrip("\ufeff \r\n\t").startswith("<"):
        raise NotXmlError("no XML") if status == 200 else StatusError(status)
    if "\0" in text or "<!" in text:
        raise NotXmlError("a declaration that SOAP does not allow")
