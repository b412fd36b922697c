"""StdRegProv: the registry through its methods, on Wine's own. What it returns are Win32 error codes.

As on Windows a value of another type than the method is for is WBEM_E_TYPE_MISMATCH, and a value that is not there
is 1 where a key that is not there is 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lab.winrm import wql
from lab.winrm.cim import NoSuchMethod, Row
from lab.winrm.wine import Helper

_LOCAL_MACHINE = 0x80000002
_TYPE_MISMATCH = 0x80041005
_NO_SUCH_VALUE = 1
_FILE_NOT_FOUND = 2
_TEXT, _EXPANDABLE, _NUMBER = 1, 2, 4
_QUERY_AND_SET = 0x3
# Method to the type it is for and the name of its value.
_READ = MappingProxyType(
    {
        "GetStringValue": (_TEXT, "sValue"),
        "GetExpandedStringValue": (_EXPANDABLE, "sValue"),
        "GetDWORDValue": (_NUMBER, "uValue"),
    }
)
_WRITE = MappingProxyType(
    {
        "SetStringValue": (_TEXT, "sValue"),
        "SetExpandedStringValue": (_EXPANDABLE, "sValue"),
        "SetDWORDValue": (_NUMBER, "uValue"),
    }
)


class Registry:
    """The class StdRegProv; it has methods only."""

    def __init__(self, helper: Helper) -> None:
        self._helper = helper

    async def get(self, keys: Mapping[str, str]) -> Row | None:
        return None

    async def rows(self, query: wql.Query) -> list[Row]:
        return []

    async def invoke(self, method: str, keys: Mapping[str, str], given: Mapping[str, str]) -> Row | None:
        hive = int(given.get("hDefKey") or _LOCAL_MACHINE)
        key, name = given.get("sSubKeyName", ""), given.get("sValueName", "")
        if method in _READ:
            return await self._read(method, hive, key, name)
        if method in _WRITE:
            kind, field = _WRITE[method]
            return await self._code("registry-set", hive, key, name, kind, given.get(field, ""))
        match method:
            case "CreateKey":
                return await self._code("registry-create-key", hive, key)
            case "DeleteKey":
                return await self._code("registry-delete-key", hive, key)
            case "DeleteValue":
                return await self._code("registry-delete-value", hive, key, name)
            case "CheckAccess":
                row = await self._code("registry-check", hive, key, given.get("uRequired") or _QUERY_AND_SET)
                return {"bGranted": row["ReturnValue"] == 0, **row}
            case "EnumKey":
                answer = await self._helper.ask("registry-names", hive, key)
                return {"sNames": answer.get("keys") or None, "ReturnValue": answer["err"]}
            case "EnumValues":
                answer = await self._helper.ask("registry-names", hive, key)
                rows = answer.get("values", [])
                names, types = [row[0] for row in rows], [row[1] for row in rows]
                return {"sNames": names or None, "Types": types or None, "ReturnValue": answer["err"]}
            case _:
                raise NoSuchMethod(method)

    async def _code(self, verb: str, *fields: str | int) -> Row:
        return {"ReturnValue": int((await self._helper.ask(verb, *fields))["err"])}

    async def _read(self, method: str, hive: int, key: str, name: str) -> Row:
        wanted, field = _READ[method]
        found = await self._helper.ask("registry-get", hive, key, name)
        if found["err"]:
            there = (await self._helper.ask("registry-check", hive, key, 1))["err"] == 0
            missing = found["err"] == _FILE_NOT_FOUND and there
            return {field: None, "ReturnValue": _NO_SUCH_VALUE if missing else found["err"]}
        if found["type"] != wanted:
            return {field: None, "ReturnValue": _TYPE_MISMATCH}
        return {field: found["expanded" if wanted == _EXPANDABLE else "data"], "ReturnValue": 0}
