"""``python -m tests.faults``: rounds of faults, and what became of every host."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.faults.round import WORKERS, Asked, Found, new_seed, one_round

_SHOWN = 20


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults",
        description=f"{WORKERS} workers, a queued run over hosts in memory, and faults until all of it is done.",
        epilog="example:\n  python -m tests.faults --targets 2000 --store both",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--targets", type=int, default=300, metavar="N", help="hosts (%(default)s)")
    parser.add_argument("--store", choices=("sqlite", "postgresql", "both"), default="both", help="(%(default)s)")
    parser.add_argument("--seed", type=int, help="of the choice of faults; default: another one each time")
    parser.add_argument(
        "--pause", type=float, default=6.0, metavar="S", help="seconds between faults, at most (%(default)s)"
    )
    parser.add_argument("--faults", type=int, metavar="N", help="as many at most [default: until all is done]")
    given = parser.parse_args()
    seed = new_seed() if given.seed is None else given.seed
    stores = {"sqlite": (False,), "postgresql": (True,), "both": (False, True)}[given.store]
    print(f"{given.targets:,} hosts, {WORKERS} workers, seed {seed}", flush=True)
    rounds = []
    for on_server in stores:
        asked = Asked(targets=given.targets, seed=seed, on_server=on_server, pause=given.pause, faults=given.faults)
        rounds.append(one_round(asked, lambda words: print(f"  {words}", file=sys.stderr, flush=True)))
    print(table(rounds))
    for found in rounds:
        for name, hosts in _wrong(found).items():
            if hosts:
                print(f"{found.database}: {name}:", *hosts[:_SHOWN], sep="\n  ")
    return 0 if all(found.is_right for found in rounds) else 1


def table(rounds: list[Found]) -> str:
    """As Markdown: a column a database."""
    injected = sum((found.injected for found in rounds), Counter[str]())
    lines = [("", *(found.database for found in rounds)), tuple("---" for _ in range(len(rounds) + 1))]
    lines += [(name, *(str(found.injected[name]) for found in rounds)) for name in sorted(injected)]
    lines.append(("**faults injected**", *(str(found.injected.total()) for found in rounds)))
    for name in _wrong(Found()):
        lines.append((f"**{name}**", *(str(len(_wrong(found)[name])) for found in rounds)))
    lines.append(("hosts by times that their agent was started", *(_times(found) for found in rounds)))
    lines.append(("seconds", *(f"{found.seconds:.0f}" for found in rounds)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _wrong(found: Found) -> dict[str, list[str]]:
    return {
        "hosts without their agent, or without an outcome": found.lost,
        "hosts changed by two at once": found.at_once,
        "hosts installed again without a recorded undo": found.doubled,
        "hosts on which something is left": found.left_behind,
        "journals left open": found.open_journals,
        "tables with a secret": found.secrets,
    }


def _times(found: Found) -> str:
    return ", ".join(f"{hosts} {count}×" for count, hosts in sorted(found.installs.items()))


if __name__ == "__main__":
    sys.exit(main())
