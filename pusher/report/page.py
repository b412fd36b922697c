"""The HTML report: one file that needs nothing else, opens from a disk or a mail, and holds up for 20,000 hosts.

Here lives the assembly: the head, the facts and the causes are written by Jinja (readable without scripts); the
hosts follow as compact JSON that the script in ``web/page.js`` shows page by page. The content security policy
names the hashes of our one script and one style, so nothing that a target wrote could run even if it got
through. What must not live here: markup (``web/``), drawing (``chart``), the packing of hosts (``html_rows``).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import TextIO

from jinja2 import Environment, PackageLoader, StrictUndefined

from pusher.models import Outcome, Run, Status
from pusher.next_commands import NONE_GIVEN, NextCommands
from pusher.report.chart import donut
from pusher.report.html_rows import Packer, script_json
from pusher.report.run_summary import WORKED_ON, commands, while_doing, who
from pusher.report.summary import Cause, Summary, Tally
from pusher.report.text import (
    AFTER_WORDS,
    STATUS_WORDS,
    clip,
    duration,
    hosts,
    job,
    number,
    size,
    visible,
    when,
)

# Hosts named under a cause for readers without scripts; with scripts, the table shows all of them.
NAMED = 200
LONGEST = 2000


def write_html(run: Run, outcomes: Iterable[Outcome], out: TextIO, following: NextCommands = NONE_GIVEN) -> None:
    """The whole page. The hosts wait in a temporary file until the facts above them are counted."""
    tally, packer = Tally(sample=NAMED), Packer(run)
    with TemporaryFile("w+", encoding="utf-8", newline="\n") as rows:
        for place, outcome in enumerate(outcomes):
            tally.add(outcome)
            rows.write((",\n" if place else "") + script_json(packer.row(outcome)))
        summary = tally.summary()
        css, js = _asset("page.css"), _asset("page.js")
        out.write(
            _environment()
            .get_template("page.html.j2")
            .render(
                css=css,
                policy=_policy(css, js),
                title=job(run),
                run=run,
                summary=summary,
                verdict=verdict(summary),
                donut=donut(summary.counts),
                work=[c for c in summary.causes if c.status is not Status.SKIPPED],
                left_out=[c for c in summary.causes if c.status is Status.SKIPPED],
                took=_took(run, summary),
                commands=[row for row in commands(run, summary, following) if "--format html" not in row[1]],
                Status=Status,
                status_words=STATUS_WORDS,
            )
        )
        out.write('<script type="application/json" id="data">{"rows": [\n')
        rows.seek(0)
        copyfileobj(rows, out)
        out.write('\n],\n"tables": ' + script_json(packer.tables()) + "}</script>\n")
        out.write(f"<script>{js}</script>\n</body>\n</html>\n")


def verdict(summary: Summary) -> str:
    """The run in one sentence: ``207 of 250 hosts ended well; 30 need work; 13 were left out.``"""
    if not summary.total:
        return "This run has no hosts yet."
    need = sum(count for status, count in summary.counts.items() if status in WORKED_ON)
    out = summary.unsuccessful - need
    if summary.succeeded == summary.total:
        return f"All {hosts(summary.total)} ended well." if summary.total > 1 else "The host ended well."
    words = [f"{number(summary.succeeded)} of {hosts(summary.total)} ended well"]
    if need:
        words.append(f"{number(need)} {'needs' if need == 1 else 'need'} work")
    if out:
        words.append(f"{number(out)} {'was' if out == 1 else 'were'} left out or cancelled")
    return "; ".join(words) + "."


def _took(run: Run, summary: Summary) -> str:
    if run.ended_at:
        return duration((run.ended_at - run.started_at).total_seconds())
    return "not ended yet" if summary.seconds is None else f"{duration(summary.seconds)} so far"


def _policy(css: str, js: str) -> str:
    return (
        f"default-src 'none'; script-src '{_hash(js)}'; style-src '{_hash(css)}'; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _asset(name: str) -> str:
    # The browser hashes what it parsed, and parsing makes every line end a \n.
    text = resources.files("pusher.report").joinpath("web", name).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("pusher.report", "web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        seen=lambda text: clip(visible(text), LONGEST),
        when=when,
        number=number,
        hosts=hosts,
        size=size,
        who=who,
        while_doing=while_doing,
        next=_next,
    )
    return environment


def _next(cause: Cause) -> str:
    """What pusher has done about a cause; nothing for hosts that it did not work on."""
    return AFTER_WORDS[cause.next_move] if cause.next_move and cause.status in WORKED_ON else ""
