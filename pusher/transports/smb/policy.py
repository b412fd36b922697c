"""What other pipes tell: the role of the server, the registry, and user rights. Blocking; ProblemError only.

Sources: MS-SRVS 3.1.4.17 (NetrServerGetInfo), MS-RRP 3.1.5.15 (BaseRegOpenKey), MS-LSAD 3.1.4.5.10
(LsarEnumerateAccountRights), MS-LSAT 3.1.4.8 (LsarLookupNames).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from impacket.dcerpc.v5 import lsad, lsat, rrp, srvs
from impacket.dcerpc.v5.dtypes import MAXIMUM_ALLOWED
from impacket.dcerpc.v5.rpcrt import DCERPCException
from smbprotocol.exceptions import ObjectNameNotFound, PipeNotAvailable

from pusher.problems import ProblemError
from pusher.transports.codes import Doing, of
from pusher.transports.smb.faults import guarded

Bind = Callable[[str, Any], Any]
"""Bind an interface on a named pipe of this session."""

_SV_TYPE_DOMAIN_CONTROLLERS = 0x00000008 | 0x00000010
_KEY_WRITE, _KEY_CREATE_SUB_KEY = 0x00020006, 0x00000004
_NOT_FOUND = 2
_STATUS_NOT_FOUND, _STATUS_NONE_MAPPED, _STATUS_NO_PRIVILEGE = 0xC0000034, 0xC0000073, 0xC0000060
_ROOTS = {"HKLM": rrp.hOpenLocalMachine, "HKU": rrp.hOpenUsers, "HKCR": rrp.hOpenClassesRoot}


def is_domain_controller(bind: Bind) -> bool:
    """From the server type that the Server service announces, primary or backup."""

    def work() -> bool:
        rpc = bind("srvsvc", srvs.MSRPC_UUID_SRVS)
        info = srvs.hNetrServerGetInfo(rpc, 101)["InfoStruct"]["ServerInfo101"]
        rpc.disconnect()
        return bool(info["sv101_type"] & _SV_TYPE_DOMAIN_CONTROLLERS)

    return guarded(Doing.FACTS, work, "server type")


def registry_access(bind: Bind, key: str) -> str:
    """Open ``key`` for writing, or else its nearest parent for creating it. The evidence names what was opened.

    ``registry-unavailable`` where the Remote Registry's pipe does not exist, ``registry-denied`` where it refuses.
    """
    root, _, path = key.partition("\\")
    opener = _ROOTS[root.upper()]

    def work() -> str:
        try:
            rpc = bind("winreg", rrp.MSRPC_UUID_RRP)
        except (ObjectNameNotFound, PipeNotAvailable) as error:
            raise ProblemError(of("registry-unavailable", Doing.REGISTRY, "no winreg pipe")) from error
        handle = opener(rpc)["phKey"]
        try:
            return _open_nearest(rpc, handle, root, path)
        finally:
            rpc.disconnect()

    return guarded(Doing.REGISTRY, work, key)


def _open_nearest(rpc: Any, root_handle: Any, root: str, path: str) -> str:
    access, opened = _KEY_WRITE, path
    while True:
        try:
            found = rrp.hBaseRegOpenKey(rpc, root_handle, opened, samDesired=access)["phkResult"]
        except DCERPCException as error:
            if error.error_code != _NOT_FOUND or "\\" not in opened:
                raise
            access, opened = _KEY_CREATE_SUB_KEY, opened.rpartition("\\")[0]
        else:
            rrp.hBaseRegCloseKey(rpc, found)
            return f"{root}\\{opened} opened " + ("for writing" if opened == path else "to create keys in")


def rights_of(bind: Bind, account: str) -> frozenset[str]:
    """User rights assigned to the account itself; those it has by way of a group do not show here."""

    def work() -> frozenset[str]:
        rpc = bind("lsarpc", lsad.MSRPC_UUID_LSAD)
        policy = lsad.hLsarOpenPolicy2(rpc, MAXIMUM_ALLOWED | lsad.POLICY_LOOKUP_NAMES)["PolicyHandle"]
        names = lsat.hLsarLookupNames(rpc, policy, (account,))
        domains, sid = names["ReferencedDomains"]["Domains"], names["TranslatedSids"]["Sids"][0]
        base = domains[sid["DomainIndex"]]["Sid"].formatCanonical()
        try:
            answer = lsad.hLsarEnumerateAccountRights(rpc, policy, f"{base}-{sid['RelativeId']}")
        except DCERPCException as error:
            if error.error_code in (_STATUS_NOT_FOUND, _STATUS_NO_PRIVILEGE):
                return frozenset()
            raise
        finally:
            rpc.disconnect()
        return frozenset(str(right["Data"]) for right in answer["UserRights"]["UserRights"])

    return guarded(Doing.POLICY, work, account)
