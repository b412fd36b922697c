"""What Ansible's inventories say of a host: where it is, by what it is reached, and how it is called."""

# ruff: noqa: E501 - a golden sentence is as long as it is

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pusher.models import DOMAIN_CONTROLLERS, Target, TransportKind, WinrmSettings
from pusher.problems import BadInput
from pusher.targets.inventory import Inventory, load_inventory

SECRET = "Planted-7"


def load(folder: Path, text: str, name: str = "h.ini") -> Inventory:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load_inventory(path)


def targets(folder: Path, text: str, name: str = "h.ini") -> dict[str, Target]:
    return {s.target.name: s.target for s in load(folder, text, name).targets()}


def places(folder: Path, text: str, name: str = "h.ini") -> dict[str, str | None]:
    return {name: target.address for name, target in targets(folder, text, name).items()}


def left_out(folder: Path, text: str, name: str = "h.ini") -> dict[str, str | None]:
    return {s.target.name: s.decision.code for s in load(folder, text, name).targets() if not s.decision.included}


def refusal(folder: Path, text: str, name: str = "h.ini") -> str:
    with pytest.raises(BadInput) as caught:
        load(folder, text, name)
    return caught.value.sentence.replace(f"{folder}/{name}", "F")


# -- addresses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variable", ["ansible_host", "ansible_ssh_host", "ansible_winrm_host", "ansible_psrp_host"])
def test_every_spelling_of_the_address_is_one(tmp_path: Path, variable: str) -> None:
    assert places(tmp_path, f"[win]\napp {variable}=10.0.0.9\n") == {"app": "10.0.0.9"}
    found = targets(tmp_path, f"[win]\napp {variable}=srv9.corp.example\n")["srv9.corp.example"]
    assert (found.address, found.aliases) == (None, ("app",))


def test_the_connections_own_address_comes_before_the_general_one(tmp_path: Path) -> None:
    text = "a ansible_host=10.0.0.1 ansible_winrm_host=10.0.0.2\nb ansible_ssh_host=10.0.0.3 ansible_host=10.0.0.3\n"
    assert places(tmp_path, text) == {"a": "10.0.0.2", "b": "10.0.0.3"}


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{{ inventory_hostname }}.corp.example", "WS1.corp.example"),
        ("{{inventory_hostname}}.corp.example", "WS1.corp.example"),
        ("{{ inventory_hostname | lower }}.corp.example", "ws1.corp.example"),
        ("{{ inventory_hostname|upper }}.CORP.EXAMPLE", "WS1.CORP.EXAMPLE"),
        ("{{- inventory_hostname_short | trim | lower -}}.corp.example", "ws1.corp.example"),
        ("vm-{{ inventory_hostname }}", "vm-WS1"),
        ("{{ inventory_hostname }}", "WS1"),
    ],
)
def test_a_template_of_the_hosts_name_is_filled_in(tmp_path: Path, template: str, name: str) -> None:
    for text in (f'WS1 ansible_host="{template}"\n', f"[w]\nWS1\n[w:vars]\nansible_host={template}\n"):
        assert places(tmp_path, text) == {name: None}
    assert places(tmp_path, f"all: {{hosts: {{WS1: }}, vars: {{ansible_host: '{template}'}}}}\n", "h.yml") == {
        name: None
    }


def test_a_template_may_give_an_address(tmp_path: Path) -> None:
    assert places(tmp_path, '7 ansible_host="10.0.0.{{ inventory_hostname }}"\n') == {"10.0.0.7": "10.0.0.7"}


def test_a_template_over_a_range_keeps_every_alias(tmp_path: Path) -> None:
    """An exclusion by the name that stands in the inventory has to find the machine under the name that is looked up."""
    text = "[w]\nlaptop[001:003]\n[w:vars]\nansible_host=vm-{{ inventory_hostname }}.corp.example\n"
    inventory = load(tmp_path, text)
    every = [f"vm-laptop00{number}.corp.example" for number in (1, 2, 3)]
    assert [s.target.name for s in inventory.targets()] == every
    for pattern in ("laptop002", "laptop002*", "vm-laptop002", every[1], "laptop[002:002]"):
        chosen = inventory.targets(inventory.selector(exclude=pattern))
        assert [s.target.name for s in chosen if s.decision.included] == [every[0], every[2]], pattern
    with pytest.raises(BadInput, match="names no host"):
        inventory.selector(exclude="laptop004")


def test_the_nearest_group_says_where_a_host_is(tmp_path: Path) -> None:
    text = """[paris]
a
b ansible_host=10.0.0.2
[b_side]
c
[offices:children]
paris
[all:vars]
ansible_host={{ inventory_hostname }}.all.example
[offices:vars]
ansible_host={{ inventory_hostname }}.offices.example
[paris:vars]
ansible_host={{ inventory_hostname }}.paris.example
"""
    assert places(tmp_path, text) == {"a.paris.example": None, "b": "10.0.0.2", "c.all.example": None}
    unrelated = "[x]\na\n[y]\na\n[x:vars]\nansible_host={{ inventory_hostname }}.x\n[y:vars]\nansible_host={{ inventory_hostname }}.y\n"
    assert places(tmp_path, unrelated) == {"a.y": None}, "of groups of one height, the later in the alphabet"
    assert places(tmp_path, unrelated.replace("[x:vars]\n", "[x:vars]\nansible_group_priority=5\n")) == {"a.x": None}


def test_a_host_that_stands_in_a_range_too_inherits_from_there(tmp_path: Path) -> None:
    text = "ws2 pusher_port=4450\n[w]\nws[1:3]\n[w:vars]\nansible_host={{ inventory_hostname }}.x\n"
    assert sorted(places(tmp_path, text)) == ["ws1.x", "ws2.x", "ws3.x"]
    assert targets(tmp_path, text)["ws2.x"].port == 4450


@pytest.mark.parametrize("alias", ["web frontend", "srv (old)", "büro", "a/b", "web_01!", "Domain Controller #1"])
def test_an_alias_that_no_machine_could_bear_has_its_address_as_its_name(tmp_path: Path, alias: str) -> None:
    text = json.dumps({"all": {"hosts": {alias: {"ansible_host": "10.0.0.5"}}}})
    inventory = load(tmp_path, text, "h.yml")
    (selected,) = inventory.targets()
    assert (selected.target.name, selected.target.address, selected.target.aliases) == (
        "10.0.0.5",
        "10.0.0.5",
        (alias,),
    )
    if not set(alias) & set("!/"):
        (chosen,) = inventory.targets(inventory.selector(exclude=alias))
        assert chosen.decision.code == "excluded"


def test_two_aliases_of_one_place_are_both_known(tmp_path: Path) -> None:
    for where in ("srv.corp.example", "10.0.0.5"):
        text = f"'web 1' ansible_host={where}\n'web 2' ansible_host={where}\n"
        for pattern in ("web 1", "web 2", "*2"):
            inventory = load(tmp_path, text)
            chosen = [s for s in inventory.targets(inventory.selector(exclude=pattern)) if s.decision.included]
            assert chosen == [], (where, pattern)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a ansible_host=\"{{ domain }}\"\n", "F:1:3: ansible_host '{{ domain }}' is a template that cannot be filled in here"),
        ("a ansible_host=\"{{ inventory_hostname | md5 }}\"\n", "F:1:3: ansible_host '{{ inventory_hostname | md5 }}' is a template that cannot be filled in here"),
        ("a ansible_host=\"{{ inventory_hostname }}.{{ zone }}\"\n", "F:1:3: ansible_host '{{ inventory_hostname }}.{{ zone }}' is a template that cannot be filled in here"),
        ("a ansible_host=\"{% if x %}b{% endif %}\"\n", "F:1:3: ansible_host '{% if x %}b{% endif %}' is a template that cannot be filled in here"),
        ("[w]\na\n[w:vars]\nansible_winrm_host={{ hostvars['a'].ip }}\n", "F:4:1: ansible_winrm_host '{{ hostvars['a'].ip }}' is a template that cannot be filled in here"),
        ("w[1:2].x ansible_host=\"{{ inventory_hostname_short }}.y\"\n", "F:1:10: ansible_host '{{ inventory_hostname_short }}.y' cuts the names of the range 'w[1:2].x'"),
        ("w[1:2] ansible_host=\"{{ inventory_hostname }}.{{ inventory_hostname }}\"\n", "F:1:8: ansible_host '{{ inventory_hostname }}.{{ inventory_hostname }}' is a template that cannot be filled in here"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_be_filled_in_is_refused_at_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    expected = "an IP address, a host name, or a template of inventory_hostname alone, as {{ inventory_hostname }}.corp.example"
    assert refusal(tmp_path, text) == f"{sentence}; expected {expected}"


def test_contradicting_and_unreadable_addresses_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, "a ansible_winrm_host=10.0.0.1 ansible_psrp_host=10.0.0.2\n") == (
        "F:1:31: ansible_psrp_host is '10.0.0.2', and ansible_winrm_host is '10.0.0.1' (F:1); expected one address"
    )
    found = refusal(tmp_path, "all: {hosts: {a: {ansible_host: [10.0.0.1]}}}\n", "h.yml")
    assert found.startswith("F:1:33: ansible_host is no plain text; expected an IP address, a host name,")
    found = refusal(tmp_path, "all: {hosts: {a: {ansible_host: !vault abc}}}\n", "h.yml")
    assert found.startswith("F:1:33: ansible_host is no plain text; expected an IP address, a host name,")


# -- connections --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "connection",
    ["local", "ssh", "smart", "paramiko_ssh", "network_cli", "ansible.netcommon.network_cli", "netconf",
     "ansible.netcommon.httpapi", "docker", "community.docker.docker", "ansible.builtin.ssh", "kubectl"],
)  # fmt: skip
def test_what_is_no_windows_machine_is_left_out_with_the_reason(tmp_path: Path, connection: str) -> None:
    text = f"[win]\nw1\n[lin]\nx1 ansible_host=10.0.0.5\n[lin:vars]\nansible_connection={connection}\n[win:vars]\nansible_connection=winrm\n"
    assert left_out(tmp_path, text) == {"x1": "other-connection"}
    (found,) = [s for s in load(tmp_path, text).targets() if s.target.name == "x1"]
    assert found.decision.why == f"ansible_connection is '{connection}' ({tmp_path}/h.ini:6)"


@pytest.mark.parametrize(
    "variables",
    ["ansible_connection=winrm", "ansible_connection=psrp", "ansible_connection=ansible.builtin.winrm",
     "ansible_connection=community.aws.aws_ssm", "ansible_connection=ssh ansible_shell_type=powershell",
     "ansible_connection=ssh ansible_shell_type=cmd", "ansible_connection=ssh pusher_transports=smb", "ansible_port=22"],
)  # fmt: skip
def test_what_is_one_or_may_be_one_stays_in(tmp_path: Path, variables: str) -> None:
    assert left_out(tmp_path, f"w1 {variables}\n") == {}


def test_a_connection_that_is_not_known_is_none_to_push_by(tmp_path: Path) -> None:
    assert left_out(tmp_path, 'a ansible_connection="{{ how }}"\n') == {"a": "other-connection"}
    assert left_out(tmp_path, "all: {hosts: {a: {ansible_connection: !vault x}}}\n", "h.yml") == {
        "a": "other-connection"
    }


def test_a_host_of_another_connection_need_not_be_readable(tmp_path: Path) -> None:
    text = '\'core switch\' ansible_host="{{ nobody }}"\nlocalhost ansible_host="{{ x }}"\n[all:vars]\nansible_connection=local\n[w]\nw1 ansible_connection=winrm\n'
    inventory = load(tmp_path, text)
    assert {s.target.name: s.decision.code for s in inventory.targets()} == {
        "localhost": "other-connection",
        "w1": None,
    }
    assert inventory.notes == (
        f"{tmp_path}/h.ini: hosts of other connections, whose names are no host names, are passed over: core switch",
    )


TEMPLATE = "{{ inventory_hostname }}.corp.example"
TAKEN_OUT = {
    "by_the_host.ini": f"[win]\nws[01:06]\n[win:vars]\nansible_connection=winrm\nansible_host={TEMPLATE}\n[old]\nws05 ansible_connection=local\n",
    "by_the_group.ini": f"[win]\nws[01:06]\n[old]\nws05\n[zold]\nws05\n[zold:vars]\nansible_connection=ssh\n[all:vars]\nansible_host={TEMPLATE}\n",
    "before_it.ini": f"[aold]\nws05 ansible_connection=local\n[win]\nws[01:06]\n[win:vars]\nansible_host={TEMPLATE}\n",
    "elsewhere.ini": f"[old]\nws05 ansible_connection=ssh ansible_host=10.0.0.9\n[win]\nws[01:06]\n[win:vars]\nansible_host={TEMPLATE}\n",
    "unreadable.ini": f"[win]\nws[01:06]\n[win:vars]\nansible_host={TEMPLATE}\n[old]\nws05 ansible_connection=ssh ansible_host='{{{{ x }}}}'\n",
    "h.yml": f"win:\n  hosts: {{'ws[01:06]': }}\n  vars: {{ansible_host: '{TEMPLATE}'}}\nold:\n  hosts: {{ws05: {{ansible_connection: local}}}}\n",
    "h.json": json.dumps({
        "_meta": {"hostvars": {"ws05": {"ansible_connection": "local"}}},
        "win": {"hosts": [f"ws0{n}" for n in range(1, 7)], "vars": {"ansible_host": TEMPLATE}},
        "old": {"hosts": ["ws05"]},
    }),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN_OUT)
def test_who_is_taken_out_is_so_under_the_name_that_a_range_gives_it(tmp_path: Path, name: str) -> None:
    found = [(s.target.name, s.decision.code) for s in load(tmp_path, TAKEN_OUT[name], name).targets()]
    assert {target for target, code in found if code is None} == {f"ws0{n}.corp.example" for n in (1, 2, 3, 4, 6)}
    assert "other-connection" in {code for target, code in found if target.startswith("ws05")}


@pytest.mark.parametrize("block", ["10.9.0.[4:6]", "10.9.0.5"])
@pytest.mark.parametrize("order", [1, -1])
def test_who_is_taken_out_is_so_by_its_address(tmp_path: Path, block: str, order: int) -> None:
    lines = ["[lin]\nx1 ansible_connection=ssh ansible_host=10.9.0.5\n", f"[win]\nw1\n{block}\n"]
    found = load(tmp_path, "".join(lines[::order])).targets()
    taken_in = {s.target.name for s in found if s.decision.included}
    assert taken_in == {"w1", "10.9.0.4", "10.9.0.6"} - ({"10.9.0.4", "10.9.0.6"} if "[" not in block else set())


def test_several_machines_behind_one_address(tmp_path: Path) -> None:
    """Usual ports: the one that Ansible reaches by SSH says nothing of the one that it reaches by WinRM."""
    text = "l ansible_connection=ssh ansible_host=203.0.113.5\nw ansible_connection=winrm ansible_host=203.0.113.5\n"
    assert left_out(tmp_path, text) == {"l": "other-connection"}


def test_who_runs_where_ansible_does_keeps_its_name(tmp_path: Path) -> None:
    text = "".join(
        f"sw{n} ansible_connection=local ansible_host={h}\n" for n, h in enumerate(("localhost", "127.0.0.1"))
    )
    assert left_out(tmp_path, text) == {"sw0": "other-connection", "sw1": "other-connection"}


def test_an_unusual_port_of_winrm_is_kept(tmp_path: Path) -> None:
    """Several machines behind one address: SMB's own port there is another one's."""
    text = """a ansible_host=203.0.113.5 ansible_port=55985 ansible_winrm_scheme=http
b ansible_host=203.0.113.5 ansible_port=55986
c ansible_host=203.0.113.6 ansible_port=5986
d ansible_host=203.0.113.7 ansible_port=55986 pusher_transports=smb
e:55987 ansible_host=203.0.113.5
[all:vars]
ansible_connection=winrm
"""
    inventory = load(tmp_path, text)
    found = {s.target.name: s.target for s in inventory.targets()}
    assert found["a"].winrm == WinrmSettings(port=55985, scheme="http")
    assert found["b"].winrm == WinrmSettings(port=55986)
    assert found["e"].winrm == WinrmSettings(port=55987)
    assert found["c"].winrm == WinrmSettings()
    assert found["d"].winrm == WinrmSettings(port=55986)
    assert {name: target.transports for name, target in found.items()} == {
        **dict.fromkeys("abe", (TransportKind.WINRM,)), "c": tuple(TransportKind), "d": (TransportKind.SMB,),
    }  # fmt: skip
    assert [s.decision.code for s in inventory.targets()] == [None] * 5, "no duplicates of each other"
    assert inventory.notes == ()


def test_what_is_ignored_is_named_and_no_secret_repeated(tmp_path: Path) -> None:
    text = f"""[win]
a ansible_user=CORP\\\\bob ansible_password={SECRET} ansible_winrm_transport=basic ansible_port=5986
[win:vars]
ansible_winrm_server_cert_validation=ignore
ansible_become_password={SECRET}
ansible_connection=winrm
ansible_shell_type=powershell
"""
    (note,) = load(tmp_path, text).notes
    assert note.endswith(
        "are ignored: ansible_become_password, ansible_password, ansible_port, ansible_user, "
        "ansible_winrm_server_cert_validation and ansible_winrm_transport"
    )
    assert SECRET not in note


# -- settings of our own -------------------------------------------------------------------------------------------


def test_a_label_says_what_its_machine_calls_itself(tmp_path: Path) -> None:
    found = targets(tmp_path, "web-frontend ansible_host=10.9.1.5 pusher_machine=WS501\nb ansible_host=10.9.1.6\n")
    assert (found["web-frontend"].machine, found["web-frontend"].own_name) == ("WS501", "WS501")
    assert (found["b"].machine, found["b"].own_name) == (None, "b")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a pusher_machine=10.0.0.1\n", "F:1:3: '10.0.0.1' is not what a machine calls itself; expected the machine's own name, such as ws501.corp.example or WS501"),
        ("a[1:2] pusher_machine=b\n", "F:1:1: 'a[1:2]' is many machines with one name of their own; expected a machine only beside a single name"),
        ("[w]\na\n[w:vars]\npusher_machine=b\n", "F:4:1: pusher_machine stands at a group; expected it at single hosts"),
        ("a pusher_site=\"{{ dc }}\"\n", "F:1:3: pusher_site is a template, which is not evaluated; expected the value itself"),
        ("[web:host]\na\n", "F:1:1: [web:host] is not a section (did you mean hosts?); expected [group], [group:children] or [group:vars]"),
        ("[a]\nx\n[all:vars]\ny=1\n[b:vars]\nz=1\n", "F:5:1: [b:vars] belongs to no group; expected ungrouped, a or all"),
        ("[all]\nx\n[b:vars]\nz=1\n", "F:3:1: [b:vars] belongs to no group; expected ungrouped or all"),
    ],
)  # fmt: skip
def test_settings_that_are_refused(tmp_path: Path, text: str, sentence: str) -> None:
    assert refusal(tmp_path, text) == sentence


def test_a_section_may_say_that_it_holds_hosts(tmp_path: Path) -> None:
    assert {name: t.groups for name, t in targets(tmp_path, "[web:hosts]\na\n[web:vars]\nx=1\n").items()} == {
        "a": ("web",)
    }


# -- JSON ---------------------------------------------------------------------------------------------------------

LISTED = {
    "_meta": {
        "hostvars": {
            "srv1": {"ansible_host": "10.0.0.1", "site": "paris", "n": 5, "list": [1], "ansible_password": SECRET},
            "web frontend": {"ansible_host": "10.0.0.2", "pusher_machine": "ws501"},
            "log01": {"ansible_connection": "ssh"},
            "nowhere": {"ansible_host": "10.9.9.9"},
        }
    },
    "all": {"children": ["ungrouped", "win", "empty"]},
    "win": {"hosts": ["srv1", "srv2"], "children": ["old"], "vars": {"channel": "beta"}},
    "old": ["srv3"],
    "linux": {"hosts": ["log01"]},
    "ungrouped": {"hosts": ["web frontend"]},
}


@pytest.mark.parametrize("indent", [None, 4, "\t"])
@pytest.mark.parametrize("name", ["list.json", "hosts"])
def test_the_json_of_ansible_inventory(tmp_path: Path, name: str, indent: int | str | None) -> None:
    inventory = load(tmp_path, json.dumps(LISTED, indent=indent), name)
    rows = {s.target.name: s for s in inventory.targets()}
    assert {name: (row.target.address, row.decision.included) for name, row in rows.items()} == {
        "srv1": ("10.0.0.1", True), "srv2": (None, True), "srv3": (None, True),
        "10.0.0.2": ("10.0.0.2", True), "log01": (None, False),
    }  # fmt: skip
    assert (rows["srv1"].target.site, dict(rows["srv1"].target.variables)) == ("paris", {"channel": "beta", "n": "5"})
    assert rows["srv3"].target.groups == ("old", "win")
    assert rows["10.0.0.2"].target.machine == "ws501"
    assert SECRET not in "".join(inventory.notes)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"win": {"hosts": ["a", 5.5, {}]}}, "'hosts' holds something that is no name; expected a list of hosts"),
        ({"_meta": [], "win": ["a"]}, "'_meta' is no table; expected a table with hostvars"),
        ({"_meta": {"hostvars": {"a": 5}}, "win": ["a"]}, "'a' is no table; expected a table of variables"),
        ({"win": {"hosts": ["a"], "hots": []}}, "'hots' is not a key of a group (did you mean hosts?); expected hosts, children or vars"),
    ],
)  # fmt: skip
def test_json_that_is_refused(tmp_path: Path, data: object, sentence: str) -> None:
    found = refusal(tmp_path, json.dumps(data), "i.json")
    assert found.startswith("F:1:") and found.partition(": ")[2] == sentence


def test_our_own_format_may_be_written_as_json(tmp_path: Path) -> None:
    text = json.dumps(
        {"version": 1, "groups": {"p": {"hosts": [{"name": "a", "address": "10.0.0.1", "machine": "B"}]}}}
    )
    assert targets(tmp_path, text, "i.json")["a"].machine == "B"


# -- what leads to an inventory and is none ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("ec2.py", "import os\n", "F:1:1: this is a program that prints an inventory, and it is not run; expected what it prints: ansible-inventory -i ec2.py --list > inventory.json"),
        ("hosts", "#!/usr/bin/env python3\nprint()\n", "F:1:1: this is a program that prints an inventory, and it is not run; expected what it prints: ansible-inventory -i hosts --list > inventory.json"),
        ("i.toml", "[win.hosts.a]\n", "F:1:1: an inventory in TOML is not read; expected JSON: ansible-inventory -i i.toml --list > inventory.json"),
        ("hosts", "$ANSIBLE_VAULT;1.1;AES256\n3132\n", "F:1:1: the file is encrypted by ansible-vault; expected JSON: ansible-inventory -i hosts --list > inventory.json"),
    ],
)  # fmt: skip
def test_a_program_is_never_run(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    assert refusal(tmp_path, text, name) == sentence


def test_a_folder_is_told_how_to_become_a_file(tmp_path: Path) -> None:
    (tmp_path / "production").mkdir()
    with pytest.raises(BadInput) as caught:
        load_inventory(tmp_path / "production")
    assert caught.value.sentence.endswith(
        "/production: this is a folder; expected a file; of a folder of Ansible's: "
        "ansible-inventory -i production --list > inventory.json"
    )


def test_the_group_of_domain_controllers_stays_one(tmp_path: Path) -> None:
    found = targets(tmp_path, f"[{DOMAIN_CONTROLLERS}]\ndc01 ansible_host=10.0.0.1\n")
    assert found["dc01"].groups == (DOMAIN_CONTROLLERS,)


# -- group_vars and host_vars -----------------------------------------------------------------------------------------


def beside(folder: Path, file: str, text: str) -> None:
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "text", "place"),
    [
        ("host_vars/web1.yml", "---\nansible_host: 10.0.0.1\n", "2:1"),
        ("host_vars/web1", "ansible_winrm_host: 10.0.0.1\n", "1:1"),
        ("host_vars/ws2/main.yml", "a: 1\n  'ansible_psrp_host': x\n", "2:4"),
        ("group_vars/all.yaml", "ansible_host: '{{ inventory_hostname }}.x'\n", "1:1"),
        ("group_vars/win/vars.json", '{\n"ansible_ssh_host": "x"}\n', "2:2"),
    ],
)
def test_an_address_in_a_file_that_is_not_read_is_refused_there(
    tmp_path: Path, file: str, text: str, place: str
) -> None:
    beside(tmp_path, file, text)
    with pytest.raises(BadInput) as caught:
        load(tmp_path, "[win]\nweb1\nws[1:3]\n")
    sentence = caught.value.sentence
    assert sentence.startswith(f"{tmp_path}/{file}:{place}: ansible_")
    assert sentence.endswith(
        "in a file that is not read; expected all in one: ansible-inventory -i h.ini --list > inventory.json"
    )


def test_a_connection_in_a_file_that_is_not_read_is_told_of(tmp_path: Path) -> None:
    beside(tmp_path, "group_vars/lin.yml", f"ansible_connection: ssh\nansible_password: {SECRET}\n")
    beside(tmp_path, "group_vars/win.yml", "ansible_connection: ansible.builtin.winrm\n")
    (note,) = load(tmp_path, "[win]\na\n[lin]\nb\n").notes
    assert note == (
        f"{tmp_path}/h.ini: files that say ansible_connection are not read: group_vars/lin.yml "
        "(ansible-inventory -i h.ini --list > inventory.json reads them)"
    )


def test_files_of_other_inventories_are_no_matter(tmp_path: Path) -> None:
    beside(tmp_path, "group_vars/linux.yml", "ansible_connection: ssh\nansible_host: x\n")
    beside(tmp_path, "host_vars/other.yml", "ansible_host: 10.0.0.1\n")
    beside(tmp_path, "group_vars/win.yml", "\x00$ANSIBLE_VAULT;1.1;AES256\n")
    assert load(tmp_path, "[win]\na\n").notes == ()
    assert load(tmp_path, "version: 1\ngroups: {linux: {hosts: [other]}}\n", "own.yaml").notes == ()
