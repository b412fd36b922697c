"""Reading what was recorded: runs, show, report, explain, and retry, which begins anew from a record."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest

from lab import Host
from tests.system.command import Ended
from tests.system.site import FirstPush, Site

pytestmark = pytest.mark.lab


def read(first_push: FirstPush, verb: str, *arguments: str | Path) -> Ended:
    ended = first_push.pusher.reading(verb, *arguments)
    assert (ended.status, ended.stderr) == (0, ""), ended.everything_said()
    return ended


def test_json_is_one_object_a_line_and_nothing_else(first_push: FirstPush) -> None:
    lines = first_push.ended.stdout.splitlines()
    assert lines and all(isinstance(json.loads(line), dict) for line in lines)
    assert first_push.ended.stderr == ""


def test_runs(first_push: FirstPush) -> None:
    (row,) = read(first_push, "runs", "--json").lines
    assert row["run"] == first_push.ended.run
    assert row["ended_at"] >= row["started_at"]
    counts = Counter(line["status"] for line in first_push.ended.outcomes.values())
    assert {status: count for status, count in row["counts"].items() if count} == counts
    assert row["total"] == len(first_push.ended.outcomes)
    assert first_push.ended.run in read(first_push, "runs").stdout


def test_show_a_run(first_push: FirstPush) -> None:
    """The record is what the run itself said, field by field."""
    shown = read(first_push, "show", "last", "--json")
    assert shown.outcomes == first_push.ended.outcomes
    told = read(first_push, "show", first_push.ended.run[:12]).stdout
    for name in first_push.ended.outcomes:
        assert name in told


@pytest.mark.parametrize("name", ["healthy", "agent-exits", "wrong-password", "port-closed", "link-stalls"])
def test_show_a_host(site: Site, first_push: FirstPush, name: str) -> None:
    host = site.host(name)
    line = first_push.ended.outcomes[host.fqdn]
    told = read(first_push, "show", "last", host.fqdn.upper()).stdout
    assert told.startswith(f"{host.fqdn}: {line['status']}")
    words = " ".join(told.split())
    for value in (line["code"], line["remedy"], line["account"], host.address, first_push.ended.run):
        assert value is None or " ".join(value.split()) in words, value
    (story,) = read(first_push, "show", "last", host.fqdn, "--json").lines
    kinds = [event["kind"] for event in story["events"]]
    if line["stage"] in ("start", "stage"):
        assert kinds[:2] == ["identity", "signed-in"] and "undo" in kinds


def test_report_in_each_format(first_push: FirstPush, reports: dict[str, str]) -> None:
    outcomes = first_push.ended.outcomes
    counts = Counter(line["status"] for line in outcomes.values())
    for format, text in reports.items():
        for name, line in outcomes.items():
            if line["code"] or format != "markdown":  # a ticket is about what went wrong
                assert name in text, (format, name)
            assert line["code"] is None or line["code"] in text
    assert read(first_push, "report", "last", "--format", "csv").stdout == reports["csv"]
    rows = list(csv.DictReader(StringIO(reports["csv"])))
    assert {row["target"]: (row["status"], row["code"] or None) for row in rows} == first_push.ended.verdicts
    document = json.loads(reports["json"])
    assert {line["target"]: line for line in document["outcomes"]} == outcomes
    suite = ElementTree.fromstring(reports["junit"]).find("testsuite")
    assert suite is not None
    told = [suite.get(key) for key in ("tests", "failures", "errors")]
    assert told == [str(len(outcomes)), str(counts["failed"]), str(counts["unreachable"])]
    assert {case.get("name") for case in suite.iter("testcase")} == set(outcomes)
    assert reports["html"].lower().startswith("<!doctype html>")
    assert "http://" not in reports["html"].replace("http://www.w3.org", "") and "<script src" not in reports["html"]


def test_explain_knows_every_code_of_the_run(first_push: FirstPush) -> None:
    everything = first_push.pusher.run("explain", "--json")
    assert (everything.status, everything.stderr) == (0, "")
    remedies = {row["code"]: row["remedy"] for row in everything.lines}
    assert {"wrong-host", "lockout-budget-spent", "cancelled"} <= set(remedies)
    for line in first_push.ended.outcomes.values():
        assert line["code"] is None or remedies[line["code"]] == line["remedy"]
    one = first_push.pusher.run("explain", "push-in-progress")
    assert one.status == 0
    assert " ".join(remedies["push-in-progress"].split()) in " ".join(one.stdout.split())


def test_retry_takes_what_did_not_succeed(
    site: Site, fresh: Callable[[str], Host], quick: Path, tmp_path: Path
) -> None:
    """First the machine is switched off; then it is on, and only it is tried again."""
    off, refusing, done = fresh("spare1"), site.host("no-admin-share"), site.host("same-version")
    off.link("refuse")
    pusher = site.pusher(tmp_path / "run", quick)
    first = pusher.push(site.inventory_of(tmp_path, [off, refusing, done]))
    assert first.verdicts == {
        off.fqdn: ("unreachable", "port-closed"),
        refusing.fqdn: ("failed", "admin-share-missing"),
        done.fqdn: ("unchanged", None),
    }, first.everything_said()

    def retry(*options: str) -> Ended:
        return pusher.run(
            "retry", first.run, *options, "--store", pusher.store_file, "--log", pusher.log_file, "--json"
        )

    assert retry("--failed").verdicts == {refusing.fqdn: ("failed", "admin-share-missing")}
    assert retry("--unreachable").verdicts == {off.fqdn: ("unreachable", "port-closed")}
    off.heal()
    both = retry()
    assert both.verdicts == {off.fqdn: ("installed", None), refusing.fqdn: ("failed", "admin-share-missing")}
    assert site.witness(off).service_state() == "running"
    newest = pusher.reading("runs", "--json").lines[0]
    assert (newest["run"], newest["parent"]) == (both.run, first.run)


def test_plain_and_quiet_output(site: Site, tmp_path: Path) -> None:
    """Without --json: a line for each machine and the closing words, or the closing words alone."""
    hosts = [site.host(name) for name in ("same-version", "no-admin-share")]
    inventory = site.inventory_of(tmp_path, hosts)
    pusher = site.pusher(tmp_path / "run")
    plain = pusher.push(inventory, json=False)
    assert (plain.status, plain.stderr) == (1, "")
    for host in hosts:
        assert host.fqdn in plain.stdout
    assert "admin-share-missing" in plain.stdout and "Remedy" in plain.stdout and "pusher retry" in plain.stdout
    quiet = pusher.push(inventory, "--quiet", json=False)
    assert quiet.status == 1 and "admin-share-missing" in quiet.stdout
    nothing = pusher.push(inventory, "--quiet", "--limit", hosts[0].fqdn, json=False)
    assert (nothing.status, nothing.stdout, nothing.stderr) == (0, "", "")
