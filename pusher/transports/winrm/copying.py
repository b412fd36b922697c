"""How a payload gets to the target: fetched by its own curl, or sent through WinRM. Blocking, one thread at a time.

First choice: the target's curl.exe (part of Windows since 1803) fetches it from the content endpoint, whose key it is
told here, over the authenticated session. What curl wrote is proven by size here and by hash by who asked for the
copy, so that even a curl too old to check a pin (Schannel before 7.58) cannot bring in anything else.
Small files go together: one run of curl for many of them (``together``). Where one of them is not proven by what comes
back, nothing is concluded: it is copied alone, which finds out why.
Last resort, and then for the rest of the session: PowerShell remoting, with the script that pypsrp's own
``Client.copy`` sends; ten times slower.
Source: MS-PSRP.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import cached_property

from pypsrp._utils import get_pwsh_script
from pypsrp.exceptions import WSManFaultError
from pypsrp.powershell import PowerShell, RunspacePool

from pusher.problems import Code, ProblemError
from pusher.transports.codes import Operation, of
from pusher.transports.port import CheckCancelled, Limits, never_cancelled
from pusher.transports.winrm.cim import StrangeValueError
from pusher.transports.winrm.client import Client
from pusher.transports.winrm.content import ContentServer, Offer
from pusher.transports.winrm.curl import Ended, Ending, fetch_line, fetches_line, reads_line
from pusher.transports.winrm.facts import Folders
from pusher.transports.winrm.shell import IDLE, EndCommandError, Kept, Shell
from pusher.transports.winrm.together import Run

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
        self._why = ""
        self.way = ""
        """How the last file came there, in words; empty before the first one."""

    def copy(self, there: str, data: memoryview, moved: Callable[[int], None], keep: Callable[[], None]) -> bool:
        """Have ``data`` in the file at ``there``; False where that file cannot be written.

        ``moved`` is told of the bytes that go out, and of 0 where nothing can be moving; ``keep`` is called now and
        then, between two messages.
        """
        if self._fetches and self._content is not None and self.has_curl:
            ended = self._fetch(self._content, there, data, moved, keep)
            if ended.ending is Ending.FORGED:
                where = "at the content endpoint's address"
                raise ProblemError(of(Code.TAMPERED, Operation.FILE, f"{Ending.FORGED.value} {where} ({ended.reason})"))
            if ended.ending is Ending.BROKEN:
                broken = f"{there}: {Ending.BROKEN.value} ({ended.reason})"
                raise ProblemError(of(Code.TRANSFER_STALLED, Operation.FILE, broken))
            if ended.ending is not Ending.NO_WAY:
                self.way = _BY_CURL
                return ended.ending is Ending.DONE
            self._fetches, self._why = False, f"it cannot fetch from here ({ended.reason})"
        why = self._why if self._content is not None and self.has_curl else "it has no curl.exe"
        self.way = f"PowerShell remoting, some ten times slower than curl.exe: {why}"
        return self._send(there, data, moved, keep)

    @property
    def goes_together(self) -> bool:
        """Whether a file has been fetched, so that others may be by one run; not where what curl shows is of no use."""
        return self.way == _BY_CURL and self._shows

    def copy_together(
        self,
        files: Mapping[str, memoryview],
        moved: Callable[[int], None],
        keep: Callable[[], None],
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> set[str]:
        """Have small files there, by their places; those that are proven to be, byte for byte. The rest may be.

        Of the rest nothing counts as moved: they have to be sent once more.
        """
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

            def is_out() -> bool:
                """Whether the target has all that it has come for, and so is busy with it."""
                asked_for = [offer for offer in offers.values() if offer.asked_for]
                return bool(asked_for) and all(offer.complete for offer in asked_for)

            shown = self._run(run, line, is_out, moved, keep, check_cancelled)
            if shown is None:
                moved(-sum(offer.sent for offer in offers.values()))
                return set()
            # An empty file and one that is not there look alike, but one was fetched.
            proven = {
                there
                for there, data in files.items()
                if offers[there].complete and len(data) > 0 and bytes(data) == shown.get(there)
            }
        moved(-sum(offer.sent for there, offer in offers.items() if there not in proven))
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
        if shown is None:
            return {}
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
        check_cancelled: CheckCancelled = never_cancelled,
    ) -> dict[str, bytes] | None:
        """Have curl do it. While it shows something it is at work; ``is_out`` as in ``_patience``.

        Where one file takes longer than a call may, such as one that a virus scanner holds, curl is ended: what it
        has to do goes alone then. None where it did not come to its end.
        """
        said = Kept(run.room)
        patience, seen = self._patience(is_out, moved, keep), 0

        def answered() -> None:
            nonlocal seen, patience
            try:
                check_cancelled()
            except ProblemError as error:
                raise EndCommandError from error
            if len(said.data) > seen:  # it is at work: the time that it may need with one file begins anew
                seen, patience = len(said.data), self._patience(is_out, moved, keep)
                moved(0)
            if not patience():
                raise EndCommandError

        try:
            self._shell.run(line, stdin=run.config, stdout=said, made=answered)
        except (WSManFaultError, StrangeValueError):
            return None
        except EndCommandError as error:
            if isinstance(error.__cause__, ProblemError):
                raise error.__cause__ from None
            return None
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
    ) -> Ended:
        try:
            offer = content.offer(data, self._client.address, moved, local=self._client.local_address)
        except OSError as error:
            return Ended(ending=Ending.NO_WAY, reason=str(error))  # the port is taken, say
        with offer:
            line = fetch_line(self.curl, offer.url, offer.pin, len(data), self._limits.stall, there)
            answered = self._patience(lambda: offer.complete, moved, keep)
            ran = self._shell.run(line, made=answered)
            return Ended.of(ran.exit_code, ran.stderr, asked_for=offer.asked_for, url=offer.url)

    def _patience(
        self, is_out: Callable[[], bool], moved: Callable[[int], None], keep: Callable[[], None]
    ) -> Callable[[], bool]:
        """To be called at each answer of the target. ``is_out``: whether all that it waits for has left here.

        That nothing moves is for the stall's time limit to end. But once all is out, the target may be busy with it
        for a while: writing it to disk, or having it looked at by a virus scanner. False where that while is over.
        """
        polls = 0

        def answered() -> bool:
            nonlocal polls
            keep()
            if not is_out():
                return True
            polls += 1
            if polls * self._shell.poll >= self._limits.call:
                return False
            moved(0)
            return True

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
