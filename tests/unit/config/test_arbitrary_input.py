"""Whatever a file holds: it loads, or there is one sentence whose line exists."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pusher.credentials.accounts_file import load_accounts
from pusher.install.package import load_package
from pusher.problems import BadInput
from pusher.targets.inventory import load_inventory

SAMPLES = Path(__file__).parents[3] / "inventory"
LOADERS: dict[str, Callable[[Path], object]] = {
    "i.yaml": load_inventory,
    "i.csv": load_inventory,
    "i.txt": load_inventory,
    "i.ini": load_inventory,
    "hosts": load_inventory,
    "accounts.toml": load_accounts,
    "package.toml": lambda path: load_package(path.parent),
}
TEXTS = {
    "i.yaml": (SAMPLES / "example.yaml").read_text(encoding="utf-8"),
    "i.csv": (SAMPLES / "example.csv").read_text(encoding="utf-8"),
    "i.txt": (SAMPLES / "example-hosts.txt").read_text(encoding="utf-8"),
    "i.ini": (SAMPLES / "example-ansible.ini").read_text(encoding="utf-8"),
    "hosts": "all:\n  children:\n    p:\n      hosts: {a: {x: 1}, 'w[1:3]': }\n      vars: {site: s}\n",
    "accounts.toml": (SAMPLES / "example-accounts.toml").read_text(encoding="utf-8"),
    "package.toml": (SAMPLES / "example-package" / "package.toml.sample").read_text(encoding="utf-8"),
}
FAST = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
pieces = st.sampled_from(
    [*"[]{}:,-&*!|>'\"%@`#\n\t =\\.~?0", "\r\n", "<<: ", "null", "- ", "  ", "[[", "]]", "\u2028", "é"]
)


def check(folder: Path, name: str, data: bytes) -> None:
    path = folder / name
    path.write_bytes(data)
    try:
        LOADERS[name](path)
    except BadInput as exc:
        assert exc.source is not None
        assert exc.source.file.startswith(str(folder))
        assert "\n" not in exc.sentence
        assert exc.sentence.isprintable()
        lines = re.split(r"\r\n|\n|\r", data.decode("utf-8", errors="replace"))
        if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            return
        assert 0 <= exc.source.line <= len(lines)
        if exc.source.line:
            assert 0 <= exc.source.column <= len(lines[exc.source.line - 1]) + 1


@pytest.mark.thorough
@pytest.mark.parametrize("name", LOADERS)
@given(data=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(data=b"\xff\xfe")
@example(data=b"\xef\xbb\xbf")
@example(data=b"\xfe\xff\xd8\x00")
@example(data=b"[" * 100_000)
@example(data=b"{" * 100_000)
@example(data=b"a: " * 1000)
@example(data=b"x = " + b"[" * 100_000)
@example(data=b"'" * 999)
@example(data=b"%YAML 9.9\n---\na: 1")
@example(data=b"%TAG ! tag:x,2000:\n---\n!a b")
@example(data=b"? ")
@example(data=b"- \n? a\n")
@FAST
def test_arbitrary_bytes(tmp_path: Path, name: str, data: bytes) -> None:
    check(tmp_path, name, data)


@pytest.mark.parametrize("name", LOADERS)
@given(cuts=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 12), pieces | st.text(max_size=3)), max_size=4))
@FAST
def test_samples_with_slips_in_them(tmp_path: Path, name: str, cuts: list[tuple[int, int, str]]) -> None:
    text = TEXTS[name]
    for at, length, piece in cuts:
        at %= len(text) + 1
        text = text[:at] + piece + text[at + length :]
    check(tmp_path, name, text.encode("utf-8", "surrogatepass"))
