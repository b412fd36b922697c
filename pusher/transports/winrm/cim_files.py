"""Files and folders as CIM has them: what it tells of one, and the methods that it has. Blocking.

CIM_DataFile and Win32_Directory are asked and told (Get, Rename, Delete: documented return codes).
Win32_Directory.Delete is never called: it deletes whole trees. The exceptions are the libraries' own.
Sources: "CIM_DataFile class" and "Win32_Directory class" (CIMWin32 provider).
"""

from __future__ import annotations

from collections.abc import Mapping

from pypsrp.exceptions import WSManFaultError

from pusher.problems import Code
from pusher.transports.port import FileInfo
from pusher.transports.winrm.cim import UINT64, Instance, StrangeValueError
from pusher.transports.winrm.client import CIMV2, Client, instance
from pusher.transports.winrm.faults import NOT_FOUND, fault_number

FILE, FOLDER = CIMV2 + "CIM_DataFile", CIMV2 + "Win32_Directory"

RETURNED: Mapping[int, Code] = {
    2: Code.ACCESS_DENIED,
    8: Code.ACCESS_DENIED,  # unspecified failure
    9: Code.PATH_NOT_FOUND,  # invalid object
    10: Code.FILE_IN_USE,  # something of that name is there already
    11: Code.PROTOCOL_ERROR,  # not NTFS
    12: Code.PROTOCOL_ERROR,  # not Windows NT
    13: Code.PATH_NOT_FOUND,  # not the same drive
    14: Code.FILE_IN_USE,  # a folder that is not empty
    15: Code.FILE_IN_USE,  # sharing violation
    16: Code.PATH_NOT_FOUND,  # invalid start file
    17: Code.ACCESS_DENIED,  # privilege not held
    21: Code.PATH_NOT_FOUND,  # invalid parameter
}
"""What Rename and Delete of CIM_LogicalFile return."""


class CimFiles:
    """By their absolute paths; ``windows`` is the Windows folder's."""

    def __init__(self, client: Client, windows: str) -> None:
        self._client, self._windows = client, windows
        self._escape: bool | None = None

    def get(self, uri: str, there: str) -> Instance | None:
        """What CIM tells of a ``FILE`` or a ``FOLDER``; None where there is no such."""
        return self._found(uri, self._name(there))

    def look(self, there: str) -> FileInfo | None:
        """None where nothing is there."""
        found = self.get(FILE, there)
        if found is not None:
            return FileInfo(size=found.number("FileSize", UINT64), is_folder=False)
        return FileInfo(size=0, is_folder=True) if self.get(FOLDER, there) is not None else None

    def invoke(self, method: str, there: str, arguments: Mapping[str, str] | None = None) -> int | None:
        """A method's ReturnValue; None where no such file is there."""
        try:
            return Instance(self._client.invoke(FILE, method, arguments, {"Name": self._name(there)})).returned
        except WSManFaultError as error:
            if fault_number(error) in NOT_FOUND:
                return None
            raise

    def _name(self, there: str) -> str:
        """The selector of a file. Services differ in whether WMI's escape (``\\\\`` for ``\\``) is theirs to add."""
        if self._escape is None:
            self._escape = self._escapes()
        return there.replace("\\", "\\\\") if self._escape else there

    def _escapes(self) -> bool:
        """Tried on the Windows folder, which is there. A path that it cannot read meets various faults: all say no."""
        windows, first = self._windows, None
        for escape in (False, True):
            try:
                if self._found(FOLDER, windows.replace("\\", "\\\\") if escape else windows) is not None:
                    return escape
            except WSManFaultError as error:
                first = first or error
        if first is not None:
            raise first
        raise StrangeValueError("WMI does not know its own Windows folder")

    def _found(self, uri: str, name: str) -> Instance | None:
        try:
            return Instance(instance(self._client.get(uri, {"Name": name})))
        except WSManFaultError as error:
            if fault_number(error) in NOT_FOUND:
                return None
            raise
