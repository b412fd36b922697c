"""The HTML report in a real browser: it works by mouse and by keyboard, and nothing hostile in it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pusher.models import Outcome, Run
from pusher.report.render import render
from tests.unit.report import report_samples as samples

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

CHROMIUM = Path(os.environ.get("PUSHER_TEST_CHROMIUM", "/usr/bin/chromium"))
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        not CHROMIUM.exists() and os.environ.get("PUSHER_LAB_REQUIRED") != "1",
        reason="chromium is not installed (apt-get install chromium)",
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (pip install playwright)")
    with api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield launched
        launched.close()


class Viewer:
    """Opens reports from a file and notes everything that a script could do without being seen."""

    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser, self._folder = browser, folder
        self.noticed: list[str] = []

    def open(self, outcomes: list[Outcome], run: Run | None = None, *, scripts: bool = True, hash: str = "") -> Page:
        file = self._folder / "report.html"
        with file.open("w", encoding="utf-8") as out:
            render("html", run or samples.run(), outcomes, out)
        context = self._browser.new_context(java_script_enabled=scripts)
        page = context.new_page()
        page.on("dialog", self._dialog)
        page.on("console", lambda message: self.noticed.append(f"console {message.text}"))
        page.on("pageerror", lambda error: self.noticed.append(f"error {error}"))
        page.on("request", lambda request: self._request(request.url))
        page.goto(file.as_uri() + hash)
        return page

    def _dialog(self, dialog: Dialog) -> None:
        self.noticed.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _request(self, url: str) -> None:
        if not url.startswith("file://") or "report.html" not in url:
            self.noticed.append(f"request {url}")


@pytest.fixture
def viewer(browser: Browser, tmp_path: Path) -> Iterator[Viewer]:
    made = Viewer(browser, tmp_path)
    yield made
    for context in browser.contexts:
        context.close()
    assert made.noticed == []


def names(page: Page) -> list[str]:
    return page.locator("#table .name").all_inner_texts()


def test_search_narrows_the_table(viewer: Viewer) -> None:
    page = viewer.open(samples.mixed())
    assert len(names(page)) == 40
    page.fill("#search", "disk-full ws01")
    assert names(page) == ["ws011.paris.corp.example"]
    assert page.inner_text("#found") == "1 of 40 hosts"
    page.fill("#search", "no such thing")
    assert names(page) == []
    page.click("#clear")
    assert len(names(page)) == 40


def test_filters_sorting_and_pages(viewer: Viewer) -> None:
    page = viewer.open([samples.outcome(f"h{i}") for i in range(249)] + [samples.failure("timed-out", "x0")])
    assert names(page)[0] == "x0"
    assert len(names(page)) == 100
    page.click(".c-host button")
    assert names(page)[:3] == ["h0", "h1", "h2"]
    page.click("#next")
    page.click("#next")
    assert len(names(page)) == 50
    assert page.locator("#next").is_disabled()
    page.click(".c-host button")
    assert names(page)[0] == "x0"
    assert page.get_attribute("th.c-host", "aria-sort") == "descending"
    page.select_option("#by-status", "installed")
    assert names(page)[0] == "h248"
    page.click(".pick[data-status=unreachable]")
    assert names(page) == ["x0"]


def test_a_cause_shows_its_hosts(viewer: Viewer) -> None:
    page = viewer.open(samples.mixed())
    page.click(".show[data-code=account-locked]")
    assert names(page) == ["ws003.paris.corp.example", "ws027.paris.corp.example"]
    assert "code=account-locked" in page.url


def test_a_link_opens_the_page_as_it_was(viewer: Viewer) -> None:
    page = viewer.open(samples.mixed(), hash="#q=ws0&code=disk-full&status=nonsense")
    assert set(names(page)) == {"ws011.paris.corp.example", "ws035.paris.corp.example"}
    assert page.input_value("#search") == "ws0"


def test_details_open_and_close_by_keyboard(viewer: Viewer) -> None:
    page = viewer.open(samples.mixed())
    page.locator(".name").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.locator("tr.details").count() == 1
    opened = page.locator(".name").nth(1)
    assert opened.get_attribute("aria-expanded") == "true"
    assert page.locator(f"#{opened.get_attribute('aria-controls')}").is_visible()
    text = page.inner_text("tr.details")
    assert "Remedy" in text
    assert "Where the time went" in text
    page.keyboard.press("Escape")
    assert page.locator("tr.details").count() == 0
    page.keyboard.press("/")
    page.keyboard.type("ws007")
    assert names(page) == ["ws007.paris.corp.example"]


def test_details_tell_the_whole_story(viewer: Viewer) -> None:
    page = viewer.open([samples.outcome()])
    page.click(".name")
    text = page.inner_text("tr.details")
    for words in ("10.0.0.1", "WS001", "push-2026", "smb, kerberos", "1.4.2", "got all it needed", "admin-share-write"):
        assert words in text
    assert "made a file in ADMIN$" in text
    assert "2026-03-01 01:02:03 UTC" in text
    widths = page.eval_on_selector_all(".steps i", "bars => bars.map(bar => bar.getBoundingClientRect().width)")
    assert widths[0] < widths[1] / 2


def test_hostile_content_executes_nothing_and_is_shown(viewer: Viewer) -> None:
    texts = [text for text in samples.HOSTILE if text.strip()]
    page = viewer.open([samples.hostile_outcome(text) for text in texts], samples.hostile_run("".join(texts)))
    page.evaluate("document.querySelectorAll('.name').forEach(name => name.click())")
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert page.locator("#table .name").count() == page.locator("tr.details").count() == len(texts)
    assert page.locator(".name").filter(has_text="<img src=x onerror=alert(1)>").count() == 1
    page.select_option("#by-site", index=2)
    page.click("#clear")
    page.fill("#search", "<script>alert(1)</script>")
    assert page.locator("img, svg[onload], body > svg").count() == 0
    page.wait_for_timeout(50)


def test_the_policy_would_stop_a_script_that_got_through(viewer: Viewer) -> None:
    page = viewer.open(samples.mixed())
    failures: list[str | None] = []
    page.on("requestfailed", lambda request: failures.append(request.failure))
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.owned = true";
            document.body.append(script);
            const image = document.createElement("img");
            image.src = "http://127.0.0.1:9/x";
            document.body.append(image);
        }"""
    )
    assert page.evaluate("window.owned") is None
    blocked = [line for line in viewer.noticed if "Content Security Policy" in line]
    assert len(blocked) == 2
    assert failures == ["csp"]
    viewer.noticed.clear()


def test_without_scripts_the_causes_are_read_and_the_table_is_explained(viewer: Viewer) -> None:
    page = viewer.open(samples.mixed(), scripts=False)
    assert page.locator(".cause").count() == 5
    assert "The table of hosts needs JavaScript" in page.inner_text("#hosts")
    assert page.locator("#search").is_hidden()
    assert page.locator(".show").first.is_hidden()
    page.locator("summary").first.click()
    assert page.locator(".names").first.is_visible()


@pytest.mark.parametrize("width", [360, 800, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_any_screen_in_both_themes(viewer: Viewer, width: int, scheme: str) -> None:
    long = "ws-" + "x" * 60 + ".research.paris.emea.corp.example"
    page = viewer.open([samples.failure("disk-full", long, detail="y" * 300), *samples.mixed()])
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 900})
    page.locator(".name").first.click()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate(
        "document.querySelector('.wide').scrollWidth <= document.querySelector('.wide').clientWidth + 1"
    )
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) is (scheme == "dark")


def test_print_shows_every_host(viewer: Viewer) -> None:
    page = viewer.open([samples.outcome(f"h{i}") for i in range(150)])
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert len(names(page)) == 150
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert len(names(page)) == 100


def test_of_twenty_thousand_hosts_only_a_hundred_are_rows(viewer: Viewer) -> None:
    outcomes = [samples.outcome(f"ws{i:05d}.corp.example") for i in range(20_000)]
    page = viewer.open(outcomes)
    assert page.inner_text("#found") == "20,000 hosts"
    assert len(names(page)) == 100
    page.fill("#search", "ws1234")
    assert page.inner_text("#found") == "10 of 20,000 hosts"
    assert len(names(page)) == 10
