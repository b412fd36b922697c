"""The transports for asking who answers, without an account, a store or a log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pusher.models import Target, TransportKind
from pusher.push.asking import ask
from pusher.settings import Options
from pusher.targets.inventory import Inventory
from pusher.transports.port import Limits, PeerIdentity, Transport
from pusher.wiring.authority import authority_of
from pusher.wiring.descriptors import fitted, raised_for
from pusher.wiring.transports import open_transports


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks ``at_once`` targets, for which this process has descriptors; ``only``: by no other transport."""

    transports: dict[TransportKind, Transport]
    only: TransportKind | None
    limits: Limits
    at_once: int

    async def __call__(self, target: Target, address: str) -> PeerIdentity:
        """Who answers; raises ProblemError."""
        return await ask(self.transports, self.only, target, address, self.limits)


@contextmanager
def asker_for(options: Options, inventory: Inventory) -> Iterator[Asker]:
    """For as long as targets are asked."""
    authority = authority_of(options, inventory)
    at_once = fitted(options.concurrency, raised_for(options.concurrency, ports=1))
    with open_transports(frozenset(TransportKind), at_once, authority) as transports:
        yield Asker(
            transports=transports,
            only=None if options.transport == "auto" else TransportKind(options.transport),
            limits=Limits(connect=options.connect_timeout),
            at_once=at_once,
        )
