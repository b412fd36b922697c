"""``pusher explain``: a code, or a number of Windows' own. It reads tables alone, neither a store nor a file."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import RenderableType

from pusher.problems import CATALOGUE, BadInput
from pusher.report.explain import (
    Meaning,
    did_you_mean,
    explain_number,
    explain_page,
    explain_record,
    explain_records,
    explain_table,
    number_records,
)
from pusher.report.record import write_line
from pusher.report.style import console_for
from pusher.wiring.numbers import meanings


def explain(code: str | None, as_json: bool) -> None:
    if code is not None and (found := meanings(code)) is not None:
        _explain_number(code, found, as_json)
        return
    if code is not None and code not in CATALOGUE:
        close = did_you_mean(code)
        raise BadInput(
            None, f"there is no code {code!r}", " or ".join(close) if close else "one that 'pusher explain' lists"
        )
    if as_json:
        for record in [explain_record(code)] if code else explain_records():
            write_line(record, sys.stdout)
    else:
        _print(explain_page(code) if code else explain_table())


def _explain_number(number: str, found: Sequence[Meaning], as_json: bool) -> None:
    if not found:
        raise BadInput(None, f"no code of pusher's stands for {number}", "a number that Windows gave a push")
    if as_json:
        for record in number_records(found):
            write_line(record, sys.stdout)
    else:
        _print(explain_number(found))


def _print(what: RenderableType) -> None:
    console_for(sys.stdout).print(what)
