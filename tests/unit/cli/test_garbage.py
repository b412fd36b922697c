"""The search for garbage during a run: what there is stays out of it, and all is searched as memory grows only."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from pusher.cli.garbage import memory, search_as_memory_grows, short_searches_only
from tests.unit.push.flying import fly

MB = 2**20


@pytest.fixture
def long_searches() -> Iterator[list[int]]:
    """Grows by one for each search of everything."""
    made: list[int] = []

    def seen(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            made.append(info["generation"])

    gc.callbacks.append(seen)
    yield made
    gc.callbacks.remove(seen)


def test_objects_that_stay_cause_no_long_search(long_searches: list[int]) -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    with short_searches_only():
        kept = [[number] for number in range(400_000)]
        assert long_searches == []
        assert gc.get_freeze_count() > before[1]
    assert (gc.get_threshold(), gc.get_freeze_count()) == before
    kept += [[number] for number in range(400_000)]
    assert long_searches != []


@pytest.mark.parametrize(
    ("sizes", "searches"),
    [
        ((100, 100, 227, 227), 0),
        ((100, 228, 228, 228, 355), 1),
        ((100, 228, 300, 427, 428, 428), 2),
    ],
)
def test_all_is_searched_once_for_each_128_mb_more(
    sizes: tuple[int, ...], searches: int, long_searches: list[int]
) -> None:
    left = [megabytes * MB for megabytes in sizes]

    def grown() -> int:
        return left.pop(0) if len(left) > 1 else left[0]

    async def run() -> None:
        watch = asyncio.create_task(search_as_memory_grows(grown))
        await asyncio.sleep(60)
        watch.cancel()

    with short_searches_only():
        long_searches.clear()
        fly(run())
        assert len(long_searches) == searches


def _said(field: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def test_memory_is_in_bytes() -> None:
    assert memory() == pytest.approx(_said("VmRSS"), rel=0.1)


def test_where_there_is_no_proc_it_is_the_most_that_there_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pusher.cli.garbage._STATM", tmp_path / "statm")
    assert memory() >= _said("VmRSS") * 0.9
