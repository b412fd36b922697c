"""WinRS: command lines run by the target's cmd, and what is safe to say to it.

One shell a session, made when it is first needed. What a command says is bytes of a stranger: bounded, and judged by
exit code or by what no language changes. No secret is ever part of a command line: the target's process list shows it.
Blocking, one thread at a time; exceptions are the libraries' own (see ``faults``).
Sources: MS-WSMV 2.2.4 (rsp), 3.1.4.1.31 and on (Command, Receive, Send, Signal); cmd /? for the quoting.
"""

from __future__ import annotations

import base64
import contextlib
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from pypsrp.exceptions import WSManFaultError
from pypsrp.wsman import NAMESPACES

from pusher.problems import Code, ProblemError
from pusher.transports.codes import Operation, of
from pusher.transports.winrm.cim import StrangeValueError
from pusher.transports.winrm.client import CMD_SHELL
from pusher.transports.winrm.faults import NOTHING_YET, SHELL_GONE, fault_number

IDLE = 60.0
"""Seconds without a request after which the target ends a shell and all it runs: 60 is the least that WinRM takes."""

_RSP, _WSMAN = NAMESPACES["rsp"], NAMESPACES["wsman"]
_DONE = "/CommandState/Done"
_TERMINATE = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/Terminate"
_OPTIONS = {
    # Not a console but a pipe: its end can then be told to the command.
    "WINRS_CONSOLEMODE_STDIN": "FALSE",
    "WINRS_SKIP_CMD_SHELL": "FALSE",
}
LONGEST = 8000
"""cmd takes 8191 characters; the rest is for ``cmd.exe /c`` and its like."""
_MOST_ENDED = 10
"""Commands of a shell, after which it is made anew: less has to be asked than to have each of them forgotten.

Old systems let a shell have 15 processes (MaxProcessesPerShell), to which those that ended may count.
"""
_MOST_ID = 256
_DROP, _DROPS, _PAUSE = 1024, 2, 0.05
"""Who says a little at a time, more often than this, is asked again after so many seconds: each line would be an answer
of its own."""
_ENDS = 2.0
"""Seconds within which a command that took no more input is seen to have ended, where it has."""
_PIECE = 32 * 1024
"""Bytes of input in one message, which old services bound to 150 KB."""

Names = Mapping[str, str]


class Service(Protocol):
    """What a shell asks of ``client.Client``."""

    def create(self, uri: str, resource: ET.Element, options: Names | None = None) -> ET.Element: ...

    def command(self, uri: str, resource: ET.Element, shell: Names, options: Names | None = None) -> ET.Element: ...

    def send(self, uri: str, resource: ET.Element, shell: Names, seconds: float | None = None) -> ET.Element: ...

    def receive(self, uri: str, resource: ET.Element, shell: Names, seconds: float | None = None) -> ET.Element: ...

    def signal(self, uri: str, resource: ET.Element, shell: Names) -> ET.Element: ...

    def delete(self, uri: str, shell: Names) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    """How a command ended; of its output what was asked to be kept."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class StillRunningError(TimeoutError):
    """The command has not ended within its time; it may go on."""


class EndCommandError(Exception):
    """Raised by who is told of a command's answers, to have the command ended."""


class Kept:
    """The first or the last bytes of a stream."""

    def __init__(self, most: int, last: bool = False) -> None:
        self._most, self._last = most, last
        self.data = bytearray()

    def add(self, part: bytes) -> None:
        if not self._last:
            self.data += part[: self._most - len(self.data)]
            return
        self.data += part
        del self.data[: max(0, len(self.data) - self._most)]


class Command:
    """A command line that was started. ``done`` once it has ended and all it said has come."""

    def __init__(self, service: Service, shell: Names, identifier: str, stdout: Kept) -> None:
        self._service, self._shell, self._id = service, shell, identifier
        self.stdout, self.stderr = stdout, Kept(4096)
        self.done = False
        self.came = 0
        """Bytes of output that the last answer brought."""
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int:
        if self._exit_code is None:
            raise StrangeValueError("a command ended without an exit code")
        return self._exit_code

    def receive(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for output or the end; False where neither came."""
        ask = ET.Element(f"{{{_RSP}}}Receive")
        ET.SubElement(ask, f"{{{_RSP}}}DesiredStream", CommandId=self._id).text = "stdout stderr"
        try:
            body = self._service.receive(CMD_SHELL, ask, self._shell, seconds)
        except WSManFaultError as error:
            if fault_number(error) != NOTHING_YET:
                raise
            return False
        self.came = 0
        for stream in body.iter(f"{{{_RSP}}}Stream"):
            kept = {"stdout": self.stdout, "stderr": self.stderr}.get(stream.get("Name", ""))
            if kept is not None and stream.text:
                part = base64.b64decode(stream.text)
                kept.add(part)
                self.came += len(part)
        for state in body.iter(f"{{{_RSP}}}CommandState"):
            if state.get("State", "").endswith(_DONE):
                self.done = True
                self._exit_code = _dword(state.findtext(f"{{{_RSP}}}ExitCode"))
        return True

    def end_input(self, last: bytes = b"") -> None:
        """Give the command its input and tell it that no more will come."""
        for at in range(0, max(1, len(last)), _PIECE):
            send = ET.Element(f"{{{_RSP}}}Send")
            stream = ET.SubElement(send, f"{{{_RSP}}}Stream", Name="stdin", CommandId=self._id)
            if last:
                stream.text = base64.b64encode(last[at : at + _PIECE]).decode("ascii")
            if at + _PIECE >= len(last):
                stream.set("End", "true")
            self._service.send(CMD_SHELL, send, self._shell)

    def terminate(self) -> None:
        """End it. One that has ended need not be: the service keeps it, and forgets it with its shell."""
        signal = ET.Element(f"{{{_RSP}}}Signal", CommandId=self._id)
        ET.SubElement(signal, f"{{{_RSP}}}Code").text = _TERMINATE
        with contextlib.suppress(WSManFaultError):
            self._service.signal(CMD_SHELL, signal, self._shell)


class Shell:
    """A cmd shell on the target, made at its first command and made anew where the target has ended it.

    ``idle``: how long it lives without a request; nobody else can end it once this process is gone. ``poll``: how
    long one Receive waits, well within the idle time.
    """

    def __init__(self, service: Service, idle: float = IDLE, poll: float = 10.0) -> None:
        self._service, self.idle = service, idle
        self.poll = min(poll, idle / 3)
        self._shell: Names | None = None
        self._ended = 0
        """How many commands of it have ended, which it keeps."""

    def run(
        self,
        line: str,
        *,
        keep: int = 64 * 1024,
        last: bool = False,
        limit: float | None = None,
        made: Callable[[], object] = lambda: None,
        stdin: bytes | None = None,
        stdout: Kept | None = None,
    ) -> Ran:
        """Run ``line`` to its end; ``keep`` bytes of what it says are kept, the first or the last ones.

        ``made`` is called whenever the target has answered; what it raises is raised, and an EndCommandError ends the
        command first. StillRunningError after ``limit`` seconds. ``stdin``: all
        the input that it gets. ``stdout``: who wants to see what has come so far keeps it himself.
        """
        until = None if limit is None else time.monotonic() + limit
        command = self.start(line, stdout or Kept(keep, last))
        if stdin is not None:
            self._feed(command, stdin)
        drops = 0
        while not command.done:
            if drops > _DROPS:
                time.sleep(_PAUSE)
            left = self.poll if until is None else until - time.monotonic()
            if left < 0:
                raise StillRunningError
            drops = drops + 1 if command.receive(min(self.poll, left)) and command.came < _DROP else 0
            try:
                made()
            except EndCommandError:
                command.terminate()
                raise
        self._ended += 1
        if self._ended >= _MOST_ENDED:
            self.close()
        return Ran(exit_code=command.exit_code, stdout=bytes(command.stdout.data), stderr=bytes(command.stderr.data))

    def _feed(self, command: Command, stdin: bytes) -> None:
        """Give it all of its input. One that has ended takes none any more: how it ended is what matters then.

        Of any other fault the command knows nothing, and would wait for the rest: it is ended.
        """
        try:
            command.end_input(stdin)
        except WSManFaultError:
            until = time.monotonic() + _ENDS
            while not command.done and time.monotonic() < until and command.receive(_ENDS):
                pass
            if not command.done:
                command.terminate()
                raise

    def start(self, line: str, stdout: Kept | None = None) -> Command:
        """Start ``line`` and leave it running."""
        if len(line) > LONGEST or not line.isprintable():
            raise ProblemError(of(Code.PROTOCOL_ERROR, Operation.FILE, "a command line that cmd would not take"))
        if line.startswith('"'):
            raise ValueError("cmd /c takes the quotes away from a line that begins with one")
        ask = ET.Element(f"{{{_RSP}}}CommandLine")
        ET.SubElement(ask, f"{{{_RSP}}}Command").text = line
        shell = self._shell or self._open()
        try:
            body = self._service.command(CMD_SHELL, ask, shell, _OPTIONS)
        except WSManFaultError as error:
            if fault_number(error) != SHELL_GONE:
                raise
            # It was not started: the shell had been idle for too long, or somebody restarted WinRM.
            shell = self._open()
            body = self._service.command(CMD_SHELL, ask, shell, _OPTIONS)
        return Command(self._service, shell, _word(body, f"{{{_RSP}}}CommandId"), stdout or Kept(4096))

    def close(self) -> None:
        """Delete the shell and, with it, what still runs in it. Raises where the target does not answer."""
        shell, self._shell, self._ended = self._shell, None, 0
        if shell is None:
            return
        with contextlib.suppress(WSManFaultError):
            self._service.delete(CMD_SHELL, shell)

    def _open(self) -> Names:
        ask = ET.Element(f"{{{_RSP}}}Shell")
        ET.SubElement(ask, f"{{{_RSP}}}IdleTimeOut").text = f"PT{self.idle:.3f}S"
        ET.SubElement(ask, f"{{{_RSP}}}InputStreams").text = "stdin"
        ET.SubElement(ask, f"{{{_RSP}}}OutputStreams").text = "stdout stderr"
        # UTF-8, whatever the machine's language.
        body = self._service.create(CMD_SHELL, ask, {"WINRS_CODEPAGE": "65001"})
        for selector in body.iter(f"{{{_WSMAN}}}Selector"):
            if selector.get("Name") == "ShellId" and selector.text and len(selector.text) <= _MOST_ID:
                self._shell = {"ShellId": selector.text}
                return self._shell
        raise StrangeValueError("a shell without an identifier")


def quoted(path: str) -> str:
    """``path`` between quotes, where cmd takes it literally.

    Inside quotes only ``%`` (and ``!``, where a policy turns delayed expansion on) means anything to cmd, and nothing
    can take that meaning away on a command line: a path with one of them cannot be said.
    """
    if not path.isprintable() or any(sign in path for sign in '"%!'):
        raise ProblemError(of(Code.PATH_NOT_FOUND, Operation.FILE, f"{path!r} cannot be said to cmd"))
    return f'"{path}"'


def program_line(command: str) -> str:
    """A program's command line as one to give to cmd: its signs mean nothing, environment names are expanded.

    cmd waits for the program's end, with a window or without, since it is all it was told to do (``/c``).
    """
    out, inside = ["@"], False
    for sign in command.lstrip(" @"):
        inside ^= sign == '"'
        out.append(f"^{sign}" if not inside and sign in "&|<>^" else sign)
    return "".join(out)


def _word(body: ET.Element, tag: str) -> str:
    found = next(body.iter(tag), None)
    text = (found.text or "") if found is not None else ""
    if not 0 < len(text) <= _MOST_ID:
        raise StrangeValueError(f"no {tag.rpartition('}')[2]}")
    return text


def _dword(text: str | None) -> int | None:
    """An exit code as Windows keeps it: unsigned. The service writes some of them with a sign."""
    if text is None:
        return None
    digits = text.strip()
    if len(digits) > 11 or not digits.removeprefix("-").isdecimal() or not digits.isascii():
        raise StrangeValueError(f"the exit code {digits[:20]!r}")
    return int(digits) & 0xFFFFFFFF
