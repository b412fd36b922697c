"""``push --queue`` and ``worker``, as their user sees them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from lab.certificates import make_authorities
from pusher.clock import utc_now
from pusher.store import open_store
from tests.unit.cli.workplace import ACCOUNTS, Workplace
from tests.unit.push.harness import program


def queue(place: Workplace, *options: str) -> dict[str, object]:
    said = place.run("check", "i.yaml", "--queue", "--json", *options)
    assert said.status == 0, said.err
    return dict(json.loads(said.out))


def work(place: Workplace, *options: str) -> dict[str, tuple[str, str | None]]:
    said = place.run("worker", "--until-idle", "--json", *options)
    assert said.status == 0, said.err
    return said.verdicts


def flat(text: str) -> str:
    return " ".join(text.split())


def test_what_is_queued_is_done_by_a_worker(place: Workplace) -> None:
    made = queue(place)
    assert (made["queued"], made["left_out"]) == (6, 0)
    assert "In the queue: 6 ready for a worker." in flat(place.run("show", "last").out)
    assert not any(host.calls for host in place.hosts.values()), "nobody is asked before a worker comes"
    assert work(place) == dict.fromkeys("abcdef", ("ready", None))
    assert place.show(str(made["run"])).verdicts == dict.fromkeys("abcdef", ("ready", None))
    assert "In the queue" not in place.run("show", "last").out
    assert work(place) == {}, "once"


def test_what_is_printed_works_as_it_is_printed(place: Workplace) -> None:
    said = place.run("check", "i.yaml", "--queue", "--store", "s.sqlite")
    commands = [line.partition("pusher ")[2].split() for line in said.out.splitlines() if "pusher " in line]
    assert [command[0] for command in commands] == ["worker", "show", "cancel"]
    for command in commands[1:]:
        assert place.run(*command).status == 0
    assert place.run(*commands[0], "--until-idle").status == 0


def test_who_is_left_out_has_an_outcome_at_once_and_is_nobodys_work(place: Workplace) -> None:
    made = queue(place, "--exclude", "b")
    assert (made["queued"], made["left_out"]) == (5, 1)
    assert place.show().verdicts == {"b": ("skipped", "excluded")}
    assert "b" not in work(place)
    assert not place.host("b").calls


def test_who_submits_needs_no_secret_and_a_worker_without_it_leaves_the_run_to_others(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PUSH")
    made = queue(place)
    poor = place.run("worker", "--until-idle")
    assert poor.status == 1
    assert f"Run {made['run']} is left to other workers:" in poor.err and "PUSH" in poor.err
    monkeypatch.setenv("PUSH", "right")
    assert work(place) == dict.fromkeys("abcdef", ("ready", None))


def test_a_worker_may_have_accounts_of_its_own(place: Workplace) -> None:
    place.accounts(ACCOUNTS.replace("env:PUSH", "env:NOT_HERE"))
    queue(place)
    mine = place.folder / "mine.toml"
    mine.write_text(ACCOUNTS)
    assert work(place, "--accounts", str(mine)) == dict.fromkeys("abcdef", ("ready", None))


def test_a_secret_that_is_asked_for_is_refused_before_anything_is_queued(place: Workplace) -> None:
    place.accounts(ACCOUNTS.replace("env:PUSH", "prompt"))
    said = place.run("check", "i.yaml", "--queue")
    assert said.status == 2
    assert "account push: its secret is asked for (prompt), and a worker has nobody to ask; expected" in said.err
    assert "accounts.toml:" in said.err
    assert "No runs" in place.run("runs").out or place.run("runs", "--json").out == ""


def test_a_services_secret_that_is_asked_for_is_refused_too(place: Workplace) -> None:
    folder = place.folder / "package"
    folder.mkdir()
    content = program("1")
    (folder / "agent.exe").write_bytes(content)
    (folder / "package.toml").write_text(
        'name = "agent"\nversion = "1"\n[[file]]\nsource = "agent.exe"\ndest = \'agent\\agent.exe\'\n'
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n'
        '[service]\nname = "Agent"\ndisplay_name = "Agent"\ncommand = \'%SystemRoot%\\agent\\agent.exe\'\n'
        "account = 'CORP\\svc'\nsecret = \"prompt\"\n"
    )
    said = place.run("push", "i.yaml", "--queue", "--package", str(folder))
    assert said.status == 2 and "the service's account: its secret is asked for (prompt)" in said.err, said.err


def test_who_works_on_a_run_of_some_machines_is_told_of_those(place: Workplace) -> None:
    queue(place, "--limit", "a,b")
    said = place.run("worker", "--until-idle")
    assert "(2 hosts)" in said.out, said.out


def test_a_directorys_reader_whose_secret_is_asked_for_is_refused_too(place: Workplace) -> None:
    directory = "[directory]\ndomain = 'corp.example'\nuser = 'reader@corp.example'\nsecret = 'prompt'\n"
    place.accounts(ACCOUNTS + directory)
    said = place.run("check", "i.yaml", "--queue")
    assert said.status == 2 and "the directory's reader: its secret is asked for (prompt)" in said.err, said.err
    assert place.run("runs", "--json").out == ""


def test_a_worker_needs_no_inventory_and_spares_whom_the_submitter_spared(place: Workplace) -> None:
    place.inventory({"all": "abcde", "domain-controllers": "f"}, {"all": "exclude: ['10.0.0.2']"})
    make_authorities(place.folder / "authorities")
    authority = next((place.folder / "authorities").glob("*.pem"))
    queue(place, "--exclude", "c", "--ca", str(authority))
    content = authority.read_bytes()
    authority.unlink()
    (place.folder / "i.yaml").unlink()
    assert work(place) == {**dict.fromkeys("ade", ("ready", None)), "f": ("skipped", "domain-controller-refused")}
    spared = {"b": ("skipped", "excluded"), "c": ("skipped", "excluded")}
    assert {name: place.show().verdicts[name] for name in "bc"} == spared
    assert not place.host("b").calls and not place.host("c").calls
    assert not place.host("f").calls["sign_in"]
    (kept,) = (place.folder / "data" / "pusher" / "blobs").iterdir()
    assert kept.read_bytes() == content


def test_what_becomes_of_the_inventory_afterwards_is_another_runs_matter(place: Workplace) -> None:
    queue(place, "--limit", "f.corp.example,a")
    place.inventory({"all": "abcde"})
    assert work(place) == dict.fromkeys("af", ("ready", None))


def test_what_an_account_is_never_sent_to_it_is_not_sent_to_by_a_worker(place: Workplace) -> None:
    place.accounts(ACCOUNTS + 'never = ["d.corp.example"]\n')
    queue(place)
    (place.folder / "i.yaml").unlink()
    assert work(place) == {**dict.fromkeys("abcef", ("ready", None)), "d": ("failed", "no-account")}
    assert not place.host("d").calls["sign_in"]


@pytest.mark.parametrize("how", ["content || ' '", "replace(content, 'exclude', 'include')"])
def test_an_inventory_that_was_altered_in_the_store_is_not_used(place: Workplace, how: str) -> None:
    place.inventory({"all": "abcdef"}, {"all": "exclude: ['10.0.0.2']"})
    queue(place)
    with closing(sqlite3.connect(place.folder / "data" / "pusher" / "pusher.sqlite")) as connection:
        connection.execute(f"UPDATE chunks SET content = CAST({how} AS BLOB)")
        connection.commit()
    said = place.run("worker", "--until-idle")
    assert said.status == 1 and "content-altered" in said.err
    assert not any(host.calls for host in place.hosts.values())


def test_a_worker_whose_own_accounts_would_ask_leaves_the_run_to_others(place: Workplace) -> None:
    queue(place)
    mine = place.folder / "mine.toml"
    mine.write_text(ACCOUNTS.replace("env:PUSH", "prompt"))
    said = place.run("worker", "--until-idle", "--accounts", str(mine))
    assert said.status == 1 and "its secret is asked for (prompt)" in said.err


def test_a_store_that_is_not_there_yet_is_no_bad_input(place: Workplace) -> None:
    said = place.run("worker", "--until-idle", "--store", "postgresql://pusher@127.0.0.1:1/none")
    assert said.status == 1 and "cannot be opened" in said.err
    assert place.run("worker", "--store", "nosuch://x").status == 2


def test_a_run_in_the_queue_is_cancelled_without_a_worker(place: Workplace) -> None:
    made = queue(place)
    said = place.run("cancel", str(made["run"]))
    assert said.status == 0 and f"Cancelled run {made['run']}: 6 hosts that waited ended" in flat(said.out)
    assert set(place.show().verdicts.values()) == {("cancelled", "cancelled")}
    assert json.loads(place.run("runs", "--json").out)["ended_at"] is not None
    assert work(place) == {}
    again = place.run("cancel", str(made["run"]))
    assert again.status == 2 and "has ended already" in again.err


def test_one_wrong_password_costs_one_failure_and_the_machines_wait_until_it_is_mended(place: Workplace) -> None:
    made = queue(place)
    place.let_in("")
    assert set(work(place).values()) == {("failed", "wrong-password"), ("failed", "account-stopped")}
    assert sum(host.calls["sign_in"] for host in place.hosts.values()) == 1
    shown = flat(place.run("show", str(made["run"])).out)
    assert "6 hosts wait for account push to be seen to. Once it is mended: pusher accounts clear push" in shown
    assert work(place) == {}, "time alone brings none of them back"
    place.let_in("abcdef")
    said = place.run("accounts", "clear", "push", "--yes")
    assert "6 hosts that waited for it in the queue: ready for a worker." in flat(said.out)
    assert work(place) == dict.fromkeys("abcdef", ("ready", None))


def test_a_retry_goes_by_way_of_the_queue_and_keeps_to_what_its_run_spared(place: Workplace) -> None:
    place.let_in("ab")
    assert place.check("--exclude", "f").status == 1
    place.let_in("abcdef")
    said = place.run("accounts", "clear", "push", "--yes")
    assert said.status == 0, said.err
    retried = place.run("retry", "last", "--queue", "--json")
    assert retried.status == 0, retried.err
    assert json.loads(retried.out)["queued"] == 3
    assert work(place) == dict.fromkeys("cde", ("ready", None))


def test_a_priority_is_kept_shown_and_decides_who_is_first(place: Workplace) -> None:
    campaign, button = queue(place, "--limit", "a,b"), queue(place, "--limit", "c,d", "--priority", "10")
    assert (campaign["priority"], button["priority"]) == (100, 10)
    assert "Its priority is 10." in flat(place.run("show", str(button["run"])).out)
    assert [json.loads(line)["priority"] for line in place.run("runs", "--json").out.splitlines()] == [10, 100]
    said = place.run("worker", "--until-idle", "--json", "--concurrency", "1")
    order = [json.loads(line)["target"][0] for line in said.out.splitlines()]
    assert (set(order[:2]), set(order[2:])) == (set("cd"), set("ab"))


def test_a_retry_by_hand_has_a_priority_of_its_own(place: Workplace) -> None:
    place.let_in("")
    queue(place, "--priority", "400")
    work(place)
    place.run("cancel", "last")
    place.let_in("abcdef")
    place.run("accounts", "clear", "push", "--yes")
    assert json.loads(place.run("retry", "last", "--queue", "--json").out)["priority"] == 50
    assert json.loads(place.run("retry", "last", "--queue", "--json", "--priority", "0").out)["priority"] == 0


@pytest.mark.parametrize(("given", "sentence"), [
    (["--priority", "10"], "--priority is for a run in the queue; expected --queue with it"),
    (["--priority", "1000", "--queue"], "--priority"),
])  # fmt: skip
def test_a_priority_that_says_nothing_is_refused(place: Workplace, given: list[str], sentence: str) -> None:
    said = place.run("check", "i.yaml", *given)
    assert said.status == 2 and sentence in said.err
    assert place.run("runs", "--json").out == ""


def test_a_worker_of_a_name_that_is_at_work_is_refused(place: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pusher.cli.worker._TAKEN", 0.0)
    queue(place)
    store = open_store(str(place.folder / "data" / "pusher" / "pusher.sqlite"))
    asyncio.run(store.register("w1", {}, timedelta(seconds=90), lambda _: False))
    store.close()
    said = place.run("worker", "--name", "w1", "--until-idle")
    assert said.status == 1
    assert said.err.splitlines()[-1] == (
        "a worker called w1 is at work on this store; expected another --name, or that one's end"
    )
    assert work(place, "--name", "w2") == dict.fromkeys("abcdef", ("ready", None))


def windows(place: Workplace, in_days: int, name: str = "w.toml") -> str:
    """A file of windows that are open all day, so many days from today on; its name."""
    day = (utc_now() + timedelta(days=in_days)).strftime("%a").lower()
    (place.folder / name).write_text(f'[[window]]\ndays = ["{day}"]\nfrom = "00:00"\nto = "24:00"\nzone = "UTC"\n')
    return name


def test_outside_of_its_windows_nothing_of_a_run_is_touched(place: Workplace) -> None:
    said = place.run("check", "i.yaml", "--json", "--windows", windows(place, 3))
    assert said.status == 1 and said.verdicts == dict.fromkeys("abcdef", ("skipped", "outside-window"))
    assert not any(host.calls for host in place.hosts.values())
    (place.folder / "w.toml").unlink()
    said = place.retry()
    assert said.verdicts == dict.fromkeys("abcdef", ("skipped", "outside-window")), "it has the windows of its run"
    assert not any(host.calls for host in place.hosts.values())
    said = place.retry("last", "--windows", windows(place, 0, "now.toml"))
    assert said.verdicts == dict.fromkeys("abcdef", ("ready", None))


def test_a_run_in_the_queue_waits_for_its_windows(place: Workplace) -> None:
    made = queue(place, "--windows", windows(place, 3))
    (place.folder / "w.toml").unlink()
    assert work(place) == {}
    shown = flat(place.run("show", str(made["run"])).out)
    opens = (utc_now() + timedelta(days=3)).strftime("%Y-%m-%d 00:00 UTC")
    assert f"6 waiting (the first until {opens[:-9]}" in shown
    assert f"Its maintenance window is shut until {opens}." in shown
    assert not any(host.calls for host in place.hosts.values())


def test_windows_that_cannot_be_read_are_bad_input_with_its_place(place: Workplace) -> None:
    (place.folder / "w.toml").write_text('[[window]]\ndays = ["mon"]\nfrom = "25:00"\nto = "04:00"\nzone = "UTC"\n')
    for more in ([], ["--queue"]):
        said = place.run("check", "i.yaml", "--windows", "w.toml", *more)
        assert said.status == 2 and said.err.startswith("w.toml:3:")
    assert place.run("check", "i.yaml", "--windows", "none.toml").status == 2
    assert place.run("runs", "--json").out == ""


@pytest.mark.parametrize(("given", "sentence"), [
    (["--waves", "10,50"], "--waves 10,50 does not rise to 100; expected percents that rise to 100, such as 1,10"),
    (["--waves", "50,10,100"], "--waves 50,10,100 does not rise to 100; expected"),
    (["--waves", "0,100"], "--waves 0,100 does not rise to 100; expected"),
    (["--waves", "nan,100"], "--waves nan,100 does not rise to 100; expected"),
    (["--waves", "ten,100"], "--waves ten,100 is no list of percents; expected"),
    (["--waves", "1,100", "--soak", "2"], "--soak 2 is not a duration; expected"),
    (["--waves", "1,100", "--stop-at", "100%"], "--stop-at 100% is no part of a wave; expected 0% to 99%, or never"),
    (["--waves", "1,100", "--stop-at", "10"], "--stop-at 10 is no part of a wave; expected"),
    (["--waves", "1,100", "--canary", "brave"], "--canary brave has none of this run's machines; expected"),
    (["--soak", "2h"], "--soak is for a run in waves; expected --waves with it"),
])  # fmt: skip
def test_waves_that_do_not_add_up_are_refused(place: Workplace, given: list[str], sentence: str) -> None:
    said = place.run("check", "i.yaml", "--queue", *given)
    assert said.status == 2 and said.err.splitlines()[-1].startswith(sentence)
    assert place.run("runs", "--json").out == ""


def test_waves_are_for_the_queue(place: Workplace) -> None:
    said = place.run("check", "i.yaml", "--waves", "50,100")
    assert said.status == 2 and "--waves is for a run in the queue; expected --queue with it" in said.err


def test_a_run_that_stops_by_itself_says_so_and_goes_on(place: Workplace) -> None:
    place.inventory({"all": "abcdef", "brave": "cd"})
    for name in "cd":
        place.host(name).name = "elsewhere.corp.example"
    made = queue(place, "--waves", "30,100", "--canary", "brave", "--stop-at", "20%")
    run = str(made["run"])
    assert "6 held for a later wave." in flat(place.run("show", run).out)
    said = place.run("worker", "--until-idle", "--json")
    assert said.status == 3, said.err
    assert set(said.verdicts) == set("cd") and f"Run {run} is stopped: too many machines of its wave 1" in said.err
    shown = flat(place.run("show", run).out)
    assert "Wave 1: stopped, 2 hosts: 2 failed." in shown and "Wave 2: held, 4 hosts." in shown
    assert f"To go on with it: pusher resume {run}" in shown
    assert json.loads(place.run("runs", "--json").out)["stopped_at"] is not None
    assert work(place) == {}
    resumed = place.run("resume", run)
    assert resumed.status == 0 and "wave 1 is open" in flat(resumed.out)
    assert work(place) == dict.fromkeys("abef", ("ready", None))
    again = place.run("resume", run)
    assert again.status == 2 and "has ended already" in again.err


def test_a_run_without_waves_is_not_resumed(place: Workplace) -> None:
    queue(place)
    said = place.run("resume", "last")
    assert said.status == 2 and "does not go out in waves; expected a run that was queued with --waves" in said.err
