"""``pusher resolve``: who would be pushed to, and why; only name servers and the directory are asked."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Sequence

from pusher.problems import ProblemError
from pusher.report.record import write_line
from pusher.report.style import console_for
from pusher.report.tables import ResolvedRow, resolve_record, resolve_table
from pusher.settings import Options
from pusher.targets.inventory import Selected
from pusher.targets.resolver import Resolver
from pusher.targets.sites import SiteTable
from pusher.wiring import inventory_of, resolver_for

_RESOLVING_AT_ONCE = 100


def resolve(options: Options, as_json: bool) -> None:
    """Every target with its address, and why it is in or out."""
    loaded = inventory_of(options)
    for note in loaded.notes:
        print(note, file=sys.stderr)
    selector = loaded.selector(limit=list(options.limit), exclude=list(options.exclude))
    resolver = resolver_for(loaded)
    selected = loaded.targets(selector)
    rows: list[ResolvedRow] = []
    while batch := list(itertools.islice(selected, _RESOLVING_AT_ONCE)):
        for row in asyncio.run(_resolve_all(resolver, loaded.sites, batch)):
            if as_json:
                write_line(resolve_record(row), sys.stdout)
            else:
                rows.append(row)
    if not as_json:
        console_for(sys.stdout).print(resolve_table(rows))


async def _resolve_all(resolver: Resolver, sites: SiteTable, batch: Sequence[Selected]) -> list[ResolvedRow]:
    return await asyncio.gather(*(_resolve_one(resolver, sites, selected) for selected in batch))


async def _resolve_one(resolver: Resolver, sites: SiteTable, selected: Selected) -> ResolvedRow:
    target, decision = selected.target, selected.decision
    address, included, why = target.address, decision.included, decision.why
    if included and address is None:
        try:
            address = (await resolver.resolve(target.name)).addresses[0]
        except ProblemError as error:
            why = f"{why}; {error.problem.code}"
    return ResolvedRow(
        name=target.name,
        address=address,
        site=sites.placed(target, address).site if address is not None else target.site,
        group=", ".join(target.groups) or None,
        pushed=included,
        why=why,
    )
