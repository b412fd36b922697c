"""Many small files by one run of the target's curl: fetched one after the other, and read back by the same run.

curl is told the files by ``--config -`` on its standard input, which comes over the authenticated session: a command
line has room for few of them, and cmd has its own idea of ``%``, ``&`` and ``^``. What it reads back goes to its
standard output, and after each file a sign that was made up for this run; so what is in a file, and how it ended, can
be taken for nothing else. Exit codes are not looked at: curl's is that of its last file alone.

Here is what curl is told and how its output is read; pure. Who runs it is ``copying``.
Sources: curl(1), "--config", "--output", "--write-out", "--globoff".
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

SMALL = 256 * 1024
"""Bytes: a larger file is fetched by a command of its own, whose cost is then little beside its own."""
SMALLER = 8 * 1024
"""Bytes: a larger file is hashed by the target: starting its certutil costs less than reading the file back."""
MOST_FILES, MOST_BYTES = 100, 4 * 1024 * 1024
"""Of one run. What is read back travels through WinRM, some megabytes a second."""
_SPARE = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """What one run of curl is asked for: ``fetches`` are URLs and where each goes, ``reads`` the files to be shown.

    Places are absolute paths in ASCII (see ``is_sayable``). ``most`` is how many bytes the files may hold in all.
    """

    fetches: Mapping[str, str] = field(default_factory=dict)
    reads: Sequence[str]
    most: int
    sign: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def config(self) -> bytes:
        """For curl's standard input. The n-th output is the n-th URL's; a URL without one is shown."""
        lines = [f"write-out = {_quoted(self.sign)}"]
        for url, there in self.fetches.items():
            lines += [f"url = {_quoted(url)}", f"output = {_quoted(there)}"]
        lines += [f"url = {_quoted(_file_url(there))}" for there in self.reads]
        return "".join(f"{line}\n" for line in lines).encode("ascii")

    @property
    def room(self) -> int:
        """How many bytes of curl's output are kept. A file that could not be fetched may be longer than it is to be."""
        return self.most + (len(self.fetches) + len(self.reads)) * len(self.sign) + _SPARE

    def read(self, said: bytes) -> dict[str, bytes]:
        """What is in each file; an empty one and one that is not there look alike. Empty where curl said less."""
        parts = said.split(self.sign.encode("ascii"))
        if len(parts) != len(self.fetches) + len(self.reads) + 1:
            return {}
        return dict(zip(self.reads, parts[len(self.fetches) :], strict=False))


def is_sayable(there: str) -> bool:
    """Whether curl takes the path for what it is: of other names than ASCII it knows the ANSI code page's only."""
    return there.isascii() and there.isprintable()


def batches(sizes: Mapping[str, int], largest: int = SMALL) -> Iterator[list[str]]:
    """The places of files of ``largest`` bytes at most, as many together as go into one run."""
    batch, filled = list[str](), 0
    for there, size in sizes.items():
        if size > largest or not is_sayable(there):
            continue
        if batch and (len(batch) == MOST_FILES or filled + size > MOST_BYTES):
            yield batch
            batch, filled = [], 0
        batch.append(there)
        filled += size
    if len(batch) > 1:  # one alone is done as any other
        yield batch


def _quoted(text: str) -> str:
    """A value of curl's configuration."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _file_url(there: str) -> str:
    return "file:///" + quote(there.replace("\\", "/"), safe="/:")
