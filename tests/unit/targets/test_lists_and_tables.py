"""Lists and tables as other tools write them: read where the meaning is certain, else told what to write instead."""

# ruff: noqa: E501 - a golden sentence is as long as it is

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pusher.config.wording import Wrong
from pusher.models import DOMAIN_CONTROLLERS
from pusher.problems import BadInput
from pusher.targets.inventory import Inventory, load_inventory
from pusher.targets.ranges import parse_pattern
from pusher.targets.spelling import name_in


def load(folder: Path, text: str | bytes, name: str) -> Inventory:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_inventory(path)


def names(folder: Path, text: str | bytes, name: str = "h.txt") -> list[str]:
    return [s.target.name for s in load(folder, text, name).targets()]


def refusal(folder: Path, text: str | bytes, name: str = "h.txt") -> str:
    with pytest.raises(BadInput) as caught:
        load(folder, text, name)
    return caught.value.sentence.replace(f"{folder}/{name}", "F")


# -- one name ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (r"\\SRV1", "SRV1"), ("SRV01$", "SRV01"), ('"srv1"', "srv1"), ("'srv1'", "srv1"), ("\u201csrv1\u201d", "srv1"),
        ("\ufeffsrv1", "srv1"), ("srv1\u200b", "srv1"), ("\u200e\u202asrv1\u202c", "srv1"), ("srv1\xa0", "srv1"),
        ("[2001:db8::6]", "2001:db8::6"), ("srv1.corp.example.", "srv1.corp.example."), ("ws[1:2].x", "ws[1:2].x"),
        ("10.9.0.0/26", "10.9.0.0/26"), ("2001:db8::/126", "2001:db8::/126"),
    ],
)  # fmt: skip
def test_spellings_that_are_read(tmp_path: Path, text: str, name: str) -> None:
    assert name_in(text) == name
    expected = list(parse_pattern(name))
    assert expected[0] == next(iter(parse_pattern(text)))
    if parse_pattern(name).is_single:
        assert names(tmp_path, f"{text}\r\n") == expected
        assert names(tmp_path, f"name;site\n{text};paris\n", "h.csv") == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("srv1:445", "'srv1:445' has a port; expected 'srv1' alone; a port stands in the column port of a CSV file, or beside the name in YAML"),
        ("10.0.0.5:5986", "'10.0.0.5:5986' has a port; expected '10.0.0.5' alone; a port stands in the column port of a CSV file, or beside the name in YAML"),
        ("[2001:db8::6]:445", "'[2001:db8::6]:445' has a port; expected '2001:db8::6' alone; a port stands in the column port of a CSV file, or beside the name in YAML"),
        ("https://srv1.corp.example/wsman", "'https://srv1.corp.example/wsman' is a URL; expected the name in it: 'srv1.corp.example'"),
        ("http://srv1:5985", "'http://srv1:5985' is a URL; expected the name in it: 'srv1'"),
        ("srv1/", "'srv1/' ends with a slash; expected 'srv1' alone"),
        (r"\\SRV1\C$", r"'\\SRV1\C$' is a path on a server; expected the server alone: 'SRV1'"),
        (r"CORP\ws01", r"'CORP\ws01' has a domain before the name; expected 'ws01', or its DNS name"),
        (r"CORP\WS01$", r"'CORP\WS01$' has a domain before the name; expected 'WS01$', or its DNS name"),
        ("admin@srv1", "'admin@srv1' has a user before the name; expected 'srv1' alone"),
        ("srv1,", "'srv1,' ends with a separator; expected 'srv1' alone"),
        ("ws\u200b01", "'ws\\u200b01' has the invisible character U+200B in it; expected 'ws01', typed anew"),
        ("b\u00fcro1", "'b\u00fcro1' is not a host name; expected an international name in its xn-- form"),
    ],
)  # fmt: skip
def test_spellings_that_are_told_how_to_be_written(tmp_path: Path, text: str, sentence: str) -> None:
    assert refusal(tmp_path, f"# x\n  {text}\n") == f"F:2:3: {sentence}"
    if "," not in text:
        assert refusal(tmp_path, f"name,site\nok,p\n{text},p\n", "h.csv") == f"F:3:1: {sentence}"


@given(st.text(max_size=12) | st.text(alphabet="\\[]:/@$,;\"'\ufeff\u200bsrv1.", max_size=12))
@settings(max_examples=300)
def test_any_entry_is_a_name_or_one_reason(text: str) -> None:
    try:
        pattern = parse_pattern(text)
    except Wrong as exc:
        assert exc.found
        return
    assert pattern.count >= 1


# -- a line ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# Nmap 7.94\nHost: 10.0.0.5 (ws05.x)\tPorts: 445/open/tcp\n", r"F:2:1: 'Host: 10.0.0.5 (ws05.x)\u0009Ports: 445/open/tcp' is of nmap's output; expected its addresses alone: awk '/445\/open/ {print $2}' FILE"),
        ("#masscan\nopen tcp 445 10.0.0.5 1390380064\n", "F:2:1: 'open tcp 445 10.0.0.5 1390380064' is of masscan's output; expected its addresses alone: awk '/^open/ {print $4}' FILE"),
        ("10.0.0.4\tws01.x ws01 # y\n", r"F:1:1: '10.0.0.4\u0009ws01.x ws01' is a name with its address; expected a CSV file with the header name,address and ws01.x,10.0.0.4"),
        ("ws01 10.0.0.4\n", "F:1:1: 'ws01 10.0.0.4' is a name with its address; expected a CSV file with the header name,address and ws01,10.0.0.4"),
        ("Name                 DNSHostName\n----                 -----------\n", "F:1:1: 'Name                 DNSHostName' is the heading of a table; expected names alone: … | Select-Object -ExpandProperty DNSHostName | Out-File hosts.txt"),
        ("\n\nDistinguishedName : CN=WS01,DC=x\nName : WS01\n", "F:3:1: 'DistinguishedName : CN=WS01,DC=x' is a property with its value; expected names alone: … | Select-Object -ExpandProperty DNSHostName | Out-File hosts.txt"),
        ("Server:  dc1.x\n", "F:1:1: 'Server:  dc1.x' is a property with its value; expected names alone: … | Select-Object -ExpandProperty DNSHostName | Out-File hosts.txt"),
        ("Name\nWS01\n", "F:1:1: 'Name' heads a column, and would be a machine here; expected the line taken out, or an ending of .csv"),
        ('"DNSHostName"\n"ws01.x"\n', "F:1:1: '\"DNSHostName\"' heads a column, and would be a machine here; expected the line taken out, or an ending of .csv"),
        ("ws01 ws02\n", "F:1:1: 'ws01 ws02' is more than one name; expected one name or range a line"),
    ],
)  # fmt: skip
def test_lines_of_other_tools_are_told_how_to_be_written(tmp_path: Path, text: str, sentence: str) -> None:
    assert refusal(tmp_path, text) == sentence


def test_a_column_that_powershell_printed_is_read(tmp_path: Path) -> None:
    """Get-ADComputer -Filter * | Select-Object Name > hosts.txt, in UTF-16, with its blank lines."""
    text = "\r\nName\r\n----\r\nWS01\r\nWS02\r\n\r\n\r\n"
    assert names(tmp_path, text.encode("utf-16")) == ["WS01", "WS02"]
    assert names(tmp_path, text.replace("Name", "DNSHostName")) == ["WS01", "WS02"]


def test_a_comment_may_hold_a_comma(tmp_path: Path) -> None:
    assert names(tmp_path, "srv1 # a, b\n") == ["srv1"]


@pytest.mark.parametrize(
    ("data", "name", "sentence"),
    [
        (b"<?xml version='1.0'?>\n<nmaprun/>\n", "scan.xml", "F:1:1: this is XML or HTML, and no inventory; expected a list with one name or address a line (of a scan: nmap -oG, and its addresses)"),
        (b"PK\x03\x04\x14\x00\x06\x00", "hosts.xlsx", "F: this is an Excel workbook (or another ZIP file); expected a text file; save a workbook as CSV UTF-8"),
        ("ws1\n".encode("utf-16-le"), "h.txt", "F:1:2: the control character U+0000; expected a text file in UTF-8, or in UTF-16 with a byte order mark"),
    ],
)  # fmt: skip
def test_files_that_are_no_text(tmp_path: Path, data: bytes, name: str, sentence: str) -> None:
    assert refusal(tmp_path, data, name) == sentence


def test_a_byte_order_mark_of_a_file_that_was_joined_is_passed_over(tmp_path: Path) -> None:
    """copy a.csv+b.csv all.csv leaves the second one's mark in mid-file."""
    assert names(tmp_path, "\ufeffname,site\na,p\n\ufeffb,p\n", "h.csv") == ["a", "b"]
    assert names(tmp_path, "\ufeff[w]\na\n\ufeff[v]\nb\n", "h.ini") == ["a", "b"]


# -- a table ----------------------------------------------------------------------------------------------------------

COMPUTERS = """#TYPE Microsoft.ActiveDirectory.Management.ADComputer
"DistinguishedName","DNSHostName","Enabled","Name","ObjectClass","ObjectGUID","SamAccountName","SID","UserPrincipalName"
"CN=WS01,OU=PCs,DC=corp,DC=example","ws01.corp.example","True","WS01","computer","0f","WS01$","S-1-5-21-1-2-3-1101",
"CN=WS02,OU=PCs,DC=corp,DC=example","","True","WS02","computer","0f","WS02$","S-1-5-21-1-2-3-1102",
"CN=WS03,OU=PCs,DC=corp,DC=example","ws03.corp.example","False","WS03","computer","0f","WS03$","S-1-5-21-1-2-3-1103",
"CN=DC01,OU=Domain Controllers,DC=corp,DC=example","dc01.corp.example","True","DC01","computer","0f","DC01$","S-1",
"""


@pytest.mark.parametrize("name", ["computers.csv", "export"])
def test_an_export_of_computers(tmp_path: Path, name: str) -> None:
    inventory = load(tmp_path, COMPUTERS, name)
    rows = {s.target.name: s for s in inventory.targets()}
    assert {name: row.decision.code for name, row in rows.items()} == {
        "ws01.corp.example": None, "WS02": None, "ws03.corp.example": "computer-disabled",
        "dc01.corp.example": "domain-controller-refused",
    }  # fmt: skip
    assert rows["dc01.corp.example"].target.groups == (DOMAIN_CONTROLLERS,)
    assert inventory.notes == (
        f"{tmp_path}/{name}: columns that say nothing to pusher are passed over: SID and UserPrincipalName",
    )


@pytest.mark.parametrize(
    ("text", "verdicts"),
    [
        ('"DNSHostName"\n"ws01.x"\n', {"ws01.x": None}),
        ("SamAccountName;site\nWS01$;paris\n", {"WS01": None}),
        ("DN,objectClass,cn,userAccountControl\n\"CN=A,DC=x\",top;person;computer,A,4098\n\"CN=B,DC=x\",computer,B,4096\n", {"A": "computer-disabled", "B": None}),
        ("Name,DNSHostName,PrimaryGroupID\nA,a.x,515\nB,b.x,516\nC,c.x,521\n", {"a.x": None, "b.x": "domain-controller-refused", "c.x": "domain-controller-refused"}),
        ("Name,DNSHostName,userAccountControl\nB,b.x,532480\nC,c.x,83890176\n", dict.fromkeys(("b.x", "c.x"), "domain-controller-refused")),
    ],
)  # fmt: skip
def test_other_exports(tmp_path: Path, text: str, verdicts: dict[str, str | None]) -> None:
    assert {s.target.name: s.decision.code for s in load(tmp_path, text, "e.csv").targets()} == verdicts


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\r\nname;site\r\na;paris\r\n", '"sep=,"\nname,site\na,paris\n', "SEP=\t\nname\tsite\na\tparis\n",
        "sep=|\nname|site\na|paris\n", "name,site,\na,paris,\n", "name,site,,\na,paris\n".replace("paris", "paris,,"),
        "name,site\na,paris,,,\n", "name;site;\na;paris;\n;;\n", ",name,site\n,a,paris\n", "\u200bname,site\xa0\na,paris\n",
    ],
)  # fmt: skip
def test_what_spreadsheets_leave_behind(tmp_path: Path, text: str) -> None:
    for name in ("h.csv", "hosts"):
        if name == "hosts" and text[0] not in "sSn":
            continue
        (selected,) = load(tmp_path, text, name).targets()
        assert (selected.target.name, selected.target.site) == ("a", "paris")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,site,\na,paris,x\n", "F:2:9: column 3 has a value here, and no name in the header; expected a name for the column, or an empty column"),
        ("name,site\na,paris,x\n", "F:2:9: the row has 3 fields; expected 2, as the header has"),
        ("ComputerName,site\na,paris\n", "F:1:1: 'ComputerName' is not a known column; expected name, which is what it is called here"),
        ("name,IP Address\na,10.0.0.1\n", "F:1:6: 'IP Address' is not a known column; expected address, which is what it is called here"),
        ("Name,DNSHostName,ObjectClass\nbob,,user\n", "F:2:1: the row is a 'user' and no computer; expected computers alone"),
        ("Name,DNSHostName\n ,x\n,\n\"\",\"\"\n,,\nA,\n", None),
        ("name,machine\na,10.0.0.1\n", "F:2:3: '10.0.0.1' is not what a machine calls itself; expected the machine's own name, such as ws501.corp.example or WS501"),
        ("name,machine\na[1:2],b\n", "F:2:1: 'a[1:2]' is many machines with one name of their own; expected a machine only beside a single name"),
    ],
)  # fmt: skip
def test_tables_that_are_refused(tmp_path: Path, text: str, sentence: str | None) -> None:
    if sentence is None:
        assert names(tmp_path, text, "h.csv") == ["x", "A"]
    else:
        assert refusal(tmp_path, text, "h.csv") == sentence


def test_a_table_says_what_a_machine_calls_itself(tmp_path: Path) -> None:
    (selected,) = load(tmp_path, "name,address,machine\nweb-frontend,10.9.1.5,ws501.x\n", "h.csv").targets()
    assert (selected.target.name, selected.target.machine) == ("web-frontend", "ws501.x")


# -- anything at all ---------------------------------------------------------------------------------------------------

pieces = st.sampled_from(
    ['{"a": {"hosts": ["b"]}}', '{"_meta": {"hostvars": {', '"a": ', "[", "]", "{", "}", ",", "sep=;", "Name", "----", "DN;cn",
     "DNSHostName,Enabled", "a,b", "Host: 1", "\ufeff", "\u200b", "x$", "\\\\x", "ansible_host={{ inventory_hostname }}.x",
     "x ansible_connection=local", "[all:vars]", "y[1:3]", "all:", "  hosts:", "    q:"]
)  # fmt: skip


@pytest.mark.thorough
@given(
    st.lists(pieces | st.text(max_size=6), max_size=8),
    st.sampled_from(["\n", "", " "]),
    st.sampled_from(["i.json", "i.ini", "i.csv", "i.txt", "i", "i.yml"]),
)
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_makes_a_reader_fail_otherwise(tmp_path: Path, parts: list[str], joined: str, name: str) -> None:
    try:
        inventory = load(tmp_path, joined.join(parts).encode("utf-8", "surrogatepass"), name)
    except BadInput as exc:
        assert exc.source is not None and exc.source.file == str(tmp_path / name)
        return
    assert sum(1 for _ in inventory.targets()) == inventory.count()
