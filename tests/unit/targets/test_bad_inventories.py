"""Bad inventories: the exact sentence for each, with file, line, column and what was expected."""

# ruff: noqa: E501 - a golden sentence is as long as it is

from __future__ import annotations

from pathlib import Path

import pytest

from pusher.problems import BadInput
from pusher.targets.inventory import load_inventory

HOST = "expected a host name, a range such as ws[001:250].corp.example, an IP address or a block such as 10.9.0.0/26"
RANGE = "expected a range such as [001:250], [1:99:2] or [a:f]"

# What stands below "version: 1\ngroups:\n  paris:\n", so the first line here is line 4.
IN_GROUP = [
    ("    hosts: 5\n", "4:12: groups.paris.hosts is a number; expected a list of host names"),
    ("    hosts: ws1\n", "4:12: groups.paris.hosts is text; expected a list of host names"),
    ("    hots: [a]\n", "4:5: groups.paris.hots is not a known key (did you mean hosts?); expected site, port, transports, winrm, vars, hosts, ranges, children, exclude, directory or domain_controller"),
    ("    hosts: [a, 5]\n", "4:16: groups.paris.hosts[2] is a number; expected a host name in quotes, or a table with name and address"),
    ("    hosts:\n      - a\n      -\n", "6:8: groups.paris.hosts[2] is empty; expected a host name in quotes, or a table with name and address"),
    ("    hosts: [{nmae: a}]\n", "4:14: groups.paris.hosts[1].nmae is not a known key (did you mean name?); expected site, port, transports, winrm, vars, name, address, machine or domain_controller"),
    ("    hosts: [{port: 445}]\n", "4:13: groups.paris.hosts[1].name is missing; expected a host name"),
    ("    hosts: [{name: a, port: 70000}]\n", "4:29: groups.paris.hosts[1].port is 70000; expected a port number from 1 to 65535"),
    ("    hosts: [{name: a, port: '445'}]\n", "4:29: groups.paris.hosts[1].port is text; expected a port number from 1 to 65535"),
    ("    hosts: [{name: a, address: 10.1}]\n", "4:32: groups.paris.hosts[1].address is a number; expected an IP address, in quotation marks"),
    ("    hosts: [{name: a, address: 10.1.2}]\n", "4:32: groups.paris.hosts[1].address: '10.1.2' is not an IP address; expected an address such as 10.1.2.7"),
    ("    hosts: [{name: 'w[1:2]', address: 10.1.2.3}]\n", "4:20: groups.paris.hosts[1].name: 'w[1:2]' is many machines with one address; expected an address only beside a single name"),
    ("    hosts: [{name: 10.1.2.4, address: 10.1.2.3}]\n", "4:20: groups.paris.hosts[1].name: '10.1.2.4' is an address and has another one; expected a name, or one address"),
    ("    hosts: [{name: a, machine: 10.1.2.4}]\n", "4:32: groups.paris.hosts[1].machine: '10.1.2.4' is not what a machine calls itself; expected the machine's own name, such as ws501.corp.example or WS501"),
    ("    hosts: [{name: 'a[1:2]', machine: b}]\n", "4:20: groups.paris.hosts[1].name: 'a[1:2]' is many machines with one name of their own; expected a machine only beside a single name"),
    ("    hosts: ['10.1.2.300']\n", f"4:13: groups.paris.hosts[1]: '10.1.2.300' is neither a host name nor an IP address; {HOST}"),
    ("    hosts: ['ws[001-250].x']\n", f"4:13: groups.paris.hosts[1]: [001-250] in 'ws[001-250].x' is not a range; {RANGE}"),
    ("    hosts: ['ws[01:250].x']\n", "4:13: groups.paris.hosts[1]: [01:250] in 'ws[01:250].x' pads its ends differently; expected both ends equally long"),
    ("    ranges: [10.9.0.5/26]\n", "4:14: groups.paris.ranges[1]: '10.9.0.5/26' is not the beginning of its block; expected 10.9.0.0/26, or the address 10.9.0.5 alone"),
    ("    ranges: [10.8.0.0/24, 10.0.0.0/8]\n", "4:27: the inventory has more than 1,000,000 targets ('10.0.0.0/8' alone 16,777,214); expected smaller ranges"),
    ("    ranges: [10.0.0.9-10.0.0.1]\n", "4:14: groups.paris.ranges[1]: '10.0.0.9-10.0.0.1' ends before it begins; expected a range such as 10.9.0.10-10.9.0.99"),
    ("    hosts: [a]\n    children: [labz]\n  labs: {hosts: [b]}\n", "5:16: 'labz' is not a group (did you mean labs?); expected one of the groups paris or labs"),
    ("    hosts: [a]\n    children: [labs]\n  labs:\n    children: [more]\n  more: {children: [paris]}\n", "5:16: the groups go in a circle: paris > labs > more > paris; expected children that do not lead back"),
    ("    hosts: [a]\n    children: [paris]\n", "5:16: the groups go in a circle: paris > paris; expected children that do not lead back"),
    ("    hosts: [a]\n    site: 'x y'\n", "5:11: groups.paris.site: 'x y' cannot be the name of a site; expected letters, digits, dots, hyphens and underscores, at most 64"),
    ("    hosts: [a]\n    transports: [smb, ssh]\n", "5:17: groups.paris.transports: 'ssh' is not a transport; expected a list of smb and winrm"),
    ("    hosts: [a]\n    transports: []\n", "5:17: groups.paris.transports is an empty list; expected a list of smb and winrm"),
    ("    hosts: [a]\n    transports: [smb, smb]\n", "5:17: groups.paris.transports names a transport twice; expected a list of smb and winrm"),
    ("    hosts: [a]\n    winrm: 5986\n", "5:12: groups.paris.winrm is a number; expected a table with port, scheme and fingerprint"),
    ("    hosts: [a]\n    winrm: {scheme: ftp}\n", "5:21: groups.paris.winrm.scheme is 'ftp'; expected https or http"),
    ("    hosts: [a]\n    winrm: {fingerprint: abc}\n", "5:26: groups.paris.winrm.fingerprint: 'abc' is not a fingerprint; expected a certificate's SHA-256 as 64 hexadecimal digits, with or without colons"),
    ("    hosts: [a]\n    winrm: {scheme: http, fingerprint: " + "ab" * 32 + "}\n", "5:40: groups.paris.winrm.fingerprint pins a certificate, and http has none; expected scheme: https"),
    ("    hosts: [a]\n    winrm: {ca: x.pem}\n", "5:13: groups.paris.winrm.ca is not a known key; expected port, scheme or fingerprint"),
    ("    hosts: [a]\n    domain_controller: yes\n", "5:24: groups.paris.domain_controller is 'yes'; expected allow or refuse"),
    ("    hosts: [a]\n    vars: {build: 1.10}\n", "5:19: groups.paris.vars.build is a number; expected text, in quotation marks"),
    ("    hosts: [a]\n    vars: {name: x}\n", "5:12: groups.paris.vars.name: 'name' is a name that every target has already; expected another name for the variable"),
    ("    hosts: [a]\n    vars: {'a b': x}\n", "5:12: groups.paris.vars.a b: 'a b' cannot be the name of a variable; expected a word of letters, digits and underscores"),
    ("    directory: {bse: 'OU=x'}\n", "4:17: groups.paris.directory.bse is not a known key (did you mean base?); expected base, filter, group, one_level or stale_after"),
    ("    directory: {base: Servers}\n", "4:23: groups.paris.directory.base: 'Servers' is no distinguished name; expected a distinguished name such as OU=Servers,DC=corp,DC=example"),
    ("    directory: {base: 'OU=a,,DC=x'}\n", "4:23: groups.paris.directory.base: 'OU=a,,DC=x' is no distinguished name; expected a distinguished name such as OU=Servers,DC=corp,DC=example"),
    ("    directory: {base: ''}\n", "4:23: groups.paris.directory.base is empty; expected a distinguished name such as OU=Servers,DC=corp,DC=example"),
    ("    directory: {base: DC=x, filter: cn=a}\n", "4:37: groups.paris.directory.filter: the LDAP filter 'cn=a' wants an opening parenthesis here (character 1); expected an LDAP filter such as (operatingSystem=Windows Server*)"),
    ("    directory: {base: DC=x, filter: '(&(cn=a)(cn=b)'}\n", "4:37: groups.paris.directory.filter: the LDAP filter '(&(cn=a)(cn=b)' wants a closing parenthesis here (character 15); expected an LDAP filter such as (operatingSystem=Windows Server*)"),
    ("    directory: {base: DC=x, group: Kiosks}\n", "4:36: groups.paris.directory.group: 'Kiosks' is no distinguished name; expected the distinguished name of a group, such as CN=Kiosks,OU=Groups,DC=corp,DC=example"),
    ("    directory: {base: DC=x, stale_after: 5d}\n", "4:42: groups.paris.directory.stale_after is '5d'; expected a duration of 15 days or more, such as \"90d\""),
    ("    directory: {base: DC=x, stale_after: 90}\n", "4:42: groups.paris.directory.stale_after is a number; expected a duration such as \"5s\", \"2m\" or \"500ms\""),
    ("    directory: {base: DC=x, one_level: 'yes'}\n", "4:40: groups.paris.directory.one_level is text; expected true or false"),
    ("    directory: 'DC=x'\n", "4:16: groups.paris.directory is text; expected a table with base, and filter or group"),
    ("    directory: {filter: x}\n", "4:16: groups.paris.directory.base is missing; expected a distinguished name such as OU=Servers,DC=corp,DC=example"),
    ("    hosts: []\n", ": the inventory lists no host; expected at least one host or range"),
    ("    hosts: [a]\n    exclude: ['']\n", "5:15: groups.paris.exclude[1] is empty; expected a pattern such as ws013.*"),
    ("    hosts: [a]\n    exclude: ['~(']\n", "5:15: '~(' is not a regular expression (missing ), unterminated subpattern at position 0); expected a pattern such as ws0*.paris.example, group:paris, site:paris or ~ws(1|2)"),
    ("    hosts: [a]\n  paris:\n    hosts: [b]\n", "5:3: groups.paris is there twice (first in line 3); expected every key once"),
    ("    {hosts: [a], site: p}\n  labs:\n    {site: q, hosts: [a]}\n", "6:12: a is in two groups that contradict: groups.paris says site p (F:4), groups.labs says site q; expected one site, or a site on the host itself"),
    ("    {hosts: ['w[1:9]'], site: p}\n  labs:\n    {site: q, hosts: ['w[9:12]']}\n", "6:12: w9 is in two groups that contradict: groups.paris says site p (F:4), groups.labs says site q; expected one site, or a site on the host itself"),
    ("    hosts: [{name: a, address: 10.0.0.1}]\n  labs: {hosts: [{name: A., address: 10.0.0.2}]}\n", "5:18: 'a' has the address 10.0.0.2 here and 10.0.0.1 in F:4; expected one address"),
    ("    hosts: [a]\n  'a b': {}\n", "5:3: 'a b' cannot be the name of a group; expected letters, digits, dots, hyphens and underscores, at most 64"),
    ("    [a]\n", "4:5: groups.paris is a list; expected a table of keys"),
    ("    hosts: [!vault x]\n", "4:13: groups.paris.hosts[1] is a value with a tag; expected a host name in quotes, or a table with name and address"),
    ("    hosts: [\"a\\u001b[2J\"]\n", f"4:13: groups.paris.hosts[1]: 'a\\u001b[2J' has a [ without its ]; {RANGE}"),
    ("    hosts: [a\n", "5:1: the YAML cannot be read: while parsing a flow sequence, did not find expected ',' or ']'; expected valid YAML"),
    ("\thosts: [a]\n", "4:1: a tab where YAML wants spaces; expected spaces"),
]  # fmt: skip

WHOLE = [
    ("i.yaml", "groups: {p: {hosts: [a]}}\n", "1:1: version is missing; expected version: 1"),
    ("i.yaml", "version: 2\ngroups: {p: {hosts: [a]}}\n", "1:10: version is 2; expected version: 1"),
    ("i.yaml", "version: true\ngroups: {p: {hosts: [a]}}\n", "1:10: version is true or false; expected version: 1"),
    ("i.yaml", "version: 1\n", "1:1: groups is missing; expected a table of groups"),
    ("i.yaml", "version: 1\ngroups:\n", "2:8: groups is empty; expected a table of groups"),
    ("i.yaml", "version: 1\ngroups: {}\n", ": the inventory lists no host; expected at least one host or range"),
    ("i.yaml", "version: 1\ngruops: {p: {site: a}}\n", "2:1: gruops is not a known key (did you mean groups?); expected version, defaults, groups or sites"),
    ("i.yaml", "version: 1\ndefaults: {nameservers: ['10.0.0.53:x']}\ngroups: {p: {hosts: [a]}}\n", "2:26: defaults.nameservers[1]: 'x' is not a port; expected a port number from 1 to 65535"),
    ("i.yaml", "version: 1\ndefaults: {nameservers: [ns1]}\ngroups: {p: {hosts: [a]}}\n", "2:26: defaults.nameservers[1]: 'ns1' is not a name server; expected an address such as 10.0.0.53, 10.0.0.53:5353 or [2001:db8::53]:53"),
    ("i.yaml", "version: 1\nsites: {p: [10.1.2.0/16]}\ngroups: {p: {hosts: [a]}}\n", "2:13: sites.p[1]: '10.1.2.0/16' is not the beginning of its subnet; expected 10.1.0.0/16"),
    ("i.yaml", "version: 1\nsites: {p: [10.1.0.0/16], q: [10.1.0.0/16]}\ngroups: {p: {hosts: [a]}}\n", "2:31: 10.1.0.0/16 belongs to site p and to site q; expected one site for it"),
    ("i.yaml", "version: 1\ngroups: {p: {hosts: [a]}}\nall: {hosts: {a: }}\n", "3:1: 'version' says pusher's own format, and 'all' is a group of an Ansible inventory; expected one of the two; groups stand under groups:"),
    ("i.yaml", "- a\n", "1:1: the file holds no table of keys; expected version: 1 and groups"),
    ("i.yaml", " \n", ": the file is empty; expected an inventory"),
    ("i.csv", "nam,address\na,b\n", "1:1: 'nam' is not a known column (did you mean name?); expected name, address, machine, site, port, groups, transports, domain_controller or var:NAME"),
    ("i.csv", "address,site\na,b\n", "1:1: the column name is missing; expected a header such as name,address,machine,site,port"),
    ("i.csv", "name,site, name\na,b,c\n", "1:11: the column name is there twice; expected every column once"),
    ("i.csv", "name,var:site\na,b\n", "1:6: 'site' is a name that every target has already; expected another name for the variable"),
    ("i.csv", "name,address\n\na,b\n", "3:3: 'b' is not an IP address; expected an address such as 10.1.2.7"),
    ("i.csv", "name,address\na,10.0.0.1,3\n", "2:12: the row has 3 fields; expected 2, as the header has"),
    ("i.csv", "name,address\na\n", "2:1: the row has 1 field; expected 2, as the header has"),
    ("i.csv", "name;address;groups\n\"a;b\";;x y!\n", "2:1: 'a;b' is neither a host name nor an IP address; " + HOST),
    ("i.csv", "name;address;groups\n\"a\";;x y!\n", "2:6: 'y!' cannot be the name of a group; expected letters, digits, dots, hyphens and underscores, at most 64"),
    ("i.csv", "name,address\n\"a,10.0.0.1\n", "2:1: the row cannot be read (unexpected end of data); expected every quotation mark closed"),
    ("i.csv", "name,port\na,x\n", "2:3: 'x' is not a port; expected a port number from 1 to 65535"),
    ("i.csv", "name,port\na,0\n", "2:3: '0' is not a port; expected a port number from 1 to 65535"),
    ("i.csv", "name,port\n,4\n", "2:1: the row has no name; expected a name or range in the column name"),
    ("i.csv", "name,domain_controller\na,maybe\n", "2:3: 'maybe' is not a choice; expected allow or refuse"),
    ("i.csv", "# nothing\n", ": the file is empty; expected a header with the columns name, address, machine, site, port, groups, transports and domain_controller"),
    ("h.txt", "a b\n", "1:1: 'a b' is more than one name; expected one name or range a line"),
    ("h.txt", "# x\n  a,b\n", "2:3: 'a,b' is more than one name; expected one name or range a line, or a CSV file with a header"),
    ("h.txt", "a\n  10.1.2.300 # x\n", f"2:3: '10.1.2.300' is neither a host name nor an IP address; {HOST}"),
    ("h.txt", "a\n[web]\nb\n", "2:1: a plain list by its ending .txt, but this line is Ansible's INI; expected one name or range a line, or an ending of .ini"),
    ("h.txt", "# nothing\n", ": the inventory lists no host; expected at least one host or range"),
    ("hosts", "[web]\nb\nall:\n", "3:1: the file could be Ansible INI (line 1) or YAML (this line); expected a name that ends in .yaml, .csv, .txt (a plain list) or .ini (Ansible)"),
    ("h.ini", "[web:childern]\nb\n", "1:1: [web:childern] is not a section (did you mean children?); expected [group], [group:children] or [group:vars]"),
    ("h.ini", "[web]\nb x\n", "2:3: a word that is no key=value; expected NAME key=value …"),
    ("h.ini", "[web]\nb x='1\n", "2:1: a quotation mark without its partner; expected NAME key=value …"),
    ("h.ini", "[web]\nb\n[wbe:vars]\nx=1\n", "3:1: [wbe:vars] belongs to no group (did you mean web?); expected ungrouped, web or all"),
    ("h.ini", "[web]\nb\n[web:vars]\nx\n", "4:1: a line that is no key=value; expected key=value"),
    ("h.ini", "[web]\nb a=1 ansible_host=10.1\n", "2:7: ansible_host '10.1' is neither an address nor a host name; expected an IP address, a host name, or a template of inventory_hostname alone, as {{ inventory_hostname }}.corp.example"),
    ("h.ini", "[web]\nb pusher_sit=x\n", "2:3: 'pusher_sit' is not a setting (did you mean pusher_site?); expected pusher_site, pusher_port, pusher_transports, pusher_domain_controller or pusher_machine"),
    ("h.ini", "[web]\nb[1:3] ansible_host=web.x\n", "2:8: 'b[1:3]' is many machines with one ansible_host; expected ansible_host only beside a single name"),
    ("h.ini", "[web]\nb\n[web:vars]\nansible_host=10.0.0.1\n", "4:1: ansible_host stands at a group; expected it at single hosts"),
    ("h.ini", "[web]\nb\n[x:children]\nwbe\n", "4:1: 'wbe' is not a group (did you mean web?); expected one of the groups web or x"),
    ("h.ini", "[a]\nh site=p\n[b]\nh\n[b:vars]\nsite=no spaces\n", "6:1: 'no spaces' cannot be the name of a site; expected letters, digits, dots, hyphens and underscores, at most 64"),
    ("h.yml", "all:\n  hosts: [a]\n", "2:10: 'hosts' is no table; expected a table of hosts, each name with a colon"),
    ("h.yml", "all:\n  hots: {a: }\n  children: {}\n", "2:3: 'hots' is not a key of a group (did you mean hosts?); expected hosts, children or vars"),
    ("h.yml", "plugin: azure_rm\n", "1:1: this configures a plugin of Ansible's and lists no hosts; expected what it gives: ansible-inventory --list --yaml --output FILE"),
    ("h.yml", "web:\n  hosts: {a b: }\n", f"2:11: 'a b' is neither a host name nor an IP address; {HOST}"),
]  # fmt: skip


def sentence(folder: Path, name: str, text: str) -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        load_inventory(path)
    return caught.value.sentence.replace(str(path), "F")


@pytest.mark.parametrize(("text", "expected"), IN_GROUP)
def test_a_group_that_cannot_be_used(tmp_path: Path, text: str, expected: str) -> None:
    found = sentence(tmp_path, "i.yaml", f"version: 1\ngroups:\n  paris:\n{text}")
    assert found == "F" + (expected if expected.startswith(":") else f":{expected}")


@pytest.mark.parametrize(("name", "text", "expected"), WHOLE)
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str, text: str, expected: str) -> None:
    assert sentence(tmp_path, name, text) == "F" + (expected if expected.startswith(":") else f":{expected}")
