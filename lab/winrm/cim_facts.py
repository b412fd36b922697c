"""What the machine is: operating system, computer system, processor, disks. Read only.

Wine's own provider answers; what is added is what Wine leaves out, and the room on the disk is the file system's own
(a full disk is full under the Windows folder; see boot.py).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lab.winrm import wql
from lab.winrm.cim import NoSuchMethod, Row
from lab.winrm.envelope import from_wmi
from lab.winrm.wine import Helper

CLASSES = ("Win32_OperatingSystem", "Win32_ComputerSystem", "Win32_Processor", "Win32_LogicalDisk")
_SPACE = "root\\cimv2"


class Facts:
    """One of `CLASSES`."""

    def __init__(self, helper: Helper, name: str, *, host: str, folder: Path, windows: str) -> None:
        """`folder` is where the Windows folder really is, `windows` where it says that it is."""
        self._helper = helper
        self._name = name
        self._host = host
        self._folder, self._windows = folder, windows

    async def get(self, keys: Mapping[str, str]) -> Row | None:
        """Without selectors these classes have one instance each, as far as Windows lets one ask so."""
        wanted = [wql.Condition(name=name, equal=True, value=value) for name, value in keys.items()]
        rows = await self.rows(wql.Query(name=self._name, columns=()))
        return next((row for row in rows if all(condition.holds(row) for condition in wanted)), None)

    async def rows(self, query: wql.Query) -> list[Row]:
        answer = await self._helper.ask("wmi-query", _SPACE, f"SELECT * FROM {self._name}")  # noqa: S608
        if answer["err"]:
            raise from_wmi(int(answer["err"]))
        return [made for row in answer["items"] if (made := self._completed(row)) is not None]

    async def invoke(self, method: str, keys: Mapping[str, str], given: Mapping[str, str]) -> Row | None:
        raise NoSuchMethod(method)

    def _completed(self, row: Row) -> Row | None:
        match self._name:
            case "Win32_ComputerSystem":
                return {**row, "DNSHostName": self._host, "PartOfDomain": False, "Workgroup": "WORKGROUP"}
            case "Win32_LogicalDisk":
                return self._disk(row)
            case "Win32_OperatingSystem":
                drive = self._windows[:2]
                system = {"WindowsDirectory": self._windows, "SystemDirectory": f"{self._windows}\\System32"}
                return {**row, **system, "SystemDrive": drive}
            case _:
                # Windows writes DeviceID; wbemprox has it in other letters.
                return {("DeviceID" if key == "DeviceId" else key): value for key, value in row.items()}

    def _disk(self, row: Row) -> Row | None:
        """The system drive alone; Wine has one more, for all of the Unix file system."""
        if row.get("DeviceId") != "C:":
            return None
        room = os.statvfs(self._folder)
        rest = {key: value for key, value in row.items() if key != "DeviceId"}
        return {**rest, "DeviceID": self._windows[:2], "FreeSpace": str(room.f_bavail * room.f_frsize)}
