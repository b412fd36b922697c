"""What an installer's exit code means: Windows Installer's own as a table, another maker's by the package's list.

Pure. Source: "MsiExec.exe and InstMsi.exe error messages" (Win32 codes 1601 to 1654).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pusher.models import Installer, InstallerKind, Stage
from pusher.problems import Problem, problem

REBOOT = frozenset({1641, 3010})
"""ERROR_SUCCESS_REBOOT_INITIATED and ERROR_SUCCESS_REBOOT_REQUIRED; other makers use the same two."""

UNKNOWN_PRODUCT = 1605
"""ERROR_UNKNOWN_PRODUCT: to a removal, that there is nothing to remove."""

MSI: Mapping[int, str] = MappingProxyType(
    {
        1601: "installer-service-missing",
        1602: "installer-cancelled",
        1603: "installer-failed",
        1604: "installer-cancelled",  # suspended
        1612: "package-bad",  # the source is absent
        1618: "installer-busy",
        1619: "package-bad",  # it could not be opened
        1620: "package-bad",  # it is no valid package
        1624: "installer-arguments",  # transforms
        1625: "blocked-by-policy",
        1631: "installer-service-missing",
        1632: "installer-service-missing",  # its Temp folder
        1633: "wrong-architecture",
        1638: "other-version-installed",
        1639: "installer-arguments",
        1643: "blocked-by-policy",
        1644: "blocked-by-policy",
    }
)


def judge(installer: Installer, code: int, removing: bool = False) -> Problem | None:
    """None where the code says that it went well."""
    msi = installer.kind is InstallerKind.MSI
    if code in installer.success or (msi and removing and code == UNKNOWN_PRODUCT):
        return None
    found = MSI.get(code, "installer-failed") if msi else "installer-failed"
    return problem(found, Stage.START, f"exit code {code}" + (f" (0x{code:08X})" if code > 0x7FFFFFFF else ""))
