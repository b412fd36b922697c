"""Many files over WinRM: in how few commands, and that nothing is believed of a batch but what came back."""

from __future__ import annotations

import contextlib
import hashlib
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher.problems import Code, ProblemError, Stage, problem
from pusher.remote.images import FileDigest
from pusher.remote.paths import RemotePath
from pusher.transports.port import Limits, NewFile, Renaming
from pusher.transports.winrm.client import Client
from pusher.transports.winrm.content import ContentServer
from pusher.transports.winrm.curl import fetches_line, reads_line
from pusher.transports.winrm.facts import Folders
from pusher.transports.winrm.files import Files
from pusher.transports.winrm.many import ManyFiles
from pusher.transports.winrm.shell import LONGEST
from pusher.transports.winrm.together import MOST_BYTES, MOST_FILES, SMALL, SMALLER, Run, batches
from tests.unit.transports.winrm.machine import SHELL_GONE, FakeMachine, Killed, KilledAfter, Running, fault, fetch

TEMP = RemotePath(share="ADMIN$", path="Temp")
PLACE = "c:\\windows\\temp\\"
ODD = ["with space", "a & b", "caret^x", "(paren) [x]", "semi;comma,eq=x", "it's", "dollar$ `tick", "#1 @at", "{a,b}"]


def ignore(count: int = 0) -> None:
    """For calls whose progress nobody follows."""


@pytest.fixture(scope="module")
def content() -> Iterator[ContentServer]:
    with ContentServer() as server:
        yield server


@pytest.fixture
def machine() -> FakeMachine:
    return FakeMachine()


@pytest.fixture
def files(machine: FakeMachine, content: ContentServer) -> Files:
    """Of a session that knows that curl can fetch."""
    made = Files(cast(Client, machine), Folders(windows="C:\\Windows", drive="C:"), content, Limits())
    made.put(TEMP.child("first"), memoryview(b"x"), ignore)
    machine.lines.clear()
    return made


@pytest.fixture
def many(files: Files) -> ManyFiles:
    return ManyFiles(files)


def new(name: str, data: bytes) -> NewFile:
    return NewFile(path=TEMP.child(name), data=memoryview(data), sha256=hashlib.sha256(data).hexdigest())


def offers(content: ContentServer) -> int:
    assert content._running is not None
    return len(list(content._running.offers))


def test_many_are_fetched_and_proven_by_one_command(
    machine: FakeMachine, many: ManyFiles, content: ContentServer
) -> None:
    moved = list[int]()
    files = [new(f"m{number}.py", f"# {number}".encode()) for number in range(100)]
    assert many.put(files, moved.append) == []
    assert len(machine.lines) == 1
    assert {name: machine.files[PLACE + name] for name in ("m0.py", "m99.py")} == {"m0.py": b"# 0", "m99.py": b"# 99"}
    assert sum(moved) == sum(len(file.data) for file in files)
    assert offers(content) == 0
    (line,) = machine.lines
    assert "m1.py" not in line and "https://" not in line, "neither names nor addresses are for the process list"


@pytest.mark.parametrize("name", ODD)
def test_names_that_cmd_or_curl_would_read_otherwise(machine: FakeMachine, many: ManyFiles, name: str) -> None:
    assert many.put([new(name, b"odd"), new("plain", b"even")], ignore) == []
    assert (machine.files[PLACE + name.lower()], machine.files[PLACE + "plain"]) == (b"odd", b"even")
    found = many.digests({TEMP.child(name): 10, TEMP.child("plain"): 10}, ignore)
    assert found[TEMP.child(name)] == FileDigest(size=3, sha256=hashlib.sha256(b"odd").hexdigest(), version=None)
    assert many.taken([TEMP.child(name), TEMP.child(name + "x")]) == {TEMP.child(name)}


def test_an_empty_file_is_proven_too(machine: FakeMachine, many: ManyFiles) -> None:
    assert many.put([new("__init__.py", b""), new("a", b"1"), new("none.py", b"")], ignore) == []
    assert machine.files[PLACE + "none.py"] == b""
    machine.busy.add(PLACE + "__init__.py")
    machine.files[PLACE + "__init__.py"] = b"old"
    empty = new("__init__.py", b"")
    assert many.put([empty, new("a", b"1")], ignore) == [empty]


def test_a_file_in_use_is_left_and_the_others_are_there(machine: FakeMachine, many: ManyFiles) -> None:
    machine.files[PLACE + "busy"] = b"older and longer than what is to come"
    machine.busy.add(PLACE + "busy")
    busy, moved = new("busy", b"newer"), list[int]()
    assert many.put([new("a", b"1"), busy, new("b", b"2")], moved.append) == [busy]
    assert sum(moved) == 2, "what is put once more counts then"
    assert (machine.files[PLACE + "a"], machine.files[PLACE + "b"]) == (b"1", b"2")


def test_what_was_changed_on_the_way_is_not_believed(machine: FakeMachine, many: ManyFiles) -> None:
    machine.on_the_way = lambda path, data: data.upper() if path.endswith("bad") else data
    bad, moved = new("bad", b"payload"), list[int]()
    assert many.put([new("a", b"payload"), bad, new("b", b"payload")], moved.append) == [bad]
    assert sum(moved) == 2 * len(b"payload")


def test_what_is_there_already_is_no_proof_of_another_content(machine: FakeMachine, many: ManyFiles) -> None:
    machine.files[PLACE + "a"] = b"old"
    machine.curl_code = lambda: 22
    files = [new("a", b"new"), new("b", b"new")]
    assert many.put(files, ignore) == files


def test_where_one_is_not_to_be_had_the_others_are_proven(
    machine: FakeMachine, many: ManyFiles, content: ContentServer
) -> None:
    codes = iter([0, 22, 0])
    machine.curl_code = lambda: next(codes)
    files = [new("a", b"1"), new("b", b"2"), new("c", b"3")]
    assert many.put(files, ignore) == files[1:2]
    assert offers(content) == 0, "what nobody came for is withdrawn"


def test_large_files_and_names_that_curl_cannot_be_told_go_alone(machine: FakeMachine, many: ManyFiles) -> None:
    alone = [new("large", bytes(SMALL + 1)), new("ünï", b"1"), new("line\nbreak", b"1"), new("a|b", b"1")]
    together = [new("a", bytes(SMALL)), new("b", b"1")]
    assert many.put([*alone, *together], ignore) == alone


def test_a_machine_whose_curl_does_not_show_files_is_not_asked_again(machine: FakeMachine, many: ManyFiles) -> None:
    """Such as one that makes text of what is shown: each file is proven alone from then on."""
    real = machine._one_url

    def one_url(run: object, url: str, output: str | None, most: str) -> None:
        if output is not None:
            real(run, url, output, most)  # type: ignore[arg-type]

    machine._one_url = one_url  # type: ignore[method-assign]
    files = [new("a", b"1"), new("b", b"2")]
    assert many.put(files, ignore) == files
    assert not many.go_together
    machine.lines.clear()
    assert many.put(files, ignore) == files
    assert machine.lines == []


def test_nothing_goes_together_before_a_file_was_fetched(machine: FakeMachine, content: ContentServer) -> None:
    """A machine that cannot come here would wait for each of them."""
    fresh = Files(cast(Client, machine), Folders(windows="C:\\Windows", drive="C:"), content, Limits())
    assert not ManyFiles(fresh).go_together
    files = [new("a", b"1"), new("b", b"2")]
    assert ManyFiles(fresh).put(files, ignore) == files
    assert machine.lines == []


def test_digests_of_many(machine: FakeMachine, many: ManyFiles) -> None:
    machine.files |= {PLACE + f"m{number}": f"# {number}".encode() for number in range(100)}
    machine.files |= {PLACE + "empty": b"", PLACE + "large": bytes(SMALL + 1), PLACE + "cut": b"12345"}
    machine.files |= {PLACE + f"h{number}": bytes([number]) * (SMALLER + 1) for number in range(100)}
    machine.versions[PLACE + "m1"] = "3.1.4.5"
    limits = {TEMP.child(f"m{number}"): 100 for number in range(100)}
    limits |= {TEMP.child(f"h{number}"): SMALLER + 1 for number in range(100)}
    limits |= {TEMP.child("empty"): 0, TEMP.child("large"): SMALL * 2, TEMP.child("cut"): 4, TEMP.child("none"): 1}
    found = many.digests(limits, ignore)
    for path, limit in limits.items():
        data = machine.files.get(PLACE + path.name)
        digest = found[path]
        if data is None:
            assert digest is None
            continue
        assert digest is not None
        whole = hashlib.sha256(data).hexdigest() if len(data) <= limit else ""
        assert (digest.size, digest.sha256) == (len(data), whole)
    assert [path.name for path, digest in found.items() if digest and digest.version] == ["m1"]
    assert len(machine.lines) < 5, "one shows the small ones, and few hash the others"
    assert max(map(len, machine.lines)) <= LONGEST


def test_nothing_is_read_or_hashed_for_a_version(machine: FakeMachine, many: ManyFiles) -> None:
    machine.files |= {PLACE + "agent.exe": bytes(300_000), PLACE + "readme": b"short"}
    machine.versions[PLACE + "agent.exe"] = "3.1.4.5"
    assert many.digests({TEMP.child("agent.exe"): None, TEMP.child("readme"): None}, ignore) == {
        TEMP.child("agent.exe"): FileDigest(size=300_000, sha256="", version="3.1.4.5"),
        TEMP.child("readme"): FileDigest(size=5, sha256="", version=None),
    }
    assert machine.lines == []


@pytest.mark.parametrize("said", ["twice", "nothing", "no sign", "one sign"])
def test_a_hash_that_is_not_one_is_asked_for_alone(machine: FakeMachine, many: ManyFiles, said: str) -> None:
    real = machine._certutils

    def certutils(run: Running) -> None:
        real(run)
        first, second = run.stdout.splitlines(keepends=True)[1:4], run.stdout.splitlines(keepends=True)[5:8]
        sign = run.stdout.splitlines(keepends=True)[0]
        run.stdout = {
            "twice": sign + b"".join(first * 2) + sign + b"".join(second),
            "nothing": sign * 2 + b"".join(second),
            "no sign": b"".join(first + second),
            "one sign": b"".join(first) + sign + b"".join(second),
        }[said]

    machine._certutils = certutils  # type: ignore[method-assign]
    machine.files |= {PLACE + "a": bytes(SMALLER + 1), PLACE + "b": bytes(SMALLER + 2)}
    found = many.digests({TEMP.child("a"): SMALL, TEMP.child("b"): SMALL}, ignore)
    assert {path.name: digest.sha256 for path, digest in found.items() if digest} == {
        name: hashlib.sha256(machine.files[PLACE + name]).hexdigest() for name in "ab"
    }


def test_a_digest_of_a_file_in_use_says_so(machine: FakeMachine, many: ManyFiles) -> None:
    machine.files |= {PLACE + "a": b"1", PLACE + "b": b"2"}
    machine.busy.add(PLACE + "b")
    with pytest.raises(Exception, match="b") as caught:
        many.digests({TEMP.child("a"): 9, TEMP.child("b"): 9}, ignore)
    assert caught.value.problem.code == "file-in-use"  # type: ignore[attr-defined]


def test_which_names_are_taken(machine: FakeMachine, many: ManyFiles) -> None:
    names = [f"some rather long name of a file, number {number}" for number in range(300)]
    machine.files |= {PLACE + name: b"" for name in names[::2]}
    assert many.taken([*map(TEMP.child, names), TEMP]) == {*map(TEMP.child, names[::2]), TEMP}
    assert len(machine.lines) < 6
    assert max(map(len, machine.lines)) <= LONGEST


@pytest.mark.parametrize("name", ["100%", "bang!"])
def test_a_name_that_cmd_would_change_is_looked_at_alone(machine: FakeMachine, many: ManyFiles, name: str) -> None:
    machine.files[PLACE + name] = b""
    assert many.taken([TEMP.child(name), TEMP.child("other")]) == {TEMP.child(name)}


@given(st.dictionaries(st.text("ab", min_size=1), st.integers(0, SMALL + 10)))
def test_a_batch_is_bounded_and_each_file_is_in_one(sizes: dict[str, int]) -> None:
    made = list(batches(sizes))
    for batch in made:
        assert 1 < len(batch) <= MOST_FILES
        assert sum(sizes[there] for there in batch) <= MOST_BYTES
    together = [there for batch in made for there in batch]
    assert len(together) == len(set(together))
    small = [there for there, size in sizes.items() if size <= SMALL]
    assert set(together) <= set(small)


@given(st.dictionaries(st.text("abc", min_size=1), st.binary(), max_size=5), st.integers(0, 3), st.data())
def test_what_is_read_is_what_was_shown(contents: dict[str, bytes], fetched: int, data: st.DataObject) -> None:
    run = Run(fetches={str(number): "x" for number in range(fetched)}, reads=list(contents), most=0)
    sign = run.sign.encode()
    said = sign * fetched + b"".join(content + sign for content in contents.values())
    assert run.read(said) == contents
    cut = data.draw(st.integers(0, len(said)))
    assert run.read(said[:cut]) in ({}, contents) or not contents


@pytest.mark.skipif(not which("curl"), reason="no curl here")
def test_the_real_curl_understands_it(content: ContentServer, tmp_path: Path) -> None:
    """Several URLs, odd names, an empty file, one that is not to be had."""
    contents = {name: name.encode() * 1000 for name in [*ODD, '"quoted"', "100%", "%41", "bang!"]} | {"empty": b""}
    made = {name: content.offer(memoryview(data), "127.0.0.1", ignore) for name, data in contents.items()}
    fetches = {offer.url: str(tmp_path / name) for name, offer in made.items()}
    gone = content.offer(memoryview(b"x"), "127.0.0.1", ignore)
    gone.close()
    run = Run(
        fetches={**fetches, gone.url: str(tmp_path / "gone")},
        reads=[str(tmp_path / name).lstrip("/") for name in [*contents, "gone"]],
        most=1_000_000,
    )
    line = fetches_line("curl", gone.pin, 100_000, 15)
    done = _run(line, run)
    assert run.read(done) == {str(tmp_path / name).lstrip("/"): data for name, data in contents.items()} | {
        str(tmp_path / "gone").lstrip("/"): b""
    }
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == contents
    again = Run(reads=run.reads, most=run.most)
    assert again.read(_run(reads_line("curl"), again)) == run.read(done)


def _run(line: str, run: Run) -> bytes:
    words = [word.strip('"') for word in line.lstrip("@").split()]
    return subprocess.run(words, input=run.config, capture_output=True, check=False).stdout


def test_progress_is_told_file_by_file(machine: FakeMachine, many: ManyFiles) -> None:
    """What has moved when the third file is asked for is the first two."""
    moved, at_third = list[int](), list[int]()
    asked = iter(range(9))

    def code() -> int:
        if next(asked) == 2:
            at_third.append(sum(moved))
        return 0

    machine.curl_code = code
    assert many.put([new(name, bytes(1000)) for name in "abc"], moved.append) == []
    assert at_third == [2000]


def test_nobody_waits_for_ever_for_a_curl_that_shows_nothing(
    machine: FakeMachine, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once all is out, answers without anything new are signs of life for a time only."""
    moved = list[int]()
    shell = files._shell

    def run(line: str, *, made: Callable[[], None], **_: object) -> None:
        for _number in range(50):
            made()

    monkeypatch.setattr(shell, "run", run)
    files.copier.read_together({"C:\\x": 1, "C:\\y": 1}, moved.append, ignore)
    assert moved.count(0) < 10


def test_what_is_no_longer_wanted_is_ended_in_mid_batch(machine: FakeMachine, many: ManyFiles) -> None:
    asked = iter([None, Code.CANCELLED])

    def check_cancelled() -> None:
        if code := next(asked):
            raise ProblemError(problem(code, Stage.STAGE))

    machine.ended.clear()
    with pytest.raises(ProblemError) as caught:
        many.put([new("a", b"1"), new("b", b"2")], ignore, check_cancelled)
    assert caught.value.problem.code == "cancelled"
    assert machine.ended == ["C1"], "nothing is copied behind the back of who cancelled"


@pytest.mark.parametrize("asked_for", [0, 2])
def test_one_file_that_a_scanner_holds_is_no_stall_of_all(
    files: Files, many: ManyFiles, monkeypatch: pytest.MonkeyPatch, asked_for: int
) -> None:
    """While the target has all that it came for, its answers are signs of life, for a time; then each goes alone."""
    moved, polls, alive = list[int](), 0, list[int]()

    def run(line: str, *, stdin: bytes, made: Callable[[], None], **more: object) -> object:
        nonlocal polls
        for url in re.findall(r'url = "(https://[^"]+)"', stdin.decode())[:asked_for]:
            fetch(url)
        try:
            for _ in range(20):
                polls += 1
                made()
        finally:
            alive.append(moved.count(0))
        raise fault(SHELL_GONE)

    monkeypatch.setattr(files._shell, "run", run)
    lot = [new(name, b"12345") for name in "abcd"]
    assert many.put(lot, moved.append) == lot
    assert sum(moved) == 0
    if asked_for:
        assert 1 < alive[0] < 10 and polls < 10, "not for ever"
    else:
        assert (alive, polls) == ([0], 20), "nobody has come: that is for the stall's limit to end"
    assert many.go_together, "it says nothing of the files to come"


# Names


def swap(*names: str) -> list[Renaming]:
    """As a push has it: old files away, new ones in."""
    away = [Renaming(path=TEMP.child(name), to=TEMP.child(name + ".old")) for name in names]
    return away + [Renaming(path=TEMP.child(name + ".new"), to=TEMP.child(name)) for name in names]


def both(machine: FakeMachine, *names: str) -> None:
    """The old file in its place, the new one beside it."""
    for name in names:
        machine.files |= {PLACE + name: f"old {name}".encode(), PLACE + name + ".new": f"new {name}".encode()}


def test_many_are_renamed_by_few_commands(machine: FakeMachine, many: ManyFiles) -> None:
    names = [f"m{number}" for number in range(300)]
    both(machine, *names)
    assert many.rename(swap(*names)) == []
    assert {machine.files[PLACE + name] for name in names} == {f"new {name}".encode() for name in names}
    assert {machine.files[PLACE + name + ".old"] for name in names} == {f"old {name}".encode() for name in names}
    assert len(machine.lines) < 20
    assert max(map(len, machine.lines)) <= LONGEST


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ("busy", ["odd", "odd.new"]),  # the old one stays, and so the new one finds its name taken
        ("hidden", ["odd", "odd.new"]),  # cmd does not see it; CIM does
        ("taken", ["odd", "odd.new"]),
        ("no new one", ["odd.new"]),
        ("no old one", ["odd"]),
        ("a folder for the new one", ["odd.new"]),
    ],
)
def test_what_is_not_seen_to_be_renamed_is_left_to_be_renamed_alone(
    machine: FakeMachine, many: ManyFiles, what: str, left: list[str]
) -> None:
    both(machine, "a", "odd", "b")
    match what:
        case "busy":
            machine.busy.add(PLACE + "odd")
        case "hidden":
            machine.hidden.add(PLACE + "odd")
        case "taken":
            machine.files[PLACE + "odd.old"] = b"somebody's"
        case "no old one":
            del machine.files[PLACE + "odd"]
        case _:
            del machine.files[PLACE + "odd.new"]
            machine.folders |= {PLACE + "odd.new"} if "folder" in what else set()
    folders = set(machine.folders)
    assert [renaming.path.name for renaming in many.rename(swap("a", "odd", "b"))] == left
    assert (machine.files[PLACE + "a"], machine.files[PLACE + "b"]) == (b"new a", b"new b")
    assert machine.folders == folders
    assert machine.files.get(PLACE + "odd.old") in (b"somebody's", b"old odd", None)


@pytest.mark.parametrize(
    "renaming",
    [
        Renaming(path=TEMP.child("a"), to=TEMP.child("b")),
        Renaming(path=TEMP.child("a"), to=RemotePath(share="C$", path="a.old")),
        Renaming(path=TEMP.child("a"), to=TEMP.child("a.o%d")),
        Renaming(path=TEMP.child("100%"), to=TEMP.child("100%.old")),
        Renaming(path=TEMP.child("a"), to=TEMP.child("a.old ")),
    ],
)
def test_a_renaming_that_cmd_cannot_be_told_is_left(machine: FakeMachine, many: ManyFiles, renaming: Renaming) -> None:
    machine.files |= {PLACE + "a": b"1", PLACE + "100%": b"2"}
    assert many.rename([renaming]) == [renaming]
    assert machine.lines == []


@given(st.integers(0, 70), st.sets(st.sampled_from("abc"), max_size=2))
def test_whoever_is_killed_leaves_each_file_whole_under_one_of_its_names(requests: int, held: set[str]) -> None:
    """And whoever comes next brings it to its end, or back: he needs to know nothing but the names."""
    machine = FakeMachine()
    both(machine, *"abc")
    machine.busy |= {PLACE + name for name in held}
    killed = ManyFiles(
        Files(
            cast(Client, KilledAfter(machine, requests)),
            Folders(windows="C:\\Windows", drive="C:"),
            None,
            Limits(),
        )
    )
    renames = swap(*"abc")
    with contextlib.suppress(Killed):
        left = killed.rename(renames)
        assert {renaming.to.name for renaming in left} == {name + ".old" for name in held} | held
    contents = sorted(data for path, data in machine.files.items() if path.startswith(PLACE))
    assert contents == sorted(f"{age} {name}".encode() for age in ("old", "new") for name in "abc")
    for name in "abc":
        assert machine.files.get(PLACE + name, machine.files.get(PLACE + name + ".old")) is not None
        is_in_place = machine.files.get(PLACE + name) == f"new {name}".encode()
        assert is_in_place is (PLACE + name + ".new" not in machine.files)
    machine.busy.clear()
    fresh = ManyFiles(Files(cast(Client, machine), Folders(windows="C:\\Windows", drive="C:"), None, Limits()))
    there = fresh.taken([renaming.path for renaming in renames])
    aside = fresh.taken([renaming.to for renaming in renames[:3]])
    assert fresh.rename([r for r in renames[:3] if r.to not in aside]) == []
    assert fresh.rename([r for r in renames[3:] if r.path in there]) == []
    assert {machine.files[PLACE + name] for name in "abc"} == {b"new a", b"new b", b"new c"}


def test_many_are_removed_by_few_commands(machine: FakeMachine, many: ManyFiles) -> None:
    names = [f"m{number}" for number in range(300)]
    machine.files |= {PLACE + name: b"x" for name in [*names, "busy", "hidden"]}
    machine.busy.add(PLACE + "busy")
    machine.hidden.add(PLACE + "hidden")
    machine.folders.add(PLACE + "folder")
    machine.files[PLACE + "folder\\kept"] = b"x"
    paths = [*map(TEMP.child, names), *map(TEMP.child, ["busy", "hidden", "folder", "none", "100%"])]
    done = many.remove(paths)
    assert done == {TEMP.child(name): True for name in names} | {TEMP.child("none"): False}
    left = {path.removeprefix(PLACE) for path in machine.files if path.startswith(PLACE)}
    assert left == {"first", "busy", "hidden", "folder\\kept"}
    assert len(machine.lines) < 15
