"""A KDC that answers by script: each AS-REQ gets the KRB-ERROR that comes next (RFC 4120 5.4.1, 5.9.1), or nothing.

It speaks UDP and TCP on a loopback address, keeps what it was asked, and never knows a key.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from impacket.krb5.asn1 import AS_REQ, ETYPE_INFO2, KRB_ERROR, METHOD_DATA
from pyasn1.codec.der import decoder, encoder

PREAUTH_REQUIRED, SILENCE = 25, -1
_ENC_TIMESTAMP, _ETYPE_INFO2, _AES256 = 2, 19, 18

_CLIENT = """
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
[realms]
    {realm} = {{
        kdc = {address}:{port}
        {more}
    }}
"""


@dataclass
class ScriptedKdc:
    """A context. ``answers``: one for each AS-REQ, the last one for all that come after; a datagram that is sent
    again counts again. ``preauthenticated``: how many AS-REQ came with something derived from a password. ``more``:
    another line about the realm; ``place``: where it listens.
    """

    folder: Path
    answers: Sequence[int] = (PREAUTH_REQUIRED, 24)
    realm: str = "SCRIPT.TEST"
    address: str = "127.0.93.7"
    more: str = ""
    place: str = ""
    asked: list[bool] = field(default_factory=list)

    @property
    def preauthenticated(self) -> int:
        return sum(self.asked)

    @property
    def environment(self) -> dict[str, str]:
        return {"KRB5_CONFIG": str(self.folder / "krb5.conf")}

    def __enter__(self) -> ScriptedKdc:
        self._tcp = socket.create_server((self.address, 0))
        port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind((self.address, port))
        self.place = f"{self.address}:{port}"
        text = _CLIENT.format(realm=self.realm, address=self.address, port=port, more=self.more)
        (self.folder / "krb5.conf").write_text(text, encoding="utf-8")
        for serve in (self._serve_udp, self._serve_tcp):
            threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in (self._udp, self._tcp):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _serve_udp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = self._udp.recvfrom(65536)
                if not data:
                    return  # shut down
                answer = self._answer(data)
                if answer is not None:
                    self._udp.sendto(answer, peer)

    def _serve_tcp(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._tcp.accept()
                with peer:
                    peer.settimeout(5)
                    head = peer.recv(4, socket.MSG_WAITALL)
                    data = peer.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL) if len(head) == 4 else b""
                    answer = self._answer(data) if data else None
                    if answer is not None:
                        peer.sendall(len(answer).to_bytes(4, "big") + answer)

    def _answer(self, data: bytes) -> bytes | None:
        request, _ = decoder.decode(data, asn1Spec=AS_REQ())
        padata = request["padata"] if request["padata"].hasValue() else []
        code = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(any(int(one["padata-type"]) == _ENC_TIMESTAMP for one in padata))
        return None if code == SILENCE else self._error(code)

    def _error(self, code: int) -> bytes:
        error = KRB_ERROR()
        error["pvno"], error["msg-type"], error["error-code"], error["susec"] = 5, 30, code, 0
        error["stime"] = datetime.now(UTC).strftime("%Y%m%d%H%M%SZ")
        error["realm"] = self.realm
        error["sname"]["name-type"] = 2
        for number, part in enumerate(("krbtgt", self.realm)):
            error["sname"]["name-string"][number] = part
        if code == PREAUTH_REQUIRED:
            error["e-data"] = self._methods()
        encoded: bytes = encoder.encode(error)
        return encoded

    def _methods(self) -> bytes:
        info = ETYPE_INFO2()
        info[0]["etype"], info[0]["salt"] = _AES256, f"{self.realm}u"
        methods = METHOD_DATA()
        methods[0]["padata-type"], methods[0]["padata-value"] = _ETYPE_INFO2, encoder.encode(info)
        methods[1]["padata-type"], methods[1]["padata-value"] = _ENC_TIMESTAMP, b""
        encoded: bytes = encoder.encode(methods)
        return encoded
