"""JUnit XML, as the common CI servers read it: a suite a run, a case a host.

failed is a failure, unreachable an error, skipped and cancelled are skipped. Elements and attributes keep to
what both published schemas (Jenkins' and Ant's) allow. What must not live here: wording of causes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from shutil import copyfileobj
from tempfile import TemporaryFile
from types import MappingProxyType
from typing import TextIO

from pusher.models import Outcome, Run, Status
from pusher.report.summary import Tally
from pusher.report.text import iso, job, visible

VERDICTS: Mapping[Status, str] = MappingProxyType(
    {
        Status.FAILED: "failure",
        Status.UNREACHABLE: "error",
        Status.SKIPPED: "skipped",
        Status.CANCELLED: "skipped",
    }
)


def write_junit(run: Run, outcomes: Iterable[Outcome], out: TextIO) -> None:
    """The suite's attributes count its cases, so the cases wait in a temporary file until all are counted."""
    tally, seconds = Tally(), 0.0
    with TemporaryFile("w+", encoding="utf-8", newline="\n") as cases:
        for outcome in outcomes:
            tally.add(outcome)
            seconds += outcome.seconds
            cases.write(_case(run, outcome))
        counts = tally.summary().counts
        if run.ended_at:
            seconds = (run.ended_at - run.started_at).total_seconds()
        told = {"failure": 0, "error": 0, "skipped": 0}
        for status, count in counts.items():
            if status in VERDICTS:
                told[VERDICTS[status]] += count
        out.write('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n')
        out.write(
            _tag(
                "testsuite",
                {
                    "id": "0",
                    "package": "pusher",
                    "name": job(run),
                    "timestamp": iso(run.started_at)[:19],
                    "hostname": run.operator.rpartition("@")[2] or "localhost",
                    "tests": str(sum(counts.values())),
                    "failures": str(told["failure"]),
                    "errors": str(told["error"]),
                    "skipped": str(told["skipped"]),
                    "time": f"{seconds:.3f}",
                },
            )
        )
        out.write("\n  <properties>\n")
        for name, value in (
            ("run", run.id),
            ("verb", run.verb.value),
            ("inventory", run.inventory),
            ("package", run.package),
            ("version", run.version),
            ("operator", run.operator),
            ("parent", run.parent),
        ):
            if value is not None:
                out.write("    " + _tag("property", {"name": name, "value": value}, empty=True) + "\n")
        out.write("  </properties>\n")
        cases.seek(0)
        copyfileobj(cases, out)
        out.write("  <system-out></system-out>\n  <system-err></system-err>\n</testsuite>\n</testsuites>\n")


def _case(run: Run, outcome: Outcome) -> str:
    # CI servers read dots in a class name as folders: the site becomes one, whatever its name holds.
    site = visible(outcome.site or "no-site").replace(".", "_")
    case = _tag(
        "testcase", {"classname": f"pusher.{run.verb}.{site}", "name": outcome.target, "time": f"{outcome.seconds:.3f}"}
    )
    verdict = VERDICTS.get(outcome.status)
    if verdict is None:
        return f"  {case}</testcase>\n"
    message = f"{outcome.code or outcome.status}: {outcome.message or 'no reason was recorded'}"
    attributes = {"message": message}
    if verdict != "skipped":
        attributes["type"] = outcome.code or outcome.status.value
    return f"  {case}\n    {_tag(verdict, attributes)}{_body(outcome)}</{verdict}>\n  </testcase>\n"


def _body(outcome: Outcome) -> str:
    lines = [f"stage: {outcome.stage}"]
    if outcome.remedy:
        lines.append(f"remedy: {outcome.remedy}")
    if outcome.address:
        lines.append(f"address: {outcome.address}")
    lines += [f"account {tried.account}: {tried.code or 'ok'}" for tried in outcome.accounts_tried]
    lines += [f"check {check.check}: {check.result} ({check.evidence})" for check in outcome.checks]
    return escape("\n".join(visible(line) for line in lines))


def _tag(element: str, attributes: Mapping[str, str], *, empty: bool = False) -> str:
    """An opening tag. ``visible`` leaves no character that XML 1.0 forbids; escape() does the rest."""
    inside = "".join(f' {key}="{escape(visible(value))}"' for key, value in attributes.items())
    return f"<{element}{inside}{' /' if empty else ''}>"
