"""What a host needs: from nothing, from an older version, from half of it, and from just what was to come."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.install.machine import Step
from pusher.install.plan import (
    START_TYPES,
    Before,
    Observation,
    Plan,
    decide,
    installed_version,
    service_of,
    trimmed,
    version_key,
    wanted_config,
)
from pusher.models import Package, Status
from pusher.problems import Problem, Stage
from pusher.remote.images import FileDigest
from pusher.transports.port import ServiceConfig, ServiceState, ServiceStatus, StartType
from tests.unit.push.harness import CONF, EXE, LOG, make_package

PACKAGE = make_package()
COMMAND = service_of(PACKAGE).command.format(name="ws01")
WANTED = wanted_config(PACKAGE, COMMAND)
PLAIN_STATES = (ServiceState.STOPPED, ServiceState.RUNNING)
FULL = tuple(step for step in Step if step is not Step.GRANT)


def there(package: Package = PACKAGE, version: str = "1.4.2.0") -> dict[str, FileDigest | None]:
    """Every file of the package as it is to be."""
    return {
        file.dest: FileDigest(size=file.size, sha256=file.sha256, version=version if file.dest == EXE else None)
        for file in package.files
    }


def older() -> dict[str, FileDigest | None]:
    return {
        EXE: FileDigest(size=9, sha256="0" * 64, version="1.3.0.0"),
        CONF: FileDigest(size=1, sha256="", version=None),
    }


def seen(
    files: dict[str, FileDigest | None] | None = None,
    state: ServiceState | None = ServiceState.RUNNING,
    **changes: Any,
) -> Observation:
    """A host; ``state`` None: it has no such service."""
    defaults: dict[str, Any] = {
        "files": there() if files is None else files,
        "missing_folders": (),
        "service": WANTED if state is not None else None,
        "status": ServiceStatus(state=state) if state is not None else None,
        "missing_leftovers": (),
    }
    return Observation(**(defaults | changes))


def bare(**changes: Any) -> Observation:
    folders = {"missing_folders": ("labagent", "labagent\\conf"), "missing_leftovers": (LOG,)}
    return seen({EXE: None, CONF: None}, None, **(folders | changes))


def planned(observation: Observation, package: Package = PACKAGE) -> Plan:
    plan = decide(package, wanted_config(package, COMMAND), observation)
    assert isinstance(plan, Plan), plan
    return plan


@pytest.mark.parametrize(
    ("observation", "steps", "status"),
    [
        (bare(), (Step.STAGE, Step.PLACE, Step.REGISTER, Step.START, Step.VERIFY, Step.COMMIT), Status.INSTALLED),
        (seen(), (), Status.UNCHANGED),
        (seen(older()), tuple(s for s in FULL if s is not Step.REGISTER), Status.UPGRADED),
        (seen(older(), service=replace(WANTED, display_name="Old")), FULL, Status.UPGRADED),
        (
            seen(older(), ServiceState.STOPPED),
            (Step.STAGE, Step.PLACE, Step.START, Step.VERIFY, Step.COMMIT),
            Status.UPGRADED,
        ),
        (seen(state=ServiceState.STOPPED), (Step.START, Step.VERIFY, Step.COMMIT), Status.INSTALLED),
        (
            seen(service=replace(WANTED, start_type=StartType.DEMAND)),
            (Step.STOP, Step.REGISTER, Step.START, Step.VERIFY, Step.COMMIT),
            Status.UPGRADED,
        ),
        (seen(state=None), (Step.REGISTER, Step.START, Step.VERIFY, Step.COMMIT), Status.INSTALLED),
        # What is neither running nor stopped is not taken for either.
        (seen(state=ServiceState.START_PENDING), (Step.START, Step.VERIFY, Step.COMMIT), Status.INSTALLED),
        (seen(state=ServiceState.STOP_PENDING), (Step.STOP, Step.START, Step.VERIFY, Step.COMMIT), Status.INSTALLED),
        (seen(state=ServiceState.PAUSED), (Step.STOP, Step.START, Step.VERIFY, Step.COMMIT), Status.INSTALLED),
    ],
    ids=[
        "bare", "there", "older", "older-and-renamed", "older-stopped", "stopped", "start-type", "no-service",
        "starting", "stopping", "paused",
    ],
)  # fmt: skip
def test_what_a_host_needs(observation: Observation, steps: tuple[Step, ...], status: Status) -> None:
    plan = planned(observation)
    assert (plan.steps, plan.status) == (steps, status)


def test_a_disabled_service_is_stopped_and_not_started() -> None:
    package = make_package(start="disabled")
    disabled = wanted_config(package, COMMAND)
    assert planned(seen(service=disabled, state=ServiceState.STOPPED), package).steps == ()
    assert planned(seen(service=disabled), package).steps == (Step.STOP, Step.COMMIT)
    assert planned(bare(), package).steps == (Step.STAGE, Step.PLACE, Step.REGISTER, Step.COMMIT)


def test_only_what_differs_is_copied() -> None:
    half = there() | {CONF: None}
    plan = planned(seen(half))
    assert [file.dest for file in plan.files] == [CONF]
    assert (plan.before.replaced, plan.before.added) == ((), (CONF,))
    assert plan.status is Status.UPGRADED


def test_what_an_undo_is_told() -> None:
    plan = planned(seen(older() | {CONF: None}, missing_folders=("labagent\\conf",), missing_leftovers=(LOG,)))
    assert plan.before == Before(
        service_name="LabAgent",
        replaced=(EXE,),
        added=(CONF,),
        new_folders=("labagent\\conf",),
        service=WANTED,
        was_running=True,
        leftovers=(LOG,),
        stop_timeout=30.0,
    )
    held = planned(replace(seen(older()), old_is_held=True)).before
    assert held.old == ".pusher-old2", "another process holds what an earlier push has set aside"
    assert Before.from_json(held.to_json()) == held
    earlier = {key: value for key, value in held.to_json().items() if key not in ("old", "stop_timeout")}
    assert Before.from_json(earlier).old == ".pusher-old", "a journal of an earlier version of pusher"
    assert not planned(bare()).before.was_running
    assert not planned(seen(older(), ServiceState.STOP_PENDING)).before.was_running


@pytest.mark.parametrize(
    "image_path",
    [
        '"C:\\Windows\\labagent\\labagent.exe"', "%SYSTEMROOT%\\labagent\\LABAGENT.exe --other",
        "\\SystemRoot\\labagent\\labagent.exe", '"%windir%/labagent/labagent.exe" -x',
    ],
)  # fmt: skip
def test_our_own_service_is_known_however_its_path_is_written(image_path: str) -> None:
    assert Step.REGISTER in planned(seen(service=replace(WANTED, image_path=image_path))).steps


@pytest.mark.parametrize(
    "image_path",
    [
        '"%SystemRoot%\\other\\labagent.exe"',
        "C:\\labagent\\labagent.exe",
        '"C:\\Program Files\\x.exe"',
        "labagent.exe",
        "",
    ],
)
def test_a_foreign_service_of_the_name_is_refused(image_path: str) -> None:
    found = decide(PACKAGE, WANTED, seen(service=replace(WANTED, image_path=image_path)))
    assert isinstance(found, Problem)
    assert (found.code, found.stage) == ("service-exists-foreign", Stage.SERVICE)
    assert image_path in found.message


@pytest.mark.parametrize(
    ("installed", "refused"),
    [
        ("1.4.3.0", True),
        ("2.0.0.0", True),
        ("1.10.0.0", True),
        ("1.4.2.1", True),
        ("1.4.2.0", False),
        ("1.4.1.9", False),
    ],
)
def test_a_newer_version_is_not_replaced(installed: str, refused: bool) -> None:
    files = older() | {EXE: FileDigest(size=9, sha256="0" * 64, version=installed)}
    found = decide(PACKAGE, WANTED, seen(files))
    if refused:
        assert isinstance(found, Problem)
        assert found.code == "newer-version-present"
    else:
        assert isinstance(found, Plan)
        assert found.installed_version == trimmed(installed)


def test_an_account_in_other_letters_is_the_same() -> None:
    assert planned(seen(service=replace(WANTED, account="LOCALSYSTEM"))).steps == ()


def test_without_a_version_nothing_is_newer() -> None:
    files = {EXE: FileDigest(size=9, sha256="0" * 64, version=None), CONF: None}
    assert installed_version(PACKAGE, seen(files)) is None
    assert planned(seen(files)).status is Status.UPGRADED


@pytest.mark.parametrize(
    ("version", "short"), [("1.4.2.0", "1.4.2"), ("1.0.0.0", "1"), ("0.0.0.0", "0"), ("10", "10"), ("1.0.1.0", "1.0.1")]
)
def test_trailing_zeros_do_not_count(version: str, short: str) -> None:
    assert trimmed(version) == short
    assert version_key(version) == version_key(short)


numbers = st.lists(st.integers(0, 10**9), min_size=1, max_size=4)


@given(numbers, numbers)
def test_versions_are_ordered_as_numbers(one: list[int], other: list[int]) -> None:
    width = max(len(one), len(other))
    padded = [part + [0] * (width - len(part)) for part in (one, other)]
    keys = [version_key(".".join(map(str, part))) for part in (one, other)]
    assert (keys[0] < keys[1]) == (padded[0] < padded[1])
    assert (keys[0] == keys[1]) == (padded[0] == padded[1])


@st.composite
def observations(draw: st.DrawFn) -> tuple[Package, Observation]:
    """Any host on which nothing forbids the package."""
    package = make_package(start=draw(st.sampled_from(sorted(START_TYPES))))
    wanted = wanted_config(package, COMMAND)
    versions = st.sampled_from([None, "1.3.0.0", "1.4.2.0"])
    files: dict[str, FileDigest | None] = {}
    for file in package.files:
        other = FileDigest(size=draw(st.sampled_from([file.size, 7])), sha256="f" * 64, version=draw(versions))
        right = FileDigest(size=file.size, sha256=file.sha256, version=draw(versions))
        files[file.dest] = draw(st.sampled_from([None, other, right]))
    service = draw(
        st.sampled_from([None, wanted, replace(wanted, display_name="x"), replace(wanted, start_type=StartType.DEMAND)])
    )
    status = None if service is None else ServiceStatus(state=draw(st.sampled_from(ServiceState)))
    folders = ("labagent",) if not any(files.values()) else ()
    return package, seen(
        files, None, service=service, status=status, missing_folders=folders,
        missing_leftovers=draw(st.sampled_from([(), (LOG,)])),
    )  # fmt: skip


def _brought_to(package: Package, wanted: ServiceConfig, before: Observation, plan: Plan) -> Observation:
    """The host when the plan's steps are done."""
    state, service, files = before.state, before.service, dict(before.files)
    if Step.STOP in plan.steps:
        state = ServiceState.STOPPED
    if Step.PLACE in plan.steps:
        assert Step.STAGE in plan.steps
        files |= {f.dest: FileDigest(size=f.size, sha256=f.sha256, version=None) for f in plan.files}
    if Step.REGISTER in plan.steps:
        service = wanted
    if Step.START in plan.steps:
        assert state in (ServiceState.STOPPED, ServiceState.RUNNING, ServiceState.START_PENDING)
        state = ServiceState.RUNNING
    status = None if service is None else ServiceStatus(state=state)
    return replace(before, files=files, service=service, status=status, missing_folders=())


@pytest.mark.thorough
@given(observations())
def test_a_host_brought_to_its_plan_needs_nothing_more(given: tuple[Package, Observation]) -> None:
    package, before = given
    wanted = wanted_config(package, COMMAND)
    plan = planned(before, package)
    after = planned(_brought_to(package, wanted, before, plan), package)
    assert (after.steps, after.status) == ((), Status.UNCHANGED)


@given(observations())
def test_every_plan_is_one_of_the_machine(given: tuple[Package, Observation]) -> None:
    package, before = given
    plan = planned(before, package)
    assert list(plan.steps) == [step for step in Step if step in plan.steps]
    assert (plan.status is Status.UNCHANGED) == (plan.steps == ())
    assert plan.steps == () or plan.steps[-1] is Step.COMMIT
    assert (Step.START in plan.steps) == (Step.VERIFY in plan.steps)
    assert set(plan.before.replaced) | set(plan.before.added) == {file.dest for file in plan.files}
    assert all(before.files[dest] is not None for dest in plan.before.replaced)
    assert all(before.files[dest] is None for dest in plan.before.added)


@given(observations())
def test_what_an_undo_needs_survives_the_journal(given: tuple[Package, Observation]) -> None:
    before = planned(given[1], given[0]).before
    assert Before.from_json(json.loads(json.dumps(before.to_json()))) == before


@pytest.mark.parametrize("missing", ["service_name", "replaced", "service", "was_running", "leftovers"])
def test_a_damaged_journal_is_not_guessed_at(missing: str) -> None:
    data = planned(bare()).before.to_json()
    del data[missing]
    with pytest.raises(KeyError):
        Before.from_json(data)


def test_a_start_type_that_does_not_exist_is_refused() -> None:
    data = planned(seen(older())).before.to_json()
    data["service"] = data["service"] | {"start_type": 9}
    with pytest.raises(ValueError, match="9"):
        Before.from_json(data)


@pytest.mark.parametrize(
    ("start", "start_type", "delayed"),
    [
        ("auto", StartType.AUTO, False), ("delayed", StartType.AUTO, True), ("demand", StartType.DEMAND, False),
        ("disabled", StartType.DISABLED, False),
    ],
)  # fmt: skip
def test_the_start_type_is_what_the_package_says(start: str, start_type: StartType, delayed: bool) -> None:
    config = wanted_config(make_package(start=start), COMMAND)
    assert (config.start_type, config.delayed) == (start_type, delayed)
