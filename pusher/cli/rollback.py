"""``rollback``: what is asked before, and what is printed of it. Not here: what is done (``wiring.rollback``)."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable

from pusher.cli.run_requests import store_of_runs
from pusher.models import Verb
from pusher.report.style import console_for
from pusher.report.text import hosts, visible
from pusher.runs import find
from pusher.settings import next_commands
from pusher.wiring.rollback import Group, plan_rollback, roll_back


def rollback(run: str, store: str | None, as_json: bool, confirm: Callable[[str], None] | None) -> None:
    """``confirm`` is asked before anything is queued; None: nobody is."""
    with store_of_runs(store) as opened:
        plan = plan_rollback(opened, find(opened, run))
        if confirm is not None:
            confirm("; ".join(map(_words, plan.groups)).capitalize() + ". Go on?")
        made = asyncio.run(roll_back(opened, plan))
    following = next_commands(store)
    for one, group in made:
        if as_json:
            queued = len(group.outcomes) if group.package is not None else 0
            print(json.dumps({"run": one.id, "verb": one.verb.value, "version": one.version, "queued": queued,
                              "unknown": len(group.outcomes) - queued}))  # fmt: skip
        else:
            console_for(sys.stdout).print(f"Run {one.id}: {_words(group)}.")
            print(visible(following.show(one.id)))


def _words(group: Group) -> str:
    count = hosts(len(group.outcomes))
    if group.package is None:
        return f"{count} stay as they are (rollback-unknown)"
    words = " ".join(map(visible, group.package.name_and_version()))
    return f"remove {words} from {count}" if group.verb is Verb.REMOVE else f"push {words} to {count}"
