"""User rights over MS-LSAD: who has one, giving it and taking it back. ProblemError only.

An account has a right by itself or by a group. Which groups of the machine it is in, the machine says (MS-SAMR); a
domain's groups are the domain's business, and of these nothing is claimed here.
Sources: MS-LSAD 3.1.4.5 (LsarEnumerateAccountsWithUserRight, LsarAddAccountRights, LsarRemoveAccountRights), MS-LSAT
3.1.4.7 (LsarLookupNames3), 3.1.4.10 (LsarLookupSids2); MS-SAMR 3.1.5.9.2 (SamrGetAliasMembership).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from impacket.dcerpc.v5 import lsad, lsat, samr
from impacket.dcerpc.v5.dtypes import MAXIMUM_ALLOWED
from impacket.dcerpc.v5.rpcrt import DCERPCException

from pusher.transports.codes import Operation
from pusher.transports.port import ITSELF
from pusher.transports.smb.errors import WireError
from pusher.transports.smb.faults import translating
from pusher.transports.smb.policy import Bind

T = TypeVar("T")

_NOBODY_HAS_IT = frozenset({0xC0000034, 0x8000001A, 0xC0000060})
"""OBJECT_NAME_NOT_FOUND, NO_MORE_ENTRIES, NO_SUCH_PRIVILEGE (of a server that does not know the right at all)."""
_EVERYBODY = {
    "S-1-1-0": "Everyone",
    "S-1-5-6": "SERVICE",  # in the token of whatever logs on as a service
    "S-1-5-11": "Authenticated Users",
    "S-1-2-0": "LOCAL",
}
_BUILT_IN = "S-1-5-32"
_DOMAIN_USERS = "513"
_DEPTH = 3
"""How many times a group of the machine may be in another one."""


async def holders_of(bind: Bind, right: str, account: str) -> tuple[str, ...]:
    """``ITSELF`` and the names of groups by which ``account`` has ``right``."""

    async def work(rpc: Any, policy: Any) -> tuple[str, ...]:
        own, holders = await _sid_of(rpc, policy, account), await _with(rpc, policy, right)
        found = [ITSELF] if own in holders else []
        found += [name for sid, name in _EVERYBODY.items() if sid in holders]
        aliases = [sid for sid in holders if sid.startswith(_BUILT_IN + "-")]
        if aliases:
            belongs = await _aliases_of(bind, own)
            found += await _names(rpc, policy, [sid for sid in aliases if sid in belongs])
        return tuple(found)

    return await _with_policy(bind, account, work)


async def grant(bind: Bind, right: str, account: str) -> None:
    async def work(rpc: Any, policy: Any) -> None:
        await lsad.hLsarAddAccountRights(rpc, policy, await _sid_of(rpc, policy, account), (right,))

    await _with_policy(bind, account, work)


async def revoke(bind: Bind, right: str, account: str) -> None:
    async def work(rpc: Any, policy: Any) -> None:
        try:
            await lsad.hLsarRemoveAccountRights(rpc, policy, await _sid_of(rpc, policy, account), (right,))
        except DCERPCException as error:
            if error.error_code not in _NOBODY_HAS_IT:
                raise

    await _with_policy(bind, account, work)


async def _with_policy(bind: Bind, account: str, work: Callable[[Any, Any], Awaitable[T]]) -> T:
    with translating(Operation.POLICY, account):
        rpc = await bind("lsarpc", lsad.MSRPC_UUID_LSAD)
        try:
            opened = await lsad.hLsarOpenPolicy2(rpc, MAXIMUM_ALLOWED | lsad.POLICY_LOOKUP_NAMES)
            return await work(rpc, opened["PolicyHandle"])
        finally:
            await rpc.disconnect()


async def _sid_of(rpc: Any, policy: Any, account: str) -> str:
    """The whole SID: that of ``NT SERVICE\\name`` is no domain's with a number behind it, as older calls would tell."""
    answer = await lsat.hLsarLookupNames3(rpc, policy, (account.removeprefix(".\\"),))
    return str(answer["TranslatedSids"]["Sids"][0]["Sid"].formatCanonical())


async def _with(rpc: Any, policy: Any, right: str) -> frozenset[str]:
    try:
        answer = (await lsad.hLsarEnumerateAccountsWithUserRight(rpc, policy, right))["EnumerationBuffer"]
    except DCERPCException as error:
        if error.error_code in _NOBODY_HAS_IT:
            return frozenset()
        raise
    return frozenset(str(entry["Sid"].formatCanonical()) for entry in answer["Information"])


async def _names(rpc: Any, policy: Any, sids: list[str]) -> list[str]:
    if not sids:
        return []
    answer = (await lsat.hLsarLookupSids2(rpc, policy, sids))["TranslatedNames"]["Names"]
    return [str(name["Name"]) for name in answer]


async def _aliases_of(bind: Bind, own: str) -> frozenset[str]:
    """The machine's built-in groups that the account is in: itself, by what everybody is, or by one of these groups."""
    known = {own, *_EVERYBODY, f"{own.rpartition('-')[0]}-{_DOMAIN_USERS}"}
    async with _built_in_domain(bind) as (rpc, domain):
        for _ in range(_DEPTH):
            sids = samr.SAMPR_PSID_ARRAY()
            for sid in sorted(known):
                item = samr.SAMPR_SID_INFORMATION()
                item["SidPointer"].fromCanonical(sid)
                sids["Sids"].append(item)
            rids = (await samr.hSamrGetAliasMembership(rpc, domain, sids))["Membership"]["Element"]
            more = {f"{_BUILT_IN}-{int(rid['Data'])}" for rid in rids}
            if more <= known:
                break
            known |= more
    return frozenset(known)


@asynccontextmanager
async def _built_in_domain(bind: Bind) -> AsyncIterator[tuple[Any, Any]]:
    rpc = await bind("samr", samr.MSRPC_UUID_SAMR)
    try:
        server = (await samr.hSamrConnect(rpc))["ServerHandle"]
        sid = lsad.RPC_SID()
        sid.fromCanonical(_BUILT_IN)
        yield rpc, (await samr.hSamrOpenDomain(rpc, server, domainId=sid))["DomainHandle"]
    finally:
        with suppress(WireError, OSError):
            await rpc.disconnect()
