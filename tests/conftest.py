"""What all tests share: labs that are started by one rule and are always taken down.

A lab that cannot start is an error where PUSHER_LAB_REQUIRED=1 says so; elsewhere its tests are skipped, and the
reason is told in words.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from types import FrameType

import pytest

from lab import HostSpec, Lab, LabError
from lab.build import BuildError

StartLab = Callable[[Lab, Sequence[HostSpec]], Lab]


@pytest.fixture(scope="session", autouse=True)
def _end_orderly() -> Iterator[None]:
    """SIGTERM, as a pipeline's time limit sends it, tears fixtures down as Ctrl-C does."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    yield
    with suppress(TypeError):  # None: it was not set by Python
        signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def start_lab(_end_orderly: None) -> Iterator[StartLab]:
    """Starts a lab, or fails or skips; whatever was started is down when the session ends."""
    with ExitStack() as stack:

        def start(lab: Lab, specs: Sequence[HostSpec]) -> Lab:
            stack.callback(lab.down)  # before it is up: an `up` that is interrupted has started something
            try:
                lab.up(specs)
            except (LabError, BuildError) as exc:
                if os.environ.get("PUSHER_LAB_REQUIRED") == "1":
                    raise
                pytest.skip(f"the lab does not start: {str(exc).splitlines()[0]}")
            return lab

        yield start


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With --dist loadgroup, tests of one large lab go to one worker, so that it is started once; others by file."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        group = next((lab for lab in ("site", "own_lab") if lab in names), item.nodeid.partition("::")[0])
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_configure() -> None:
    """Where CI is set pytest prints whole differences; that of two executables takes it hours to find."""
    os.environ.pop("CI", None)
