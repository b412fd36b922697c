"""The HTML page, read by a real parser: self-contained, its policy true, nothing hostile in it alive."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from importlib import resources
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.models import Outcome, Run, Status
from pusher.report.chart import LEAST, donut, shares
from pusher.report.html_rows import FIELDS
from pusher.report.page import NAMED, verdict
from pusher.report.render import render
from pusher.report.summary import summarise
from pusher.report.text import visible
from tests.unit.report import report_samples as samples

VOID = {"meta", "input", "br", "img", "link", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, and the text of each kind of element."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]][-1] += data

    def words(self) -> str:
        """What is read without scripts."""
        return " ".join(" ".join(t) for tag, t in self.texts.items() if tag not in {"script", "style"})


def html_of(outcomes: list[Outcome], run: Run | None = None) -> str:
    out = StringIO()
    render("html", run or samples.run(), iter(outcomes), out)
    return out.getvalue()


def data_of(page: Page) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(page.texts["script"][0])
    return loaded


def shape(page: Page) -> list[str]:
    return [tag for tag, _ in page.elements]


def test_nothing_is_fetched_from_anywhere() -> None:
    page = Page(html_of(samples.mixed()))
    for tag, attributes in page.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "form", "audio", "video"}
        for name, value in attributes.items():
            assert name not in {"src", "srcset", "action", "style", "ping"}, tag
            assert not name.startswith("on"), tag
            if name == "href":
                assert (value or "").startswith("#")
    for style in page.texts["style"]:
        assert "url(" not in style
        assert "@import" not in style
    assert page.open == []


def test_the_policy_allows_our_script_and_style_and_nothing_else() -> None:
    page = Page(html_of(samples.mixed()))
    metas = [a for tag, a in page.elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"]
    (policy,) = [str(meta["content"]) for meta in metas]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["base-uri"] == rules["form-action"] == "'none'"
    for kind, text in (("script-src", page.texts["script"][1]), ("style-src", page.texts["style"][0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"
    # The policy must stand before what it governs.
    tags = shape(page)
    assert tags.index("meta") < tags.index("style") < tags.index("script")


@pytest.mark.thorough
@samples.unhurried
@given(samples.hostile)
def test_hostile_text_adds_no_element_and_no_attribute(text: str) -> None:
    tame = Page(html_of([samples.hostile_outcome("tame")], samples.hostile_run("tame")))
    page = Page(html_of([samples.hostile_outcome(text)], samples.hostile_run(text)))
    # An empty text leaves out the lines it would stand in.
    if text.strip() == text and text:
        assert shape(page) == shape(tame)
    assert {name for _, a in page.elements for name in a} <= {name for _, a in tame.elements for name in a}
    assert shape(page).count("script") == 2
    data = data_of(page)
    assert data["rows"][0][0] == (visible(text) if len(visible(text)) <= 2000 else visible(text)[:1999] + "…")
    for line in page.texts["script"][0].splitlines():
        assert not set(line) & set("<>&")
        assert line.isascii()


def test_lone_surrogates_do_not_stop_the_file_from_being_written() -> None:
    html_of([samples.hostile_outcome("\ud800")], samples.hostile_run("\ud800")).encode()


def test_summary_and_causes_are_readable_without_scripts() -> None:
    words = Page(html_of(samples.mixed())).words()
    assert "30 of 40 hosts ended well; 7 need work; 3 were left out or cancelled." in words
    assert "CORP\\ada" in words
    assert "The table of hosts needs JavaScript" in words
    assert "account-locked" in words
    assert "Unlock it and find what locks it" in words
    assert "ws003.paris.corp.example" in words
    assert "pusher retry 01JRUN" in words


def test_a_cause_names_some_hosts_and_says_how_many_more() -> None:
    text = html_of([samples.failure("timed-out", f"h{i:04d}.example") for i in range(NAMED + 5)])
    assert f"h{NAMED - 1:04d}.example</bdi>" in text
    assert f"h{NAMED:04d}.example</bdi>" not in text
    assert "and 5 more" in text


def test_what_was_left_out_on_purpose_needs_no_work() -> None:
    words = Page(html_of([samples.failure("excluded")])).words()
    assert "Nothing needs work" in words
    assert "Left out" in words
    assert "pusher does not retry" not in words


def test_the_data_holds_the_whole_outcome() -> None:
    failed = samples.failure("disk-full", detail="12 MB free", attempts=3)
    data = data_of(Page(html_of([samples.outcome(), failed])))
    strings = data["tables"]["strings"]
    good, bad = (dict(zip(data["tables"]["fields"], row, strict=True)) for row in data["rows"])
    assert data["tables"]["statuses"][good["status"]] == {"name": "installed", "ok": True}
    assert strings[good["version"]] == "1.4.2"
    assert strings[good["way"]] == "smb, kerberos"
    assert good["ms"] == 410
    assert (good["start"], good["end"]) == (0, 410)
    assert [(strings[a], strings[c]) for a, c in good["tried"]] == [("push-2026", "")]
    assert [(strings[c], data["tables"]["results"][r]["name"], strings[e]) for c, r, e in good["checks"]] == [
        ("admin-share-write", "pass", "made a file in ADMIN$")
    ]
    assert [(strings[s], ms) for s, ms in good["steps"]] == [("reach", 100), ("stage", 310)]
    assert strings[bad["code"]] == "disk-full"
    assert strings[bad["message"]] == "there is not enough free disk space: 12 MB free"
    assert data["tables"]["stages"][bad["stage"]]["name"] == "stage"
    assert bad["attempts"] == 3
    assert strings[0] == ""


def test_the_script_knows_which_fields_are_shared() -> None:
    script = resources.files("pusher.report").joinpath("web", "page.js").read_text(encoding="utf-8")
    found = re.search(r"const SHARED = new Set\((\[.*?\])\)", script)
    assert found is not None
    shared = json.loads(found[1])
    assert set(shared) <= set(FIELDS)
    # What the script asks for by name exists; rows and keys hold each other.
    asked = set(re.findall(r'get\(row, "(\w+)"\)', script)) | set(re.findall(r'get\(r, "(\w+)"\)', script))
    assert asked <= set(FIELDS)
    row = data_of(Page(html_of([samples.outcome()])))["rows"][0]
    assert len(row) == len(FIELDS)
    assert FIELDS[:3] == ("target", "address", "machine")
    assert "innerHTML" not in script
    assert "</script" not in script.lower()


def test_repeated_strings_are_written_once() -> None:
    one, many = (html_of([samples.outcome(f"h{i}") for i in range(n)]) for n in (1, 1000))
    assert (len(many) - len(one)) / 999 < 160


@samples.unhurried
@given(st.dictionaries(st.sampled_from(list(Status)), st.integers(1, 10**6), min_size=1))
def test_every_slice_can_be_seen_and_together_they_are_the_ring(counts: dict[Status, int]) -> None:
    drawn = shares(counts)
    assert [status for status, _ in drawn] == [status for status in Status if status in counts]
    assert sum(share for _, share in drawn) == pytest.approx(100)
    assert min(share for _, share in drawn) > LEAST / (1 + len(counts) * LEAST / 100) - 1e-9


def test_the_ring_says_its_counts() -> None:
    drawn = donut({Status.INSTALLED: 19_999, Status.FAILED: 1})
    assert 'aria-label="Outcomes: 19,999 installed, 1 failed"' in drawn
    assert "<title>1 host failed</title>" in drawn
    assert drawn.count('class="slice') == 2
    assert "no hosts" in donut({})


@pytest.mark.parametrize(
    ("outcomes", "sentence"),
    [
        ([], "This run has no hosts yet."),
        ([samples.outcome()], "The host ended well."),
        ([samples.outcome()] * 3, "All 3 hosts ended well."),
        ([samples.outcome(), samples.failure("disk-full")], "1 of 2 hosts ended well; 1 needs work."),
        ([samples.failure("excluded")], "0 of 1 host ended well; 1 was left out or cancelled."),
    ],
)
def test_the_verdict_is_one_sentence(outcomes: list[Outcome], sentence: str) -> None:
    assert verdict(summarise(outcomes)) == sentence
