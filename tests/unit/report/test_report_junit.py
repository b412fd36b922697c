"""JUnit XML against the shape that both published schemas allow."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from io import StringIO

import pytest
from hypothesis import given

from pusher.models import AccountTried, Check, CheckResult, Outcome, Run
from pusher.report.render import render
from tests.unit.report import report_samples as samples

# element -> (required attributes, allowed children); the meeting of Jenkins' and Ant's schemas.
SHAPE: dict[str, tuple[set[str], set[str]]] = {
    "testsuites": (set(), {"testsuite"}),
    "testsuite": (
        {"id", "package", "name", "timestamp", "hostname", "tests", "failures", "errors", "skipped", "time"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"name", "classname", "time"}, {"failure", "error", "skipped"}),
    "failure": ({"message", "type"}, set()),
    "error": ({"message", "type"}, set()),
    "skipped": ({"message"}, set()),
    "system-out": (set(), set()),
    "system-err": (set(), set()),
}


def junit_of(outcomes: list[Outcome], run: Run | None = None) -> ET.Element:
    out = StringIO()
    render("junit", run or samples.run(), iter(outcomes), out)
    # As bytes, so that the declared encoding is held to as well.
    root = ET.fromstring(out.getvalue().encode())
    for element in root.iter():
        attributes, children = SHAPE[element.tag]
        assert set(element.attrib) == attributes, element.tag
        assert {child.tag for child in element} <= children, element.tag
    return root


def test_a_suite_a_run_and_a_case_a_host() -> None:
    outcomes = samples.mixed()
    root = junit_of(outcomes)
    (suite,) = root
    tags = [child.tag for child in suite]
    assert (tags[0], tags[-2:]) == ("properties", ["system-out", "system-err"])
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == [o.target for o in outcomes]
    assert suite.get("name") == "push labagent 1.4.2 to corp.yaml"
    assert suite.get("time") == "185.000"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp") or "")
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        assert int(suite.get(attribute) or -1) == len(suite.findall(f"testcase/{tag}")) > 0
    assert int(suite.get("tests") or -1) == len(cases) == 40
    assert {p.get("name"): p.get("value") for p in suite.iter("property")}["operator"] == "CORP\\ada"


@pytest.mark.parametrize(
    ("operator", "host"),
    [("root@push1", "push1"), ("ada@corp.example@push1", "push1"), ("CORP\\ada", "CORP\\ada"), ("", "localhost")],
)
def test_the_host_is_the_one_that_pushed(operator: str, host: str) -> None:
    (suite,) = junit_of([samples.outcome()], samples.run(operator=operator))
    assert suite.get("hostname") == host


def test_each_status_has_its_verdict() -> None:
    root = junit_of(
        [
            samples.outcome("ok"),
            samples.failure("disk-full"),
            samples.failure("timed-out"),
            samples.failure("excluded"),
            samples.failure("cancelled"),
        ]
    )
    assert [[child.tag for child in case] for case in root.iter("testcase")] == [
        [], ["failure"], ["error"], ["skipped"], ["skipped"],
    ]  # fmt: skip


def test_a_failure_says_why_and_what_to_do() -> None:
    tried = (AccountTried(account="push-2025", code="wrong-password"),)
    checks = (Check(check="admin-share-write", result=CheckResult.FAIL, evidence="STATUS_ACCESS_DENIED"),)
    root = junit_of([samples.failure("not-administrator", accounts_tried=tried, checks=checks)])
    found = root.find(".//failure")
    assert found is not None
    assert found.get("type") == "not-administrator"
    assert found.get("message") == "not-administrator: the account signs in but is no administrator here"
    lines = (found.text or "").splitlines()
    assert lines[0] == "stage: rights"
    assert lines[1].startswith("remedy: Add it to the local Administrators group")
    assert "account push-2025: wrong-password" in lines
    assert "check admin-share-write: fail (STATUS_ACCESS_DENIED)" in lines


def test_a_site_with_dots_is_one_folder() -> None:
    root = junit_of([samples.outcome("a", site="fr.paris"), samples.outcome("b", site=None)])
    assert [case.get("classname") for case in root.iter("testcase")] == ["pusher.push.fr_paris", "pusher.push.no-site"]


def test_a_run_that_is_still_going_adds_up_its_hosts() -> None:
    root = junit_of([samples.outcome("a", seconds=1.5), samples.outcome("b", seconds=2)], samples.run(ended_at=None))
    assert root[0].get("time") == "3.500"


@samples.unhurried
@given(samples.hostile)
def test_hostile_text_is_well_formed_and_stays_in_place(text: str) -> None:
    root = junit_of([samples.hostile_outcome(text)], samples.hostile_run(text))
    assert len(list(root.iter("testcase"))) == 1
    assert len(list(root.iter("failure"))) == 1
