"""The outcomes that the store did not take, in a file of their own: a JSON object a line, as ``--json`` prints them.

What must not live here: where the store is, and who prints the ``closing_words``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from pusher.models import Outcome
from pusher.problems import Problem
from pusher.report.record import outcome_record, write_line
from pusher.report.text import number, visible
from pusher.report.views import outcome_line

_NAMED = 10


class Unstored:
    """Takes them one by one; ``folders`` are tried in their order, and what no file takes is ``told`` at once.

    A disk that is full for the store is full for a file beside it: then the next folder may be on another one.
    """

    def __init__(self, run: str, folders: Sequence[Path], told: Callable[[str], None]) -> None:
        self._name, self._folders, self._told = f"unstored-{run}.jsonl", list(folders), told
        self._first: list[str] = []
        self._why: Problem | None = None
        self.count = 0
        self.files: list[Path] = []
        self._descriptor: int | None = None

    def add(self, outcome: Outcome, why: Problem) -> None:
        """Never raises."""
        self.count += 1
        self._why = self._why or why
        if len(self._first) < _NAMED:
            self._first.append(outcome_line(outcome))
        line = io.StringIO()
        write_line(outcome_record(outcome), line)
        if not self._written(line.getvalue().encode()):
            self._told(line.getvalue().rstrip("\n"))

    def closing_words(self) -> list[str]:
        """What the operator has to know of it, a line each; none where all were stored."""
        if self._why is None:
            return []
        are = "outcome" if self.count == 1 else "outcomes"
        where = f"in {' and '.join(visible(str(file)) for file in self.files)}, one JSON object a line"
        place = where if self.files else "above, one JSON object a line: no file could be written either"
        words = [
            f"{number(self.count)} {are} could not be stored ({self._why.code}: {visible(self._why.message)}); "
            f"what they are is {place}. {self._why.remedy}",
            *(f"  {line}" for line in self._first),
        ]
        if self.count > len(self._first):
            words.append(f"  and {number(self.count - len(self._first))} more")
        return words

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _written(self, line: bytes) -> bool:
        while self._descriptor is not None or self._open_next():
            assert self._descriptor is not None
            before = os.lseek(self._descriptor, 0, os.SEEK_END)
            with suppress(OSError):
                if os.write(self._descriptor, line) == len(line):
                    return True
            with suppress(OSError):
                os.ftruncate(self._descriptor, before)  # half a line is no line
            self.close()
            if before == 0:
                with suppress(OSError):
                    self.files.pop().unlink()
        return False

    def _open_next(self) -> bool:
        while self._folders:
            path = self._folders.pop(0) / self._name
            with suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                # Made anew, and by nobody else: a folder for all may hold a link of that name already.
                self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
                self.files.append(path)
                return True
        return False
