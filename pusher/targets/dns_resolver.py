"""Names as the inventory's own name servers resolve them.

Here lives the adapter of ``Resolver`` over dnspython: A, then AAAA; no search domains; CNAMEs followed. What must
not live here: the system's resolver. Answers are remembered within their TTL, so that retries of a host ask once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver
import tenacity

from pusher.problems import Code
from pusher.problems.shortage import CODE, shortage
from pusher.targets.ranges import canonical_name
from pusher.targets.resolver import Resolution, failed, given, refuse_unless_name, resolution

_MAX_CNAMES = 8
_AT_ONCE = 32
"""Each look-up under way has a socket of its own."""
_TRANSIENT = (dns.resolver.NoNameservers, dns.resolver.LifetimeTimeout)

# The first row that fits counts; what dnspython raises beside these is a server that answers nonsense.
TRANSLATION: tuple[tuple[type[Exception], Code, str], ...] = (
    (dns.resolver.NXDOMAIN, Code.NAME_NOT_FOUND, "the name does not exist"),
    (dns.resolver.YXDOMAIN, Code.NAME_NOT_FOUND, "the name becomes too long by a DNAME"),
    (dns.resolver.NoAnswer, Code.NAME_NOT_FOUND, "the name has no address"),
    (dns.name.LabelTooLong, Code.NAME_NOT_FOUND, "it is not a host name"),
    (dns.name.NameTooLong, Code.NAME_NOT_FOUND, "it is not a host name"),
    (dns.name.EmptyLabel, Code.NAME_NOT_FOUND, "it is not a host name"),
    (dns.exception.Timeout, Code.TIMED_OUT, "the name servers did not answer in time"),
    (dns.resolver.NoNameservers, Code.NAME_SERVER_FAILED, "every name server failed or refused"),
    (dns.exception.DNSException, Code.NAME_SERVER_FAILED, "the answer cannot be used"),
    (OSError, Code.NAME_SERVER_FAILED, "the name servers cannot be reached"),
)


class DnsResolver:
    """Resolves by ``nameservers`` (``ip``, ``ip:port`` or ``[ip]:port``). Times are in seconds."""

    def __init__(
        self,
        nameservers: Sequence[str],
        *,
        deadline: float = 5.0,
        attempts: int = 2,
        remembered: int = 4096,
        longest_ttl: float = 300.0,
    ) -> None:
        self._deadline, self._attempts = deadline, attempts
        self._remembered, self._longest_ttl = remembered, longest_ttl
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._known: OrderedDict[str, tuple[float, Resolution]] = OrderedDict()
        self._text = ", ".join(nameservers)
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [_server(text) for text in nameservers]
        self._resolver.timeout = deadline / attempts / max(len(nameservers), 1)
        self._resolver.lifetime = deadline / attempts

    async def resolve(self, name: str) -> Resolution:
        known = given(name)
        if known is not None:
            return known
        refuse_unless_name(name)
        key, clock = canonical_name(name), asyncio.get_running_loop().time
        remembered = self._known.get(key)
        if remembered is not None and remembered[0] > clock():
            self._known.move_to_end(key)
            return remembered[1]
        try:
            async with self._places, asyncio.timeout(self._deadline):
                addresses, ttl, server = await self._addresses(key)
        except (TimeoutError, dns.exception.DNSException, OSError) as exc:
            code, detail = (CODE, short) if (short := shortage(exc)) is not None else _translated(exc)
            raise failed(code, name, f"{detail} (name servers {self._text})") from exc
        found = resolution(name, addresses, f"dns {server}")
        self._remember(key, found, clock() + min(ttl, self._longest_ttl))
        return found

    def _remember(self, key: str, found: Resolution, until: float) -> None:
        self._known[key] = (until, found)
        self._known.move_to_end(key)
        while len(self._known) > self._remembered:
            self._known.popitem(last=False)

    async def _addresses(self, name: str) -> tuple[list[str], float, str]:
        """Addresses, time to live and the server that gave them."""
        absolute = dns.name.from_text(name)
        try:
            return await self._ask(absolute, dns.rdatatype.A)
        except dns.resolver.NoAnswer:
            return await self._ask(absolute, dns.rdatatype.AAAA)

    async def _ask(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> tuple[list[str], float, str]:
        for _ in range(_MAX_CNAMES):
            try:
                answer = await self._query(name, kind)
            except dns.resolver.NoAnswer as exc:
                # A server that is no recursive one gives the CNAME and leaves its end to be asked for.
                alias = exc.kwargs["response"].resolve_chaining().canonical_name
                if alias == name:
                    raise
                name = alias
                continue
            ttl = answer.chaining_result.minimum_ttl
            return [record.to_text() for record in answer], ttl, f"{answer.nameserver}:{answer.port}"
        raise dns.message.ChainTooLong

    async def _query(self, name: dns.name.Name, kind: dns.rdatatype.RdataType) -> dns.resolver.Answer:
        """One query, again where no server gave an answer."""
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_TRANSIENT),
            stop=tenacity.stop_after_attempt(self._attempts),
            wait=tenacity.wait_random_exponential(multiplier=0.1, max=1.0),
            reraise=True,
        ):
            with attempt:
                return await self._resolver.resolve(name, kind, search=False)
        raise AssertionError("tenacity either returns or raises")


def _server(text: str) -> dns.nameserver.Nameserver:
    """``ip``, ``ip:port`` or ``[ip]:port``; the inventory has checked the form."""
    if given(text) is not None:
        return dns.nameserver.Do53Nameserver(text, 53)
    host, _, port = text.rpartition(":")
    return dns.nameserver.Do53Nameserver(host.removeprefix("[").removesuffix("]"), int(port))


def _translated(exc: Exception) -> tuple[Code, str]:
    if isinstance(exc, TimeoutError):
        return Code.TIMED_OUT, "the name servers did not answer in time"
    return next((code, detail) for kind, code, detail in TRANSLATION if isinstance(exc, kind))
