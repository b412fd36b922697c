"""Many files in few commands: what ``files`` does one by one, for those of a package. Blocking, one thread at a time.

A command costs the target a process or two and us some messages, whatever it does: for small files that is nearly all
of it. What an answer for many does not prove of a file is asked, or done, for that file alone, as ``files`` does it;
so all that can go wrong has its words there, and nothing of a batch has to be judged.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from pusher.problems import ProblemError
from pusher.remote.images import FileDigest
from pusher.remote.paths import RemotePath
from pusher.transports.codes import Operation
from pusher.transports.port import CheckCancelled, NewFile, Renaming, never_cancelled
from pusher.transports.winrm.faults import guarded
from pusher.transports.winrm.files import Files
from pusher.transports.winrm.shell import LONGEST, quoted
from pusher.transports.winrm.together import SMALLER, batches

FEW = 9
"""Messages that the commands about many take: fewer files than that are renamed or removed by a call each."""
_MOST_SAID = 64 * 1024
_SUFFIX = re.compile(r"\.[A-Za-z0-9.-]+")
_EMPTY = hashlib.sha256(b"").hexdigest()


class ManyFiles:
    """The calls about many files of one session; raises ProblemError only."""

    def __init__(self, files: Files) -> None:
        self._files = files

    @property
    def go_together(self) -> bool:
        """Whether files that are put together may get there by other means than alone."""
        return self._files.copier.goes_together

    def put(
        self, files: Sequence[NewFile], made: Callable[[int], None], check_cancelled: CheckCancelled = never_cancelled
    ) -> list[NewFile]:
        """Write and prove those that go together; the others are left to be put alone."""

        def work() -> list[NewFile]:
            places = {there: file for file in files if (there := self._place(file.path)) is not None}
            proven = set[str]()
            for batch in batches({there: len(file.data) for there, file in places.items()}):
                self._files.refuse_lost()
                check_cancelled()
                data = {there: places[there].data for there in batch}
                proven |= self._files.copier.copy_together(data, made, self._files.keep, check_cancelled)
                empty = [there for there in batch if not data[there]]
                made(0)
                proven |= {there for there, size in self._sizes(empty).items() if size == 0}
            # What was sent is there; it has to be what was to come, too.
            other = {t for t in proven if hashlib.sha256(places[t].data).hexdigest() != places[t].sha256}
            made(-sum(len(places[there].data) for there in other))
            proven -= other
            return [file for file in files if self._place(file.path) not in proven]

        return guarded(Operation.FILE, work, "many files")

    def digests(
        self, limits: Mapping[RemotePath, int | None], made: Callable[[int], None]
    ) -> dict[RemotePath, FileDigest | None]:
        """As ``Files.digest`` of each; of those without a limit size and version alone.

        Of very small files the target shows what is in them, which is less to do than to hash it; others it hashes.
        """

        def living() -> None:
            made(0)
            self._files.keep()

        def asked() -> dict[RemotePath, FileDigest | None]:
            found = dict[RemotePath, FileDigest | None]()
            for path in limits:
                found[path] = self._files.unhashed(path)
                living()
            return found

        found = guarded(Operation.FILE, asked, "many files")
        paths = {self._files.place(path): path for path, digest in found.items() if _is_hashed(digest, limits[path])}
        sizes = {there: digest.size for there, path in paths.items() if (digest := found[path]) is not None}
        hashes = {there: _EMPTY for there, size in sizes.items() if size == 0}
        hashes |= guarded(Operation.FILE, lambda: self._shown(_without(hashes, sizes), made), "many files")
        hashes |= guarded(
            Operation.FILE, lambda: self._files.hashes(_quotable(_without(hashes, sizes)), living), "many files"
        )
        for there, path in paths.items():
            known, limit = found[path], limits[path]
            if there in hashes and known is not None:
                found[path] = replace(known, sha256=hashes[there])
            else:  # alone it says why
                found[path] = self._files.digest(path, limit or 0, made)
        return found

    def _shown(self, sizes: Mapping[str, int], made: Callable[[int], None]) -> dict[str, str]:
        """The hashes of what very small files show."""
        found = dict[str, str]()
        for batch in batches(sizes, SMALLER):
            shown = self._files.copier.read_together({there: sizes[there] for there in batch}, made, self._files.keep)
            found |= {there: hashlib.sha256(data).hexdigest() for there, data in shown.items()}
        return found

    def taken(self, paths: Sequence[RemotePath]) -> frozenset[RemotePath]:
        """Which of these names something has."""

        def work() -> frozenset[RemotePath]:
            places = {self._files.place(path): path for path in paths}
            sizes = self._sizes(list(places))
            return frozenset(path for there, path in places.items() if self._is_there(there, path, sizes))

        return guarded(Operation.FILE, work, "many files")

    def rename(self, renames: Sequence[Renaming]) -> list[Renaming]:
        """Make them in their order; those are returned that are not seen to have been made.

        It is seen before that the old name is a file's and the new one free, and afterwards that it is the other way
        round. ``ren`` itself fails where the new name is taken.
        """

        def work() -> list[Renaming]:
            made = set[Renaming]()
            for (suffix, adds), lot in groupby(renames, _suffix):
                stems = {there: renaming for renaming in lot if (there := self._stem(renaming, suffix, adds))}
                ways = _ADDING if adds else _TAKING
                may_be = self._said(list(stems), ways.may_be.format(suffix=suffix))
                self._files.refuse_lost()
                self._said(may_be, ways.make.format(suffix=suffix))
                made |= {stems[there] for there in self._said(may_be, ways.is_made.format(suffix=suffix))}
            return [renaming for renaming in renames if renaming not in made]

        return guarded(Operation.FILE, work, "many files")

    def remove(self, paths: Sequence[RemotePath]) -> dict[RemotePath, bool]:
        """Remove files; those are left out that are not seen to be gone, and what is no file."""

        def work() -> dict[RemotePath, bool]:
            places = {place: path for path in paths if (place := self._place(path)) is not None}
            before = self._sizes(list(places)) if len(places) > 1 else {}
            files = [place for place, size in before.items() if size is not None and size >= 0]
            after = dict[str, int | None]()
            if len(files) >= FEW:
                self._files.refuse_lost()
                self._said(files, _REMOVE)
                after = self._sizes(files)
            done = {places[place]: False for place, size in before.items() if size is None}
            return done | {places[place]: True for place, size in after.items() if size is None}

        return guarded(Operation.FILE, work, "many files")

    def _stem(self, renaming: Renaming, suffix: str, adds: bool) -> str | None:
        """Where the one of the two names is that has no suffix; None where that cannot be said to cmd, or is none."""
        stem = renaming.path if adds else renaming.to
        there = self._place(stem) if suffix else None
        both = there is not None and self._place(stem.with_suffix(suffix)) == f"{there}{suffix}"
        return there if there is not None and both and _is_quotable(there) else None

    def _said(self, places: Sequence[str], does: str) -> list[str]:
        """Those places, in their order, of which a command says its sign, which stands for the ``@`` in ``does``."""
        found = set[str]()
        for line, sign in _fors(places, does):
            ran = self._files.run_line(line, keep=_MOST_SAID)
            found |= set(re.findall(rf"^{sign} \"(.+)\"\s*$", ran.stdout.decode("utf-8", "replace"), re.MULTILINE))
        return [place for place in places if place in found]

    def _is_there(self, there: str, path: RemotePath, sizes: Mapping[str, int | None]) -> bool:
        return sizes[there] is not None if there in sizes else self._files.stat(path) is not None

    def _place(self, path: RemotePath) -> str | None:
        try:
            return self._files.place(path)
        except ProblemError:
            return None  # the single way says why

    def _sizes(self, places: Sequence[str]) -> dict[str, int | None]:
        """Each file's size, -1 for a folder, None where nothing is; those are left out of which cmd said nothing."""
        found = dict[str, int | None]()
        for line, sign in _fors([there for there in places if _is_quotable(there)], _LOOK):
            ran = self._files.run_line(line, keep=_MOST_SAID)
            for size, marks, there in re.findall(
                rf"^{sign} (\d*) ([\w-]*) \"(.+)\"\s*$", ran.stdout.decode("utf-8", "replace"), re.MULTILINE
            ):
                found[there] = -1 if marks.startswith("d") else int(size) if size else None
        return found


def _is_hashed(found: FileDigest | None, limit: int | None) -> bool:
    return found is not None and limit is not None and found.size <= limit


def _without(known: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, int]:
    return {there: size for there, size in sizes.items() if there not in known}


def _quotable(sizes: Mapping[str, int]) -> dict[str, int]:
    return {there: size for there, size in sizes.items() if _is_quotable(there)}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ways:
    """How a kind of renaming is looked at and made; ``{suffix}`` is what the longer name has more."""

    may_be: str
    make: str
    is_made: str


_LOOK = "echo @ %~zi %~ai %i"
_REMOVE = 'if not exist "%~i\\*" del %i'
_ADDING = _Ways(
    may_be='if exist %i if not exist "%~i\\*" if not exist "%~i{suffix}" echo @ %i',
    make='ren %i "%~nxi{suffix}"',
    is_made='if exist "%~i{suffix}" if not exist %i echo @ %i',
)
_TAKING = _Ways(
    may_be='if exist "%~i{suffix}" if not exist "%~i{suffix}\\*" if not exist %i echo @ %i',
    make='ren "%~i{suffix}" "%~nxi"',
    is_made='if exist %i if not exist "%~i{suffix}" echo @ %i',
)
"""What ``for`` does with each path, which is quoted. A folder has something in it: ``.`` at least.

Each is one command: cmds differ in what belongs to a loop behind an ``&``.
"""


def _suffix(renaming: Renaming) -> tuple[str, bool]:
    """What one name has more than the other, and whether it is the new one; empty where that is not all."""
    path, to = renaming.path, renaming.to
    longer, shorter = (to, path) if len(to.path) > len(path.path) else (path, to)
    suffix = longer.path[len(shorter.path) :]
    is_all = longer.share == shorter.share and longer.path.startswith(shorter.path) and _SUFFIX.fullmatch(suffix)
    return (suffix if is_all else "", longer is to)


def _fors(places: Sequence[str], does: str) -> Iterator[tuple[str, str]]:
    """Command lines that do something with each path, and the sign that their answers begin with.

    A variable of ``for`` is put in when all signs of the line have been read: nothing in a name means anything.
    """
    sign = secrets.token_hex(8)
    head, tail = "@for %i in (", f") do @{does.replace('@', sign)}"
    line = ""
    for there in map(quoted, places):
        if line and len(head) + len(line) + len(there) + 1 + len(tail) > LONGEST:
            yield f"{head}{line}{tail}", sign
            line = ""
        line += f" {there}" if line else there
    if line:
        yield f"{head}{line}{tail}", sign


def _is_quotable(there: str) -> bool:
    try:
        quoted(there)
    except ProblemError:
        return False
    return True
