"""YAML with positions: plain values, bounded, every value with its line and column."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pusher.config.document import Path
from pusher.config.yaml_source import OPAQUE, parse_yaml
from pusher.problems import BadInput

words = st.text(alphabet="abcXYZ019_-. :#'\"\n\té☃", min_size=0, max_size=12)
keys = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=8)
scalars = words | st.integers(-(10**9), 10**9) | st.booleans() | st.none()
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4), max_leaves=20
)
documents = st.dictionaries(keys, trees, min_size=1, max_size=5)


def walk(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    """Every value with its path."""
    found = [(path, value)]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += walk(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += walk(inner, (*path, number))
    return found


def marks(node: yaml.Node, path: Path = ()) -> dict[Path, tuple[int, int]]:
    """Where PyYAML's own nodes say that each value stands."""
    found = {path: (node.start_mark.line + 1, node.start_mark.column + 1)}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            found |= marks(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            found |= marks(value, (*path, number))
    return found


@pytest.mark.thorough
@given(documents, st.booleans())
@settings(max_examples=80, deadline=None)
def test_values_and_positions_are_those_of_the_text(data: dict[str, Any], flow: bool) -> None:
    text = yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True)
    document = parse_yaml(text, "f")
    assert document.data == data
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    assert root is not None
    for path, place in marks(root).items():
        assert document.positions.find(path, key=False) == place


@pytest.mark.thorough
@given(documents)
@settings(max_examples=50, deadline=None)
def test_as_written_keeps_the_text_of_every_scalar(data: dict[str, Any]) -> None:
    document = parse_yaml(yaml.safe_dump(data), "f", as_written=True)
    expected = yaml.load(yaml.safe_dump(data), Loader=yaml.BaseLoader)
    assert _emptied(document.data) == _emptied(expected)


def _emptied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _emptied(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_emptied(inner) for inner in value]
    return None if value in ("", "null", "~") else value


def test_positions_of_keys_and_values() -> None:
    document = parse_yaml("top:\n  key:   value\n  list: [a, {b: c}]\n", "f.yaml")
    assert str(document.source(("top", "key"), key=True)) == "f.yaml:2"
    assert document.source(("top", "key"), key=True).column == 3
    assert document.source(("top", "key")).column == 10
    assert document.source(("top", "list", 1, "b")).column == 17
    # What does not exist stands where the nearest thing around it stands.
    assert document.source(("top", "list", 9, "x")) == document.source(("top", "list"))
    assert document.source(("nothing",)).line == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("1:30", "1:30"), ("2026-01-02", "2026-01-02"), ("0x1F", "0x1F"),
        ("1_000", "1_000"), ("012", "012"), ("-3", -3), ("1.5", 1.5), ("1e3", "1e3"),
        ("1.0e+3", 1000.0), ("true", True), ("null", None),
        ("~", None), ("'7'", "7"), ("!!str 7", "7"), ("9" * 30, "9" * 30), ("9" * 5000, "9" * 5000),
        ("!vault x", OPAQUE), ("!!python/name:os.system x", OPAQUE),
    ],
)  # fmt: skip
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    data = parse_yaml(f"a: {text}\n", "f").data
    assert isinstance(data, dict)
    assert data["a"] == value
    assert type(data["a"]) is type(value)


def test_merge_keys_and_aliases() -> None:
    document = parse_yaml("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nboth: [*b, *b]\n", "f")
    assert document.data == {
        "base": {"x": 1, "y": 2},
        "use": {"x": 1, "y": 3},
        "both": [{"x": 1, "y": 2}, {"x": 1, "y": 2}],
    }
    assert document.source(("use", "x")).line == 1
    assert document.source(("use", "y")).line == 4


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 10)}]\n" for n in range(12)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: a is there twice (first in line 1); expected every key once"),
        ("g:\n  a: 1\n  'a': 3\n", "f:3:3: g.a is there twice (first in line 2); expected every key once"),
        ("[" * 5000, "f:1:33: values are nested too deep; expected at most 32 levels"),
        ("- " * 5000, "f:1:65: values are nested too deep; expected at most 32 levels"),
        ("a: &x [*x]", "f:1:8: *x stands inside itself; expected an anchor that is complete"),
        ("a: *x", "f:1:4: *x has no anchor before it; expected &x further up"),
        ("? [a]\n: b", "f:1:3: a list or table as a key; expected a plain key"),
        ("? &k a\n: b", "f:1:3: a key with a tag or an anchor; expected a plain key"),
        ("a: &x b\n*x : c", "f:2:1: an alias as a key; expected a plain key"),
        ("'': b", "f:1:1: a key without a name; expected a name before the colon"),
        ("a: {<<: [b]}", "f:1:9: << merges something that is no table of keys; expected an alias of a table"),
        ("a: !x [b]", "f:1:4: the tag !x is not understood; expected a plain list or table"),
        ("a: 1\n---\nb: 1", "f:2:1: a second document begins here; expected one YAML document in the file"),
        ("a:\n\tb: 1", "f:2:1: a tab where YAML wants spaces; expected spaces"),
        ("# nothing", "f: the file is empty; expected keys and values in YAML"),
        ("null", "f: the file is empty; expected keys and values in YAML"),
        (LAUGHS, "f:7:8: the file holds too many values; expected at most 2,000,000, aliases written out"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_yaml(text, "f")
    assert caught.value.sentence == sentence


DEEP = "values are nested too deep; expected at most 32 levels"


@pytest.mark.parametrize("loader", [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)])
@pytest.mark.parametrize("levels", [33, 1000, 1001, 5000])
@pytest.mark.parametrize(
    ("level", "place"), [("[", "3:35"), ("{a: ", "3:131"), ("- ", "3:67"), ("\n[", "36:1"), ("[é, ", "3:131")]
)
def test_depth_is_told_in_one_way_whatever_the_parser_limits(
    level: str, place: str, levels: int, loader: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some releases of libyaml end at 1,000 levels themselves, and flow collections before the first is an event."""
    monkeypatch.setattr("pusher.config.yaml_source._LOADER", loader)
    with pytest.raises(BadInput) as caught:
        parse_yaml("# é\n---\n  " + level * levels, "f")
    assert caught.value.sentence == f"f:{place}: {DEEP}"


class _Shallow(yaml.SafeLoader):
    """A parser that limits nesting itself, and sees it before the first event is out."""

    def get_event(self) -> Any:
        if self.buffer.count("[") > 1000:
            begin = [index for index, letter in enumerate(self.buffer) if letter == "["][1000]
            mark = yaml.Mark("f", begin, 0, begin, "", 0)
            raise yaml.scanner.ScannerError("while increasing flow level", mark, "any words", mark)
        return super().get_event()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("levels", [33, 1000, 1001, 5000])
def test_a_parser_with_a_limit_of_its_own(levels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pusher.config.yaml_source._LOADER", _Shallow)
    with pytest.raises(BadInput) as caught:
        parse_yaml("[" * levels, "f")
    assert caught.value.sentence == f"f:1:33: {DEEP}"


def test_a_fault_after_shallow_values_is_still_told_where_it_is() -> None:
    with pytest.raises(BadInput) as caught:
        parse_yaml("a: [" + "[" * 20 + "1, @" + "]" * 21, "f")
    assert caught.value.sentence.startswith("f:1:28: the YAML cannot be read: ")


def test_the_pure_parser_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML comes without libyaml, values and places stay the same."""
    text = "a: &x [1, 'b', {c: d}]\nb: *x\nno: null\n"
    fast = parse_yaml(text, "f")
    monkeypatch.setattr("pusher.config.yaml_source._LOADER", yaml.SafeLoader)
    slow = parse_yaml(text, "f")
    assert slow.data == fast.data
    for path, _ in walk(fast.data):
        assert slow.source(path) == fast.source(path)
