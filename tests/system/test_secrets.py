"""No secret in anything that a run makes, says or shows of itself; the lab's passwords are random and long enough
to be found wherever they are, in the encodings that they might have got there in."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from impacket.ntlm import compute_nthash

from tests.system import leak
from tests.system.command import Ended, Pusher, eventually
from tests.system.conftest import FORMATS
from tests.system.sampling import Sampler
from tests.system.site import FirstPush, Site

pytestmark = pytest.mark.lab


def shapes(secret: str) -> dict[str, bytes]:
    """The secret, and what is as good as it, in each encoding."""
    found = {}
    for name, data in (
        ("utf-8", secret.encode()),
        ("utf-16-le", secret.encode("utf-16-le")),
        ("NT hash", bytes(compute_nthash(secret))),
    ):
        found[name] = data
        found[f"{name} in hex"] = data.hex().encode()
        found[f"{name} in HEX"] = data.hex().upper().encode()
        for shift in range(3):
            # In the middle of something longer; the first and last groups hold other bytes too.
            text = base64.b64encode(bytes(shift) + data)
            found[f"{name} in base64 at {shift}"] = text[4 if shift else 0 : len(text) // 4 * 4 - 4]
    return found


def leaks(secrets: Mapping[str, str], content: Mapping[str, bytes]) -> list[str]:
    return [
        f"{account} as {shape} in {where}"
        for account, secret in secrets.items()
        for shape, data in shapes(secret).items()
        for where, text in content.items()
        if data in text
    ]


def everything_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path), path.read_bytes()


def made_by(pusher: Pusher, *said: Ended, target: str) -> dict[str, bytes]:
    """What runs of one store have made and said, their last one's reports, and its page of ``target``."""
    content = dict(everything_in(pusher.folder))
    shown = [pusher.reading("report", "last", "--format", format) for format in FORMATS]
    shown += [pusher.reading("show", "last", target, *more) for more in ([], ["--json"])]
    assert all(one.status == 0 and one.stdout for one in shown), [one.everything_said() for one in shown]
    return content | {f"said {n}": (one.stdout + one.stderr).encode() for n, one in enumerate([*said, *shown])}


def test_the_search_finds_what_it_looks_for() -> None:
    secret = "Kq3-_long_enough_to_find"
    planted = {
        "plain": f'{{"password": "{secret}"}}'.encode(),
        "wide": f"password {secret}".encode("utf-16-le"),
        "hash": b"x" + bytes(compute_nthash(secret)),
        "hex": b"0x" + secret.encode().hex().encode(),
        **{f"base64 {n}": base64.b64encode(b"user:pushadm"[: 9 + n] + secret.encode() + b"!!") for n in range(3)},
    }
    found = leaks({"planted": secret}, planted)
    assert {where.rpartition(" in ")[2] for where in found} == set(planted)


def test_nothing_that_a_run_makes_holds_a_secret(site: Site, first_push: FirstPush, reports: dict[str, str]) -> None:
    """The store with its write-ahead log, the log, what was said, every report, every page of `show`."""
    pusher = first_push.pusher
    content = dict(everything_in(pusher.folder))
    assert {"store.sqlite", "pusher.log"} <= {Path(name).name for name in content}
    content |= {"stdout": first_push.ended.stdout.encode(), "stderr": first_push.ended.stderr.encode()}
    content |= {format: text.encode() for format, text in reports.items()}
    for target in (site.host("healthy").fqdn, site.host("wrong-password").fqdn):
        content[f"show {target}"] = pusher.reading("show", "last", target).stdout.encode()
    for more in ([], ["--json"]):
        limit = ("--limit", site.host("healthy").fqdn)
        told = pusher.run("resolve", site.inventory, "--identify", "--accounts", site.accounts, *limit, *more)
        assert site.host("healthy").fqdn in told.stdout, told.everything_said()
        content[f"resolve {more}"] = (told.stdout + told.stderr).encode()
    assert leaks(site.secrets, content) == []


def test_no_process_shows_a_secret(site: Site, first_push: FirstPush) -> None:
    assert first_push.commands and first_push.environments, "nobody was seen"
    assert any(b"push" in command for command in first_push.commands)
    seen = {f"command {n}": data for n, data in enumerate(first_push.commands)}
    seen |= {f"environment {n}": data for n, data in enumerate(first_push.environments)}
    assert leaks(site.secrets, seen) == []


def test_the_store_is_written_while_it_runs_without_a_secret(site: Site, tmp_path: Path) -> None:
    """Killed in the middle, so that the write-ahead log is still there; plain output, and no JSON."""
    host = site.host("link-stalls")
    pusher = site.pusher(tmp_path / "run")
    inventory = site.inventory_of(tmp_path, [host])
    before = len(host.sign_ins())
    with pusher.starting("push", inventory, json=False, looked_at=True) as running, Sampler(running.pid) as sampler:
        eventually(lambda: running.has_ended or len(host.sign_ins()) > before, "a sign-in")
        eventually(lambda: running.has_ended or "signed-in" in pusher.log_file.read_text(), "its event")
        running.kill()
        ended = running.wait()
    content = dict(everything_in(pusher.folder)) | {"said": (ended.stdout + ended.stderr).encode()}
    assert any(name.endswith("-wal") for name in content)
    content |= {str(n): data for n, data in enumerate(sampler.commands | sampler.environments)}
    assert leaks(site.secrets, content) == []


def test_an_outcome_that_the_store_does_not_take_shows_no_secret(site: Site, tmp_path: Path) -> None:
    """Neither the file beside the store, nor the words about it, nor the log of the store's own exception."""
    pusher = replace(site.pusher(tmp_path / "run"), command=(sys.executable, "-P", leak.__file__, leak.OUTCOME))
    ended = pusher.check(site.inventory_of(tmp_path, [site.host("spare1")]))
    assert ended.status == 1, ended.everything_said()
    (file,) = pusher.folder.glob("unstored-*.jsonl")
    assert site.host("spare1").fqdn in file.read_text() and file.name in ended.stderr
    assert "INSERT INTO outcomes" in ended.log.read_text(), "the exception is in the log"
    content = dict(everything_in(pusher.folder)) | {"said": (ended.stdout + ended.stderr).encode()}
    assert leaks(site.secrets, content) == []


def test_what_is_told_of_the_lockout_budget_holds_no_secret(site: Site, first_push: FirstPush, tmp_path: Path) -> None:
    """Of a copy of that push's store, which counts a wrong password; cleared by the command as it is printed."""
    pusher = site.pusher(tmp_path / "run")
    pusher.folder.mkdir()
    shutil.copy(first_push.pusher.store_file, pusher.store_file)
    accounts = ("--accounts", site.accounts)
    said = [pusher.reading("accounts", "budget", *accounts, *more) for more in ([], ["--json"])]
    counted = [json.loads(line) for line in said[-1].stdout.splitlines()]
    assert site.host("wrong-password").fqdn in {line["host"] for line in counted}
    for number, line in enumerate(counted):
        command = shlex.split(line["clear"])[1:]
        said.append(pusher.reading(*command, "--yes", *accounts, *(["--json"] if number % 2 else [])))
        assert said[-1].status == 0, said[-1].everything_said()
    assert pusher.reading("accounts", "budget", "--json").stdout == ""
    said += [pusher.reading("accounts", "clear", *wrong, *accounts, "--yes") for wrong in (["posh"], ["push-2026"])]
    assert [one.status for one in said[-2:]] == [2, 2]
    said.append(pusher.reading("accounts", "test", *accounts, "--json"))
    content = dict(everything_in(pusher.folder))
    content |= {str(n): one.everything_said().encode() for n, one in enumerate(said)}
    assert leaks(site.secrets, content) == []


@pytest.mark.parametrize("where", leak.PLACES)
def test_a_failure_of_pushers_own_shows_no_secret(site: Site, tmp_path: Path, where: str) -> None:
    """An exception whose text, cause and locals hold the password: it is logged, and the password is not."""
    host = site.host("spare1")
    pusher = replace(site.pusher(tmp_path / "run"), command=(sys.executable, "-P", leak.__file__, where))
    ended = pusher.push(site.inventory_of(tmp_path, [host]))
    assert ended.status == 1, ended.everything_said()
    assert ended.verdict[0] == "failed"
    content = dict(everything_in(pusher.folder)) | {"said": (ended.stdout + ended.stderr).encode()}
    if where == "attempt":
        assert ended.verdict[1] == "internal-error"
        assert "Traceback" in ended.log.read_text() and "***" in ended.log.read_text()
    assert leaks(site.secrets, content) == []
