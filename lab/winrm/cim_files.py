"""CIM_DataFile and Win32_Directory, on real Win32 calls. Return codes as documented for CIM_LogicalFile."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lab.winrm import wql
from lab.winrm.cim import NoSuchMethod, Row
from lab.winrm.envelope import from_wmi
from lab.winrm.wine import Helper

_FOLDER = 0x10
UNSPECIFIED_FAILURE = 8
_INVALID_QUERY = 0x80041017
# Win32 error to CIM_LogicalFile's return value.
CODES: Mapping[int, int] = MappingProxyType(
    {
        0: 0,
        2: 9,  # ERROR_FILE_NOT_FOUND: invalid object
        3: 9,  # ERROR_PATH_NOT_FOUND
        5: 2,  # ERROR_ACCESS_DENIED
        17: 13,  # ERROR_NOT_SAME_DEVICE: drive not the same
        32: 15,  # ERROR_SHARING_VIOLATION
        33: 15,  # ERROR_LOCK_VIOLATION
        80: 10,  # ERROR_FILE_EXISTS
        87: 21,  # ERROR_INVALID_PARAMETER
        123: 21,  # ERROR_INVALID_NAME
        145: 14,  # ERROR_DIR_NOT_EMPTY
        183: 10,  # ERROR_ALREADY_EXISTS
        1314: 17,  # ERROR_PRIVILEGE_NOT_HELD
    }
)
_TYPES = {
    "exe": "Application",
    "txt": "Text Document",
    "dll": "Application Extension",
    "msi": "Windows Installer Package",
}


def return_value(error: int) -> int:
    return CODES.get(error, UNSPECIFIED_FAILURE)


class Files:
    """CIM_DataFile, or with `folders` Win32_Directory."""

    def __init__(self, helper: Helper, *, folders: bool) -> None:
        self._helper = helper
        self._folders = folders

    async def get(self, keys: Mapping[str, str]) -> Row | None:
        name = _path(keys)
        if name is None:
            return None
        found = await self._helper.ask("file-get", name)
        if found["err"] or bool(found["attributes"] & _FOLDER) is not self._folders:
            return None
        drive, _, rest = name.partition(":")
        folder, _, last = rest.rpartition("\\")
        stem, _, extension = last.rpartition(".") if "." in last else (last, "", "")
        row = {
            "Caption": name.lower(),
            "Drive": f"{drive.lower()}:",
            "Extension": extension.lower(),
            "FileName": stem.lower(),
            "Name": name.lower(),
            "Path": folder.lower() + "\\",
            "Readable": True,
            "Writeable": not found["attributes"] & 1,
        }
        if self._folders:
            return {**row, "FileSize": None, "FileType": "File Folder"}
        kind = _TYPES.get(extension.lower(), f"{extension.upper()} File".strip())
        return {**row, "FileSize": found["size"], "FileType": kind, "Version": found["version"]}

    async def rows(self, query: wql.Query) -> list[Row]:
        """By its name only: a query for anything else would have Windows look through the whole disk."""
        if _path(query.keys) is None:
            raise from_wmi(_INVALID_QUERY)
        row = await self.get(query.keys)
        return [] if row is None else [row]

    async def invoke(self, method: str, keys: Mapping[str, str], given: Mapping[str, str]) -> Row | None:
        if await self.get(keys) is None:
            return None
        name = _path(keys) or ""
        match method:
            case "Rename":
                answer = await self._helper.ask("file-rename", name, given.get("FileName", "").replace("/", "\\"))
            case "Delete":
                answer = await self._helper.ask("folder-delete" if self._folders else "file-delete", name)
            case _:
                raise NoSuchMethod(method)
        return {"ReturnValue": return_value(int(answer["err"]))}


def _path(keys: Mapping[str, str]) -> str | None:
    """A full path with single backslashes; clients that quote as in WQL send double ones."""
    name = {key.lower(): value for key, value in keys.items()}.get("name", "")
    name = name.replace("\\\\", "\\")
    return name if name[1:3] == ":\\" else None
