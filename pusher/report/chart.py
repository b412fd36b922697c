"""The outcome chart of the HTML report, as SVG written here so that it shows without scripts.

Here lives the geometry. Colours are classes (``s-failed``) that the page's style gives for light, dark and
print. What must not live here: text that a target wrote.
"""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from pusher.models import Status
from pusher.report.text import hosts, number

# One failed host of 20,000 must still be seen: no slice is thinner than this many hundredths.
LEAST = 1.2
_GAP = 0.5


def shares(counts: Mapping[Status, int], least: float = LEAST) -> list[tuple[Status, float]]:
    """Hundredths of the ring for each status, none below ``least``, summing to 100."""
    present = [(status, counts[status]) for status in Status if counts.get(status)]
    total = sum(count for _, count in present)
    raised = [(status, max(least, 100.0 * count / total)) for status, count in present]
    whole = sum(share for _, share in raised)
    return [(status, 100.0 * share / whole) for status, share in raised]


def donut(counts: Mapping[Status, int]) -> Markup:
    """A ring with a slice for each status, clockwise from the top in the order of ``Status``."""
    total = sum(counts.values())
    told = ", ".join(f"{number(counts[s])} {s.value}" for s in Status if counts.get(s)) or "no hosts"
    slices, at = [], 0.0
    several = len([1 for count in counts.values() if count]) > 1
    for status, share in shares(counts):
        drawn = max(0.2, share - (_GAP if several else 0))
        slices.append(
            Markup(
                '<circle class="slice s-{0}" cx="60" cy="60" r="46" pathLength="100" '
                'stroke-dasharray="{1:.3f} {2:.3f}" stroke-dashoffset="{3:.3f}"><title>{4} {0}</title></circle>'
            ).format(status.value, drawn, 100 - drawn, -at, hosts(counts[status]))
        )
        at += share
    return Markup(
        '<svg class="donut" viewBox="0 0 120 120" role="img" aria-label="Outcomes: {0}">'
        '<circle class="ring" cx="60" cy="60" r="46"/><g transform="rotate(-90 60 60)">{1}</g>'
        '<text x="60" y="61" class="big">{2}</text><text x="60" y="76" class="small">{3}</text></svg>'
    ).format(told, Markup("").join(slices), number(total), "host" if total == 1 else "hosts")
