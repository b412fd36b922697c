"""What another tool's line in a plain list is, and what to write instead of it. Pure.

What must not live here: the spelling of a single name (``spelling``).
Sources: nmap's grepable output, masscan's list, hosts(5), PowerShell's Format-List and Format-Table, nslookup.
"""

from __future__ import annotations

import re

from pusher.config.wording import Wrong, shown
from pusher.targets.ranges import is_host_name, parse_address

HEADINGS = frozenset(
    {"name", "computername", "dnshostname", "hostname", "servername", "machinename", "samaccountname", "cn"}
)
"""Words that head a column of names, in lower case without spaces; no machine is called so."""

_DASHES = re.compile(r"-{2,}")
_PAIR = re.compile(r"[A-Za-z][A-Za-z0-9 _-]*?\s*:\s+\S")
_EXPAND = "names alone: … | Select-Object -ExpandProperty DNSHostName | Out-File hosts.txt"


def is_heading(line: str, following: str) -> bool:
    """Whether ``line`` is the heading of a table with one column that PowerShell printed: dashes are under it."""
    return line.strip().lower() in HEADINGS and _DASHES.fullmatch(following.strip()) is not None


def why_no_name(line: str, following: str) -> Wrong:
    """What a line with more than one word is, and what to write instead."""
    words = line.split()
    text = line.strip()
    if words[0] == "Host:":
        return Wrong(f"{shown(text)} is of nmap's output", r"its addresses alone: awk '/445\/open/ {print $2}' FILE")
    if words[0] == "open" and len(words) > 3 and parse_address(words[3]) is not None:
        return Wrong(f"{shown(text)} is of masscan's output", "its addresses alone: awk '/^open/ {print $4}' FILE")
    if _DASHES.fullmatch(following.strip().replace(" ", "")):
        return Wrong(f"{shown(text)} is the heading of a table", _EXPAND)
    if _PAIR.match(text):
        return Wrong(f"{shown(text)} is a property with its value", _EXPAND)
    address = next((word for word in words[:2] if parse_address(word) is not None), None)
    name = next((word for word in words[:2] if word != address and is_host_name(word)), None)
    if address is not None and name is not None:
        return Wrong(
            f"{shown(text)} is a name with its address", f"a CSV file with the header name,address and {name},{address}"
        )
    if "," in line or ";" in line or "\t" in line:
        return Wrong(f"{shown(text)} is more than one name", "one name or range a line, or a CSV file with a header")
    return Wrong(f"{shown(text)} is more than one name", "one name or range a line")
