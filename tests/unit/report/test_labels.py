"""Lines to be pasted: in the inventory's format, read back as what was asked, and never of a text that is no name."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.report.labels import Asked, paste, paste_page
from pusher.targets.inventory import load_inventory
from pusher.targets.parsed import Form

AROUND = {
    Form.OWN: ("i.yaml", "version: 1\ngroups:\n  g:\n    hosts:\n      ", ""),
    Form.CSV: ("i.csv", "name,address,machine\n", ""),
    Form.LIST: ("i.csv", "name,address,machine\n", ""),
    Form.ANSIBLE_INI: ("i.ini", "[g]\n", ""),
    Form.ANSIBLE_YAML: ("i.yml", "all:\n  hosts:\n    ", ""),
    Form.ANSIBLE_JSON: ("i.json", '{"all": {"hosts": ["web-frontend", "10.9.1.5"]}, "_meta": {"hostvars": {', "}}}"),
}


@pytest.mark.parametrize("form", list(Form))
@pytest.mark.parametrize("label", ["web-frontend", "10.9.1.5"])
def test_a_line_is_read_back(tmp_path: Path, form: Form, label: str) -> None:
    line = paste("10.9.1.5", Asked(label=label, machine="ws501.corp.example", given=True), form)
    name, before, after = AROUND[form]
    (tmp_path / name).write_text(f"{before}{line}{after}\n")
    found = {s.target.name: s.target for s in load_inventory(tmp_path / name).targets()}[label]
    assert (found.address, found.machine) == ("10.9.1.5", "ws501.corp.example")


def test_an_alias_with_spaces_and_a_port_are_kept(tmp_path: Path) -> None:
    line = paste("10.9.1.5", Asked(label="web frontend", machine="ws501"), Form.ANSIBLE_INI)
    assert line == '"web frontend" ansible_host=10.9.1.5 pusher_machine=ws501'
    line = paste("10.9.1.5", Asked(label="web", machine="ws501"), Form.OWN, 4450)
    assert line == '- {name: "web", address: "10.9.1.5", port: 4450, machine: "ws501"}'


@pytest.mark.parametrize("form", list(Form))
def test_nothing_is_said_where_nothing_is_to_be_said(form: Form) -> None:
    assert paste("10.9.1.5", Asked(label="ws501", machine="ws501", fits=True), form) is None
    assert paste("10.9.1.5", Asked(label="ws501", code="timed-out"), form) is None
    assert paste(None, Asked(label="ws501", machine="ws502"), form) is None


@given(st.text() | st.from_regex(r"[a-z]{1,3}[\n\"'{},: #=]{1,2}[a-z]{0,3}", fullmatch=True), st.sampled_from(Form))
def test_what_answers_cannot_write_into_the_inventory(machine: str, form: Form) -> None:
    """The name is a stranger's word: it is a host name, or it is no line."""
    line = paste("10.9.1.5", Asked(label="web", machine=machine), form)
    if line is not None:
        assert machine in line
        assert not set(machine) & set("\n\"'{},: #=")


def test_a_name_servers_address_is_only_a_comment() -> None:
    """Pasted without a thought, a stale record would become the machine that is meant."""
    page = list(paste_page([("one", True), ("two", False)], Form.OWN))
    assert "one" in page and "# two" in page and "two" not in page
    assert list(paste_page([], Form.OWN)) == []
    assert "name,address,machine" in list(paste_page([("one", True)], Form.CSV))
