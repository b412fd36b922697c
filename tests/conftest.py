"""What all tests share: labs that are started by one rule and are always taken down.

A lab that cannot start is an error where PUSHER_LAB_REQUIRED=1 says so; elsewhere its tests are skipped, and the
reason is told in words.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType

import hypothesis
import pytest

from lab import HostSpec, Lab, LabError
from lab.build import BuildError
from lab.domain import Domain
from lab.domain.configuration import LDAP_PORT

StartLab = Callable[[Lab, Sequence[HostSpec]], Lab]
LONGEST_FIRST = (
    "site",
    "tests/contract/test_winrm_transport.py",
    "own_lab",
    "tests/system/test_killed.py",
    "tests/system/test_transports.py",
    "tests/system/test_installers.py",
    "tests/system/test_joined.py",
    "tests/contract/test_smb_transport.py",
    "tests/system/test_domain.py",
    "tests/system/test_rebuilt.py",
)
"""Groups of tests that go to one worker as a whole. Those that take minutes begin first, so that at the end no worker
waits for another's; by number of tests, as xdist would have it, some of them came last."""
_TESTS = itertools.count()
LONGEST_ID = 80
CONTROLLER_NETWORKS = range(150, 170)
"""127.0.N.0/24: a domain controller of its own takes the first that nobody has."""
StartDomain = Callable[[Path], Domain]


@pytest.fixture(scope="session", autouse=True)
def _end_orderly() -> Iterator[None]:
    """SIGTERM, as a pipeline's time limit sends it, tears fixtures down as Ctrl-C does; and Ctrl-C does so always."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, does) for number, does in (
        # What a shell starts in the background has Ctrl-C ignored, and so has all that it starts in turn.
        (signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, stop))}  # fmt: skip
    yield
    for number, did in before.items():
        with suppress(TypeError):  # None: it was not set by Python
            signal.signal(number, did)


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pytest's own, but for the name: to find a free one it lists the folders of all tests before, each time."""
    return tmp_path_factory.mktemp(f"test-{next(_TESTS)}", numbered=False)


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


@pytest.fixture(scope="session")
def free_controller_address() -> Callable[[], str]:
    """Gives addresses that no domain controller has; other ones for each worker of a session."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))

    def find() -> str:
        for number in CONTROLLER_NETWORKS[worker::workers]:
            address = f"127.0.{number}.252"
            with socket.socket() as probe:
                if probe.connect_ex((address, LDAP_PORT)) != 0:
                    return address
        raise LabError("a domain controller runs in each of the networks that tests may take")

    return find


@pytest.fixture(scope="session")
def start_domain(_end_orderly: None, free_controller_address: Callable[[], str]) -> Iterator[StartDomain]:
    """Starts a domain controller in a folder, or fails or skips; whatever was started is down when the session ends."""
    with ExitStack() as stack:

        def start(folder: Path) -> Domain:
            domain = Domain(folder, free_controller_address())
            stack.callback(domain.down)
            try:
                domain.up()
            except LabError as exc:
                if os.environ.get("PUSHER_LAB_REQUIRED") == "1":
                    raise
                pytest.skip(f"the domain controller does not start: {str(exc).splitlines()[0]}")
            return domain

        yield start


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With --dist loadgroup, tests of one large lab go to one worker, so that it is started once; others by file.
    The longest groups come first."""
    ranks = []
    for item in items:
        names = getattr(item, "fixturenames", ())
        group = next((lab for lab in ("site", "own_lab") if lab in names), item.nodeid.partition("::")[0])
        item.add_marker(pytest.mark.xdist_group(group))
        ranks.append(LONGEST_FIRST.index(group) if group in LONGEST_FIRST else len(LONGEST_FIRST))
    items[:] = [items[at] for at in sorted(range(len(items)), key=ranks.__getitem__)]


# A property is told the same stories each time, so that a failure is of this change and comes again; the search for
# new ones is one of its own: HYPOTHESIS_PROFILE=search make test-fast
hypothesis.settings.register_profile("settled", derandomize=True, deadline=None)
hypothesis.settings.register_profile("search", deadline=None, max_examples=300)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "settled"))


def pytest_configure(config: pytest.Config) -> None:
    """xdist keeps to our order of groups. And where CI is set pytest prints whole differences; that of two executables
    takes it hours to find."""
    config.option.loadscopereorder = False
    os.environ.pop("CI", None)


def pytest_make_parametrize_id(val: object) -> str | None:
    """A short name for a long value: an id travels to each worker and stands in each line of a report."""
    if not isinstance(val, str | bytes) or len(val) <= LONGEST_ID:
        return None
    start = val[: LONGEST_ID // 2]
    shown = start if isinstance(start, str) else start.decode("ascii", "backslashreplace")
    digest = hashlib.sha256(val.encode("utf-8", "surrogatepass") if isinstance(val, str) else val).hexdigest()
    return f"{shown.encode('unicode_escape').decode()}...{digest[:8]}"
