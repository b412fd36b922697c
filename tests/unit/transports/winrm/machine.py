"""A machine behind WS-Man, made of a dictionary: CIM's files and the command lines that ``files`` sends, no others.

It has two manners, where they differ: Windows' cmd, and Wine's. An unknown line is a failed test, so the lines
are proven to be these.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import re
import ssl
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from pypsrp.exceptions import WSManFaultError

from pusher.transports.winrm.client import CIMV2

RSP = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
NOT_FOUND, NOTHING_YET, SHELL_GONE = 2150858752, 2150858793, 2150858843
SYSTEM = "c:\\windows\\system32\\"


def fault(code: int) -> WSManFaultError:
    return WSManFaultError(code, "ws", "reason", None, None, None)


@dataclass
class Running:
    """A command; ``code`` None while it runs."""

    line: str
    shell: str
    code: int | None = 0
    stdout: bytes = b""
    stderr: bytes = b""
    opened: str = ""
    stdin: bytes = b""
    fed: Callable[[], None] | None = None


@dataclass
class FakeMachine:
    """``files`` and ``folders`` by lower-case path; ``denied`` folders cannot be written; ``busy`` files are open.
    ``open_folders``: each entry makes one removal of that folder fail.

    ``slow``: how many requests are answered before a command that was started has begun, and ``gap``: how many more
    before it has opened its file.
    """

    wine: bool = False
    escaped: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"c:\\", "c:\\windows", "c:\\windows\\temp"})
    denied: set[str] = field(default_factory=set)
    busy: set[str] = field(default_factory=set)
    hidden: set[str] = field(default_factory=set)
    open_folders: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    free: int = 1_000_000_000
    slow: int = 0
    gap: int = 0
    delete_codes: list[int] = field(default_factory=list)
    curl_code: Callable[[], int] | None = None
    curl_says: bytes = b""
    on_the_way: Callable[[str, bytes], bytes] = lambda path, data: data
    address: str = "127.0.0.1"
    local_address: str = "127.0.0.1"
    lines: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    commands: dict[str, Running] = field(default_factory=dict)
    shells: set[str] = field(default_factory=set)
    made: int = 0
    _late: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        for program in ("curl.exe", "certutil.exe"):
            self.files[SYSTEM + program] = b"MZ"

    # CIM

    def get(self, uri: str, selectors: Mapping[str, str] | None = None, seconds: float | None = None) -> ET.Element:
        kind = uri.removeprefix(CIMV2)
        if kind == "Win32_LogicalDisk":
            return answer(uri, FreeSpace=str(self.free))
        name = self._named(selectors)
        if kind == "CIM_DataFile" and name in self.files:
            return answer(uri, FileSize=str(len(self.files[name])), Version=self.versions.get(name, ""))
        if kind == "Win32_Directory" and name in self.folders:
            return answer(uri, Name=name)
        raise fault(NOT_FOUND)

    def invoke(
        self,
        uri: str,
        method: str,
        arguments: Mapping[str, str] | None = None,
        selectors: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> ET.Element:
        assert uri == CIMV2 + "CIM_DataFile", "Win32_Directory.Delete deletes trees"
        name = self._named(selectors)
        if name not in self.files:
            raise fault(NOT_FOUND)
        return answer(uri, ReturnValue=str(self._method(method, name, arguments or {})))[0]

    def _method(self, method: str, name: str, arguments: Mapping[str, str]) -> int:
        if self.delete_codes:
            return self.delete_codes.pop(0)
        if name in self.busy or any(run.opened == name and run.code is None for run in self.commands.values()):
            return 15
        if _above(name) in self.denied:
            return 2
        if method == "Delete":
            del self.files[name]
            return 0
        to = arguments["FileName"].lower()
        if to in self.files or to in self.folders:
            return 10
        if _above(to) not in self.folders:
            return 9
        self.files[to] = self.files.pop(name)
        return 0

    def _named(self, selectors: Mapping[str, str] | None) -> str:
        name = (selectors or {})["Name"].lower()
        if not self.escaped:
            return name
        return name.replace("\\\\", "\\") if "\\\\" in name else "?"

    # WinRS

    def create(self, uri: str, resource: ET.Element, options: Mapping[str, str] | None = None) -> ET.Element:
        self.made += 1
        self.shells.add(f"S{self.made}")
        body = ET.Element("Body")
        ET.SubElement(body, f"{{{WSMAN}}}Selector", Name="ShellId").text = f"S{self.made}"
        return body

    def command(
        self, uri: str, resource: ET.Element, shell: Mapping[str, str], options: Mapping[str, str] | None = None
    ) -> ET.Element:
        self._alive(shell)
        line = resource.findtext(f"{{{RSP}}}Command") or ""
        self.lines.append(line)
        running = Running(line=line, shell=shell["ShellId"])
        self._do(running)
        identifier = f"C{len(self.lines)}"
        self.commands[identifier] = running
        body = ET.Element("Body")
        ET.SubElement(body, f"{{{RSP}}}CommandId").text = identifier
        return body

    def receive(self, uri: str, resource: ET.Element, shell: Any, seconds: float | None = None) -> ET.Element:
        self._alive(shell)
        self._time_passes()
        running = self.commands[resource[0].get("CommandId") or ""]
        if running.code is None and not running.stdout:
            raise fault(NOTHING_YET)
        body = ET.Element("Body")
        for name, data in (("stdout", running.stdout), ("stderr", running.stderr)):
            if data:
                ET.SubElement(body, f"{{{RSP}}}Stream", Name=name).text = base64.b64encode(data).decode()
        said = running.stdout or running.stderr
        if running.code is None or (said and "set /p" in running.line):  # its end comes with the next answer
            running.stdout = running.stderr = b""
            return body
        state = ET.SubElement(body, f"{{{RSP}}}CommandState", State=f"{RSP}/CommandState/Done")
        ET.SubElement(state, f"{{{RSP}}}ExitCode").text = str(running.code)
        return body

    def send(self, uri: str, resource: ET.Element, shell: Any, seconds: float | None = None) -> ET.Element:
        self._alive(shell)
        running = self.commands[resource[0].get("CommandId") or ""]
        running.stdin += base64.b64decode(resource[0].text or "")
        if resource[0].get("End") == "true":
            running.code = 0
            if running.fed is not None:
                running.fed()
        return ET.Element("Body")

    def signal(self, uri: str, resource: ET.Element, shell: Any) -> ET.Element:
        self._alive(shell)
        self.ended.append(resource.get("CommandId") or "")
        return ET.Element("Body")

    def delete(self, uri: str, shell: Mapping[str, str]) -> None:
        self._alive(shell)
        self.end_shell(shell["ShellId"])

    def end_shell(self, identifier: str) -> None:
        """As the target does when it has been idle for too long."""
        self.shells.discard(identifier)
        for running in self.commands.values():
            if running.shell == identifier and running.code is None:
                running.code = 1

    def end_shells(self) -> None:
        """Shells that are kept in no register: nothing to do."""

    def _alive(self, shell: Mapping[str, str]) -> None:
        if shell["ShellId"] not in self.shells:
            raise fault(SHELL_GONE)

    # The lines

    def _do(self, run: Running) -> None:
        self._act(run)
        self._time_passes()

    def _time_passes(self) -> None:
        for late in self._late:
            late[0] -= 1
        due = [late for late in self._late if late[0] < 0]
        self._late = [late for late in self._late if late[0] >= 0]
        for _, act in due:
            act()

    def _act(self, run: Running) -> None:
        for pattern, act in self._acts().items():
            found = re.fullmatch(pattern, run.line)
            if found:
                act(run, *found.groups())
                return
        raise AssertionError(f"a line that files.py does not send: {run.line}")

    def _acts(self) -> dict[str, Callable[..., object]]:
        path = r'"([^"]+)"'
        options = (
            rf"@{path} -q --silent --show-error --fail --insecure --pinnedpubkey (\S+) --proto =%s --noproxy \"\*\" "
            r"--connect-timeout \d+ --speed-limit 1 --speed-time \d+ --max-filesize (\d+)"
        )
        fetching = rf"{options % 'https'} (https://\S+) >{path}"
        together = rf"{options % 'https,file'} --globoff --config -"
        return {
            rf'if exist "([^"]+)\\\*" mkdir {path}': self._mkdir,
            rf"rmdir {path}": self._rmdir,
            rf"dir /a /b {path}": self._dir,
            rf"echo ([0-9a-f]+)>{path}& type {path}& del {path}": lambda run, sign, to, *_: self._probe(run, sign, to),
            rf"type nul>>{path}": lambda run, to: self._redirect(run, to, b"", append=True),
            rf"type {path}": self._type,
            rf"echo ([0-9a-f]+)& set /p _=([0-9a-f]+f)>{path}": self._ask,
            rf"@{path} -hashfile {path} SHA256": self._certutil,
            rf"@(echo [0-9a-f]+& {path} -hashfile {path} SHA256(?:& |$))+": lambda run, *_: self._certutils(run),
            rf"@{path} -q --silent (?:--range -(\d+) )?file:///(\S+)": self._tail,
            rf"@for %i in \(({path}(?: {path})*)\) do @echo ([0-9a-f]+) %~zi %~ai %i": self._looks,
            rf'@for %i in \(({path}(?: {path})*)\) do @if not exist "%~i\\\*" del %i': self._dels,
            rf'@for %i in \(({path}(?: {path})*)\) do @ren %i "%~nxi(\S+)"': self._ren_adding,
            rf'@for %i in \(({path}(?: {path})*)\) do @ren "%~i(\S+)" "%~nxi"': self._ren_taking,
            rf"@for %i in \(({path}(?: {path})*)\) do @((?:if (?:not )?exist \S+ )+)echo ([0-9a-f]+) %i": self._ifs,
            rf"@{path} -q --silent --proto =file --globoff --config -": lambda run, _: self._configured(run, ""),
            fetching: self._curl,
            together: lambda run, program, pin, most: self._configured(run, most),
        }

    def _mkdir(self, run: Running, above: str, path: str) -> None:
        path = path.lower()
        if not {above.lower(), above.lower() + "\\"} & self.folders:
            return
        if path in self.files or _above(path) in self.denied:
            run.code, run.stderr = 1, b"no"
            return
        while path not in self.folders:  # with those above it, as mkdir does
            self.folders.add(path)
            path = _above(path)

    def _rmdir(self, run: Running, path: str) -> None:
        path = path.lower()
        run.code = 0  # whatever comes of it: so it is on Windows too
        if path in self.open_folders:
            self.open_folders.remove(path)
        elif not self._inside(path) and _above(path) not in self.denied:
            self.folders.discard(path)

    def _dir(self, run: Running, path: str) -> None:
        run.stdout = "".join(f"{name}\r\n" for name in self._inside(path.lower())).encode()
        run.code = 0 if run.stdout else 1

    def _inside(self, path: str) -> list[str]:
        return [name for name in {*self.files, *self.folders} if _above(name) == path and name != path]

    def _redirect(self, run: Running, path: str, data: bytes, append: bool = False) -> bool:
        path = path.lower()
        held = any(other.opened == path and other.code is None for other in self.commands.values())
        if held or path in self.busy or path in self.folders or not self._open_for_writing(path):
            run.code, run.stderr = (0 if self.wine else 1), b"Zugriff verweigert"
            return False
        self.files[path] = (self.files.get(path, b"") if append else b"") + data
        return True

    def _probe(self, run: Running, sign: str, path: str) -> None:
        """Three commands of one line: each is tried, whatever became of the one before."""
        self._redirect(run, path, f"{sign}\r\n".encode())
        self._type(run, path)
        if path.lower() in self.files and not self.delete_codes:
            del self.files[path.lower()]

    def _open_for_writing(self, path: str) -> bool:
        return _above(path) in self.folders and _above(path) not in self.denied

    def _type(self, run: Running, path: str) -> None:
        path = path.lower()
        held = any(other.opened == path and other.code is None for other in self.commands.values())
        if path not in self.files or path in self.busy or (held and self.wine):
            run.code, run.stderr = 1, b"no"
        else:
            run.stdout = self.files[path]

    def _ask(self, run: Running, begun: str, question: str, path: str) -> None:
        run.code = None

        def begin() -> None:
            run.stdout = f"{begun}\r\n".encode()

        def ask() -> None:
            run.opened = path.lower() if self._redirect(run, path, question.encode()) else ""

        self._late += [[self.slow, begin], [self.slow + self.gap, ask]]

    def _certutil(self, run: Running, program: str, path: str) -> None:
        path = path.lower()
        assert program.lower() == SYSTEM + "certutil.exe"
        if path in self.busy:
            run.code = 0x80070020 - 2**32
        elif not self.files[path]:
            run.code = 0x800703EE
        else:
            digest = hashlib.sha256(self.files[path]).hexdigest()
            shown = digest if not self.wine else " ".join(digest[at : at + 2] for at in range(0, 64, 2))
            run.stdout = (
                f"SHA256-Hash von {path}:\r\n{shown}\r\nCertUtil: -hashfile-Befehl wurde ausgeführt.\r\n".encode()
            )

    def _certutils(self, run: Running) -> None:
        """One after the other, whatever becomes of each."""
        said = b""
        for sign, program, path in re.findall(r'echo ([0-9a-f]+)& "([^"]+)" -hashfile "([^"]+)"', run.line):
            one = Running(line="", shell=run.shell)
            self._certutil(one, program, path)
            said += f"{sign}\r\n".encode() + one.stdout
        run.stdout = said

    def _tail(self, run: Running, program: str, last: str | None, url: str) -> None:
        data = self.files[url.replace("/", "\\").lower()]
        run.stdout = data[-int(last) :] if last else data

    def _curl(self, run: Running, program: str, pin: str, most: str, url: str, path: str) -> None:
        if not self._redirect(run, path, b""):
            return
        code = self.curl_code() if self.curl_code else 0
        if code in (0, 23):
            data = fetch(url)
            assert len(data) <= int(most) or not data
            self.files[path.lower()] = data[: self.free]
        run.code, run.stderr = code, self.curl_says

    def _looks(self, run: Running, paths: str, *rest: str) -> None:
        said = list[str]()
        for path in re.findall(r'"([^"]+)"', paths):
            data, folder = self.files.get(path.lower()), path.lower() in self.folders
            size, marks = ("0", "d----------") if folder else ("", "") if data is None else (len(data), "--a--------")
            said.append(f'{rest[-1]} {size} {marks} "{path}"\r\n')
        run.stdout = "".join(said).encode()

    def _dels(self, run: Running, paths: str, *rest: str) -> None:
        """``del`` leaves alone what is open, hidden, or in a folder that may not be written."""
        for path in re.findall(r'"([^"]+)"', paths.lower()):
            if not self._is_held(path):
                self.files.pop(path, None)

    def _ren_adding(self, run: Running, paths: str, *rest: str) -> None:
        for path in re.findall(r'"([^"]+)"', paths.lower()):
            self._ren(path, path + rest[-1])

    def _ren_taking(self, run: Running, paths: str, *rest: str) -> None:
        for path in re.findall(r'"([^"]+)"', paths.lower()):
            self._ren(path + rest[-1], path)

    def _ren(self, path: str, to: str) -> None:
        """Hidden files are none to ``ren``, and it takes folders for files."""
        if self._is_held(path) or self._exists(to):
            return
        if path in self.files:
            self.files[to] = self.files.pop(path)
        elif path in self.folders:
            self.folders.remove(path)
            self.folders.add(to)

    def _ifs(self, run: Running, paths: str, *rest: str) -> None:
        ifs, sign = rest[-2:]
        for path in re.findall(r'"([^"]+)"', paths):
            asked = re.findall(r'if (not )?exist (?:%i|"%~i(\S*)") ', ifs)
            if all(self._exists(path.lower() + more) is not bool(no) for no, more in asked):
                run.stdout += f'{sign} "{path}"\r\n'.encode()

    def _exists(self, path: str) -> bool:
        """A folder has something in it: ``.`` at least."""
        return path.removesuffix("\\*") in self.folders or path in self.files

    def _is_held(self, path: str) -> bool:
        return path in self.busy or path in self.hidden or _above(path) in self.denied

    def _configured(self, run: Running, most: str) -> None:
        """As curl(1) has it: the n-th output is the n-th URL's, and the text is written out after each."""
        run.code = None

        def told() -> None:
            given: dict[str, list[str]] = {"url": [], "output": [], "write-out": []}
            for line in run.stdin.decode("ascii").splitlines():
                found = re.fullmatch(r'([a-z-]+) = "((?:[^"\\]|\\.)*)"', line)
                assert found, line
                given[found[1]].append(re.sub(r"\\(.)", r"\1", found[2]))
            for number, url in enumerate(given["url"]):
                output = given["output"][number] if number < len(given["output"]) else None
                self._one_url(run, url, output, most)
                run.stdout += given["write-out"][0].encode()

        run.fed = told

    def _one_url(self, run: Running, url: str, output: str | None, most: str) -> None:
        if output is None:
            path = unquote(url.removeprefix("file:///")).replace("/", "\\").lower()
            there = path in self.files and path not in self.busy
            run.stdout += self.files[path] if there else b""
            run.code = 0 if there else 37
            return
        run.code = self.curl_code() if self.curl_code else 0
        if run.code == 0:
            data = fetch(url)
            assert len(data) <= int(most)
            place = output.lower()
            if place in self.busy or not self._open_for_writing(place):
                run.code = 23
            else:
                self.files[place] = self.on_the_way(place, data)


class Killed(BaseException):
    """What a process that is killed gets to hear."""


class KilledAfter:
    """The machine for somebody who is killed when so many requests of his have been carried out."""

    def __init__(self, machine: FakeMachine, requests: int) -> None:
        self._machine, self._left = machine, requests

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._machine, name)
        if name not in ("get", "invoke", "create", "command", "receive", "send", "signal", "delete"):
            return found

        def carried_out(*args: Any, **kwargs: Any) -> Any:
            if self._left <= 0:
                raise Killed
            self._left -= 1
            try:
                answer = found(*args, **kwargs)
            finally:
                if self._left == 0:
                    raise Killed
            return answer

        return carried_out


def fetch(url: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    where = urlsplit(url)
    client = http.client.HTTPSConnection(where.netloc, context=context, timeout=10)
    client.request("GET", where.path)
    answer = client.getresponse()
    assert answer.status == 200
    data = answer.read()
    client.close()
    return data


def answer(uri: str, **properties: str) -> ET.Element:
    body = ET.Element("Body")
    instance = ET.SubElement(body, f"{{{uri}}}Instance")
    for name, value in properties.items():
        ET.SubElement(instance, f"{{{uri}}}{name}").text = value
    return body


def _above(path: str) -> str:
    above = path.rpartition("\\")[0]
    return above if "\\" in above else above + "\\"
