"""PowerShell remoting, as far as pypsrp's `Client.copy` needs it. MS-PSRP, by psrpcore.

There is no PowerShell here and none is played: one script is known by its hash, what it does is done, and whatever
else somebody wants to run is refused with PowerShell's own kind of error. The file goes through Wine, so one that is
in use is in use here too.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import uuid
from pathlib import Path
from typing import Any

import psrpcore
from psrpcore.types import ErrorCategory, ErrorCategoryInfo, NETException, PSInvocationState
from pypsrp._utils import get_pwsh_script

from lab.winrm.shells import Command, Shell
from lab.winrm.wine import Helper

_COPY = hashlib.sha256(get_pwsh_script("copy.ps1").encode()).hexdigest()
_FRAGMENT = 24_000  # well below the smallest envelope that a client accepts
_TEMP = Path("/run/lab/prefix/drive_c/windows/Temp")
_TEMP_INSIDE = r"C:\windows\Temp"
_FILE_NOT_FOUND, _PATH_NOT_FOUND, _SHARING_VIOLATION, _DISK_FULL = 2, 3, 32, 112
_EXCEPTIONS = {
    _PATH_NOT_FOUND: ("System.IO.DirectoryNotFoundException", "Could not find a part of the path."),
    5: ("System.UnauthorizedAccessException", "Access to the path is denied."),
    _SHARING_VIOLATION: ("System.IO.IOException", "The process cannot access the file."),
    _DISK_FULL: ("System.IO.IOException", "There is not enough space on the disk."),
}


class _ScriptError(Exception):
    """A terminating error of a script: the .NET exception's type and message."""

    def __init__(self, kind: str, message: str, category: ErrorCategory = ErrorCategory.NotSpecified) -> None:
        super().__init__(message)
        self.kind = kind
        self.category = category


def _of_windows(code: int) -> _ScriptError:
    return _ScriptError(*_EXCEPTIONS.get(code, ("System.IO.IOException", f"Win32 error {code}")))


class PowerShell(Shell):
    """A runspace pool."""

    def __init__(self, identity: str, resource: str, owner: str, helper: Helper) -> None:
        super().__init__(identity, resource, owner)
        self.helper = helper
        self._pool_output = self.own = Feed(self)
        self.pool = psrpcore.ServerRunspacePool()
        self._pipelines: dict[uuid.UUID, Pipeline] = {}

    async def begin_with(self, identity: str, data: bytes) -> None:
        pipeline = Pipeline(identity, self)
        self.commands[identity] = pipeline
        self._pipelines[uuid.UUID(identity)] = pipeline
        self.feed(data)

    def feed(self, data: bytes) -> None:
        """Fragments from the client."""
        self.pool.receive_data(psrpcore.PSRPPayload(data, psrpcore.StreamType.default, None))
        while (event := self.pool.next_event()) is not None:
            pipeline = self._pipelines.get(getattr(event, "pipeline_id", None) or uuid.UUID(int=0))
            if isinstance(event, psrpcore.GetAvailableRunspacesEvent):
                self.pool.runspace_availability_response(event.ci, 1)
            elif pipeline is None:
                continue
            elif isinstance(event, psrpcore.CreatePipelineEvent):
                pipeline.run(event.pipeline)
            elif isinstance(event, psrpcore.PipelineInputEvent):
                pipeline.input.put_nowait(str(event.data))
            elif isinstance(event, psrpcore.EndOfPipelineInputEvent):
                pipeline.input.put_nowait(None)
        self.flush()

    def flush(self) -> None:
        """What psrpcore wants sent, to whom it is for."""
        while (payload := self.pool.data_to_send(_FRAGMENT)) is not None:
            target = self._pipelines.get(payload.pipeline_id) if payload.pipeline_id else None
            (target or self._pool_output).put("stdout", payload.data)

    async def close(self) -> None:
        await super().close()
        self._pool_output.finish(None)


class Feed(Command):
    """What the pool itself has to say, and hears."""

    def __init__(self, shell: PowerShell) -> None:
        super().__init__("", "")
        self._shell = shell

    async def send(self, data: bytes, *, end: bool) -> None:
        self._shell.feed(data)


class Pipeline(Command):
    """One pipeline: the known script, or a refusal."""

    def __init__(self, identity: str, shell: PowerShell) -> None:
        super().__init__(identity, "")
        self._shell = shell
        self._pipeline = psrpcore.ServerPipeline(shell.pool, uuid.UUID(identity))
        self.input: asyncio.Queue[str | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def run(self, wanted: Any) -> None:
        self._task = asyncio.create_task(self._run(wanted))

    async def send(self, data: bytes, *, end: bool) -> None:
        self._shell.feed(data)

    async def stop(self) -> None:
        if self._task is not None and not self._task.done():
            self._task.cancel()
        self.finish(None)

    async def _run(self, wanted: Any) -> None:
        self._pipeline.start()
        try:
            first = wanted.commands[0]
            self.line = "copy.ps1" if _is_copy(first) else "refused"
            if not _is_copy(first):
                raise _ScriptError(
                    "System.Management.Automation.ParseException",
                    "The lab has no PowerShell; it refuses what it does not know.",
                    ErrorCategory.ParserError,
                )
            self._pipeline.write_output(await self._copy(str(first.parameters[0][1])))
            self._pipeline.complete()
        except _ScriptError as exc:
            trouble = NETException(Message=str(exc))
            trouble.PSObject.type_names = [exc.kind, "System.Exception", "System.Object"]
            category = ErrorCategoryInfo(Category=exc.category, Reason=exc.kind.rpartition(".")[2])
            self._pipeline.write_error(trouble, category, fully_qualified_error_id=exc.kind)
            self._pipeline._change_state(PSInvocationState.Failed)
        self._shell.flush()
        self.finish(None)

    async def _copy(self, target: str) -> str:
        """What copy.ps1 does: into a temporary file, compare its SHA-1 with the last input, move it to its place."""
        name = f"tmp{uuid.uuid4().hex[:8]}.tmp"
        temporary = _TEMP / name
        try:
            if (digest := await self._receive(temporary)) is not None:
                raise _ScriptError("System.Management.Automation.RuntimeException", f"hash mismatch: {digest}")
            for verb, fields in (("file-delete", [target]), ("file-rename", [f"{_TEMP_INSIDE}\\{name}", target])):
                code = int((await self._shell.helper.ask(verb, *fields))["err"])
                if code and not (verb == "file-delete" and code == _FILE_NOT_FOUND):
                    raise _of_windows(code)
        except OSError as exc:
            raise _of_windows(_DISK_FULL) from exc
        finally:
            temporary.unlink(missing_ok=True)
        return target

    async def _receive(self, temporary: Path) -> str | None:
        """The input into the file; the digest it has where the client's is another."""
        digest = hashlib.sha1()  # noqa: S324 (the script's own choice)
        last: bytes | None = None
        with temporary.open("wb") as file:
            while (text := await self.input.get()) is not None:
                if last is not None:
                    digest.update(last)
                    file.write(last)
                last = base64.b64decode(text)
        expected = (last or b"").decode(errors="replace")
        return None if digest.hexdigest() == expected else digest.hexdigest()


def _is_copy(command: Any) -> bool:
    text = str(command.command_text)
    return bool(command.is_script) and hashlib.sha256(text.encode()).hexdigest() == _COPY
