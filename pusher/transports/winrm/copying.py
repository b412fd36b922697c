"""How a payload gets to the target: fetched by its own curl, or sent through WinRM. Blocking, one thread at a time.

First choice: the target's curl.exe (part of Windows since 1803) fetches it from the content endpoint, whose key it is
told here, over the authenticated session. What curl wrote is proven by size here and by hash by who asked for the
copy, so that even a curl too old to check a pin (Schannel before 7.58) cannot bring in anything else.
Small files go together: one run of curl for many of them (``together``). Where one of them is not proven by what comes
back, nothing is concluded: it is copied alone, which finds out why.
Last resort, and then for the rest of the session: PowerShell remoting, with the script that pypsrp's own
``Client.copy`` sends; ten times slower.
Sources: curl(1), "EXIT CODES"; MS-PSRP.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from enum import Enum
from functools import cached_property

from pypsrp._utils import get_pwsh_script
from pypsrp.exceptions import WSManFaultError
from pypsrp.powershell import PowerShell, RunspacePool

from pusher.problems import Code, ProblemError
from pusher.transports.codes import Operation, of
from pusher.transports.port import Limits
from pusher.transports.winrm.cim import StrangeValueError
from pusher.transports.winrm.client import Client
from pusher.transports.winrm.content import ContentServer, Offer
from pusher.transports.winrm.facts import Folders
from pusher.transports.winrm.shell import IDLE, Kept, Shell, quoted
from pusher.transports.winrm.together import Run


class Ending(Enum):
    """What an exit code of curl says about the copy."""

    DONE = "it was fetched"
    NOT_WRITTEN = "its file cannot be written"
    NO_WAY = "the target cannot fetch from here, or its curl cannot do what is asked"
    BROKEN = "it broke off on the way"
    FORGED = "another key than ours answered"


CURL: Mapping[int, Ending] = {
    0: Ending.DONE,
    1: Ending.NOT_WRITTEN,  # cmd's, for a redirection it cannot do; curl's own (unsupported protocol) cannot happen
    2: Ending.NO_WAY,  # failed to initialize: an option it does not know
    4: Ending.NO_WAY,  # not built in: pinning, in Windows' first ones
    5: Ending.NO_WAY,  # proxy
    6: Ending.NO_WAY,  # host
    7: Ending.NO_WAY,  # connection refused, no route
    18: Ending.BROKEN,  # partial file
    22: Ending.NO_WAY,  # HTTP status: we see another address than the target's
    23: Ending.NOT_WRITTEN,
    28: Ending.BROKEN,  # time out, or slower than a byte a second
    35: Ending.NO_WAY,  # TLS handshake
    43: Ending.NO_WAY,  # bad function argument
    45: Ending.NO_WAY,  # interface
    48: Ending.NO_WAY,  # unknown option
    52: Ending.BROKEN,  # empty answer
    55: Ending.BROKEN,
    56: Ending.BROKEN,
    58: Ending.NO_WAY,
    59: Ending.NO_WAY,  # cipher
    60: Ending.NO_WAY,  # certificate, though told not to look at it
    63: Ending.FORGED,  # longer than the payload
    77: Ending.NO_WAY,
    90: Ending.FORGED,  # the pinned key did not match
}
"""Any other: as NO_WAY. Before anything was asked of us, BROKEN means NO_WAY."""


_BY_CURL = "curl.exe of the target, which fetched it from here"


class Copier:
    """Copies for one session; it remembers which way works."""

    def __init__(
        self,
        client: Client,
        shell: Shell,
        folders: Folders,
        content: ContentServer | None,
        limits: Limits,
        exists: Callable[[str], bool],
    ) -> None:
        self._exists = exists
        self._client, self._shell, self._content, self._limits = client, shell, content, limits
        self.curl = f"{folders.windows}\\System32\\curl.exe"
        self._fetches = content is not None
        self._shows = True
        self.way = ""
        """How the last file came there, in words; empty before the first one."""

    def copy(self, there: str, data: memoryview, moved: Callable[[int], None], keep: Callable[[], None]) -> bool:
        """Have ``data`` in the file at ``there``; False where that file cannot be written.

        ``moved`` is told of the bytes that go out, and of 0 where nothing can be moving; ``keep`` is called now and
        then, between two messages.
        """
        if self._fetches and self._content is not None and self.has_curl:
            ending = self._fetch(self._content, there, data, moved, keep)
            if ending is Ending.FORGED:
                raise ProblemError(
                    of(Code.TAMPERED, Operation.FILE, f"{ending.value} at the content endpoint's address")
                )
            if ending is Ending.BROKEN:
                raise ProblemError(of(Code.TRANSFER_STALLED, Operation.FILE, f"{there}: {ending.value}"))
            if ending is not Ending.NO_WAY:
                self.way = _BY_CURL
                return ending is Ending.DONE
            self._fetches = False
        why = "it cannot fetch from here" if self._content is not None and self.has_curl else "it has no curl.exe"
        self.way = f"PowerShell remoting, some ten times slower than curl.exe: {why}"
        return self._send(there, data, moved, keep)

    @property
    def goes_together(self) -> bool:
        """Whether a file has been fetched, so that others may be by one run; not where what curl shows is of no use."""
        return self.way == _BY_CURL and self._shows

    def copy_together(
        self, files: Mapping[str, memoryview], moved: Callable[[int], None], keep: Callable[[], None]
    ) -> set[str]:
        """Have small files there, by their places; those that are proven to be, byte for byte. The rest may be."""
        if not self.goes_together or self._content is None:
            return set()
        with ExitStack() as stack:
            offers = dict[str, Offer]()
            for there, data in files.items():
                try:
                    offer = self._content.offer(data, self._client.address, moved, local=self._client.local_address)
                except OSError:
                    return set()
                offers[there] = stack.enter_context(offer)
            sizes = [len(data) for data in files.values()]
            run = Run(fetches={offer.url: there for there, offer in offers.items()}, reads=list(files), most=sum(sizes))
            pin = next(iter(offers.values())).pin
            line = fetches_line(self.curl, pin, max(sizes), self._limits.stall)
            shown = self._run(run, line, lambda: all(offer.complete for offer in offers.values()), moved, keep)
            # An empty file and one that is not there look alike, but one was fetched.
            proven = {
                there
                for there, data in files.items()
                if offers[there].complete and len(data) > 0 and bytes(data) == shown.get(there)
            }
        # Where nothing of what has arrived comes back as it is, it will not next time either.
        self._shows = bool(proven) or not any(offers[there].complete and data for there, data in files.items())
        return proven

    def read_together(
        self, sizes: Mapping[str, int], moved: Callable[[int], None], keep: Callable[[], None]
    ) -> dict[str, bytes]:
        """What is in small files, by their places; those are left out for which curl has not shown that much."""
        if not self.has_curl or not self._shows:
            return {}
        run = Run(reads=list(sizes), most=sum(sizes.values()))
        shown = self._run(run, reads_line(self.curl), lambda: True, moved, keep)
        found = {there: data for there, data in shown.items() if len(data) == sizes[there] > 0}
        self._shows = bool(found)
        return found

    def _run(
        self,
        run: Run,
        line: str,
        is_out: Callable[[], bool],
        moved: Callable[[int], None],
        keep: Callable[[], None],
    ) -> dict[str, bytes]:
        """Have curl do it. While it shows something it is at work; ``is_out`` as in ``_patience``."""
        said = Kept(run.room)
        patience, seen = self._patience(is_out, moved, keep), 0

        def answered() -> None:
            nonlocal seen, patience
            if len(said.data) > seen:  # it is at work: the time that it may need with one file begins anew
                seen, patience = len(said.data), self._patience(is_out, moved, keep)
                moved(0)
            patience()

        try:
            self._shell.run(line, stdin=run.config, stdout=said, made=answered)
        except (WSManFaultError, StrangeValueError):
            return {}
        return run.read(bytes(said.data))

    @cached_property
    def has_curl(self) -> bool:
        """Whether the target has it; asked once."""
        return self._exists(self.curl)

    def _fetch(
        self,
        content: ContentServer,
        there: str,
        data: memoryview,
        moved: Callable[[int], None],
        keep: Callable[[], None],
    ) -> Ending:
        try:
            offer = content.offer(data, self._client.address, moved, local=self._client.local_address)
        except OSError:
            return Ending.NO_WAY  # the port is taken, say
        with offer:
            line = fetch_line(self.curl, offer.url, offer.pin, len(data), self._limits.stall, there)
            answered = self._patience(lambda: offer.complete, moved, keep)
            return judged(self._shell.run(line, made=answered).exit_code, offer)

    def _patience(
        self, is_out: Callable[[], bool], moved: Callable[[int], None], keep: Callable[[], None]
    ) -> Callable[[], None]:
        """To be called at each answer of the target. ``is_out``: whether all that it waits for has left here.

        That nothing moves is for the stall's time limit to end. But once all is out, the target may be busy with it
        for a while: writing it to disk, or having it looked at by a virus scanner.
        """
        polls = 0

        def answered() -> None:
            nonlocal polls
            keep()
            out = is_out()
            polls += out
            if out and polls * self._shell.poll < self._limits.call:
                moved(0)

        return answered

    def _send(self, there: str, data: memoryview, moved: Callable[[int], None], keep: Callable[[], None]) -> bool:
        """By PSRP. False where PowerShell says it cannot; what it says is in the machine's language."""
        wsman = self._client.wsman

        def sent(count: int) -> None:
            moved(count)
            keep()

        moved(0)  # the time that curl took to find no way is over
        with RunspacePool(wsman, idle_timeout=int(IDLE)) as pool:
            moved(0)  # nor is PowerShell's own start, which takes seconds, a copy that stands still
            # What a fragment's headers and base64 leave of an envelope.
            size = int((wsman.max_payload_size - 82) / 4 * 3)
            shell = PowerShell(pool)
            shell.add_script(get_pwsh_script("copy.ps1")).add_argument(there).add_argument(False)
            shell.invoke(input=_pieces(data, size, sent))
            return not shell.had_errors


def judged(code: int, offer: Offer) -> Ending:
    """What curl's exit code means, in the light of what it asked of us."""
    ending = CURL.get(code, Ending.NO_WAY)
    if not offer.asked_for:
        # Wine's cmd ends with 0 where it cannot redirect, and has not started curl then.
        return {Ending.DONE: Ending.NOT_WRITTEN, Ending.BROKEN: Ending.NO_WAY}.get(ending, ending)
    return Ending.BROKEN if ending is Ending.NO_WAY else ending


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
        f"@{quoted(curl)} -q --silent --fail --insecure --pinnedpubkey {pin} --proto ={schemes} "
        f"--noproxy {quoted('*')} --connect-timeout {max(1, patience * 2 // 3)} --speed-limit 1 "
        f"--speed-time {patience} --max-filesize {max(1, size)}"
    )


def _pieces(data: memoryview, size: int, moved: Callable[[int], None]) -> Iterator[list[str]]:
    """What copy.ps1 reads: base64 of each piece, and after the last one that of the SHA-1 in hexadecimal.

    The script has the whole proven by SHA-1, against accidents; who asked for the copy proves it by SHA-256.
    """
    proof = base64.b64encode(hashlib.sha1(data, usedforsecurity=False).hexdigest().encode()).decode()
    if not data:
        yield ["", proof]
        return
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        last = at + size >= len(data)
        yield [base64.b64encode(piece).decode(), *([proof] if last else [])]
        moved(len(piece))  # the next one is asked for when this one has been sent
