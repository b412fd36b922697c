"""The log: a planted secret does not turn up in it, wherever it was put in."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from pusher.log import Redactor, start_log
from pusher.models import Secret

PLANTED = 'hunter2 "quoted" \\back/slash é'


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    file, redactor = start_log(tmp_path / "logs" / "pusher.log")
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
