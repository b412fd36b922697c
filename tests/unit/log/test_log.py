"""The log: a planted secret does not turn up in it, wherever it was put in."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pusher.log import Redactor, start_log
from pusher.log.redaction import forms
from pusher.models import Secret

PLANTED = 'hunter2 "quoted" \\back/slash é'


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    file, redactor = start_log(tmp_path / "logs" / "pusher.log")
    file.open()
    redactor.learn([Secret(PLANTED), Secret("ab")])

    def lines() -> list[dict[str, Any]]:
        text = (tmp_path / "logs" / "pusher.log").read_text(encoding="utf-8")
        assert PLANTED not in text
        assert json.dumps(PLANTED)[1:-1] not in text
        assert "hunter2" not in text
        return [json.loads(line) for line in text.splitlines()]

    yield lines
    file.close()
    structlog.reset_defaults()


@dataclass
class Holder:
    value: str


class Odd:
    def __str__(self) -> str:
        return f"odd {PLANTED}"


@pytest.mark.parametrize(
    "value",
    [
        PLANTED,
        f"before {PLANTED} behind",
        [PLANTED],
        (PLANTED, 1),
        {"deep": {"deeper": [PLANTED]}},
        {PLANTED: "as a key"},
        {"password": PLANTED},
        {PLANTED},
        ValueError(PLANTED),
        Holder(PLANTED),
        Odd(),
        PLANTED.encode(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_secret_is_cut_out_wherever_it_is(value: object, log: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger().info("event", value=value, number=5, nothing=None, truth=True)
    entry = log()[0]
    assert (entry["number"], entry["nothing"], entry["truth"]) == (5, None, True)


def test_a_secret_in_the_event_itself(log: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger().info(f"signed in with {PLANTED}")
    assert log()[0]["event"] == "signed in with ***"


def test_a_secret_in_an_exception(log: Callable[[], list[dict[str, Any]]]) -> None:
    try:
        try:
            raise KeyError(PLANTED)
        except KeyError as error:
            raise RuntimeError(f"wrapping {PLANTED}") from error
    except RuntimeError:
        structlog.get_logger().exception("failed")
    assert "wrapping ***" in log()[0]["exception"]


def test_a_secret_bound_to_the_run(log: Callable[[], list[dict[str, Any]]]) -> None:
    with structlog.contextvars.bound_contextvars(run="r", note=PLANTED):
        structlog.get_logger().info("event")
    assert (log()[0]["run"], log()[0]["note"]) == ("r", "***")


@pytest.mark.parametrize("name", ["password", "Secret", "old_passwd", "CREDENTIALS", "api_token"])
def test_what_is_named_like_a_secret_is_not_shown(name: str, log: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger().info("event", **{name: "never learnt"}, nested={name: "never learnt"})
    entry = log()[0]
    assert (entry[name], entry["nested"]) == ("***", {name: "***"})


def test_words_are_not_torn_for_a_short_secret(log: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger().info("about")
    assert log()[0]["event"] == "about"


def test_lines_are_json_with_a_time_and_a_level(log: Callable[[], list[dict[str, Any]]]) -> None:
    structlog.get_logger().warning("first", target="ws01")
    structlog.get_logger().info("second")
    first, second = log()
    assert (first["event"], first["level"], first["target"]) == ("first", "warning", "ws01")
    assert first["timestamp"] <= second["timestamp"]


def test_the_file_is_the_operators_own(log: Callable[[], list[dict[str, Any]]], tmp_path: Path) -> None:
    assert (tmp_path / "logs" / "pusher.log").stat().st_mode & 0o777 == 0o600


def test_the_libraries_are_silent(log: Callable[[], list[dict[str, Any]]]) -> None:
    for name in ("smbprotocol.connection", "spnego", "impacket", "sqlalchemy.engine"):
        assert not logging.getLogger(name).isEnabledFor(logging.CRITICAL)


@pytest.mark.thorough
@given(st.recursive(st.text(max_size=8), lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner)))
def test_no_structure_hides_a_secret(value: Any) -> None:
    redactor = Redactor()
    redactor.learn([Secret("swordfish")])

    def planted(value: Any) -> Any:
        if isinstance(value, str):
            return f"{value}swordfish{value}"
        if isinstance(value, dict):
            return {f"{key}swordfish": planted(item) for key, item in value.items()}
        return [planted(item) for item in value]

    assert "swordfish" not in repr(redactor(None, "", {"value": planted(value)}))


# A second log


def test_a_second_log_in_one_process_keeps_the_first_ones_secrets(
    log: Callable[[], list[dict[str, Any]]], tmp_path: Path
) -> None:
    file, redactor = start_log(tmp_path / "second.log")
    redactor.learn([Secret("of-the-second-run")])
    structlog.get_logger().info("event", value=f"{PLANTED} and of-the-second-run")
    file.close()
    assert json.loads((tmp_path / "second.log").read_text())["value"] == "*** and ***"


def test_after_its_end_a_log_takes_nothing_and_costs_nothing(tmp_path: Path) -> None:
    file, _ = start_log(tmp_path / "log")
    late = structlog.get_logger().bind(run="r1")
    late.info("event")
    file.close()
    late.info("a thread that comes back late")
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    structlog.reset_defaults()


# What is found, against the naive way

SECRETS = st.lists(st.text("ab", min_size=4, max_size=9), min_size=1, max_size=5)
TEXTS = st.text("ab ", max_size=40)


def cut_naively(text: str, values: set[str]) -> str:
    """Mark every character of every occurrence; those of occurrences that overlap are one."""
    spans = sorted((at, at + len(value)) for value in values for at in range(len(text)) if text.startswith(value, at))
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start < joined[-1][1]:
            joined[-1] = joined[-1][0], max(end, joined[-1][1])
        else:
            joined.append((start, end))
    told, upto = "", 0
    for start, end in joined:
        told, upto = f"{told}{text[upto:start]}***", end
    return told + text[upto:]


@given(SECRETS, TEXTS)
def test_every_occurrence_of_every_secret(secrets: list[str], text: str) -> None:
    redactor = Redactor()
    redactor.learn(map(Secret, secrets))
    known = {form for secret in secrets for form in forms(secret)}
    assert redactor.cut(text) == cut_naively(text, known)


@given(st.text(min_size=4, max_size=30), st.text(max_size=9), st.text(max_size=9))
def test_in_each_form_in_which_it_may_turn_up(secret: str, before: str, behind: str) -> None:
    redactor = Redactor()
    redactor.learn([Secret(secret)])
    narrow, wide = secret.encode("utf-8", "surrogatepass"), secret.encode("utf-16-le", "surrogatepass")
    turned = [secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(narrow), quote_plus(narrow), escape(secret),
              repr(narrow)[2:-1], narrow.hex(), wide.hex().upper()]  # fmt: skip
    for form in turned:
        if len(form) >= 4:
            assert form not in redactor.cut(f"{before}{form}{behind}").replace("***", "") or form in before + behind
    for data in (narrow, wide):
        for shift in range(3):
            whole = base64.b64encode(bytes(shift) + data + bytes(3)).decode()
            core = base64.b64encode(bytes(shift) + data).decode()[4 if shift else 0 : (shift + len(data)) // 3 * 4]
            if len(core) >= 12:
                assert core not in redactor.cut(whole)


class Counted(set[str]):
    """A set that counts how often it is asked."""

    asked = 0

    def __contains__(self, value: object) -> bool:
        self.asked += 1
        return super().__contains__(value)


def of_a_machine(number: int) -> str:
    return base64.b85encode(hashlib.sha256(str(number).encode()).digest()).decode()[:20]


@pytest.mark.parametrize("text", ["nothing of them in here", f"one is {of_a_machine(7)}, there"])
def test_looking_costs_no_more_for_many_secrets(text: str) -> None:
    asked = []
    for count in (10, 2_000):
        redactor = Redactor()
        redactor.learn(Secret(of_a_machine(number)) for number in range(count))
        redactor._values = Counted(redactor._values)
        redactor.cut(text)
        asked.append(redactor._values.asked)
    assert asked[0] == asked[1]


def test_what_cannot_be_shown_ends_nothing(log: Callable[[], list[dict[str, Any]]]) -> None:
    class Stranger:
        def __str__(self) -> str:
            raise RuntimeError

    structlog.get_logger().info("event", value=Stranger(), nested={"key": [Stranger()]})
    assert log()[0]["value"] == "<Stranger that cannot be shown>"


# A file that cannot be written


class Told(list[str]):
    """The notes of a log."""


@pytest.fixture
def told() -> Iterator[Told]:
    yield Told()
    structlog.reset_defaults()


def test_a_full_disk_is_said_once_and_ends_nothing(told: Told) -> None:
    file, _ = start_log(Path("/dev/full"), told.append)
    for _ in range(3):
        structlog.get_logger().info("event")
    assert told == ["the log /dev/full cannot be written (No space left on device); the run goes on without it"]
    file.close()


def test_a_log_that_cannot_be_opened(told: Told, tmp_path: Path) -> None:
    file, _ = start_log(tmp_path, told.append)
    structlog.get_logger().info("event")
    structlog.get_logger().info("event")
    file.close()
    assert told == [f"the log {tmp_path} cannot be written (Is a directory); the run goes on without it"]


def test_a_folder_that_is_deleted_meanwhile(told: Told, tmp_path: Path) -> None:
    path = tmp_path / "logs" / "pusher.log"
    file, _ = start_log(path, told.append)
    structlog.get_logger().info("first")
    shutil.rmtree(path.parent)
    structlog.get_logger().info("second")
    file.close()
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["second"]
    assert told == []


@pytest.mark.parametrize("some", [0, 7])
def test_a_disk_that_has_room_again(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, some: int) -> None:
    """Half a line may be there; those that follow are whole, and how many were lost is said."""
    path, write = tmp_path / "log", os.write

    def full(descriptor: int, data: bytes) -> int:
        if some:
            return write(descriptor, data[:some])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    file, _ = start_log(path, told.append)
    structlog.get_logger().info("before")
    monkeypatch.setattr("pusher.log.file.os.write", full)
    structlog.get_logger().info("lost")
    structlog.get_logger().info("lost")
    monkeypatch.undo()
    structlog.get_logger().info("behind")
    file.close()
    lines = path.read_text().splitlines()
    whole = [json.loads(line) for line in lines if line.startswith('{"') and line.endswith("}")]
    assert [line["event"] for line in whole] == ["before", "log-lines-lost", "behind"]
    assert whole[1]["count"] == 2
    assert len(told) == 1
