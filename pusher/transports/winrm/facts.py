"""What the machine says of itself, by WMI. Blocking; ProblemError only.

The folders it names go into later command lines, so they are believed only where they look like folders.
Sources: the CIMWin32 provider's classes Win32_OperatingSystem, Win32_ComputerSystem, Win32_Processor and
Win32_LogicalDisk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pusher.transports.codes import Operation
from pusher.transports.winrm.cim import UINT64, Instance, StrangeValueError
from pusher.transports.winrm.client import CIMV2, Client, instance
from pusher.transports.winrm.faults import guarded

_FOLDER = re.compile(r"[A-Za-z]:(\\[A-Za-z0-9 ._-]{1,60}){1,5}")
_DRIVE = re.compile(r"[A-Za-z]:")
_BACKUP_CONTROLLER, _PRIMARY_CONTROLLER = 4, 5
_ARCHITECTURES = {0: "x86", 9: "x64", 12: "arm64"}
_WIDTH_32 = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Folders:
    """Where ADMIN$ (``windows``) and C$ (``drive``) lead, as ``C:\\Windows`` and ``C:``."""

    windows: str
    drive: str


def folders(client: Client) -> Folders:
    def work() -> Folders:
        system = _one(client, "SELECT WindowsDirectory, SystemDrive FROM Win32_OperatingSystem")
        windows, drive = system.text("WindowsDirectory").rstrip("\\"), system.text("SystemDrive").rstrip("\\")
        if not _FOLDER.fullmatch(windows) or not _DRIVE.fullmatch(drive):
            raise StrangeValueError(f"Windows is in {windows[:80]!r} on {drive[:80]!r}")
        return Folders(windows=windows, drive=drive)

    return guarded(Operation.FACTS, work, "operating system")


def is_domain_controller(client: Client) -> bool:
    def work() -> bool:
        role = _one(client, "SELECT DomainRole FROM Win32_ComputerSystem").number("DomainRole", most=5)
        return role in (_BACKUP_CONTROLLER, _PRIMARY_CONTROLLER)

    return guarded(Operation.FACTS, work, "domain role")


def architecture(client: Client) -> str | None:
    """Of the operating system: a 64-bit processor may run a 32-bit Windows."""

    def work() -> str | None:
        processor = _one(client, "SELECT Architecture, AddressWidth FROM Win32_Processor")
        found = _ARCHITECTURES.get(processor.number("Architecture"))
        if found == "x64" and processor.number("AddressWidth", default=64) == _WIDTH_32:
            return "x86"
        return found

    return guarded(Operation.FACTS, work, "architecture")


def free_bytes(client: Client, drive: str) -> int:
    def work() -> int:
        disk = Instance(instance(client.get(CIMV2 + "Win32_LogicalDisk", {"DeviceID": drive})))
        return disk.number("FreeSpace", most=UINT64)

    return guarded(Operation.FACTS, work, "free space")


def _one(client: Client, query: str) -> Instance:
    """The first instance that a query finds; of processors there may be several alike."""
    found = client.enumerate(CIMV2, query)
    if not found:
        raise StrangeValueError("nothing found")
    return Instance(found[0])
