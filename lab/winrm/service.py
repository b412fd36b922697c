"""What WS-Man's actions do: Identify, the configuration, shells, and what is handed to CIM. MS-WSMV 3.1.4.

Here: SOAP in, SOAP out, for a user who has signed in. Not here: signing in (connection.py), what a command or class is.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from xml.sax.saxutils import escape

from lab.boot import service_logons
from lab.winrm import envelope, http
from lab.winrm.cim import RESOURCE, Cim, Provider
from lab.winrm.cim_facts import CLASSES, Facts
from lab.winrm.cim_files import Files
from lab.winrm.cim_registry import Registry
from lab.winrm.cim_services import Services
from lab.winrm.config import Behaviour, Config, Deny, User
from lab.winrm.envelope import SHELL, TRANSFER, WSMAN, Fault, Message, Reply, seconds
from lab.winrm.journal import Journal
from lab.winrm.shells import IDLE_TIMEOUT, CmdCommand, CmdShell, Command, Shell, Shells, new_id
from lab.winrm.wine import Helper, HelperError

log = logging.getLogger("lab.winrm")

_CONFIG = "http://schemas.microsoft.com/wbem/wsman/1/config"
_CMD = f"{SHELL}/cmd"
_POWERSHELL = "http://schemas.microsoft.com/powershell/"
_WINDOWS = Path("/run/lab/prefix/drive_c/windows")
_PROVIDER_GONE = 0x800706BA  # RPC_S_SERVER_UNAVAILABLE: what a client is told of a WMI provider that has crashed
_OVERHEAD = 8192  # of an envelope round the output it carries


class Service:
    """The WS-Man service of the host."""

    def __init__(self, config: Config, journal: Journal) -> None:
        self.config = config
        self.journal = journal
        self.behaviour: Behaviour = config.behaviour
        self.shells = Shells(lambda shell: journal.note("shell-expired", shell=shell.id))
        self._requests = 0
        helper = self._helper = Helper(config.helper)
        machine = config.name.upper()
        providers: dict[str, Provider] = {
            "win32_service": Services(helper, machine, config.windows, service_logons()),
            "cim_datafile": Files(helper, folders=False),
            "win32_directory": Files(helper, folders=True),
            "stdregprov": Registry(helper),
        }
        for name in CLASSES:
            providers[name.lower()] = Facts(helper, name, host=config.name, folder=_WINDOWS, windows=config.windows)
        self._cim = Cim(helper, providers)
        self._shell_actions: dict[str, Callable[[Message, Shell], Awaitable[Reply]]] = {
            f"{TRANSFER}/Get": self._get,
            f"{TRANSFER}/Delete": self._delete,
            f"{SHELL}/Command": self._command,
            f"{SHELL}/Send": self._send,
            f"{SHELL}/Receive": self._receive,
            f"{SHELL}/Signal": self._signal,
        }

    async def warm_up(self) -> None:
        """The first answer of helper.exe and of its WMI provider takes half a second, and there are many hosts."""
        with suppress(HelperError):
            await self._helper.ask("wmi-query", "root\\cimv2", "SELECT * FROM Win32_OperatingSystem")

    async def answer(self, soap: bytes, user: User, *, secure: bool) -> tuple[int, bytes]:
        """Status and SOAP; `http.Cut` where the connection is to be dropped."""
        self._requests += 1
        behaviour = self.behaviour
        try:
            if len(soap) > behaviour.max_envelope_kb * 1024:
                raise envelope.envelope_too_large()
            message = envelope.parse(soap)
        except (ValueError, KeyError):
            return 400, b""
        except Fault as trouble:
            return 500, envelope.fault("", trouble, self.config.name.upper())
        what = _what(message)
        status, answer, fault = 200, b"", None
        if behaviour.hang_on and behaviour.hang_on in what:
            self.journal.note("hangs", user=user.name, what=what)
            await asyncio.Event().wait()
        try:
            answer = envelope.answer(message, await self._perform(message, user))
        except Fault as trouble:
            status, fault = 500, trouble.code
            answer = envelope.fault(message.id, trouble, self.config.name.upper())
        except HelperError:
            status, fault = 500, _PROVIDER_GONE
            answer = envelope.fault(message.id, envelope.from_wmi(_PROVIDER_GONE), self.config.name.upper())
        self.journal.note("request", user=user.name, secure=secure, what=what, fault=fault)
        if self._drops(behaviour, what):
            self.journal.note("dropped", user=user.name, what=what)
            raise http.Cut
        return status, answer

    def _drops(self, behaviour: Behaviour, what: str) -> bool:
        """Once only: what it does after that is a healthy host's answer."""
        by_count = 0 < behaviour.drop_after <= self._requests
        by_name = bool(behaviour.drop_on) and behaviour.drop_on in what
        if by_count or by_name:
            self.behaviour = replace(behaviour, drop_after=0, drop_on="")
        return by_count or by_name

    def change(self, values: dict[str, object]) -> None:
        """Behave otherwise from now on; requests are counted anew."""
        self.behaviour = Behaviour.of(values)
        self._requests = 0

    async def _perform(self, message: Message, user: User) -> Reply:
        if not user.administrator and self.behaviour.deny is Deny.FAULT:
            raise envelope.access_denied()
        if message.resource.startswith(RESOURCE):
            return await self._cim.perform(message)
        if message.resource == _CONFIG and message.action == f"{TRANSFER}/Get":
            return Reply(
                body=f'<cfg:Config xmlns:cfg="{_CONFIG}"><cfg:MaxEnvelopeSizekb>{self.behaviour.max_envelope_kb}'
                "</cfg:MaxEnvelopeSizekb></cfg:Config>"
            )
        if message.action == f"{TRANSFER}/Create":
            return await self._create(message, user)
        shell = self._shell(message, user)
        perform = self._shell_actions.get(message.action)
        if perform is None:
            raise envelope.no_such_action()
        shell.enter()
        try:
            return await perform(message, shell)
        finally:
            shell.leave()

    # -- shells -----------------------------------------------------------------------------------------

    def _shell(self, message: Message, user: User) -> Shell:
        identity = message.selectors.get("ShellId", "")
        shell = self.shells.find(identity)
        if shell is None:
            raise envelope.no_such_shell(identity)
        if shell.owner != user.name:
            raise envelope.access_denied()
        return shell

    async def _create(self, message: Message, user: User) -> Reply:
        limit = self.behaviour.max_shells
        wanted = message.element(SHELL, "Shell")
        if wanted is None:
            raise envelope.no_such_resource()
        if self.shells.of(user.name) >= limit:
            raise envelope.shell_quota(limit)
        identity = (wanted.get("ShellId") or new_id()).upper()
        idle = seconds(message.text(SHELL, "IdleTimeOut") or message.text(SHELL, "IdleTimeout"), IDLE_TIMEOUT)
        if message.resource == _CMD:
            shell = CmdShell(identity, message.resource, user.name, idle)
            shell.directory = message.text(SHELL, "WorkingDirectory")
            shell.variables = {row.attrib["Name"]: row.text or "" for row in message.elements(SHELL, "Variable")}
            self.shells.add(shell)
            return Reply(body=_created(shell))
        if message.resource.startswith(_POWERSHELL):
            return Reply(body=_created(self._power_shell(identity, message, user)))
        raise envelope.no_such_resource()

    def _power_shell(self, identity: str, message: Message, user: User) -> Shell:
        from lab.winrm.psrp import PowerShell  # slow to import, and hardly anybody comes by it

        shell = PowerShell(identity, message.resource, user.name, self._helper)
        self.shells.add(shell)
        shell.feed(base64.b64decode(message.text(_POWERSHELL.rstrip("/"), "creationXml") or ""))
        return shell

    async def _get(self, message: Message, shell: Shell) -> Reply:
        return Reply(body=_described(shell))

    async def _delete(self, message: Message, shell: Shell) -> Reply:
        await self.shells.remove(shell)
        return Reply(body="")

    async def _command(self, message: Message, shell: Shell) -> Reply:
        asked = message.element(SHELL, "CommandLine")
        if asked is None:
            raise envelope.no_such_action()
        identity = (asked.get("CommandId") or new_id()).upper()
        parts = [
            message.text(SHELL, "Command") or "",
            *(row.text or "" for row in message.elements(SHELL, "Arguments")),
        ]
        if isinstance(shell, CmdShell):
            command = CmdCommand(identity, " ".join(parts))
            shell.commands[identity] = command
            folder = Path(self.config.folder)
            await command.start(self.config.runner, folder, shell.owner, shell.variables, shell.directory)
        else:
            await shell.begin_with(identity, base64.b64decode(parts[-1]))
        return Reply(body=f"<rsp:CommandResponse><rsp:CommandId>{identity}</rsp:CommandId></rsp:CommandResponse>")

    def _running(self, shell: Shell, identity: str | None) -> Command:
        command = shell.commands.get(identity.upper()) if identity else shell.own
        if command is None:
            raise envelope.no_such_shell(shell.id)
        return command

    async def _send(self, message: Message, shell: Shell) -> Reply:
        for stream in message.elements(SHELL, "Stream"):
            command = self._running(shell, stream.get("CommandId"))
            end = stream.get("End", "").lower() in ("true", "1")
            await command.send(base64.b64decode(stream.text or ""), end=end)
        return Reply(body="<rsp:SendResponse/>")

    async def _receive(self, message: Message, shell: Shell) -> Reply:
        wanted = message.element(SHELL, "DesiredStream")
        identity = None if wanted is None else wanted.get("CommandId")
        command = self._running(shell, identity)
        if not await command.wait(message.timeout):
            raise envelope.timed_out()
        room = (message.max_envelope - _OVERHEAD) * 3 // 4
        marked = f' CommandId="{command.id}"' if identity else ""
        body = "".join(
            f'<rsp:Stream Name="{name}"{marked}>{base64.b64encode(data).decode()}</rsp:Stream>'
            for name, data in command.take(room)
        )
        if identity:
            body += _state(command)
            if command.finished and not command.buffered:
                self.journal.note("command-ended", line=command.line, code=command.code)
        return Reply(body=f"<rsp:ReceiveResponse>{body}</rsp:ReceiveResponse>")

    async def _signal(self, message: Message, shell: Shell) -> Reply:
        asked = message.element(SHELL, "Signal")
        command = self._running(shell, None if asked is None else asked.get("CommandId"))
        await command.stop()
        shell.commands.pop(command.id, None)
        return Reply(body="<rsp:SignalResponse/>")


def _what(message: Message) -> str:
    """A request in words, for the journal and for `drop_on` and `hang_on`: `Win32_Service.Create`, `Command ver`."""
    action = message.action.rpartition("/")[2]
    if message.resource.startswith(RESOURCE):
        name = message.resource.rpartition("/")[2]
        keys = ",".join(f"{key}={value}" for key, value in message.selectors.items())
        asked = message.element(WSMAN, "Filter")
        return " ".join(filter(None, [f"{name}.{action}", keys, asked.text if asked is not None else ""]))
    if message.resource.startswith(_POWERSHELL):
        return f"PowerShell {action}"
    return f"{action} {message.text(SHELL, 'Command') or ''}".strip()


def _state(command: Command) -> str:
    done = command.finished and not command.buffered
    kind = "Done" if done else "Running"
    code = f"<rsp:ExitCode>{command.code}</rsp:ExitCode>" if done and command.code is not None else ""
    return f'<rsp:CommandState CommandId="{command.id}" State="{SHELL}/CommandState/{kind}">{code}</rsp:CommandState>'


def _created(shell: Shell) -> str:
    return (
        "<x:ResourceCreated><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address>"
        f"<a:ReferenceParameters><w:ResourceURI>{escape(shell.resource)}</w:ResourceURI><w:SelectorSet>"
        f'<w:Selector Name="ShellId">{shell.id}</w:Selector></w:SelectorSet></a:ReferenceParameters>'
        f"</x:ResourceCreated>{_described(shell)}"
    )


def _described(shell: Shell) -> str:
    return (
        f"<rsp:Shell><rsp:ShellId>{shell.id}</rsp:ShellId><rsp:ResourceUri>{escape(shell.resource)}</rsp:ResourceUri>"
        f"<rsp:Owner>{escape(shell.owner)}</rsp:Owner><rsp:ClientIP>127.0.0.1</rsp:ClientIP>"
        f"<rsp:IdleTimeOut>PT{shell.idle_timeout:.3f}S</rsp:IdleTimeOut><rsp:InputStreams>stdin</rsp:InputStreams>"
        "<rsp:OutputStreams>stdout stderr</rsp:OutputStreams><rsp:State>Connected</rsp:State>"
        "<rsp:ShellRunTime>P0DT0H0M0S</rsp:ShellRunTime><rsp:ShellInactivity>P0DT0H0M0S</rsp:ShellInactivity>"
        "</rsp:Shell>"
    )
