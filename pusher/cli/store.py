"""``pusher store``: bringing a server's store to this version, and deleting what has become old in any.

Not here: what that is (``store.upkeep``).
"""

from __future__ import annotations

import sys
from contextlib import closing
from datetime import timedelta

from pusher.clock import utc_now
from pusher.config.durations import parse_duration
from pusher.config.wording import Wrong
from pusher.problems import BadInput
from pusher.report.record import write_line
from pusher.report.style import console_for
from pusher.report.text import visible
from pusher.settings import open_default_store, place_of_store

_LEAST = timedelta(days=1)


def upgrade(url: str | None, as_json: bool) -> None:
    from pusher.store import open_store
    from pusher.store.opening import HEAD, schema_of

    place = place_of_store(url)
    before = schema_of(place)
    with closing(open_store(place, upgrade=True)) as opened:
        name = opened.name
    if as_json:
        write_line({"store": name, "before": before, "schema": HEAD}, sys.stdout)
    elif before == HEAD:
        _print(f"The store {visible(name)} has the schema of this version already ({HEAD}).")
    else:
        _print(
            f"The store {visible(name)} has the schema {HEAD} now ({f'it was {before}' if before else 'it is new'})."
        )


def prune(url: str | None, keep: str, dry_run: bool, as_json: bool) -> None:
    kept = _kept(keep)
    with closing(open_default_store(url)) as opened:
        name = opened.name
        found = opened.prune(utc_now() - kept, dry_run=dry_run)
    if as_json:
        write_line({"store": name, "dry_run": dry_run, "rows": dict(found)}, sys.stdout)
        return
    rows = ", ".join(f"{count:,} of {table}" for table, count in found.items() if count)
    _print(f"{'Would delete' if dry_run else 'Deleted'}: {rows or 'nothing'}.")


def _kept(text: str) -> timedelta:
    expected = 'a duration of a day at least, such as "90d"'
    try:
        kept = timedelta(seconds=parse_duration(text))
        utc_now() - kept
    except Wrong as error:
        raise BadInput(None, f"--keep: {error.found}", expected) from error
    except OverflowError as error:
        raise BadInput(None, f"--keep {text} is longer than there is time", expected) from error
    if kept < _LEAST:
        raise BadInput(None, f"--keep {text} is too short: what is at work still is younger", expected)
    return kept


def _print(words: str) -> None:
    console_for(sys.stdout).print(words, soft_wrap=True)
