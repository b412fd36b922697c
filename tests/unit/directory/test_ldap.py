"""The adapter's own side of LDAP, with children that play a script: sign-in once, bounds, deadlines, reconnecting."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pusher import installation
from pusher.directory.ldap import LdapDirectory
from pusher.directory.port import Bounds, DirectoryAccount, Entry, NotSentError, NotTriedError, Scope
from pusher.directory.process import ChildProcess
from pusher.models import Secret
from pusher.problems import Code, ProblemError, problem

FAKE = str(Path(__file__).with_name("fake_child.py"))
ACCOUNT = DirectoryAccount(domain="corp.example", user="reader@corp.example", secret="env:X", server="dc1")
PLANTED = "Pl4nted-reader-secret"
OK = "{}"


def page(*names: str, more: bool = True, **attributes: list[str]) -> str:
    written = {key: [base64.b64encode(v.encode()).decode() for v in values] for key, values in attributes.items()}
    entries = [[f"CN={name},DC=x", {"cn": [base64.b64encode(name.encode()).decode()], **written}] for name in names]
    return json.dumps({"entries": entries, "more": more})


END = json.dumps({"entries": [], "more": False})
LOST = json.dumps({"kind": "ldap", "number": -1})


class Stage:
    """Children one after another, each with its script; and what they were asked."""

    def __init__(self, folder: Path, *scripts: Sequence[str]) -> None:
        self.log, self._scripts = folder / "asked", list(scripts)
        self.children: list[ChildProcess] = []

    def start(self) -> ChildProcess:
        script = self.log.with_name(f"script{len(self.children)}")
        script.write_text(json.dumps(self._scripts[len(self.children)]))
        child = ChildProcess((sys.executable, FAKE, str(self.log), str(script)))
        self.children.append(child)
        return child

    def directory(self, account: DirectoryAccount = ACCOUNT, **given: Any) -> LdapDirectory:
        return LdapDirectory(account, Secret(PLANTED), start=self.start, **given)

    @property
    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line != "start"]


@pytest.fixture
def stage(tmp_path: Path) -> Callable[..., Stage]:
    return lambda *scripts: Stage(tmp_path, *scripts)


async def search(directory: LdapDirectory, *attributes: str) -> list[Entry]:
    return [one async for one in directory.search("DC=x", "(cn=*)", attributes or ("cn",), Scope.SUBTREE)]


async def code_of(directory: LdapDirectory) -> str:
    with pytest.raises(ProblemError) as caught:
        await search(directory)
    return caught.value.problem.code


async def test_pages_follow_until_the_end(stage: Callable[..., Stage]) -> None:
    play = stage([OK, page("a", "b"), page("c"), END])
    directory = play.directory(bounds=Bounds(page=2))
    assert [entry.dn for entry in await search(directory)] == ["CN=a,DC=x", "CN=b,DC=x", "CN=c,DC=x"]
    await directory.close()
    assert [asked["do"] for asked in play.asked] == ["open", "search", "next", "next"]
    assert play.asked[1]["page"] == 2 and play.asked[1]["scope"] == 2


async def test_the_secret_goes_through_the_pipe_only(
    stage: Callable[..., Stage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither as an argument nor in the environment, where ``env:`` had it from; nor does another account's."""
    monkeypatch.setenv("READER", PLANTED)
    monkeypatch.setenv("KRB5_CONFIG", "/x/krb5.conf")
    play = stage([OK, END])
    directory = play.directory()
    await search(directory)
    pid = play.children[0]._process.pid  # type: ignore[union-attr]
    seen = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
    assert PLANTED.encode() not in seen and b"KRB5_CONFIG=/x/krb5.conf" in seen
    assert PLANTED not in repr(directory.__dict__)
    assert play.asked[0]["secret"] == PLANTED and all("secret" not in asked for asked in play.asked[1:])
    await directory.close()


async def test_what_was_not_asked_for_is_left_out(stage: Callable[..., Stage]) -> None:
    play = stage([OK, page("a", extra=["1"], OperatingSystem=["W"]), END])
    directory = play.directory()
    (entry,) = await search(directory, "operatingsystem")
    assert dict(entry.attributes) == {"operatingsystem": (b"W",)}
    await directory.close()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"kind": "kerberos", "number": 24}, "directory-sign-in-failed"),
        ({"kind": "kerberos", "number": 37}, "clock-skew"),
        ({"kind": "ldap", "number": 49}, "directory-sign-in-failed"),
        ({"kind": "ldap", "number": 8}, "directory-unprotected"),
        ({"kind": "certificate", "number": 20}, "directory-tls-failed"),
        ({"kind": "missing", "number": None}, "directory-unavailable"),
        ({"kind": "internal", "number": None, "type": "KeyError"}, "directory-failed"),
        ({"kind": 7}, "directory-failed"),
    ],
)
async def test_a_sign_in_that_failed_is_never_tried_again(
    stage: Callable[..., Stage], answer: dict[str, Any], code: str
) -> None:
    play = stage([json.dumps(answer)])
    directory = play.directory()
    assert [await code_of(directory) for _ in range(3)] == [code] * 3
    assert len(play.children) == 1
    await directory.close()


@pytest.mark.parametrize("silence", ["hang", "die", "text:nonsense", "text:[]"])
async def test_nor_is_one_whose_verdict_never_came(stage: Callable[..., Stage], silence: str) -> None:
    play = stage([silence])
    directory = play.directory(bounds=Bounds(deadline=0.5))
    for _ in range(3):
        assert (await code_of(directory)).startswith("directory-")
    assert len(play.children) == 1
    await directory.close()


async def test_nor_is_one_that_was_cancelled(stage: Callable[..., Stage]) -> None:
    play = stage(["hang"])
    directory = play.directory()
    task = asyncio.create_task(search(directory))
    while not play.log.exists() or not play.asked:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await code_of(directory) == "directory-sign-in-failed"
    assert len(play.children) == 1
    await directory.close()


async def test_the_next_server_is_tried_only_where_nothing_was_sent(stage: Callable[..., Stage]) -> None:
    async def locate(domain: str) -> list[str]:
        return [f"dc1.{domain}:389", f"dc2.{domain}:389", f"dc3.{domain}:389"]

    refused = json.dumps({"kind": "socket", "number": 111})
    wrong = json.dumps({"kind": "kerberos", "number": 24})
    account = DirectoryAccount(domain="corp.example", user="r@corp.example", secret="env:X")
    play = stage([refused], [wrong], [OK])
    directory = play.directory(account, locate=locate)
    assert await code_of(directory) == "directory-sign-in-failed"
    assert [asked["server"] for asked in play.asked] == ["dc1.corp.example", "dc2.corp.example"]
    await directory.close()


async def test_servers_that_were_not_reached_may_be_asked_again(stage: Callable[..., Stage]) -> None:
    play = stage([json.dumps({"kind": "socket", "number": 111})], [OK, END])
    directory = play.directory()
    assert await code_of(directory) == "directory-unreachable"
    assert await search(directory) == []
    await directory.close()


async def test_a_connection_that_was_dropped_is_made_again_once(stage: Callable[..., Stage]) -> None:
    play = stage([OK, END, LOST], [OK, page("a"), END])
    directory = play.directory()
    await search(directory)
    assert [entry.dn for entry in await search(directory)] == ["CN=a,DC=x"]
    assert len(play.children) == 2
    await directory.close()


async def test_each_sign_in_is_within_what_it_was_given(stage: Callable[..., Stage]) -> None:
    """The first, that of another server, and that of a connection which is made again."""
    seen: list[type[BaseException] | None] = []

    @asynccontextmanager
    async def sign_in() -> AsyncIterator[None]:
        try:
            yield
        except ProblemError as error:
            seen.append(type(error))
            raise
        seen.append(None)

    wrong, unreached = json.dumps({"kind": "kerberos", "number": 24}), json.dumps({"kind": "socket", "number": 111})
    early = json.dumps({"kind": "kerberos-before", "number": 156})
    play = stage([OK, END, LOST], [OK, END], [unreached], [early], [wrong])
    directory = play.directory(sign_in=sign_in)
    await search(directory)
    await search(directory)
    assert seen == [None, None]
    for server in ("dc2", "dc3", "dc4"):
        with pytest.raises(ProblemError):
            await search(directory.at(server))
    assert [kind is not None and issubclass(kind, NotSentError) for kind in seen[2:]] == [True, True, False]
    await directory.close()


async def test_where_no_leave_is_given_nobody_is_asked_until_there_is(stage: Callable[..., Stage]) -> None:
    given = False

    @asynccontextmanager
    async def sign_in() -> AsyncIterator[None]:
        if not given:
            raise NotTriedError(problem(Code.DIRECTORY_SIGN_IN_FAILED, detail="not now"))
        yield

    play = stage([OK, END])
    directory = play.directory(sign_in=sign_in)
    for _ in range(2):
        assert await code_of(directory) == "directory-sign-in-failed"
    assert play.children == []
    given = True
    await search(directory)
    await directory.close()


async def test_not_in_the_middle_of_a_search(stage: Callable[..., Stage]) -> None:
    play = stage([OK, page("a"), LOST])
    directory = play.directory()
    assert await code_of(directory) == "directory-unreachable"
    await directory.close()


async def test_a_search_that_hangs_ends_with_its_process(stage: Callable[..., Stage]) -> None:
    play = stage([OK, "hang"])
    directory = play.directory(bounds=Bounds(deadline=0.5))
    assert await code_of(directory) == "directory-timed-out"
    await gone(play.children[0])
    await directory.close()


async def test_a_search_that_is_cancelled_ends_with_its_process(stage: Callable[..., Stage]) -> None:
    """Its answer, still on the way, would be taken for the next one's."""
    play = stage([OK, "hang"], [OK, page("a"), END])
    directory = play.directory()
    task = asyncio.create_task(search(directory))
    while not play.log.exists() or len(play.asked) < 2:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(play.children[0])
    assert [entry.dn for entry in await search(directory)] == ["CN=a,DC=x"], "it had signed in, and may again"
    await directory.close()


async def test_closing_ends_the_process_in_a_call(stage: Callable[..., Stage]) -> None:
    play = stage([OK, "hang"])
    directory = play.directory()
    task = asyncio.create_task(code_of(directory))
    while not play.log.exists() or len(play.asked) < 2:
        await asyncio.sleep(0.01)
    await directory.close()
    assert await task == "directory-unreachable"
    await gone(play.children[0])


async def test_a_search_that_is_left_is_dropped_there(stage: Callable[..., Stage]) -> None:
    play = stage([OK, page("a", "b"), OK, END])
    directory = play.directory()
    found = directory.search("DC=x", "(cn=*)", ["cn"])
    await anext(found)
    await found.aclose()  # type: ignore[attr-defined]
    await search(directory)
    assert [asked["do"] for asked in play.asked] == ["open", "search", "drop", "search"]
    await directory.close()


MANY: dict[str, Any] = {f"a{number}": ["x"] for number in range(200)}


@pytest.mark.parametrize(
    "answer",
    [
        "flood",
        page("a", cn2=["x"] * 5000),
        page("a", more=True, **MANY),
        page("a", cn2=["x" * 300_000]),
        page("a", cn2=["x" * 1000] * 1000),
        page("a", "b", "c", "d"),
        "text:{}",
        "text:[1",
        'text:{"entries": 5}',
        'text:{"entries": [5]}',
        'text:{"entries": [["a"]]}',
        'text:{"entries": [["a", {"cn": [5]}]]}',
        'text:{"entries": [["a", {"cn": ["?"]}]]}',
        'text:{"entries": [["a", {"cn": 5}]]}',
        'text:{"entries": [[5, {"cn": ["YQ=="]}]]}',
    ],
    ids=range(15),
)
async def test_an_answer_past_its_bounds_is_refused(stage: Callable[..., Stage], answer: str) -> None:
    directory = stage([OK, answer]).directory(bounds=Bounds(entries=3))
    assert await code_of(directory) == "directory-answer"
    await directory.close()


async def test_another_server_of_the_same_directory(stage: Callable[..., Stage]) -> None:
    play = stage([OK, END], [OK, END])
    directory = play.directory()
    await search(directory)
    assert directory.at("DC1") is directory, "it is connected to that one"
    other = directory.at("pdc.corp.example")
    assert other is directory.at("PDC.corp.example")
    await search(other)
    assert play.asked[2]["server"] == "pdc.corp.example"
    await directory.close()
    for child in play.children:
        await gone(child)


async def test_ldaps_brings_its_ca_and_port(stage: Callable[..., Stage]) -> None:
    play = stage([OK, END])
    account = DirectoryAccount(
        domain="corp.example", user="r@corp.example", secret="env:X", server="dc1", ca=Path("/x/ca.pem")
    )
    directory = play.directory(account)
    await search(directory)
    assert (play.asked[0]["ca"], play.asked[0]["port"]) == ("/x/ca.pem", 636)
    await directory.close()


async def gone(child: ChildProcess) -> None:
    assert child._process is not None
    await child._process.wait()
    with pytest.raises(ProcessLookupError):
        os.kill(child._process.pid, 0)


# -- the real child, as far as it comes without a domain controller -----------------------------------------


async def test_a_library_that_is_not_installed_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bonsai.py").write_text("raise ImportError\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(installation, "add", lambda extra: f"(add {extra})")
    directory = LdapDirectory(ACCOUNT, Secret(PLANTED))
    with pytest.raises(ProblemError) as caught:
        await search(directory)
    found = caught.value.problem
    assert found.code == "directory-unavailable" and "(add directory)" in found.remedy
    await directory.close()


@pytest.mark.parametrize("server", ["127.0.0.1:9", "no-such-name.invalid"])
async def test_a_server_that_is_not_there(server: str) -> None:
    pytest.importorskip("bonsai")
    directory = LdapDirectory(replace(ACCOUNT, server=server), Secret(PLANTED))
    for _ in range(2):
        with pytest.raises(ProblemError) as caught:
            await search(directory)
        assert caught.value.problem.code == "directory-unreachable"
    await directory.close()


async def test_a_server_without_tls_gets_no_password(tmp_path: Path) -> None:
    pytest.importorskip("bonsai")
    got = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        got += await reader.read(4096)
        writer.write(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00")
        await writer.drain()
        got += await reader.read(4096)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    authority = Path(ssl.get_default_verify_paths().cafile or "/etc/ssl/certs/ca-certificates.crt")
    directory = LdapDirectory(replace(ACCOUNT, server=f"127.0.0.1:{port}", ca=authority), Secret(PLANTED))
    with pytest.raises(ProblemError) as caught:
        await search(directory)
    assert caught.value.problem.code == "directory-tls-failed"
    await directory.close()
    server.close()
    assert got and PLANTED.encode() not in got
