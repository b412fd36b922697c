"""LSA's pipe: user rights are the host's own (logons.py), all else is Samba's.

Samba's LSA answers NO_SUCH_PRIVILEGE to SeServiceLogonRight. What is here stands in front of its socket, answers the
four calls about the rights of accounts (MS-LSAD 3.1.4.5.10 to 13) and passes the rest on, the handshake included.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from lab import dcerpc, npa
from lab.dcerpc import Type
from lab.logons import RIGHTS, Logons

log = logging.getLogger("lab.lsa")

_ACCOUNTS_WITH_RIGHT, _RIGHTS_OF, _ADD, _REMOVE = 35, 36, 37, 38
_LSAD = bytes.fromhex("785734123412cdabef000123456789ab")
_DENIED, _NO_PRIVILEGE, _NOT_FOUND, _NO_MORE = 0xC0000022, 0xC0000060, 0xC0000034, 0x8000001A
_LARGEST = 4280


class LsaPipe:
    """Takes the place of Samba's socket at `path`, which gets another name."""

    def __init__(self, path: Path, logons: Logons) -> None:
        self._logons = logons
        self._samba = path.with_name(path.name + ".samba")
        path.rename(self._samba)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        path.chmod(0o600)
        self._listener.listen(64)

    def start(self) -> None:
        threading.Thread(target=self._accept, name="lsarpc", daemon=True).start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError, npa.HandshakeError, dcerpc.PduError):
            stream = client.makefile("rb")
            size = stream.read(4)
            handshake = size + stream.read(int.from_bytes(size, "big"))
            caller = npa.parse_request(handshake)
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as samba:
                samba.connect(str(self._samba))
                samba.sendall(handshake)
                threading.Thread(target=_pass_on, args=(samba, client), daemon=True).start()
                contexts: set[int] = set()
                while len(head := stream.read(2)) == 2:
                    message = stream.read(int.from_bytes(head, "little"))
                    answers = self._answer(message, caller, contexts)
                    if answers is None:
                        samba.sendall(head + message)
                    else:
                        client.sendall(b"".join(npa.message(pdu.pack()) for pdu in answers))

    def _answer(self, message: bytes, caller: npa.Caller, contexts: set[int]) -> list[dcerpc.Pdu] | None:
        """None where the message is Samba's to answer."""
        if len(message) < dcerpc.HEADER_SIZE or dcerpc.announced_size(message) != len(message):
            return None
        pdu = dcerpc.parse(message)
        if pdu.type in (Type.BIND, Type.ALTER_CONTEXT) and _LSAD in pdu.body:
            contexts.add(struct.unpack_from("<H", pdu.body, 12)[0])
        if pdu.type != Type.REQUEST or pdu.flags & 3 != 3:
            return None
        call = dcerpc.request_fragment(pdu)
        if call.context not in contexts or call.opnum not in (_ACCOUNTS_WITH_RIGHT, _RIGHTS_OF, _ADD, _REMOVE):
            return None
        stub = self._perform(call.opnum, call.stub, caller)
        log.info("%s: opnum %d, status 0x%08x", caller.user, call.opnum, int.from_bytes(stub[-4:], "little"))
        return list(dcerpc.split_response(call, stub, _LARGEST))

    def _perform(self, opnum: int, stub: bytes, caller: npa.Caller) -> bytes:
        from impacket.dcerpc.v5 import lsad  # NDR structures, slow to import and seldom needed

        if opnum == _ACCOUNTS_WITH_RIGHT:
            right = str(lsad.LsarEnumerateAccountsWithUserRight(stub)["UserRight"])
            found = lsad.LsarEnumerateAccountsWithUserRightResponse()
            found["ErrorCode"] = _refusal([right], caller)
            sids = [] if found["ErrorCode"] else self._logons.holders(right)
            if not found["ErrorCode"] and not sids:
                found["ErrorCode"] = _NO_MORE
            found["EnumerationBuffer"]["EntriesRead"] = len(sids)
            for sid in sids:
                item = lsad.LSAPR_ACCOUNT_INFORMATION()
                item["Sid"].fromCanonical(sid)
                found["EnumerationBuffer"]["Information"].append(item)
            return bytes(found.getData())
        if opnum == _RIGHTS_OF:
            rights = self._logons.rights(lsad.LsarEnumerateAccountRights(stub)["AccountSid"].formatCanonical())
            answer = lsad.LsarEnumerateAccountRightsResponse()
            answer["ErrorCode"] = _refusal([], caller) or (0 if rights else _NOT_FOUND)
            answer["UserRights"]["EntriesRead"] = len(rights)
            for name in rights:
                entry = lsad.RPC_UNICODE_STRING()
                entry["Data"] = name
                answer["UserRights"]["UserRights"].append(entry)
            return bytes(answer.getData())
        asked: Any = (lsad.LsarAddAccountRights if opnum == _ADD else lsad.LsarRemoveAccountRights)(stub)
        sid, rights = asked["AccountSid"].formatCanonical(), [str(r["Data"]) for r in asked["UserRights"]["UserRights"]]
        status = _refusal(rights, caller)
        if not status:
            (self._logons.grant if opnum == _ADD else self._logons.revoke)(sid, rights)
        return struct.pack("<I", status)


def _refusal(rights: list[str], caller: npa.Caller) -> int:
    if not caller.is_administrator:
        return _DENIED
    return 0 if RIGHTS.issuperset(rights) else _NO_PRIVILEGE


def _pass_on(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            to.sendall(data)
    for end in (source, to):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
