"""WinRS against a service that is a script: what is sent, what is believed, what is given up."""

from __future__ import annotations

import base64
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import pytest
from pypsrp.exceptions import WSManFaultError

from pusher.problems import ProblemError
from pusher.transports.winrm.cim import StrangeValueError
from pusher.transports.winrm.shell import Kept, Shell, StillRunningError, program_line, quoted

RSP = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
WSMAN = "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"
NOTHING_YET, GONE = 2150858793, 2150858843
QUOTA, ENDED = 2150859236, 232


def fault(code: int) -> WSManFaultError:
    return WSManFaultError(code, "ws", "reason", None, None, None)


def received(state: str, *streams: tuple[str, bytes], code: str | None = None) -> ET.Element:
    body = ET.Element("Body")
    answer = ET.SubElement(body, f"{{{RSP}}}ReceiveResponse")
    for name, data in streams:
        ET.SubElement(answer, f"{{{RSP}}}Stream", Name=name).text = base64.b64encode(data).decode()
    found = ET.SubElement(answer, f"{{{RSP}}}CommandState", State=f"{RSP}/CommandState/{state}")
    if code is not None:
        ET.SubElement(found, f"{{{RSP}}}ExitCode").text = code
    return body


class Script:
    """A WinRS service; ``answers`` are what its Receive gives, in their order."""

    def __init__(self, *answers: ET.Element | Exception) -> None:
        self.answers = list(answers)
        self.said: list[str] = []
        self.lines: list[str] = []
        self.lost: set[str] = set()
        self.made: list[tuple[ET.Element, Mapping[str, str] | None]] = []
        self.shell_id: str | None = None
        self.command_id = "C1"
        self.sends: list[Exception | None] = []
        """What becomes of each Send; those beyond are taken."""

    def create(self, uri: str, resource: ET.Element, options: Mapping[str, str] | None = None) -> ET.Element:
        self.said.append("create")
        self.made.append((resource, options))
        body = ET.Element("Body")
        identifier = f"S{len(self.made)}" if self.shell_id is None else self.shell_id
        ET.SubElement(body, f"{{{WSMAN}}}Selector", Name="ShellId").text = identifier
        return body

    def command(
        self, uri: str, resource: ET.Element, shell: Mapping[str, str], options: Mapping[str, str] | None = None
    ) -> ET.Element:
        self.said.append(f"command {shell['ShellId']}")
        if shell["ShellId"] in self.lost:
            raise fault(GONE)
        assert options == {"WINRS_CONSOLEMODE_STDIN": "FALSE", "WINRS_SKIP_CMD_SHELL": "FALSE"}
        self.lines.append(resource.findtext(f"{{{RSP}}}Command") or "")
        body = ET.Element("Body")
        ET.SubElement(body, f"{{{RSP}}}CommandId").text = self.command_id
        return body

    def receive(self, uri: str, resource: ET.Element, shell: Any, seconds: float | None = None) -> ET.Element:
        self.said.append("receive")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def send(self, uri: str, resource: ET.Element, shell: Any, seconds: float | None = None) -> ET.Element:
        stream = resource[0]
        self.said.append(f"send {stream.get('CommandId')} End={stream.get('End')}")
        if self.sends and (refused := self.sends.pop(0)) is not None:
            raise refused
        return ET.Element("Body")

    def signal(self, uri: str, resource: ET.Element, shell: Any) -> ET.Element:
        self.said.append(f"signal {(resource[0].text or '').rpartition('/')[2]}")
        return ET.Element("Body")

    def delete(self, uri: str, shell: Mapping[str, str]) -> None:
        self.said.append(f"delete {shell['ShellId']}")


def test_a_command_from_its_start_to_its_end() -> None:
    script = Script(
        received("Running", ("stdout", b"one "), ("stderr", b"oops")),
        fault(NOTHING_YET),
        received("Done", ("stdout", b"two"), code="7"),
    )
    shell, beats = Shell(script), list[int]()
    ran = shell.run("ver", made=lambda: beats.append(1))
    assert (ran.exit_code, ran.stdout, ran.stderr) == (7, b"one two", b"oops")
    assert len(beats) == 3, "also where nothing came: the target lives"
    shell.close()
    shell.close()
    assert script.said == ["create", "command S1", "receive", "receive", "receive", "delete S1"]


def test_one_shell_serves_all_commands() -> None:
    script = Script(received("Done", code="0"), received("Done", code="0"))
    shell = Shell(script)
    shell.run("one")
    shell.run("two")
    assert script.said.count("create") == 1
    assert script.lines == ["one", "two"]


def test_a_shell_that_keeps_many_ended_commands_is_made_anew() -> None:
    """Whatever becomes of them is forgotten with it; old systems count 15 processes a shell."""
    script = Script(*[received("Done", code="0") for _ in range(35)])
    shell = Shell(script)
    for _ in range(35):
        shell.run("ver")
    shell.close()
    commands = [said for said in script.said if said.startswith("command")]
    assert len(commands) == 35 and "signal Terminate" not in script.said
    assert max(commands.count(said) for said in set(commands)) < 15
    made, deleted = script.said.count("create"), sum(said.startswith("delete") for said in script.said)
    assert made == deleted > 1


def test_a_shell_dies_soon_after_its_pusher_and_speaks_utf_8() -> None:
    script = Script(received("Done", code="0"))
    Shell(script, idle=60).run("ver")
    ((resource, options),) = script.made
    assert resource.findtext(f"{{{RSP}}}IdleTimeOut") == "PT60.000S"
    assert options == {"WINRS_CODEPAGE": "65001"}


def test_no_shell_no_traffic() -> None:
    script = Script()
    Shell(script).close()
    assert script.said == []


def test_a_shell_that_the_target_ended_is_made_anew() -> None:
    """The command was not started in the old one, so it runs once."""
    script = Script(received("Done", code="0"), received("Done", code="0"))
    shell = Shell(script)
    shell.run("one")
    script.lost.add("S1")
    shell.run("two")
    assert script.lines == ["one", "two"]
    assert script.made and script.said.count("create") == 2


def test_a_shell_that_goes_in_mid_command_is_told() -> None:
    """Nobody knows how far the command came: it is not started again."""
    script = Script(fault(GONE))
    with pytest.raises(WSManFaultError):
        Shell(script).run("one")
    assert script.lines == ["one"]


def test_a_time_limit() -> None:
    """The command is left alone: ending an installer half-way makes things worse."""
    script = Script(*[fault(NOTHING_YET)] * 5)
    with pytest.raises(StillRunningError):
        Shell(script).run("long", limit=-1)
    assert "signal Terminate" not in script.said


@pytest.mark.parametrize(("last", "kept"), [(False, b"0123456789"), (True, b"XXXXXXXXXX")])
def test_of_endless_output_a_bounded_part_is_kept(last: bool, kept: bytes) -> None:
    flood = [received("Running", ("stdout", b"X" * 50_000)) for _ in range(20)]
    script = Script(received("Running", ("stdout", b"0123456789")), *flood, received("Done", code="0"))
    ran = Shell(script).run("flood", keep=10, last=last)
    assert ran.stdout == kept


@pytest.mark.parametrize(("size", "pauses"), [(10, 17), (50_000, 0)])
def test_who_says_a_little_at_a_time_is_let_say_more(monkeypatch: pytest.MonkeyPatch, size: int, pauses: int) -> None:
    """A loop says a line a file; but nobody waits where the answers are full, or few."""
    slept = list[float]()
    monkeypatch.setattr(time, "sleep", slept.append)
    said = [received("Running", ("stdout", b"X" * size)) for _ in range(19)]
    Shell(Script(*said, received("Done", code="0"))).run("for ...")
    assert len(slept) == pauses
    slept.clear()
    Shell(Script(*said[:2], received("Done", code="0"))).run("ver")
    assert slept == []


def test_stderr_is_bounded_too() -> None:
    script = Script(received("Running", ("stderr", b"X" * 50_000)), received("Done", code="0"))
    assert len(Shell(script).run("flood").stderr) == 4096


def test_the_last_bytes_over_many_parts() -> None:
    kept = Kept(5, last=True)
    for part in (b"abc", b"", b"defg", b"h"):
        kept.add(part)
    assert bytes(kept.data) == b"defgh"


@pytest.mark.parametrize(
    ("text", "code"), [("0", 0), ("3010", 3010), ("-2147024894", 0x80070002), ("4294967295", 0xFFFFFFFF), (" 5 ", 5)]
)
def test_exit_codes_are_unsigned(text: str, code: int) -> None:
    assert Shell(Script(received("Done", code=text))).run("x").exit_code == code


@pytest.mark.parametrize("text", ["", "x", "1.5", "9" * 12, "--1", "١"])
def test_an_exit_code_that_is_none(text: str) -> None:
    with pytest.raises(StrangeValueError):
        Shell(Script(received("Done", code=text))).run("x")


def test_an_end_without_an_exit_code() -> None:
    with pytest.raises(StrangeValueError):
        Shell(Script(received("Done"))).run("x")


@pytest.mark.parametrize("change", [{"shell_id": ""}, {"shell_id": "x" * 1000}, {"command_id": ""}])
def test_identifiers_are_looked_at(change: dict[str, str]) -> None:
    script = Script()
    for name, value in change.items():
        setattr(script, name, value)
    with pytest.raises(StrangeValueError):
        Shell(script).run("x")


def test_other_streams_are_not_listened_to() -> None:
    script = Script(received("Done", ("pr", b"x"), code="0"))
    assert Shell(script).run("x").stdout == b""


@pytest.mark.parametrize("line", ["x" * 9000, "one\ntwo", "one\0two", "a\x1bb"])
def test_lines_that_cmd_would_not_take_are_not_sent(line: str) -> None:
    script = Script()
    with pytest.raises(ProblemError):
        Shell(script).run(line)
    assert script.lines == []


def test_a_line_never_begins_with_a_quote() -> None:
    with pytest.raises(ValueError, match="quotes"):
        Shell(Script()).run('"C:\\x.exe" "y"')


def test_input_ends() -> None:
    script = Script(received("Done", code="0"))
    command = Shell(script).start("set /p _=x")
    command.end_input()
    command.receive(1)
    assert command.done
    assert "send C1 End=true" in script.said


@pytest.mark.parametrize("piece", [0, 1, 2])
def test_input_that_is_refused_is_told_and_its_command_waits_for_no_more(piece: int) -> None:
    script = Script(fault(NOTHING_YET))
    script.sends = [None] * piece + [fault(QUOTA)]
    with pytest.raises(WSManFaultError) as caught:
        Shell(script).run("sort", stdin=bytes(100_000))
    assert caught.value.code == QUOTA
    assert script.said[-1] == "signal Terminate"


@pytest.mark.parametrize("piece", [0, 1, 2])
def test_of_a_command_that_ended_before_its_input_did_the_end_is_told(piece: int) -> None:
    script = Script(received("Running", ("stderr", b"no such option")), received("Done", code="2"))
    script.sends = [None] * piece + [fault(ENDED)]
    ran = Shell(script).run("curl --odd", stdin=bytes(100_000))
    assert (ran.exit_code, ran.stderr) == (2, b"no such option")


# Quoting


@pytest.mark.parametrize("path", ["C:\\a b\\c.exe", "C:\\a&b", "C:\\a^b", "C:\\(a)", "C:\\ünï ☃", "C:\\a;b,c=d"])
def test_between_quotes_a_path_means_itself(path: str) -> None:
    assert quoted(path) == f'"{path}"'


@pytest.mark.parametrize("path", ["C:\\%TEMP%\\x", 'C:\\a"&calc&"', "C:\\!x!", "C:\\a\nb", "C:\\a\0b", "C:\\100%"])
def test_what_quotes_cannot_protect_is_refused(path: str) -> None:
    with pytest.raises(ProblemError) as caught:
        quoted(path)
    assert caught.value.problem.code == "path-not-found"


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ('"%SystemRoot%\\m.exe" /i "C:\\a b.msi" /qn', '@"%SystemRoot%\\m.exe" /i "C:\\a b.msi" /qn'),
        ("setup.exe A=1&calc", "@setup.exe A=1^&calc"),
        ('setup.exe A="1&2"', '@setup.exe A="1&2"'),
        ("setup.exe a|b <c >d ^e", "@setup.exe a^|b ^<c ^>d ^^e"),
        ("%ProgramFiles(x86)%\\x.exe", "@%ProgramFiles(x86)%\\x.exe"),
    ],
)  # fmt: skip
def test_a_programs_command_line_means_no_more_than_its_program(command: str, line: str) -> None:
    assert program_line(command) == line
