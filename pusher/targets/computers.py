"""A table of computers that was exported from Active Directory: which columns it has, and what a row says. Pure.

Here lives what Export-Csv of Get-ADComputer and csvde write. What must not live here: reading a row (``tables``), the
directory itself (``directory_query``).
Sources: the default properties of Get-ADComputer, and MS-ADTS: userAccountControl (2.2.16), primaryGroupID.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pusher.config.wording import Wrong, shown
from pusher.problems import Code
from pusher.targets.parsed import NO_FINDING, Finding

_NAMES = ("dnshostname", "name", "cn", "samaccountname")
"""The columns that name a machine, the surest first."""
_TELLING = frozenset({"distinguishedname", "dn", "dnshostname", "samaccountname", "objectguid", "objectclass"})
READ = _TELLING | {*_NAMES, "enabled", "useraccountcontrol", "primarygroupid"}
"""The columns that are read here, in lower case."""
_DISABLED, _DOMAIN_CONTROLLER = 0x2, 0x2000 | 0x4000000  # ACCOUNTDISABLE; SERVER_TRUST_ACCOUNT, PARTIAL_SECRETS_ACCOUNT
_CONTROLLERS = frozenset({"516", "521"})
_OF_CONTROLLERS = ",ou=domain controllers,dc="


def is_export(columns: Collection[str]) -> bool:
    """Whether a header (in lower case) is that of an export of the directory."""
    return not _TELLING.isdisjoint(columns) and not set(_NAMES).isdisjoint(columns)


def name_column(row: Mapping[str, str]) -> str:
    """The column that names the machine of a row; raises Wrong where it is none, or has no name."""
    # One word of Get-ADComputer, or all the classes of csvde, the most special last.
    kind = row.get("objectclass", "").lower().split(";")[-1]
    if kind not in {"", "computer"}:
        raise Wrong(f"the row is a {shown(kind)} and no computer", "computers alone")
    column = next((name for name in _NAMES if row.get(name)), None)
    if column is None:
        raise Wrong("the row has no name", "DNSHostName, or Name")
    return column


def finding_in(row: Mapping[str, str]) -> Finding:
    """Whether the account is disabled, and whether it is a domain controller's."""
    flags = row.get("useraccountcontrol", "")
    bits = int(flags) if flags.isascii() and flags.isdecimal() and len(flags) < 12 else 0
    place = (row.get("distinguishedname") or row.get("dn") or "").lower().replace(", ", ",")
    is_one = bool(bits & _DOMAIN_CONTROLLER) or row.get("primarygroupid") in _CONTROLLERS or _OF_CONTROLLERS in place
    if row.get("enabled", "").lower() == "false" or bits & _DISABLED:
        why = "the export says that its account is disabled"
        return Finding(is_domain_controller=is_one, code=Code.COMPUTER_DISABLED, why=why)
    return Finding(is_domain_controller=True) if is_one else NO_FINDING
