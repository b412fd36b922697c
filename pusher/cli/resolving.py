"""``pusher resolve``: who would be pushed to, and why.

Only name servers and the directory are asked; with ``--identify`` also the machines themselves, by no account.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.progress import Progress

from pusher.credentials.accounts.selection import is_domain_controller
from pusher.models import Target
from pusher.problems import Code, ProblemError
from pusher.push.identity import bears, is_address
from pusher.report.labels import Asked, paste, paste_page
from pusher.report.record import write_line
from pusher.report.style import console_for
from pusher.report.tables import ResolvedRow, resolve_record, resolve_table
from pusher.settings import Options
from pusher.targets.inventory import Inventory, Selected
from pusher.targets.parsed import Form
from pusher.targets.selection import Selector
from pusher.wiring.engine import open_engine
from pusher.wiring.inventory import enrichment_for, inventory_of, resolver_for

if TYPE_CHECKING:
    from pusher.wiring.asking import Asker

_RESOLVING_AT_ONCE = 100


def resolve(options: Options, as_json: bool, *, identify: bool = False) -> None:
    """Every target with its address, and why it is in or out; and what each of them calls itself."""
    with open_engine(options.store) as engine:
        loaded = inventory_of(options, engine)
    for note in loaded.notes:
        print(note, file=sys.stderr)
    selector = loaded.selector(limit=list(options.limit), exclude=list(options.exclude))
    with ExitStack() as stack:
        asker = None
        if identify:
            from pusher.wiring.asking import asker_for  # the transports' libraries, which nobody else here needs

            asker = stack.enter_context(asker_for(options, loaded))
        work = _Resolving(loaded, selector, asker, asker.at_once if asker is not None else _RESOLVING_AT_ONCE, as_json)
        asyncio.run(work.go(loaded.targets(selector), loaded.count()))
    if not as_json:
        console_for(sys.stdout).print(resolve_table(work.rows))
    for line in paste_page(work.lines, work.form) if not as_json else ():
        print(line)


class _Resolving:
    """One pass over the targets. With ``as_json`` the rows are written as they come, and none is kept."""

    def __init__(self, loaded: Inventory, selector: Selector, asker: Asker | None, at_once: int, as_json: bool) -> None:
        self._loaded, self._selector = loaded, selector
        self._resolver, self._enrichment = resolver_for(loaded), enrichment_for(loaded)
        self._asker, self._at_once, self._as_json = asker, at_once, as_json
        self.form: Form = loaded.parsed.form
        self.rows: list[ResolvedRow] = []
        self.lines: list[tuple[str, bool]] = []

    async def go(self, selected: Iterator[Selected], count: int) -> None:
        shows = self._asker is not None and sys.stderr.isatty()
        with Progress(console=console_for(sys.stderr), transient=True) if shows else nullcontext() as progress:
            task = progress.add_task("asking", total=count) if progress is not None else None
            while batch := list(itertools.islice(selected, self._at_once)):
                for row in await asyncio.gather(*(self._one(one) for one in batch)):
                    self._take(row)
                if progress is not None and task is not None:
                    progress.advance(task, len(batch))

    def _take(self, made: tuple[ResolvedRow, str | None]) -> None:
        row, line = made
        if self._as_json:
            more = {"paste": line} if self._asker is not None else {}
            write_line(resolve_record(row) | more, sys.stdout)
            return
        self.rows.append(row)
        if line is not None and row.asked is not None:
            self.lines.append((line, row.asked.given))

    async def _one(self, selected: Selected) -> tuple[ResolvedRow, str | None]:
        target, decision = selected.target, selected.decision
        address, included, why = target.address, decision.included, decision.why
        if included and address is None:
            try:
                address = (await self._resolver.resolve(target.name)).addresses[0]
            except ProblemError as error:
                why = f"{why}; {error.problem.code}"
        target = await self._enrichment(target, address)
        if included and address is not None:
            spared = self._loaded.spared(replace(target, address=address), self._selector)
            included, why = (True, why) if spared is None else (False, spared.why)
        if included and is_domain_controller(target) and not target.domain_controller_allowed:
            included, why = False, f"{why}; a domain controller, and the inventory does not allow it"
        row = ResolvedRow(
            name=target.name,
            address=address,
            site=target.site,
            group=", ".join(target.groups) or None,
            pushed=included,
            why=why,
        )
        if self._asker is None or not included or address is None:
            return row, None
        asked = await _asked(self._asker, target, address, self.form)
        return replace(row, asked=asked), paste(address, asked, self.form, target.port)


async def _asked(asker: Asker, target: Target, address: str, form: Form) -> Asked:
    """What the address calls itself, held against the inventory as a push would hold it."""
    of_ansible = form in (Form.ANSIBLE_INI, Form.ANSIBLE_YAML, Form.ANSIBLE_JSON)
    label = target.aliases[0] if of_ansible and target.aliases else target.name
    given = target.address is not None
    try:
        who = await asker(target, address)
    except ProblemError as error:
        return Asked(label=label, given=given, code=error.problem.code)
    fits = bears(target.own_name, who)
    code = None if fits else Code.WRONG_HOST
    # An address that nothing is held against fits anything: it is told what to write beside it.
    unheld = is_address(target.own_name)
    return Asked(label=label, machine=who.machine, fits=fits and not unheld, given=given, code=code)
