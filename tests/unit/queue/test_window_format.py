"""Windows as an operator writes them: TOML and JSON alike, and one sentence with its place for each mistake."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.config.document import Document
from pusher.config.toml_source import parse_toml
from pusher.config.yaml_source import parse_yaml
from pusher.models import Source
from pusher.problems import BadInput
from pusher.queue.window_format import read_windows
from pusher.queue.windows import Day

GOOD = {"days": ["mon", "fri"], "from": "22:00", "to": "04:00", "zone": "Europe/Paris"}


def toml(**changes: object) -> Document:
    """A window with these keys changed, each on its line after the heading; None: without the key."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in {**GOOD, **changes}.items() if value is not None]
    return parse_toml("\n".join(["[[window]]", *lines, ""]), "site.toml")


def sentence(document: Document) -> str:
    with pytest.raises(BadInput) as error:
        read_windows(document)
    return error.value.sentence


def test_a_window_is_read_with_its_place() -> None:
    (one,) = read_windows(toml())
    assert (one.days, one.start, one.end, one.zone) == (frozenset({Day.MON, Day.FRI}), 22 * 60, 4 * 60, "Europe/Paris")
    assert one.source == Source(file="site.toml", line=1, column=1)


def test_json_and_yaml_are_read_alike() -> None:
    same = read_windows(toml())
    assert read_windows(parse_yaml(json.dumps({"window": [GOOD]}), "run.json")) == same
    text = "window:\n  - {days: [mon, fri], from: 22:00, to: 04:00, zone: Europe/Paris}\n"
    assert read_windows(parse_yaml(text, "site.yaml")) == same


def test_what_is_stored_can_be_read_as_if_it_were_written() -> None:
    (one,) = read_windows(toml(days=["sun"], **{"from": "00:00", "to": "24:00"}))
    assert read_windows(parse_yaml(json.dumps({"window": [one.to_json()]}), "run.json")) == (one,)


@pytest.mark.parametrize(
    ("changes", "line", "found", "expected"),
    [
        ({"days": ["mon", "monday"]}, 2, "window[1].days[2] is 'monday'", "mon, tue, wed, thu, fri, sat or sun"),
        ({"days": []}, 2, "window[1].days is empty", "a list of days"),
        ({"days": "mon"}, 2, "window[1].days is text", "a list of days"),
        ({"days": ["mon", "tue", "mon"]}, 2, "window[1].days names mon twice", "a list of days"),
        ({"days": None}, 1, "window[1].days is missing", "a list of days"),
        ({"from": "25:00"}, 3, "window[1].from: '25:00' is not a time of day", 'from "00:00" to "23:59"'),
        ({"from": "24:00"}, 3, "window[1].from: '24:00' is the end of a day", 'from "00:00" to "23:59"'),
        ({"from": "10pm"}, 3, "window[1].from: '10pm' is not a time of day", 'from "00:00" to "23:59"'),
        ({"from": 22}, 3, "window[1].from is a number", "in quotation marks"),
        ({"from": None}, 1, "window[1].from is missing", "a time"),
        ({"to": "4:00"}, 4, "window[1].to: '4:00' is not a time of day", 'from "00:00" to "24:00"'),
        ({"to": "22:00"}, 4, "window[1].to is the same as from", 'a whole day is from "00:00" to "24:00"'),
        ({"zone": "Europe/Pariss"}, 5, "'Europe/Pariss' is not a time zone (did you mean Europe/Paris?)", "IANA"),
        ({"zone": "europe/paris"}, 5, "'europe/paris' is not a time zone (did you mean Europe/Paris?)", "IANA"),
        ({"zone": "../../etc/passwd"}, 5, "'../../etc/passwd' is not a time zone", "IANA"),
        ({"zone": "localtime"}, 5, "'localtime' is not a time zone", "IANA"),
        ({"zone": ""}, 5, "'' is not a time zone", "IANA"),
        ({"zone": None}, 1, "window[1].zone is missing", "IANA"),
        ({"until": "04:00"}, 6, "window[1].until is not a known key", "days, from, to or zone"),
        ({"form": "04:00"}, 6, "window[1].form is not a known key (did you mean from?)", "days, from, to or zone"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_its_place(
    changes: dict[str, object], line: int, found: str, expected: str
) -> None:
    said = sentence(toml(**changes))
    assert said.startswith(f"site.toml:{line}:")
    assert found in said
    assert expected in said.partition("; expected ")[2]
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "window is missing"),
        ("window = []", "window is empty"),
        ('window = "night"', "window is text"),
        ("[[window]]\nfrom = 22:00:00", "window[1].from is a date or time"),
        ('[[windows]]\nzone = "UTC"', "windows is not a known key (did you mean window?)"),
    ],
)
def test_what_is_no_list_of_windows(text: str, found: str) -> None:
    assert found in sentence(parse_toml(text, "site.toml"))


@given(
    st.dictionaries(
        st.sampled_from(["days", "from", "to", "zone", "x"]),
        st.none() | st.text(max_size=8) | st.integers() | st.lists(st.text(max_size=4), max_size=3) | st.just("22:00"),
    )
)
def test_whatever_is_written_is_read_or_refused(changes: dict[str, object]) -> None:
    written = {**GOOD, **changes}
    try:
        windows = read_windows(parse_yaml(json.dumps({"window": [written]}), "run.json"))
    except BadInput as error:
        assert error.sentence.startswith("run.json")
        return
    assert [one.to_json()["zone"] for one in windows] == [written["zone"]]
