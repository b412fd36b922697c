"""The transport's contract of files, folders and the lock."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from pusher.problems import Code, ProblemError, Stage, problem
from pusher.remote.paths import RemotePath
from pusher.transports.port import FileInfo, NewFile, Renaming, Session
from tests.contract.bench import LIMITS, Bench, Machine, Who
from tests.contract.transport_suite import PROGRAM, TransportSuite, code_of, ignore, until

HOSTILE = [
    "..\\escaped", "{here}\\..\\..\\escaped", "{here}\\.\\x", "{here}\\\\x", "C:\\escaped", "\\escaped",
    "\\\\127.0.0.1\\C$\\escaped", "{here}/x", "{here}\\a*b", "{here}\\a?b", '{here}\\a"b', "{here}\\a<b", "{here}\\a|b",
    "{here}\\a\x00b", "{here}\\a\nb", "{here}\\" + "x" * 300, "{here}\\file:stream", "{here}\\x" * 400, "",
]  # fmt: skip


ODD = ["with space.py", "a & b.py", "caret^x", "(paren) [x]", "semi;comma,eq=x", "it's", "dollar$ `tick", "#1 @at"]
"""Names that mean something to cmd, to curl or to a URL."""


def _new(here: RemotePath, name: str, data: bytes) -> NewFile:
    return NewFile(path=here.child(name), data=memoryview(data), sha256=hashlib.sha256(data).hexdigest())


class FilesContract(TransportSuite):
    """What is put, read back, moved and removed; and hostile paths."""

    # Files

    async def test_nothing_is_there(self, session: Session, here: RemotePath) -> None:
        nothing = here.child("nothing")
        assert await session.stat(nothing) is None
        assert await session.stat(nothing.child("below")) is None
        assert await session.digest(nothing, 10) is None
        assert await session.remove(nothing) is False
        assert await session.remove_folder(nothing) is False
        assert await code_of(session.rename(nothing, here.child("else"))) == "path-not-found"
        assert await code_of(session.put(nothing.child("below"), memoryview(b"x"), ignore)) == "path-not-found"
        assert await code_of(session.make_folder(nothing.child("below"))) == "path-not-found"

    async def test_a_file_comes_to_be_and_goes(self, machine: Machine, session: Session, here: RemotePath) -> None:
        path, moved = here.child("file.bin"), list[int]()
        await session.put(path, memoryview(b"content"), moved.append)
        assert machine.read(path.path) == b"content"
        assert sum(moved) == 7
        assert await session.stat(path) == FileInfo(size=7, is_folder=False)
        assert await session.remove(path) is True
        assert machine.read(path.path) is None
        assert await session.remove(path) is False

    async def test_letters_make_no_difference(self, session: Session, here: RemotePath) -> None:
        await session.put(here.child("MixedCase.Bin"), memoryview(b"x"), ignore)
        other = RemotePath(share="admin$", path=here.path.upper() + "\\MIXEDCASE.BIN")
        assert await session.stat(other) == FileInfo(size=1, is_folder=False)
        assert await session.remove(other) is True
        assert await session.stat(here.child("MixedCase.Bin")) is None

    @pytest.mark.parametrize("size", [0, 1, 65536, 65537, 3_000_001])
    async def test_what_is_put_is_what_is_there(
        self, machine: Machine, session: Session, here: RemotePath, size: int
    ) -> None:
        data, moved = secrets.token_bytes(size), list[int]()
        path = here.child("file.bin")
        await session.put(path, memoryview(data), moved.append)
        assert machine.read(path.path) == data
        assert sum(moved) == size
        digest = await session.digest(path, size)
        assert digest is not None
        assert (digest.size, digest.sha256) == (size, hashlib.sha256(data).hexdigest())

    async def test_put_replaces_all_of_a_longer_file(
        self, machine: Machine, session: Session, here: RemotePath
    ) -> None:
        path = here.child("file.bin")
        machine.write(path.path, b"something much longer")
        await session.put(path, memoryview(b"short"), ignore)
        assert machine.read(path.path) == b"short"

    async def test_a_digest_reads_no_more_than_it_may(
        self, machine: Machine, session: Session, here: RemotePath
    ) -> None:
        path = here.child("program.exe")
        data = PROGRAM
        machine.write(path.path, data)
        whole = await session.digest(path, len(data))
        assert whole is not None
        assert (whole.size, whole.sha256, whole.version) == (len(data), hashlib.sha256(data).hexdigest(), "3.1.4.5")
        cut = await session.digest(path, len(data) - 1)
        assert cut is not None
        assert (cut.size, cut.sha256, cut.version) == (len(data), "", "3.1.4.5")
        little = await session.digest(path, 100)
        assert little is not None
        assert (little.size, little.sha256) == (len(data), "")
        assert little.version in (None, "3.1.4.5")  # some transports are told it without reading

    async def test_a_folder_is_no_file(self, session: Session, here: RemotePath) -> None:
        folder = here.child("folder")
        assert await session.make_folder(folder) is True
        assert await session.stat(folder) == FileInfo(size=0, is_folder=True)
        assert await code_of(session.remove(folder)) == "path-not-found"
        assert await code_of(session.put(folder, memoryview(b"x"), ignore)) in ("path-not-found", "file-in-use")
        assert await code_of(session.digest(folder, 10)) == "path-not-found"
        assert await session.stat(folder) == FileInfo(size=0, is_folder=True)

    async def test_a_file_is_no_folder(self, machine: Machine, session: Session, here: RemotePath) -> None:
        path = here.child("file")
        machine.write(path.path, b"x")
        assert await code_of(session.remove_folder(path)) == "path-not-found"
        assert machine.read(path.path) == b"x"
        assert await code_of(session.make_folder(path.child("below"))) == "path-not-found"

    async def test_folders(self, machine: Machine, session: Session, here: RemotePath) -> None:
        folder = here.child("folder")
        assert await session.make_folder(folder) is True
        assert await session.make_folder(folder) is False
        machine.write(folder.child("file").path, b"x")
        assert await session.remove_folder(folder) is False
        assert machine.read(folder.child("file").path) == b"x"
        await session.remove(folder.child("file"))
        assert await session.remove_folder(folder) is True
        assert await session.remove_folder(folder) is False

    # Many files

    async def test_many_files(self, machine: Machine, session: Session, here: RemotePath) -> None:
        """The second lot, of names that mean something to shells, replaces what is there and is read back again."""
        contents = {name: f"# {name}".encode() for name in ODD} | {"empty": b"", "large.bin": bytes(300_000)}
        old = dict.fromkeys(contents, b"something longer than it was")
        for lot in (old, contents):
            moved = list[int]()
            assert await session.put_all([_new(here, name, data) for name, data in lot.items()], moved.append) == []
            assert {name: machine.read(here.child(name).path) for name in lot} == lot
            assert sum(moved) == sum(map(len, lot.values()))
        limits = {here.child(name): len(data) for name, data in contents.items()} | {here.child("none"): 1}
        found = await session.digest_all(limits)
        assert found.pop(here.child("none")) is None
        assert {path.name: (digest.size, digest.sha256) for path, digest in found.items() if digest} == {
            name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in contents.items()
        }
        sizes: dict[RemotePath, int | None] = dict.fromkeys(found)
        assert await session.digest_all(sizes) == {
            path: digest and replace(digest, sha256="") for path, digest in found.items()
        }
        paths = [here, *limits, here.child("none").child("below")]
        assert await session.taken(paths) == {here, *map(here.child, contents)}

    async def test_many_files_of_which_some_are_in_use(
        self, machine: Machine, session: Session, here: RemotePath
    ) -> None:
        contents = {name: name.encode() for name in ("a", "busy.exe", "c", "d")}
        machine.write(here.child("busy.exe").path, b"x" * 100)
        files = [_new(here, name, data) for name, data in contents.items()]
        moved = list[int]()
        with machine.occupied(here.child("busy.exe").path):
            assert await session.put_all(files, moved.append) == files[1:2]
            assert sum(moved) == len("a" + "c" + "d"), "what has to be put once more counts when it is"
            assert here.child("busy.exe") in await session.taken([file.path for file in files])
            assert await code_of(session.digest_all({file.path: 100 for file in files})) == "file-in-use"
        assert {name: machine.read(here.child(name).path) for name in ("a", "c", "d")} == {
            name: name.encode() for name in ("a", "c", "d")
        }
        assert machine.read(here.child("busy.exe").path) == b"x" * 100

    async def test_many_files_of_which_one_cannot_be(
        self, machine: Machine, session: Session, here: RemotePath
    ) -> None:
        files = [_new(here, name, b"x") for name in ("a", "b", "none\\below", "c")]
        assert await code_of(session.put_all(files, ignore)) == "path-not-found"
        assert await code_of(session.digest_all({here: 10, here.child("a"): 10})) == "path-not-found"
        assert machine.read(here.child("none").path) is None
        assert await session.stat(here) == FileInfo(size=0, is_folder=True), "the session lives on"

    async def test_many_files_end_where_the_push_does(
        self, machine: Machine, session: Session, here: RemotePath
    ) -> None:
        """Cancelled once something has moved: what is on its way together may still come, the last file does not."""
        moved = list[int]()

        def check_cancelled() -> None:
            if moved:
                raise ProblemError(problem(Code.CANCELLED, Stage.STAGE))

        files = [_new(here, str(number), b"x" * 100_000) for number in range(60)]
        assert await code_of(session.put_all(files, moved.append, check_cancelled)) == "cancelled"
        assert machine.read(here.child("59").path) is None
        assert await session.stat(here) == FileInfo(size=0, is_folder=True), "the session lives on"

    async def test_what_is_not_what_was_to_come_is_told(self, session: Session, here: RemotePath) -> None:
        files = [_new(here, name, b"x") for name in ("a", "b")]
        other = replace(files[1], sha256=hashlib.sha256(b"y").hexdigest())
        assert await code_of(session.put_all([files[0], other], ignore)) == "copy-mismatch"

    async def test_many_renames(self, machine: Machine, session: Session, here: RemotePath) -> None:
        """Away and in, as a new version's files come into their places; each fails where its new name is taken."""
        names = [*ODD, "gone", "busy.exe"]
        for name in names:
            machine.write(here.child(name).path, f"old {name}".encode())
            machine.write(here.child(name + ".new").path, f"new {name}".encode())
        machine.write(here.child("gone.old").path, b"taken")
        away = [Renaming(path=here.child(name), to=here.child(name + ".old")) for name in names]
        come = [Renaming(path=here.child(name + ".new"), to=here.child(name)) for name in names]
        with machine.occupied(here.child("busy.exe").path):
            left = await session.rename_all([*away, *come])
        assert left == [renaming for renaming in [*away, *come] if renaming.path.name[:4] in ("gone", "busy")]
        for name in ODD:
            assert machine.read(here.child(name).path) == f"new {name}".encode()
            assert machine.read(here.child(name + ".old").path) == f"old {name}".encode()
            assert machine.read(here.child(name + ".new").path) is None
        assert machine.read(here.child("gone.old").path) == b"taken"
        for name in ("gone", "busy.exe"):
            assert machine.read(here.child(name).path) == f"old {name}".encode()
            assert machine.read(here.child(name + ".new").path) == f"new {name}".encode()
        assert await session.rename_all([]) == []

    async def test_many_removals(self, machine: Machine, session: Session, here: RemotePath) -> None:
        names = [*ODD, "busy.exe"]
        for name in names:
            machine.write(here.child(name).path, b"x")
        await session.make_folder(here.child("folder"))
        machine.write(here.child("folder").child("kept").path, b"x")
        paths = [here.child(name) for name in [*names, "none", "folder"]]
        with machine.occupied(here.child("busy.exe").path):
            done = await session.remove_all(paths)
        assert done == {here.child(name): True for name in ODD} | {here.child("none"): False}
        assert [name for name in names if machine.read(here.child(name).path) is not None] == ["busy.exe"]
        assert machine.read(here.child("folder").child("kept").path) == b"x", "what is in a folder is not asked for"

    async def test_rename(self, machine: Machine, session: Session, here: RemotePath) -> None:
        old, new = here.child("old"), here.child("new")
        machine.write(old.path, b"x")
        await session.rename(old, new)
        assert (machine.read(old.path), machine.read(new.path)) == (None, b"x")

    async def test_rename_never_replaces(self, machine: Machine, session: Session, here: RemotePath) -> None:
        one, other = here.child("one"), here.child("other")
        machine.write(one.path, b"1")
        machine.write(other.path, b"2")
        assert await code_of(session.rename(one, other)) == "file-in-use"
        assert (machine.read(one.path), machine.read(other.path)) == (b"1", b"2")

    async def test_a_file_in_use(self, machine: Machine, session: Session, here: RemotePath) -> None:
        path = here.child("busy.exe")
        machine.write(path.path, b"x")
        with machine.occupied(path.path):
            assert await code_of(session.put(path, memoryview(b"other"), ignore)) == "file-in-use"
            assert await code_of(session.remove(path)) == "file-in-use"
            assert await code_of(session.rename(path, here.child("else"))) == "file-in-use"
            assert await code_of(session.digest(path, 10)) == "file-in-use"
        assert machine.read(path.path) == b"x"
        assert await session.remove(path) is True

    async def test_a_hostile_path_leads_nowhere(self, machine: Machine, session: Session, here: RemotePath) -> None:
        """One session for all of them: none may end it for those that follow."""

        def elsewhere() -> dict[str, bytes | None]:
            return {place: data for place, data in machine.tree().items() if here.name not in place}

        before = elsewhere()
        for template in HOSTILE:
            path = RemotePath(share="ADMIN$", path=template.replace("{here}", here.path))
            calls: list[Awaitable[object]] = [
                session.stat(path),
                session.put(path, memoryview(b"x"), ignore),
                session.digest(path, 10),
                session.remove(path),
                session.make_folder(path),
                session.rename(here.child(".there"), path),
            ]
            for number, call in enumerate(calls):
                try:
                    await call
                except ProblemError as error:
                    refused = error.problem.code
                    assert refused in ("path-not-found", "file-in-use", "protocol-error", "access-denied"), (
                        f"{template!a:.60}, call {number}: {refused}"
                    )
            assert elsewhere() == before, f"{template!a:.60} has changed something elsewhere"
            assert await session.stat(here) == FileInfo(size=0, is_folder=True), f"{template!a:.60} ended the session"

    async def test_a_copy_that_stands_still_is_given_up(self, bench: Bench, machine: Machine, here: RemotePath) -> None:
        limits = replace(LIMITS, stall=0.3)
        with bench.stalling_copy(machine) as transport:
            link = await transport.open(machine.endpoint, limits)
            await link.identify()
            session = await link.sign_in(bench.credential(Who.ADMINISTRATOR))
            data = memoryview(bytes(1_000_000))
            assert await code_of(session.put(here.child("big"), data, ignore)) == "transfer-stalled"
            assert await code_of(session.stat(here)) == "connection-lost"
            await session.close()

    # The lock

    async def test_the_lock_is_for_one(
        self, machine: Machine, here: RemotePath, open_session: Callable[..., Awaitable[Session]]
    ) -> None:
        one, other = await open_session(machine), await open_session(machine)
        path = here.child("LabAgent.lock")
        hold = await one.hold(path)
        assert await code_of(other.hold(path)) == "push-in-progress"
        assert await code_of(one.hold(path)) == "push-in-progress"
        assert await code_of(other.remove(path)) == "file-in-use"
        assert await other.stat(path) is not None
        await hold.close()
        assert machine.read(path.path) is None
        again = await other.hold(path)
        await again.close()
        await again.close()
        assert await one.stat(path) is None

    async def test_the_lock_goes_with_its_connection(
        self, machine: Machine, here: RemotePath, open_session: Callable[..., Awaitable[Session]]
    ) -> None:
        path = here.child("LabAgent.lock")
        hold = await (await open_session(machine)).hold(path)
        machine.cut()
        other = await open_session(machine)

        async def taken() -> bool:
            try:
                await (await other.hold(path)).close()
            except ProblemError as error:
                assert error.problem.code == "push-in-progress"
                return False
            return True

        await until(machine, taken)
        await hold.close()
        assert machine.read(path.path) is None

    async def test_the_lock_goes_with_its_session(
        self, machine: Machine, here: RemotePath, open_session: Callable[..., Awaitable[Session]]
    ) -> None:
        path = here.child("LabAgent.lock")
        one = await open_session(machine)
        await one.hold(path)
        await one.close()
        other = await open_session(machine)
        await (await other.hold(path)).close()

    async def test_a_stale_lock_file_is_no_lock(self, machine: Machine, session: Session, here: RemotePath) -> None:
        path = here.child("LabAgent.lock")
        machine.write(path.path, b"left by a power cut")
        await (await session.hold(path)).close()
        assert machine.read(path.path) is None

    async def test_no_lock_without_its_folder(self, session: Session, here: RemotePath) -> None:
        assert await code_of(session.hold(here.child("missing").child("x.lock"))) == "path-not-found"
