"""``pusher resolve``: who would be pushed to, and why; only name servers and the directory are asked."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator

from pusher.credentials.ladder import is_domain_controller
from pusher.problems import ProblemError
from pusher.report.record import write_line
from pusher.report.style import console_for
from pusher.report.tables import ResolvedRow, resolve_record, resolve_table
from pusher.settings import Options
from pusher.targets.inventory import Selected
from pusher.targets.placing import Placing
from pusher.targets.resolver import Resolver
from pusher.wiring.inventory import inventory_of, placing_for, resolver_for

_RESOLVING_AT_ONCE = 100


def resolve(options: Options, as_json: bool) -> None:
    """Every target with its address, and why it is in or out."""
    loaded = inventory_of(options)
    for note in loaded.notes:
        print(note, file=sys.stderr)
    selector = loaded.selector(limit=list(options.limit), exclude=list(options.exclude))
    rows = asyncio.run(_resolve_all(resolver_for(loaded), placing_for(loaded), loaded.targets(selector), as_json))
    if not as_json:
        console_for(sys.stdout).print(resolve_table(rows))


async def _resolve_all(
    resolver: Resolver, placing: Placing, selected: Iterator[Selected], as_json: bool
) -> list[ResolvedRow]:
    """The rows; with ``as_json`` they are written as they come, and none is kept."""
    rows: list[ResolvedRow] = []
    while batch := list(itertools.islice(selected, _RESOLVING_AT_ONCE)):
        for row in await asyncio.gather(*(_resolve_one(resolver, placing, one) for one in batch)):
            if as_json:
                write_line(resolve_record(row), sys.stdout)
            else:
                rows.append(row)
    return rows


async def _resolve_one(resolver: Resolver, placing: Placing, selected: Selected) -> ResolvedRow:
    target, decision = selected.target, selected.decision
    address, included, why = target.address, decision.included, decision.why
    if included and address is None:
        try:
            address = (await resolver.resolve(target.name)).addresses[0]
        except ProblemError as error:
            why = f"{why}; {error.problem.code}"
    target = await placing(target, address)
    if included and is_domain_controller(target) and not target.domain_controller_allowed:
        included, why = False, f"{why}; a domain controller, and the inventory does not allow it"
    return ResolvedRow(
        name=target.name,
        address=address,
        site=target.site,
        group=", ".join(target.groups) or None,
        pushed=included,
        why=why,
    )
