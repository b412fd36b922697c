"""``pusher explain``: the catalogue of codes as a table, one code in full, and what a number of Windows' leads to.

What must not live here: the catalogue itself (``problems``), or a second wording of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from pusher.models import Stage
from pusher.problems import CATALOGUE, Row
from pusher.report.style import STATUS_STYLE, facts, indented, status_text
from pusher.report.tables import table
from pusher.report.text import AGAIN_WORDS, CHARGES_WORDS, MOVE_WORDS, STAGE_WORDS, STATUS_WORDS


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """One thing that a number of Windows' stands for: in words, by its code, and by another code while something in
    particular is done (words and code)."""

    number: str
    code: str
    otherwise: tuple[tuple[str, str], ...] = ()


def explain_table() -> RenderableType:
    """Every code with its meaning, under the stage where it happens."""
    parts: list[RenderableType] = []
    for stage in Stage:
        rows = [row for row in CATALOGUE.values() if row.stage is stage]
        if not rows:
            continue
        made = table("", "")
        made.show_header = False
        made.box = None
        made.padding = (0, 2, 0, 0)
        # One width over all stages, so that the meanings stand under each other.
        made.columns[0].width = max(len(code) for code in CATALOGUE)
        for row in rows:
            made.add_row(Text(row.code, style=STATUS_STYLE[row.status]), Text(row.meaning))
        parts += [Text.assemble((stage.value, "bold"), f": {STAGE_WORDS[stage]}"), indented(made), Text()]
    parts.append(Text("One code in full, with its remedy: pusher explain CODE", style="dim"))
    return Group(*parts)


def explain_page(code: str) -> RenderableType:
    """One code in full. Raises KeyError for a code that is not in the catalogue; see ``did_you_mean``."""
    row = CATALOGUE[code]
    status = Text.assemble(status_text(row.status), f": {STATUS_WORDS[row.status]}")
    return Group(
        Text(row.code, style="bold"),
        facts(
            [
                ("Meaning", Text(row.meaning)),
                ("Remedy", Text(row.remedy)),
                ("Next", Text(MOVE_WORDS[row.next_move])),
                ("Again", Text(AGAIN_WORDS[row.again])),
                ("Stage", Text(f"{row.stage.value}: {STAGE_WORDS[row.stage]}")),
                *([("Lockout", Text(CHARGES_WORDS[row.charges]))] if row.stage is Stage.SIGN_IN else []),
                ("A host that ends so", status),
            ]
        ),
    )


def explain_number(meanings: Sequence[Meaning]) -> RenderableType:
    """A number of Windows' own: each thing that it stands for, with its code in full."""
    parts: list[RenderableType] = []
    for meaning in meanings:
        parts += [Text(meaning.number, style="bold"), indented(explain_page(meaning.code))]
        parts += [
            indented(Text(f"While {doing}: {code}, {CATALOGUE[code].meaning}")) for doing, code in meaning.otherwise
        ]
        parts.append(Text())
    return Group(*parts[:-1])


def number_records(meanings: Sequence[Meaning]) -> list[dict[str, Any]]:
    """The same as JSON: a row of the catalogue each, and what it is the meaning of."""
    return [
        {
            **explain_record(meaning.code),
            "number": meaning.number,
            "otherwise": [{"while": doing, "code": code} for doing, code in meaning.otherwise],
        }
        for meaning in meanings
    ]


def explain_record(code: str) -> dict[str, Any]:
    """One row of the catalogue as JSON."""
    row: Row = CATALOGUE[code]
    return {
        "code": row.code,
        "stage": row.stage.value,
        "meaning": row.meaning,
        "remedy": row.remedy,
        "next_move": row.next_move.value,
        "again": row.again.value,
        "status": row.status.value,
        "part": row.part.value,
        "charges": row.charges.value,
        "passing": row.passing,
    }


def explain_records() -> list[dict[str, Any]]:
    """Every row of the catalogue as JSON, in the order of the story."""
    return [explain_record(row.code) for stage in Stage for row in CATALOGUE.values() if row.stage is stage]


def did_you_mean(code: str) -> list[str]:
    """The codes that look most like a mistyped one."""
    return get_close_matches(code, CATALOGUE, n=3, cutoff=0.5)
