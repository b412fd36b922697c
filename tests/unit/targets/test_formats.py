"""Every format gives the same targets, and the right one is recognised."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pusher.models import Target, TransportKind
from pusher.targets.inventory import Inventory, load_inventory
from pusher.targets.tables import _starts


def load(folder: Path, name: str, text: str | bytes) -> Inventory:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_inventory(path)


def targets(folder: Path, name: str, text: str | bytes) -> list[Target]:
    return [s.target for s in load(folder, name, text).targets()]


def facts(target: Target) -> tuple[object, ...]:
    return target.name, target.address, target.site, frozenset(target.groups), dict(target.variables), target.port


YAML = """version: 1
defaults: {vars: {channel: stable}}
groups:
  paris:
    site: paris
    hosts: ["ws[01:03].x", {name: srv7, address: 10.1.2.7, vars: {channel: beta}}]
  all_offices: {children: [paris]}
"""
INI = """[paris]
ws[01:03].x
srv7 ansible_host=10.1.2.7 channel=beta   # the print server

[all_offices:children]
paris
[paris:vars]
site = paris
[all:vars]
channel="stable"
ansible_user=CORP\\\\admin
"""
ANSIBLE_YAML = """all:
  vars: {channel: stable, ansible_port: 5986, ansible_password: !vault secret}
  children:
    all_offices:
      children:
        paris:
          vars: {site: paris}
          hosts:
            ws[01:03].x:
            srv7: {ansible_host: 10.1.2.7, channel: beta, list: [1, 2]}
"""
CSV = """name;address;site;groups;var:channel
ws[01:03].x;;paris;paris all_offices;stable
"srv7";10.1.2.7;paris;paris|all_offices;beta
"""


@pytest.mark.parametrize(
    ("name", "text"), [("i.ini", INI), ("hosts", INI), ("i.yml", ANSIBLE_YAML), ("i.csv", CSV), ("export", CSV)]
)
def test_every_format_gives_the_same_targets(tmp_path: Path, name: str, text: str) -> None:
    expected = targets(tmp_path, "own.yaml", YAML)
    assert [facts(t) for t in targets(tmp_path, name, text)] == [facts(t) for t in expected]
    assert len(expected) == 4


def test_a_plain_list(tmp_path: Path) -> None:
    text = "# all\r\nsrv7.x\r\n\r\n  ws[1:2].x   # two\r\n10.9.0.0/30\r\nhash#tag.x".replace("hash#tag.x", "last.x #no")
    for name in ("h.txt", "hosts", "h.lst"):
        found = targets(tmp_path, name, text)
        assert [t.name for t in found] == ["srv7.x", "ws1.x", "ws2.x", "10.9.0.1", "10.9.0.2", "last.x"]
        assert [str(t.source).rpartition(":")[2] for t in found] == ["2", "4", "4", "5", "5", "6"]


def test_what_windows_tools_write(tmp_path: Path) -> None:
    text = '#TYPE Microsoft.ActiveDirectory\r\n"name","address"\r\n"ws1.x","10.0.0.1"\r\n'
    for data in (text.encode("utf-16"), b"\xef\xbb\xbf" + text.encode()):
        (found,) = targets(tmp_path, "i.csv", data)
        assert (found.name, found.address) == ("ws1.x", "10.0.0.1")


def test_csv_columns(tmp_path: Path) -> None:
    text = "Name,PORT,Transports,domain_controller,var:Channel,groups\na,445,WINRM smb,allow,x y,\n ,,,,,\nb,,,,,\n"
    first, second = targets(tmp_path, "i.csv", text)
    assert first.port == 445
    assert first.transports == (TransportKind.WINRM, TransportKind.SMB)
    assert first.domain_controller_allowed
    assert dict(first.variables) == {"Channel": "x y"}
    assert (first.groups, second.groups) == ((), ())
    assert (second.port, second.transports, dict(second.variables)) == (None, tuple(TransportKind), {})


def test_the_rows_of_a_csv_keep_their_order(tmp_path: Path) -> None:
    found = targets(tmp_path, "i.csv", "name,groups\nc,x\na,y\nb,x y\n")
    assert [(t.name, t.groups) for t in found] == [("c", ("x",)), ("a", ("y",)), ("b", ("x", "y"))]


@pytest.mark.thorough
@given(
    st.lists(st.text(alphabet='ab,;"\t ', max_size=5), min_size=1, max_size=5), st.sampled_from(",;\t"), st.booleans()
)
@settings(max_examples=200)
def test_columns_of_a_row_are_those_of_its_fields(fields: list[str], separator: str, quote_all: bool) -> None:
    out = io.StringIO()
    if quote_all:
        csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="").writerow(fields)
    else:
        csv.writer(out, delimiter=separator, lineterminator="").writerow(fields)
    line = out.getvalue()
    starts = _starts(line, separator)
    assert len(starts) == len(fields)
    ends = [start - 2 for start in starts[1:]] + [len(line)]
    for start, end, field in zip(starts, ends, fields, strict=True):
        text = line[start - 1 : end]
        assert next(csv.reader([text], delimiter=separator), []) == ([field] if text else [])


# -- Ansible ----------------------------------------------------------------------------------------------


def test_an_ansible_host_that_is_a_name(tmp_path: Path) -> None:
    inventory = load(tmp_path, "h.ini", "[web]\nw1 ansible_host=srv7.corp.x\n[db]\nw1\n[web:children]\ndb\n")
    (selected,) = inventory.targets(inventory.selector("w1"))
    assert selected.decision.included
    assert (selected.target.name, selected.target.address) == ("srv7.corp.x", None)
    assert dict(selected.target.variables) == {"inventory_hostname": "w1"}
    assert selected.target.groups == ("web", "db")


def test_what_is_ansibles_own_is_ignored_and_named_but_never_shown(tmp_path: Path) -> None:
    text = "[w]\na:5986 ansible_password=hunter2 ansible_port=5986 x={{y}} a.b=1 name=z site=p n=1\n"
    inventory = load(tmp_path, "h.ini", text)
    (selected,) = inventory.targets()
    assert selected.target.name == "a"
    assert selected.target.port is None
    assert selected.target.site == "p"
    assert dict(selected.target.variables) == {"n": "1"}
    assert inventory.notes == (
        f"{tmp_path}/h.ini: the ports behind host names are Ansible's connection ports and are ignored",
        f"{tmp_path}/h.ini: Ansible variables that say nothing to pusher are ignored: "
        "a.b, ansible_password, ansible_port, name and x",
    )


def test_ansible_settings_of_our_own(tmp_path: Path) -> None:
    text = (
        "[w]\na pusher_port=4450 pusher_transports=winrm,smb pusher_domain_controller=allow\n[w:vars]\npusher_site=p\n"
    )
    (target,) = targets(tmp_path, "h.ini", text)
    assert (target.port, target.site, target.domain_controller_allowed) == (4450, "p", True)
    assert target.transports == (TransportKind.WINRM, TransportKind.SMB)
    assert dict(target.variables) == {}


def test_an_ansible_group_may_be_described_before_it_is_listed(tmp_path: Path) -> None:
    text = "one\n[w:vars]\nx=1\n[v:children]\nw\n[w]\na\na\n[all]\nb\n[ungrouped]\nc\n[all:children]\nv\n"
    found = {t.name: t for t in targets(tmp_path, "h.ini", text)}
    assert list(found) == ["one", "a", "b", "c"]
    assert found["a"].groups == ("w", "v")
    assert dict(found["a"].variables) == {"x": "1"}
    assert found["one"].groups == found["b"].groups == found["c"].groups == ()


def test_ansible_yaml_with_groups_on_top_and_words_for_tables(tmp_path: Path) -> None:
    text = "web:\n  hosts: a\n  children: db\ndb:\n  hosts: {no: , 'b[1:2]': {x: 012}}\n"
    found = {t.name: t for t in targets(tmp_path, "h.yml", text)}
    assert list(found) == ["a", "no", "b1", "b2"]
    assert dict(found["b1"].variables) == {"x": "012"}
    assert set(found["no"].groups) == {"db", "web"}


words = st.sampled_from(
    ["[a]", "[a:vars]", "[a:children]", "x", "y=1", "ws[1:3]", "a: b", "name,site", "#", '"', "all:"]
)


@pytest.mark.thorough
@given(st.lists(words | st.text(max_size=8), max_size=6), st.sampled_from(["i.ini", "i.csv", "i.txt", "i", "i.yml"]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_that_come_close_are_read_or_refused(tmp_path: Path, lines: list[str], name: str) -> None:
    from pusher.problems import BadInput

    try:
        inventory = load(tmp_path, name, "\n".join(lines).encode("utf-8", "surrogatepass"))
    except BadInput as exc:
        assert exc.source is not None
        assert exc.source.line <= len("\n".join(lines).splitlines()) + 1
        return
    assert sum(1 for _ in inventory.targets()) == inventory.count()
