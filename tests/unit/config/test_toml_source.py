"""TOML with positions: the scanner finds every key and value that tomllib reads."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pusher.config.document import Path
from pusher.config.toml_source import parse_toml
from pusher.problems import BadInput

bare = st.text(alphabet="abcXYZ019_-", min_size=1, max_size=6)
quoted = st.text(alphabet='ab."\\#=[]{}é', max_size=6)
gaps = st.sampled_from(["", " ", "  # note ] } \" '\n", "\n", "\n\t"])


def basic(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@st.composite
def toml_keys(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        return draw(bare)
    text = draw(quoted)
    return basic(text) if "'" in text or draw(st.booleans()) else f"'{text}'"


atoms = st.one_of(
    st.integers(-99, 99).map(str),
    st.sampled_from(["true", "false", "1.5", "2026-01-02T03:04:05Z", "inf", "0xff"]),
    quoted.map(basic),
    st.text(alphabet='ab#"[]{}=,', max_size=6).map(lambda t: f"'{t}'"),
    st.text(alphabet="ab#'[]{}=,\n", max_size=6).map(lambda t: f'"""\n{t}x"""'),
    st.text(alphabet='ab#"[]{}=,\n', max_size=6).map(lambda t: f"'''{t}x'''"),
)


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(inner, max_size=4))
    text = "["
    for number, item in enumerate(items):
        text += draw(gaps) + item + draw(gaps)
        text += "," if number < len(items) - 1 or draw(st.booleans()) else ""
    return text + draw(gaps) + "]"


@st.composite
def inlines(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    return "{" + ", ".join(f"{draw(toml_keys())} = {draw(inner)}" for _ in range(draw(st.integers(0, 3)))) + "}"


values = st.recursive(atoms, lambda inner: arrays(inner) | inlines(inner), max_leaves=8)


@st.composite
def texts(draw: st.DrawFn) -> str:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 8))):
        shape = draw(st.sampled_from(["pair", "pair", "dotted", "table", "array", "comment"]))
        if shape == "pair":
            lines.append(f"{draw(toml_keys())} = {draw(values)}")
        elif shape == "dotted":
            lines.append(f" {draw(toml_keys())} . {draw(toml_keys())}= {draw(values)} # end")
        elif shape == "table":
            lines.append(f"[{'.'.join(draw(st.lists(toml_keys(), min_size=1, max_size=3)))}] # a ] b")
        elif shape == "array":
            lines.append(f"[[ {draw(toml_keys())} ]]")
        else:
            lines.append("# comment [x] = 'y")
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines)


def leaves(value: Any, path: Path = ()) -> list[tuple[Path, Any]]:
    found = [(path, value)] if path else []
    if isinstance(value, dict):
        for key, inner in value.items():
            found += leaves(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += leaves(inner, (*path, number))
    return found


@pytest.mark.thorough
@given(texts())
@settings(max_examples=150, deadline=None)
def test_every_scalar_stands_where_it_is_said_to_stand(text: str) -> None:
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(BadInput):
            parse_toml(text, "f")
        return
    document = parse_toml(text, "f")
    assert document.data == data
    lines = text.replace("\r\n", "\n").split("\n")
    for path, value in leaves(data):
        assert document.positions.find(path, key=False) is not None, path
        place = document.source(path)
        rest = "\n".join(lines[place.line - 1 :])[place.column - 1 :]
        if isinstance(value, str | bool | int):
            assert _begins_with(rest, value), (path, rest)
        if isinstance(path[-1], str):
            key = document.source(path, key=True)
            assert 1 <= key.line <= len(lines)
            assert 1 <= key.column <= len(lines[key.line - 1]) + 1


def _begins_with(rest: str, value: object) -> bool:
    """Whether TOML that begins here begins with this value."""
    for end in range(1, len(rest) + 1):
        try:
            if tomllib.loads(f"x = {rest[:end]}") == {"x": value}:
                return True
        except tomllib.TOMLDecodeError:
            continue
    return False


def test_positions_in_tables_and_arrays_of_tables() -> None:
    document = parse_toml("a = 1\n[[t]]\nb = [1,\n  2]\n[t.sub]\nc.d = 'x'\n[[t]]\nb = 3\n", "f.toml")
    assert document.source(("t", 0, "b", 1)).line == 4
    assert document.source(("t", 0, "b", 1)).column == 3
    assert document.source(("t", 0, "sub", "c", "d")).column == 7
    assert document.source(("t", 0, "sub", "c", "d"), key=True).column == 1
    assert document.source(("t", 1)).line == 7
    assert document.source(("t", 1, "b")).line == 8
    assert document.source(("t", 1, "missing")).line == 7


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a = ", "f:1:5: the TOML cannot be read: invalid value at the end of the file; expected valid TOML"),
        ("a = 1\na = 2\n", "f:2:6: the TOML cannot be read: cannot overwrite a value; expected valid TOML"),
        ("x = 'a\n'", "f:1:7: the TOML cannot be read: found invalid character '\\n'; expected valid TOML"),
        ("x = " + "[" * 3000, "f: values are nested too deep; expected fewer levels"),
        ("x = " + "9" * 5000, "f: a number that is too long; expected a shorter number"),
        ("a = CORP\\svc\n", "f:1:5: the TOML cannot be read: invalid value; expected 'text', a number, true or false"),
        ("a = True\n", "f:1:5: the TOML cannot be read: invalid value; expected 'text', a number, true or false"),
        (
            "a =\u00a0'b'\n",
            "f:1:4: the TOML cannot be read: here is U+00A0, a character that is not seen; expected no such character",
        ),
        (
            "a\u200b = 'b'\n",
            "f:1:2: the TOML cannot be read: here is U+200B, a character that is not seen; expected no such character",
        ),
        ("a = “b”\n", "f:1:5: the TOML cannot be read: “ is a typographic quotation mark; expected ' or \""),
        ("a = 'x'\nb = ‘c’", "f:2:5: the TOML cannot be read: ‘ is a typographic quotation mark; expected ' or \""),
    ],
)
def test_what_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_toml(text, "f")
    assert caught.value.sentence == sentence


BACKSLASH = "; expected '…' around text with backslashes, or each backslash twice"


@pytest.mark.parametrize(
    "text",
    [
        'x = 1\na = "CORP\\svc"\n', 'x = 1\na = "file:C:\\Users\\b"\n',
        'x = 1\na = "CORP\\user"', 'x = 1\na = "C:\\lab\\"\nb = 1\n',
        'x = 1\na = "CORP\\"', 'x = 1\na = "CORP\\"  # x', 'x = 1\na = ["lab\\agent"]', 'x = 1\n"a\\s" = 1',
        'x = 1\na = """x\\s"""',
        'x = 1\na = "\\uD800"',
    ],
)  # fmt: skip
def test_a_backslash_in_double_quotes_is_told(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_toml(text, "f")
    sentence = caught.value.sentence
    assert sentence.startswith("f:2:")
    assert sentence.endswith(
        f": the TOML cannot be read: in double quotation marks a backslash begins an escape{BACKSLASH}"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('x = 1\na = "CORP\\bob"', "f:2:10: the escape \\b makes a control character"),
        ('x = 1\na = "CORP\\tom"', "f:2:10: the escape \\t makes a control character"),
        ('x = 1\na = ["b", "C:\\new"]', "f:2:14: the escape \\n makes a control character"),
        ('x = 1\na = {b = "C:\\\\x\\fs"}', "f:2:16: the escape \\f makes a control character"),
        ('x = 1\na = "\\root"', "f:2:6: the escape \\r makes a control character"),
        ('x = 1\na = "a\\u0000"', "f:2:7: the escape \\u0000 makes a control character"),
        ('x = 1\na = "a\\U0000009b"', "f:2:7: the escape \\U0000009b makes a control character"),
        ('x = 1\na = """\nb\n c\\tom"""', "f:4:3: the escape \\t makes a control character"),
    ],
)
def test_an_escape_that_makes_a_control_character_was_a_backslash(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_toml(text, "f")
    assert caught.value.sentence == sentence + BACKSLASH


def test_what_is_written_right_is_taken() -> None:
    text = 'a = "CORP\\\\bob"\nb = \'CORP\\bob\'\nc = "\\u00e9 \\" \\\\t"\nd = """x\ny"""\n'
    assert parse_toml(text, "f").data == {"a": "CORP\\bob", "b": "CORP\\bob", "c": 'é " \\t', "d": "x\ny"}
