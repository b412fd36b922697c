"""Windows' own numbers, as people meet them in logs and event viewers, and the codes that they lead to here.

The tables are the transports' and the installers'; what is here reads a number as it is written and asks each of them.
"""

from __future__ import annotations

from pusher.install.exit_codes import MSI
from pusher.report.explain import Meaning
from pusher.transports.codes import NTSTATUS, WIN32, otherwise
from pusher.transports.win32 import NCA
from pusher.transports.winrm.number_codes import WSMAN

_HRESULT_WIN32 = range(0x80070000, 0x80080000)
_WSMAN = {int(number): (number.name, code) for number, code in WSMAN.items()}


def meanings(text: str) -> list[Meaning] | None:
    """What a number (``1603``, ``0xC000006D``, ``-1073741715``) stands for; None where the text is no number.

    One number may stand for several things: 5 is a Win32 error, and an exit code of whatever was run.
    """
    try:
        number = int(text.strip(), 16 if text.strip().lower().startswith(("0x", "-0x")) else 10)
    except ValueError:
        return None
    if not -(2**31) <= number < 2**32:
        return []
    number &= 0xFFFFFFFF
    wsman_name, wsman = _WSMAN.get(number, ("", None))
    found = [
        (f"NTSTATUS 0x{number:08X}", NTSTATUS.get(number) if number >= 0x80000000 else None),
        (f"Win32 error {number}", WIN32.get(number)),
        (f"Windows Installer's exit code {number}", MSI.get(number)),
        (f"WS-Management fault {number}, {wsman_name}", wsman),
        (f"RPC fault 0x{number:08X}", NCA.get(number)),
    ]
    if number in _HRESULT_WIN32:
        found.append((f"Win32 error {number & 0xFFFF}, as an HRESULT", WIN32.get(number & 0xFFFF)))
    return [Meaning(number=words, code=code, otherwise=otherwise(code)) for words, code in found if code is not None]
