"""The targets of a run: those of the inventory that --limit and --exclude leave, and that an earlier run left to it.

Not here: how a selector is written and read (``targets.selection``), what a run does with a target.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pusher.models import Target
from pusher.problems import Code, Problem, Stage, problem
from pusher.settings import Options, Origin
from pusher.targets.inventory import Inventory, Selected
from pusher.targets.selection import EVERYTHING, Selector, parse_selector

_NAMED = 5
"""Targets that a note names one by one."""


@dataclass(frozen=True, kw_only=True)
class TargetSelection:
    """Every iteration is made anew from the inventory. ``further`` selectors hold besides ``selector``.

    ``origin``: the run that this one is made from, if any.
    """

    inventory: Inventory
    selector: Selector
    further: tuple[Selector, ...]
    origin: Origin | None

    def selected(self) -> Iterator[Selected]:
        """Every target of the inventory with the decision about it, in order."""
        for selected in self.inventory.targets(self.selector):
            if self._is_taken_up(selected.target):
                yield selected

    def targets(self) -> Iterator[Target]:
        return (selected.target for selected in self.selected() if selected.decision.included)

    def left_out(self) -> Iterator[tuple[Target, Problem]]:
        """Targets that the inventory or --exclude leaves out, and duplicates; each gets an outcome that says so."""
        for selected in self.selected():
            if (code := selected.decision.code) is not None:
                yield selected.target, problem(code, Stage.RESOLVE, selected.decision.why)

    def spared(self, target: Target) -> Problem | None:
        """What leaves a target out by its address, site or groups, once a run has found them; None: nothing."""
        for selector in (self.selector, *self.further):
            if (decision := self.inventory.spared(target, selector)) is not None:
                return problem(Code.EXCLUDED, Stage.RESOLVE, decision.why)
        return None

    def notes(self) -> Iterator[str]:
        """What to say of targets that the origin had, and that are in the inventory no more."""
        if self.origin is None:
            return
        here = {selected.target.name.lower() for selected in self.inventory.targets(self.selector)}
        if gone := sorted(self.origin.only - here):
            named = ", ".join(gone[:_NAMED]) + (f" and {len(gone) - _NAMED:,} more" if len(gone) > _NAMED else "")
            yield f"no longer in {self.inventory.file}, and left alone: {named}"

    def _is_taken_up(self, target: Target) -> bool:
        """Whether the origin, if any, has left the target to this run."""
        if self.origin is None:
            return True
        return target.name.lower() in self.origin.only and all(one.decide(target).included for one in self.further)


def select_targets(inventory: Inventory, options: Options) -> TargetSelection:
    """What the options select of ``inventory``; BadInput where they name what it does not have."""
    limit, exclude = list(options.limit), list(options.exclude)
    selector, origin = inventory.selector(limit=limit, exclude=exclude), options.origin
    further: tuple[Selector, ...] = ()
    if origin is not None:
        # What earlier runs were told was looked up then: a name that has gone since spares nobody less.
        first, *others = [*(parse_selector(limit=limit) for limit in origin.limits), EVERYTHING]
        spared = parse_selector(exclude=origin.exclude).exclude
        further = (*others, Selector(limit=selector.limit))
        selector = Selector(limit=first.limit, exclude=(*spared, *selector.exclude))
    return TargetSelection(inventory=inventory, selector=selector, further=further, origin=origin)
