"""How maintenance windows are written, in TOML, YAML or JSON, and one sentence for each mistake.

    [[window]]
    days = ["mon", "tue", "wed", "thu", "fri"]
    from = "22:00"
    to   = "04:00"                    # of the next day: a window belongs to the day on which it starts
    zone = "Europe/Paris"

Here live the model of one window, which a format takes up whole, and the reader of a list of them. What must not live
here: when a window is open (``windows``), and reading files.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from pusher.config.document import Document, Path, dotted
from pusher.config.validate import FormatModel, validate
from pusher.config.wording import Wrong, hint, shown
from pusher.problems import BadInput
from pusher.queue.windows import DAY, Day, Window, minutes

_DAY = "mon, tue, wed, thu, fri, sat or sun"
_DAYS = f"a list of days: {_DAY}"
_FROM, _TO = 'a time from "00:00" to "23:59"', 'a time from "00:00" to "24:00"'
_ZONE = 'an IANA time zone such as "Europe/Paris" or "UTC"'
_NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""What lies among the zones and is none: each machine takes it for another."""


def _days(names: list[str]) -> list[str]:
    for name in names:
        if names.count(name) > 1:
            raise Wrong(f"names {name} twice", _DAYS)
    return names


def _minutes(clock: str, expected: str) -> int:
    try:
        return minutes(clock)
    except ValueError:
        raise Wrong(f"{shown(clock)} is not a time of day", expected) from None


def _start(clock: str) -> str:
    if _minutes(clock, _FROM) == DAY:
        raise Wrong(f"{shown(clock)} is the end of a day", _FROM)
    return clock


def _end(clock: str) -> str:
    _minutes(clock, _TO)
    return clock


def _zone(name: str) -> str:
    known = zoneinfo.available_timezones() - _NO_ZONES
    if name not in known:
        raise Wrong(f"{shown(name)} is not a time zone{hint(name, known)}", _ZONE)
    return name


class WindowModel(FormatModel):
    """A table of the format; ``windows_of`` makes a list of them into windows."""

    days: Annotated[
        list[Annotated[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"], Field(description=_DAY)]],
        AfterValidator(_days),
    ] = Field(min_length=1, description=_DAYS)
    start: Annotated[str, AfterValidator(_start)] = Field(alias="from", description=_FROM)
    end: Annotated[str, AfterValidator(_end)] = Field(alias="to", description=_TO)
    zone: Annotated[str, AfterValidator(_zone)] = Field(description=_ZONE)


class _WindowsModel(FormatModel):
    window: list[WindowModel] = Field(min_length=1, max_length=100, description="at least one [[window]]")


def read_windows(document: Document) -> tuple[Window, ...]:
    """The windows of a document that holds nothing else. Raises BadInput with the place of the first mistake."""
    return windows_of(document, ("window",), validate(_WindowsModel, document).window)


def windows_of(document: Document, path: Path, models: Sequence[WindowModel]) -> tuple[Window, ...]:
    """The windows of the list at ``path``, each with its place. Raises BadInput."""
    return tuple(_window(document, (*path, number), model) for number, model in enumerate(models))


def _window(document: Document, path: Path, model: WindowModel) -> Window:
    if model.start == model.end:
        raise BadInput(
            document.source((*path, "to")),
            f"{dotted((*path, 'to'))} is the same as from",
            'another time; a whole day is from "00:00" to "24:00"',
        )
    return Window(
        days=frozenset(Day[name.upper()] for name in model.days),
        start=minutes(model.start),
        end=minutes(model.end),
        zone=model.zone,
        source=document.source(path),
    )
