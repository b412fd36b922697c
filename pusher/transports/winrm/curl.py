"""The target's curl.exe: the command lines that it is started by, and what its exit codes say. Pure.

Who runs it is ``copying``; what it is told on its standard input is ``together``'s.
Source: curl(1), "EXIT CODES", "--show-error".
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Self

from pusher.transports.winrm.shell import quoted

_MOST_SAID = 200


class Ending(Enum):
    """What an exit code of curl says about the copy."""

    DONE = "it was fetched"
    NOT_WRITTEN = "its file cannot be written"
    NO_WAY = "the target cannot fetch from here, or its curl cannot do what is asked"
    BROKEN = "it broke off on the way"
    FORGED = "another key than ours answered"


CURL: Mapping[int, tuple[Ending, str]] = {
    0: (Ending.DONE, "it was fetched"),
    1: (
        Ending.NOT_WRITTEN,
        "cmd could not open the file",
    ),  # cmd's, for a redirection it cannot do; curl's own (unsupported protocol) cannot happen
    2: (Ending.NO_WAY, "it could not be initialized: an option it does not know"),
    4: (Ending.NO_WAY, "something it was asked for is not built in"),  # pinning, in Windows' first ones
    5: (Ending.NO_WAY, "its proxy's name was not resolved"),
    6: (Ending.NO_WAY, "our address was not resolved"),
    7: (Ending.NO_WAY, "it could not connect"),
    18: (Ending.BROKEN, "only a part of the file came"),
    22: (Ending.NO_WAY, "we refused the request: it came from another address than the target's"),
    23: (Ending.NOT_WRITTEN, "the file could not be written"),
    28: (Ending.BROKEN, "it took too long, or less than a byte a second came"),
    35: (Ending.NO_WAY, "TLS was not agreed on"),
    43: (Ending.NO_WAY, "a bad argument of a function"),
    45: (Ending.NO_WAY, "an interface that it was to use failed"),
    48: (Ending.NO_WAY, "an option it does not know"),
    52: (Ending.BROKEN, "nothing was answered"),
    55: (Ending.BROKEN, "sending failed"),
    56: (Ending.BROKEN, "receiving failed"),
    58: (Ending.NO_WAY, "its own certificate failed"),
    59: (Ending.NO_WAY, "a cipher it does not have"),
    60: (Ending.NO_WAY, "our certificate was not believed, though it was told not to look at it"),
    63: (Ending.FORGED, "what came is longer than the payload"),
    77: (Ending.NO_WAY, "its list of authorities could not be read"),
    90: (Ending.FORGED, "the pinned key did not match"),
}
"""Exit codes, and why. Any other: as NO_WAY. Before anything was asked of us, BROKEN means NO_WAY."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How curl ended with one file, and why, in words for a person."""

    ending: Ending
    reason: str

    @classmethod
    def of(cls, code: int, said: bytes, *, asked_for: bool, url: str) -> Self:
        """By its exit code, in the light of what it asked of us; ``said``: its standard error, which is a stranger's.

        ``url`` is kept out of the words: whoever has it may ask for the file.
        """
        ending, words = CURL.get(code, (Ending.NO_WAY, "an exit code that curl's manual does not list"))
        if asked_for:
            ending = Ending.BROKEN if ending is Ending.NO_WAY else ending
        else:
            # Wine's cmd ends with 0 where it cannot redirect, and has not started curl then.
            ending = {Ending.DONE: Ending.NOT_WRITTEN, Ending.BROKEN: Ending.NO_WAY}.get(ending, ending)
        own = _shown(said, url)
        return cls(ending=ending, reason=f"exit code {code}, {words}" + (f"; {own}" if own else ""))


def _shown(said: bytes, url: str) -> str:
    """What it said as one line that no terminal obeys."""
    path = url.rpartition("/")[2]
    text = "".join(
        sign if sign.isprintable() and unicodedata.category(sign) != "Cf" else " "
        for sign in said.decode("utf-8", "replace")
    )
    line = " ".join(text.replace(path, "…").split() if path else text.split())
    return line if len(line) <= _MOST_SAID else line[: _MOST_SAID - 1] + "…"


def fetch_line(curl: str, url: str, pin: str, size: int, stall: float, there: str) -> str:
    """The command line. The file is opened by cmd: curl's own ``--output`` knows only the ANSI code page's names.

    ``--insecure`` leaves out what the pin replaces: the issuer, the name and the dates of a key made a while ago.
    """
    return f"{_fetching(curl, pin, size, stall, 'https')} {url} >{quoted(there)}"


def fetches_line(curl: str, pin: str, size: int, stall: float) -> str:
    """The command line that fetches and shows what it is told by its input; ``size`` is the largest file's.

    ``--globoff``: a ``#1`` in a file's name is none of curl's variables.
    """
    return f"{_fetching(curl, pin, size, stall, 'https,file')} --globoff --config -"


def reads_line(curl: str) -> str:
    """The command line that shows the files it is told by its input."""
    return f"@{quoted(curl)} -q --silent --proto =file --globoff --config -"


def _fetching(curl: str, pin: str, size: int, stall: float, schemes: str) -> str:
    patience = max(1, int(stall))
    return (
        f"@{quoted(curl)} -q --silent --show-error --fail --insecure --pinnedpubkey {pin} --proto ={schemes} "
        f"--noproxy {quoted('*')} --connect-timeout {max(1, patience * 2 // 3)} --speed-limit 1 "
        f"--speed-time {patience} --max-filesize {max(1, size)}"
    )
