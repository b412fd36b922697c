"""A new run over what did not succeed in an earlier one. Whom that one spared, it spares.

Not here: what a new run takes over of the record (``settings``), and the run itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pusher.models import Outcome, Status, Verb
from pusher.problems import CATALOGUE, Part
from pusher.runs.recorded import Refusal, RunRefusedError, find
from pusher.settings import Options

if TYPE_CHECKING:
    from pusher.store import Store


@dataclass(frozen=True, kw_only=True)
class Retry:
    """What the new run is to do, and how. ``windows``: those of the run, as they are recorded."""

    verb: Verb
    options: Options
    windows: Sequence[Mapping[str, Any]] = ()


def retry(store: Store, name: str, statuses: frozenset[Status], given: Mapping[str, Any]) -> Retry:
    """Over what did not succeed in the run (only ``statuses``, where given).

    ``given`` takes the place of what the run was told, but for what spares. RunRefusedError where nothing is left;
    BadInput where its record cannot be used.
    """
    run = find(store, name)
    names = {outcome.target.lower() for outcome in store.outcomes(run.id) if _is_left(outcome, statuses)}
    if not statuses:
        names |= {target.lower() for target, _ in store.unfinished(run.id)}
    if not names:
        raise RunRefusedError(Refusal.NOTHING_LEFT, run.id)
    record = store.options(run.id)
    options = Options.made_from(record, run.id, frozenset(names), given)
    return Retry(verb=run.verb, options=options, windows=store.windows(run.id))


def _is_left(outcome: Outcome, statuses: frozenset[Status]) -> bool:
    # A code that is not in the catalogue (another version's) is taken for the target's: it is tried again.
    row = CATALOGUE.get(outcome.code) if outcome.code is not None else None
    if row is not None and row.part is not Part.TARGET:
        return False
    return outcome.status in statuses if statuses else not outcome.status.is_success
