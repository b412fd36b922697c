"""What an installer's exit code means: Windows Installer's own as a table, another maker's by the package's list.

Pure. Source: "MsiExec.exe and InstMsi.exe error messages" (Win32 codes 1601 to 1654).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pusher.models import Installer, InstallerKind, Stage
from pusher.problems import Code, Problem, problem

REBOOT = frozenset({1641, 3010})
"""ERROR_SUCCESS_REBOOT_INITIATED and ERROR_SUCCESS_REBOOT_REQUIRED; other makers use the same two."""

UNKNOWN_PRODUCT = 1605
"""ERROR_UNKNOWN_PRODUCT: to a removal, that there is nothing to remove."""

MSI: Mapping[int, Code] = MappingProxyType(
    {
        1601: Code.INSTALLER_SERVICE_MISSING,
        1602: Code.INSTALLER_CANCELLED,
        1603: Code.INSTALLER_FAILED,
        1604: Code.INSTALLER_CANCELLED,  # suspended
        1612: Code.PACKAGE_BAD,  # the source is absent
        1618: Code.INSTALLER_BUSY,
        1619: Code.PACKAGE_BAD,  # it could not be opened
        1620: Code.PACKAGE_BAD,  # it is no valid package
        1624: Code.INSTALLER_ARGUMENTS,  # transforms
        1625: Code.BLOCKED_BY_POLICY,
        1631: Code.INSTALLER_SERVICE_MISSING,
        1632: Code.INSTALLER_SERVICE_MISSING,  # its Temp folder
        1633: Code.WRONG_ARCHITECTURE,
        1638: Code.OTHER_VERSION_INSTALLED,
        1639: Code.INSTALLER_ARGUMENTS,
        1643: Code.BLOCKED_BY_POLICY,
        1644: Code.BLOCKED_BY_POLICY,
    }
)


def judge(installer: Installer, code: int, removing: bool = False) -> Problem | None:
    """None where the code says that it went well."""
    msi = installer.kind is InstallerKind.MSI
    if code in installer.success or (msi and removing and code == UNKNOWN_PRODUCT):
        return None
    found = MSI.get(code, Code.INSTALLER_FAILED) if msi else Code.INSTALLER_FAILED
    return problem(found, Stage.START, f"exit code {code}" + (f" (0x{code:08X})" if code > 0x7FFFFFFF else ""))
