"""The inventory: merging, duplicates, precedence, exclusion, counting and laziness."""

from __future__ import annotations

import itertools
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pusher.models import TransportKind, WinrmSettings
from pusher.problems import BadInput
from pusher.targets.inventory import Inventory, Selected, load_inventory
from pusher.targets.ranges import canonical_name, parse_pattern


def inventory(folder: Path, text: str) -> Inventory:
    path = folder / "inventory.yaml"
    path.write_text("version: 1\n" + text, encoding="utf-8")
    return load_inventory(path)


def rows(folder: Path, text: str, limit: str | None = None, exclude: str | None = None) -> dict[str, str]:
    """Each name as written, with why it is in or out; the last of a name wins."""
    found = inventory(folder, text)
    return {
        s.target.name: ("in: " if s.decision.included else f"{s.decision.code}: ")
        + s.decision.why.replace(str(folder / "inventory.yaml"), "F")
        for s in found.targets(found.selector(limit, exclude))
    }


def only(folder: Path, text: str) -> Selected:
    (selected,) = [s for s in inventory(folder, text).targets() if s.decision.included]
    return selected


# -- precedence -------------------------------------------------------------------------------------------


def test_host_over_child_over_parent_over_defaults(tmp_path: Path) -> None:
    text = """
defaults: {site: d, port: 1, transports: [winrm], vars: {a: d, b: d, c: d, e: d}}
groups:
  parent: {children: [child], site: p, port: 2, transports: [smb, winrm], vars: {a: p, b: p, c: p}}
  child: {site: c, vars: {a: c, b: c}, hosts: [{name: ws1, vars: {a: h}}]}
"""
    target = only(tmp_path, text).target
    assert dict(target.variables) == {"a": "h", "b": "c", "c": "p", "e": "d"}
    assert (target.site, target.port) == ("c", 2)
    assert target.transports == (TransportKind.SMB, TransportKind.WINRM)
    assert target.groups == ("child", "parent")


def test_the_way_of_winrm_is_the_nearest_that_is_given(tmp_path: Path) -> None:
    pin = ":".join(["AB"] * 32)
    text = f"""
defaults: {{winrm: {{port: 1, scheme: http, ca: ca.pem}}}}
groups:
  g:
    winrm: {{port: 2}}
    hosts: [ws1, {{name: ws2, winrm: {{fingerprint: "sha256:{pin}"}}}}]
  h: {{hosts: [ws3]}}
"""
    loaded = inventory(tmp_path, text)
    ways = {selected.target.name: selected.target.winrm for selected in loaded.targets()}
    assert ways == {
        "ws1": WinrmSettings(port=2),
        "ws2": WinrmSettings(scheme="https", fingerprint="ab" * 32),
        "ws3": WinrmSettings(port=1, scheme="http"),
    }
    assert loaded.certificate_authority is not None
    assert loaded.certificate_authority.text == "ca.pem"


def test_without_any_setting(tmp_path: Path) -> None:
    target = only(tmp_path, "groups: {g: {hosts: [ws1]}}").target
    assert (target.site, target.port, target.address) == (None, None, None)
    assert target.transports == (TransportKind.SMB, TransportKind.WINRM)
    assert target.winrm == WinrmSettings()
    assert not target.domain_controller_allowed
    assert dict(target.variables) == {}


def test_an_address_as_a_name_is_its_own_address(tmp_path: Path) -> None:
    assert only(tmp_path, "groups: {g: {hosts: [10.1.2.3]}}").target.address == "10.1.2.3"


def test_a_diamond_of_groups_is_no_contradiction(tmp_path: Path) -> None:
    text = """
groups:
  top: {site: t, children: [left, right]}
  left: {site: l, children: [low]}
  right: {children: [low]}
  low: {hosts: [ws1]}
"""
    target = only(tmp_path, text).target
    assert target.site == "l"  # left is below top, so top has nothing to say
    assert set(target.groups) == {"low", "left", "right", "top"}


def test_among_unrelated_groups_the_first_in_the_file_wins(tmp_path: Path) -> None:
    text = """
groups:
  two: {hosts: [ws1], port: 2, vars: {a: two}}
  one: {hosts: [ws1], port: 1, vars: {a: one, b: one}}
"""
    target = only(tmp_path, text).target
    assert target.port == 2
    assert dict(target.variables) == {"a": "two", "b": "one"}


@pytest.mark.parametrize(
    ("groups", "allowed"),
    [
        ("a: {domain_controller: allow, hosts: [x]}", True),
        ("a: {domain_controller: allow, hosts: [x]}, b: {domain_controller: refuse, hosts: [x]}", False),
        ("a: {domain_controller: allow, hosts: [x]}, b: {hosts: [x]}", True),
        ("a: {domain_controller: allow, children: [b]}, b: {domain_controller: refuse, hosts: [x]}", False),
        ("a: {domain_controller: refuse, children: [b]}, b: {domain_controller: allow, hosts: [x]}", True),
        ("a: {domain_controller: refuse, hosts: [{name: x, domain_controller: allow}]}", True),
        ("a: {domain_controller: allow, hosts: [{name: x, domain_controller: refuse}]}", False),
    ],
)
def test_a_domain_controller_is_taken_only_where_nobody_refuses(tmp_path: Path, groups: str, allowed: bool) -> None:
    assert only(tmp_path, f"groups: {{{groups}}}").target.domain_controller_allowed is allowed


def test_a_site_on_the_host_settles_what_its_groups_contradict(tmp_path: Path) -> None:
    text = "groups: {a: {site: a, hosts: [{name: x, site: own}]}, b: {site: b, hosts: [x]}}"
    assert only(tmp_path, text).target.site == "own"


# -- one machine, several lines ---------------------------------------------------------------------------


def test_the_same_words_in_two_groups_are_one_line(tmp_path: Path) -> None:
    text = "groups:\n  a: {hosts: [ws1, 'k[1:2]'], vars: {x: a}}\n  b: {hosts: [WS1., 'k[1:2]'], port: 9}\n"
    found = list(inventory(tmp_path, text).targets())
    assert [(s.target.name, s.target.groups, s.target.port) for s in found] == [
        ("ws1", ("a", "b"), 9), ("k1", ("a", "b"), 9), ("k2", ("a", "b"), 9),
    ]  # fmt: skip


def test_a_name_that_a_range_holds_too_is_a_duplicate_with_everything_merged(tmp_path: Path) -> None:
    text = "groups:\n  a:\n    hosts: ['ws[1:3]']\n  b:\n    hosts: [{name: WS2, address: 10.0.0.2, vars: {x: y}}]\n"
    found = list(inventory(tmp_path, text).targets())
    assert [s.target.name for s in found] == ["ws1", "ws2", "ws3", "WS2"]
    assert found[1].target.address == "10.0.0.2"
    assert found[1].target.groups == ("a", "b")
    assert dict(found[1].target.variables) == {"x": "y"}
    assert found[3].decision.code == "duplicate"
    assert found[3].decision.why == f"duplicate of ws2 ({tmp_path}/inventory.yaml:4)"


def test_duplicates_by_address(tmp_path: Path) -> None:
    text = """
groups:
  a:
    hosts: [{name: n1, address: 10.0.0.1}, {name: n2, address: 10.0.0.1}, {name: n3, address: "::ffff:10.0.0.1"}]
    ranges: [10.0.0.0/30, 10.0.0.1-2]
"""
    assert rows(tmp_path, text) == {
        "n1": "in: group a (F:5)",
        "n2": "duplicate: duplicate of n1 (F:5)",
        "n3": "duplicate: duplicate of n1 (F:5)",
        "10.0.0.1": "duplicate: duplicate of 10.0.0.1 (F:6)",
        "10.0.0.2": "duplicate: duplicate of 10.0.0.2 (F:6)",
    }


def test_a_limit_to_the_second_name_of_a_machine_still_pushes_to_it(tmp_path: Path) -> None:
    text = "groups:\n  a: {hosts: [{name: n1, address: 10.0.0.1}, {name: n2, address: 10.0.0.1}]}"
    assert rows(tmp_path, text, limit="n2")["n2"].startswith("in: ")


def test_an_exclusion_holds_for_every_name_of_the_machine(tmp_path: Path) -> None:
    text = "groups:\n  a: {hosts: [{name: n1, address: 10.0.0.1}, {name: n2, address: 10.0.0.1}]}"
    for excluded, other in (("n1", "n2"), ("n2", "n1")):
        assert rows(tmp_path, text, exclude=excluded) == {
            excluded: f"excluded: excluded by --exclude '{excluded}'",
            other: f"excluded: same address as {excluded}, which is excluded by --exclude '{excluded}'",
        }


def test_a_group_that_excludes_wins_over_another_that_lists(tmp_path: Path) -> None:
    text = "groups:\n  a: {hosts: ['ws[1:2].x'], exclude: ['ws2.*']}\n  b: {hosts: [ws2.x]}\n  c: {children: [a]}\n"
    assert rows(tmp_path, text)["ws2.x"] == "duplicate: duplicate of ws2.x (F:3)"
    found = [s for s in inventory(tmp_path, text).targets() if s.target.name == "ws2.x"]
    assert [s.decision.included for s in found] == [False, False]
    assert "groups.a.exclude 'ws2.*'" in found[0].decision.why


def test_a_parents_exclusion_reaches_its_children(tmp_path: Path) -> None:
    text = "groups:\n  a: {hosts: [ws1, ws2]}\n  b: {children: [a], exclude: [ws2]}\n"
    assert rows(tmp_path, text)["ws2"] == "excluded: excluded by groups.b.exclude 'ws2' (F:4)"


def test_reasons_name_group_and_line(tmp_path: Path) -> None:
    text = "groups:\n  a: {hosts: [ws1]}\n  b: {children: [a]}\n"
    assert rows(tmp_path, text) == {"ws1": "in: group a, b (F:3)"}
    assert rows(tmp_path, text, limit="ws*") == {"ws1": "in: group a, b (F:3); matches --limit 'ws*'"}


def test_a_pattern_that_repeats_itself(tmp_path: Path) -> None:
    found = list(inventory(tmp_path, "groups: {a: {hosts: ['w[1:11][1:11]']}}").targets())
    assert len(found) == 121
    assert [s.target.name for s in found if s.decision.code == "duplicate"] == ["w111"]


# -- sites ------------------------------------------------------------------------------------------------


def test_subnets_give_a_site_to_who_has_none(tmp_path: Path) -> None:
    text = """
groups: {a: {ranges: [10.1.0.4/31], hosts: [{name: n, site: own, address: 10.1.0.9}, m]}}
sites: {big: [10.1.0.0/16], small: [10.1.0.5/32]}
"""
    found = inventory(tmp_path, text)
    sites = {s.target.name: s.target.site for s in found.targets()}
    assert sites == {"10.1.0.4": "big", "10.1.0.5": "small", "n": "own", "m": None}
    assert found.site_names == {"big", "small", "own"}
    assert found.notes == ()


def test_notes(tmp_path: Path) -> None:
    text = "defaults: {site: d}\ngroups: {a: {hosts: [n], exclude: [typo, n]}}\nsites: {s: [10.0.0.0/8]}"
    notes = [note.replace(str(tmp_path), "") for note in inventory(tmp_path, text).notes]
    assert notes == [
        "/inventory.yaml: defaults.site gives every target a site, so the subnets under sites have no effect",
        "/inventory.yaml:3: exclude 'typo' names no host of the inventory",
    ]


# -- options that name something --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "exclude", "sentence"),
    [
        (None, "host9.x", "--exclude: 'host9.x' names no host of F; expected a host of the inventory as pusher resolve "
                          "prints it, or a glob such as ws01*"),
        ("host9.x", None, "--limit: 'host9.x' names no host of F (did you mean host1.x?); expected a host of the "
                          "inventory, or a glob such as ws01*"),
        ("group:servrs", None, "--limit: 'group:servrs' names no group of F (did you mean servers?); expected a group "
                               "of the inventory: servers"),
        (None, "site:pariss", "--exclude: 'site:pariss' names no site of F; expected a site of the inventory: paris"),
        ("*,!k9", None, "--limit: 'k9' names no host of F; expected a host of the inventory as pusher resolve prints "
                        "it, or a glob such as ws01*"),
        ("servers", None, "--limit: 'servers' names no host of F, but a group; expected group:servers"),
        ("servrs", None, "--limit: 'servrs' names no host of F (did you mean group:servers?); expected a host of the "
                         "inventory, or a glob such as ws01*"),
        (None, "Servers", "--exclude: 'Servers' names no host of F, but a group; expected group:servers"),
        (None, "paris", "--exclude: 'paris' names no host of F, but a site; expected site:paris"),
        (None, "serv*", "--exclude: 'serv*' matches no host of F, but the group servers; expected group:serv*"),
        ("serv*,&k*", None, "--limit: 'serv*' matches no host of F, but the group servers; expected group:serv*"),
        ("servers:!host1.x", None, "--limit: 'servers:!host1.x' is a pattern of Ansible's; expected commas between "
                                   "patterns: 'group:servers,!host1.x'"),
        ("all:&Servers", None, "--limit: 'all:&Servers' is a pattern of Ansible's; expected commas between patterns: "
                               "'all,&group:servers'"),
        (None, "k*:servers", "--exclude: 'k*:servers' is a pattern of Ansible's; expected commas between patterns: "
                             "'k*,group:servers'"),
        (None, "all:!k1.y", "--exclude: 'all:!k1.y' is a pattern of Ansible's; expected commas between "
                            "patterns, and ! and & in --limit alone"),
        (None, "!k1.y", "--exclude: '!k1.y' begins with !; expected a pattern alone; ! and & are for --limit"),
        ("@retry.txt", None, "--limit: '@retry.txt' is a file of names in Ansible; expected the names themselves, as "
                             'in "$(paste -sd, retry.txt)"'),
        (None, "@retry.txt", "--exclude: '@retry.txt' is a file of names in Ansible; expected the names themselves, "
                             'as in "$(paste -sd, retry.txt)"'),
    ],
)  # fmt: skip
def test_a_mistyped_option_does_not_pass_silently(
    tmp_path: Path, limit: str | None, exclude: str | None, sentence: str
) -> None:
    found = inventory(tmp_path, "groups: {servers: {site: paris, hosts: [host1.x, 'k[1:3].y']}}")
    with pytest.raises(BadInput) as caught:
        found.selector(limit, exclude)
    assert caught.value.sentence.replace(found.file, "F") == sentence


def test_no_suggestion_names_a_machine_that_is_spared(tmp_path: Path) -> None:
    """Whoever follows it would push to the machine that he took away in the same breath."""
    found = inventory(
        tmp_path, "groups: {s: {hosts: [dc01.x, dc02.x], exclude: ['dc03.*']}, t: {hosts: [dc03.x, web1.x]}}"
    )
    for limit, exclude in (("dc0l.x,!dc01.x,!dc02.x", None), ("dc0l.x", "dc0[12].*"), (["dc0l.x", "!dc0*"], None)):
        with pytest.raises(BadInput) as caught:
            found.selector(limit, exclude)
        assert "did you mean" not in caught.value.sentence, (limit, exclude)
    with pytest.raises(BadInput, match="did you mean dc0"):
        found.selector("dc0l.x")


@pytest.mark.parametrize("text", ["2001:db8::1", "2001:db8::*", "2001:db8:1:*", "~web:x", "group:~a:b", "ws[1:2].x"])
def test_colons_that_are_no_pattern_of_ansibles(tmp_path: Path, text: str) -> None:
    found = inventory(tmp_path, "groups: {s: {hosts: ['ws[1:2].x', '2001:db8::1']}}")
    assert found.selector(text).limit[0][1].text == text


def test_a_dns_name_spares_the_machine_that_is_listed_by_its_first_label(tmp_path: Path) -> None:
    """It may be that one; a machine that is not pushed to today can be tomorrow."""
    found = inventory(tmp_path, "groups: {s: {hosts: [ws1, ws1.paris.x, ws2]}}")
    for selector in (found.selector(None, "ws1.paris.x"), found.selector("*,!ws1.paris.x")):
        assert [s.target.name for s in found.targets(selector) if s.decision.included] == ["ws2"]
    assert [s.target.name for s in found.targets(found.selector("ws1.paris.x")) if s.decision.included] == [
        "ws1.paris.x"
    ]


def test_a_groups_exclude_that_names_a_group_is_refused_at_its_line(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        inventory(tmp_path, "groups: {s: {hosts: [a], exclude: [labs]}, labs: {hosts: [b]}}")
    sentence = caught.value.sentence
    assert sentence.endswith(": exclude 'labs' names no host of the inventory, but a group; expected group:labs")
    assert ":2:" in sentence


# -- what a machine calls itself ------------------------------------------------------------------------------------

LABELS = """groups:
  a: {hosts: [{name: web-frontend, address: 10.0.0.5, machine: WS501.x}]}
  b: {hosts: [ws501.x, ws502.x], exclude: ['ws501*']}
"""


def test_what_spares_a_machine_spares_its_label_too(tmp_path: Path) -> None:
    found = inventory(tmp_path, LABELS)
    why = {s.target.name: (s.decision.included, s.decision.why) for s in found.targets()}
    assert not why["web-frontend"][0]
    assert why["web-frontend"][1].startswith("same machine as ws501.x, which is excluded by groups.b.exclude")
    found = inventory(tmp_path, LABELS.replace(", exclude: ['ws501*']", ""))
    for pattern in ("ws501", "WS501.x", "ws5*", "web-frontend", "10.0.0.5"):
        included = [s.target.name for s in found.targets(found.selector(None, pattern)) if s.decision.included]
        assert "web-frontend" not in included, pattern
    assert [s.decision.code for s in found.targets(found.selector("web-frontend,ws501.x"))] == [None, "duplicate", None]


def test_one_name_calls_itself_one_thing(tmp_path: Path) -> None:
    text = "groups: {a: {hosts: [{name: web, machine: ws1}]}, b: {hosts: [{name: WEB, machine: ws2}]}}"
    with pytest.raises(BadInput) as caught:
        inventory(tmp_path, text)
    assert "'web' has the machine ws2 here and ws1 in " in caught.value.sentence


@pytest.mark.parametrize("name", ["host1.x", "HOST1.X.", "host1", "k2.y", "k3", "10.0.0.7", "10.1.0.1"])
def test_names_that_exist_pass(tmp_path: Path, name: str) -> None:
    text = "groups: {s: {hosts: [{name: host1.x, address: 10.0.0.7}, 'k[1:3].y'], ranges: [10.1.0.0/30]}}"
    selector = inventory(tmp_path, text).selector(name)
    assert any(s.decision.included for s in inventory(tmp_path, text).targets(selector))


# -- size -------------------------------------------------------------------------------------------------


@pytest.mark.thorough
@pytest.mark.parametrize("what", ["hosts: ['ws[000001:100000].x.y']", "ranges: [10.0.0.0/15]"])
def test_expansion_is_lazy(tmp_path: Path, what: str) -> None:
    found = inventory(tmp_path, f"groups:\n  a:\n    {what}\n")
    selector = found.selector("*", "ws99*")
    assert found.count() in {100_000, 131_070}
    tracemalloc.start()
    try:
        total = sum(1 for _ in itertools.islice(found.targets(selector), 3_000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 3_000
    assert peak < 100_000, f"{peak} bytes for targets that nobody keeps"


def test_counting_and_the_first_target_cost_nothing(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        found = inventory(tmp_path, "groups: {a: {ranges: [10.0.0.0/13, 10.64.0.0/14]}}")
        assert found.count() == 524_286 + 262_142
        assert next(found.targets()).target.name == "10.0.0.1"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000


# -- against a plain model --------------------------------------------------------------------------------

HOSTS = ["ws1", "ws2", "WS3", "ws[1:3]", "ws[2:5]", "k[a:c]", "kb", "10.0.0.2"]
RANGES = ["10.0.0.0/29", "10.0.0.2-3", "10.0.0.2"]
GROUPS = ["a", "b", "c"]


@st.composite
def inventories(draw: st.DrawFn) -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for number, name in enumerate(GROUPS):
        groups[name] = {
            "hosts": draw(st.lists(st.sampled_from(HOSTS), max_size=3)),
            "ranges": draw(st.lists(st.sampled_from(RANGES), max_size=2)),
            "children": draw(st.lists(st.sampled_from(GROUPS[number + 1 :]), max_size=2, unique=True))
            if number < 2
            else [],
            "exclude": draw(st.lists(st.sampled_from(["ws2", "k*", "10.0.0.3"]), max_size=1)),
        }
    return {"version": 1, "groups": groups}


def closure(groups: dict[str, Any], direct: set[str]) -> set[str]:
    found = set(direct)
    while more := {name for name, g in groups.items() if set(g["children"]) & found} - found:
        found |= more
    return found


@pytest.mark.thorough
@given(inventories())
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_lazy_inventory_is_what_a_plain_expansion_gives(tmp_path: Path, data: dict[str, Any]) -> None:
    groups = data["groups"]
    lines = [(name, text) for name, g in groups.items() for text in (*g["hosts"], *g["ranges"])]
    path = tmp_path / "i.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    if not lines:
        with pytest.raises(BadInput, match="lists no host"):
            load_inventory(path)
        return
    listed_in: dict[str, set[str]] = {}
    for group, text in lines:
        for name in parse_pattern(text):
            listed_in.setdefault(canonical_name(name), set()).add(group)
    found = load_inventory(path)
    selected = list(found.targets())
    assert len(selected) == found.count()
    assert {canonical_name(s.target.name) for s in selected} == set(listed_in)
    first: set[str] = set()
    for s in selected:
        name = canonical_name(s.target.name)
        assert set(s.target.groups) == closure(groups, listed_in[name])
        excluded = any(
            pattern == name or (pattern == "k*" and name.startswith("k"))
            for group in closure(groups, listed_in[name])
            for pattern in groups[group]["exclude"]
        )
        assert (s.decision.code == "duplicate") == (name in first)
        if name not in first:
            assert s.decision.included is not excluded
        first.add(name)


def test_one_address_with_two_ports_is_two_machines(tmp_path: Path) -> None:
    """Forwarded ports lead to different machines behind one address."""
    file = tmp_path / "inventory.yaml"
    file.write_text(
        "version: 1\ngroups:\n  g:\n    hosts:\n"
        "      - {name: one.x, address: 10.0.0.1, port: 4451}\n"
        "      - {name: two.x, address: 10.0.0.1, port: 4452}\n"
        "      - {name: three.x, address: 10.0.0.1, port: 4451}\n"
    )
    inventory = load_inventory(file)
    codes = {s.target.name: s.decision.code for s in inventory.targets(inventory.selector())}
    assert codes == {"one.x": None, "two.x": None, "three.x": "duplicate"}
