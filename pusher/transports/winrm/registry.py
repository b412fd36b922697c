"""The registry over WMI's StdRegProv. Blocking; ProblemError only.

Its methods return Win32 codes; a value of another type than the method's is told by a code of WMI's own.
Source: WMI's System Registry Provider (StdRegProv, namespace root/default).
"""

from __future__ import annotations

from collections.abc import Mapping

from pusher.problems import ProblemError
from pusher.transports.codes import Operation, from_win32
from pusher.transports.winrm.cim import Instance
from pusher.transports.winrm.client import DEFAULT, Client
from pusher.transports.winrm.faults import guarded

_STDREGPROV = DEFAULT + "StdRegProv"
_ROOTS = {"HKLM": 0x80000002, "HKU": 0x80000003, "HKCR": 0x80000000}
_KEY_SET_VALUE, _KEY_CREATE_SUB_KEY = 0x0002, 0x0004
_OK, _NOT_FOUND, _DENIED = 0, 2, 5
_READERS = (("GetStringValue", "sValue"), ("GetExpandedStringValue", "sValue"), ("GetDWORDValue", "uValue"))


class Registry:
    """Registry calls of one client."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def value(self, key: str, name: str) -> str | int | None:
        """REG_SZ, REG_EXPAND_SZ (expanded) or REG_DWORD; None where key or value is absent."""

        def work() -> str | int | None:
            for method, holder in _READERS:
                answer = self._call(method, key, {"sValueName": name})
                if answer.returned == _DENIED:
                    raise ProblemError(from_win32(_DENIED, Operation.REGISTRY, key))
                if answer.returned == _OK and answer.has(holder):
                    return answer.number(holder) if holder == "uValue" else answer.text(holder)
            return None

        return guarded(Operation.REGISTRY, work, key)

    def access(self, key: str) -> str:
        """Whether values of ``key`` may be written, or where it is absent, keys made in its nearest parent."""

        def work() -> str:
            root, _, path = key.partition("\\")
            wanted, at = _KEY_SET_VALUE, path
            while True:
                answer = self._call("CheckAccess", f"{root}\\{at}", {"uRequired": str(wanted)})
                if answer.returned == _OK and answer.flag("bGranted"):
                    return f"{root}\\{at} may be " + ("written" if at == path else "given new keys")
                if answer.returned != _NOT_FOUND or "\\" not in at:
                    raise ProblemError(from_win32(answer.returned or _DENIED, Operation.REGISTRY, key))
                wanted, at = _KEY_CREATE_SUB_KEY, at.rpartition("\\")[0]

        return guarded(Operation.REGISTRY, work, key)

    def set_text(self, key: str, name: str, value: str) -> None:
        self._must("SetStringValue", key, {"sValueName": name, "sValue": value})

    def set_number(self, key: str, name: str, value: int) -> None:
        self._must("SetDWORDValue", key, {"sValueName": name, "uValue": str(value)})

    def _must(self, method: str, key: str, arguments: Mapping[str, str]) -> None:
        def work() -> None:
            returned = self._call(method, key, arguments).returned
            if returned != _OK:
                raise ProblemError(from_win32(returned, Operation.SERVICE, f"{method} {key}"))

        guarded(Operation.SERVICE, work, key)

    def _call(self, method: str, key: str, arguments: Mapping[str, str]) -> Instance:
        root, _, path = key.partition("\\")
        where = {"hDefKey": str(_ROOTS[root.upper()]), "sSubKeyName": path}
        return Instance(self._client.invoke(_STDREGPROV, method, {**where, **arguments}))
