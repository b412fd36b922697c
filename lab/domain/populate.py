"""The directory as every lab finds it: made once, kept as a snapshot.

Runs with the system's Python and Samba's bindings. Here: a new domain and the objects of recipe.py in it; [MS-ADTS]
names them. Not here: what a lab has of its own, such as passwords, addresses and what depends on today's date
(directory.py).
"""

# Samba's bindings are the system's Python's, not the virtual environment's.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import logging
import struct
import uuid
from typing import Any

from lab.domain import configuration, recipe
from lab.domain.recipe import Computer, LockoutPolicy, User, UserState

_UF_DISABLED, _UF_NORMAL, _UF_WORKSTATION = 0x2, 0x200, 0x1000
_NEVER = "-9223372036854775808"
_LONG_AGO = "131000000000000000"  # in February 2016
_COMPUTER_CLASS = "bf967a86-0de6-11d0-a285-00aa003049e2"
_TICKS = 10_000_000  # 100 ns
UNSET_ADDRESS = "192.0.2.1"  # until directory.py knows the lab's; a loopback address would not be entered

# [MS-ADA], legacy LAPS and Windows LAPS: name, OID, syntax, OM syntax, search flags. 0x80 is what makes a value
# confidential: without the right of control access it is not there.
_CONFIDENTIAL, _ENCRYPTED, _OPEN = 904, 648, 0
_LEGACY = "1.2.840.113556.1.8000.2554.50051.45980.28112.18903.35903.6685103.1224907.2"
_WINDOWS = "1.2.840.113556.1.6.44.1"
_LAPS_ATTRIBUTES = (
    ("ms-Mcs-AdmPwd", f"{_LEGACY}.1", "2.5.5.5", 19, _CONFIDENTIAL),
    ("ms-Mcs-AdmPwdExpirationTime", f"{_LEGACY}.2", "2.5.5.16", 65, _OPEN),
    ("msLAPS-PasswordExpirationTime", f"{_WINDOWS}.1", "2.5.5.16", 65, _OPEN),
    ("msLAPS-Password", f"{_WINDOWS}.2", "2.5.5.5", 19, _CONFIDENTIAL),
    ("msLAPS-EncryptedPassword", f"{_WINDOWS}.3", "2.5.5.10", 4, _ENCRYPTED),
)
_SECRETS = ("ms-Mcs-AdmPwd", "msLAPS-Password", "msLAPS-EncryptedPassword")


def make(bulk: int = 0) -> None:
    """A new domain where smb.conf says, with `bulk` computers more than the recipe has."""
    from samba import dsdb
    from samba.auth import system_session
    from samba.provision import provision

    made = provision(
        logging.getLogger("provision"),
        system_session(),
        smbconf=str(configuration.CONFIGURATION),
        realm=recipe.REALM,
        domain=recipe.NETBIOS,
        hostname=recipe.CONTROLLER,
        hostip=UNSET_ADDRESS,
        sitename=recipe.SITES[0],
        serverrole="active directory domain controller",
        dns_backend="SAMBA_INTERNAL",
        dom_for_fun_level=dsdb.DS_DOMAIN_FUNCTION_2008_R2,
    )
    made.lp.set("dsdb:schema update allowed", "yes")
    _laps_attributes(made.samdb)
    # A database that was opened before an attribute was there does not take its name for a value.
    _laps_class(open_database(schema_updates=True))
    database = open_database()
    _controller_names(database)
    _policies(database)
    _sites(database)
    _units_and_groups(database)
    for user in recipe.USERS:
        _add_user(database, user)
    for computer in recipe.COMPUTERS:
        add_computer(database, computer)
    _bulk(database, bulk)
    for inner, outer in recipe.GROUPS_IN_GROUPS.items():
        database.add_remove_group_members(outer, [inner], True)
    _rights(database)


def open_database(*, schema_updates: bool = False) -> Any:
    """The directory's database as the system."""
    from samba.auth import system_session
    from samba.param import LoadParm
    from samba.samdb import SamDB

    parameters = LoadParm()
    parameters.load(str(configuration.CONFIGURATION))
    if schema_updates:
        parameters.set("dsdb:schema update allowed", "yes")
    return SamDB(url=str(configuration.DATABASE), session_info=system_session(), lp=parameters)


def _laps_attributes(database: Any) -> None:
    schema = database.get_schema_basedn()
    for name, number, syntax, om_syntax, flags in _LAPS_ATTRIBUTES:
        database.add(
            {
                "dn": f"CN={_schema_name(name)},{schema}",
                "objectClass": "attributeSchema",
                "lDAPDisplayName": name,
                "attributeID": number,
                "attributeSyntax": syntax,
                "oMSyntax": str(om_syntax),
                "isSingleValued": "TRUE",
                "searchFlags": str(flags),
                "systemOnly": "FALSE",
                "schemaIDGUID": _schema_id(number).bytes_le,
            }
        )
    database.set_schema_update_now()


def _laps_class(database: Any) -> None:
    schema = database.get_schema_basedn()
    values = "".join(f"mayContain: {name}\n" for name, *_ in _LAPS_ATTRIBUTES)
    database.modify_ldif(f"dn: CN=Computer,{schema}\nchangetype: modify\nadd: mayContain\n{values}")
    database.set_schema_update_now()


def _schema_name(name: str) -> str:
    return name.replace("msLAPS-", "ms-LAPS-")


def _schema_id(number: str) -> uuid.UUID:
    """The same in every snapshot; the ACEs name attributes by it."""
    return uuid.uuid5(uuid.NAMESPACE_OID, number)


def controller_dn() -> str:
    return f"CN={recipe.CONTROLLER.upper()},OU=Domain Controllers,{recipe.BASE_DN}"


def _controller_names(database: Any) -> None:
    """The services that tickets are for, which a controller would register by itself after its start."""
    fqdn, short = recipe.CONTROLLER_FQDN, recipe.CONTROLLER.upper()
    names = [f"ldap/{fqdn}", f"ldap/{short}", f"ldap/{fqdn}/{recipe.DNS_DOMAIN}", f"GC/{fqdn}/{recipe.DNS_DOMAIN}"]
    values = "".join(f"servicePrincipalName: {name}\n" for name in names)
    database.modify_ldif(f"dn: {controller_dn()}\nchangetype: modify\nadd: servicePrincipalName\n{values}")


def _policies(database: Any) -> None:
    """Passwords never expire and may be changed at once, so that a lab's own can be set at any time."""
    policy = recipe.DOMAIN_POLICY
    replace(
        database,
        str(database.domain_dn()),
        minPwdAge="0",
        maxPwdAge=_NEVER,
        pwdHistoryLength="24",
        lockoutThreshold=str(policy.threshold),
        lockOutObservationWindow=_interval(policy.window_minutes),
        lockoutDuration=_interval(policy.duration_minutes),
    )
    _fine_grained(database, recipe.STRICT_POLICY)


def _fine_grained(database: Any, policy: LockoutPolicy) -> None:
    database.add(
        {
            "dn": f"CN={recipe.STRICT_POLICY_NAME},{_policy_container(database)}",
            "objectClass": "msDS-PasswordSettings",
            "msDS-PasswordSettingsPrecedence": "10",
            "msDS-PasswordReversibleEncryptionEnabled": "FALSE",
            "msDS-PasswordComplexityEnabled": "TRUE",
            "msDS-PasswordHistoryLength": "24",
            "msDS-MinimumPasswordLength": "12",
            "msDS-MinimumPasswordAge": "0",
            "msDS-MaximumPasswordAge": _NEVER,
            "msDS-LockoutThreshold": str(policy.threshold),
            "msDS-LockoutObservationWindow": _interval(policy.window_minutes),
            "msDS-LockoutDuration": _interval(policy.duration_minutes),
        }
    )


def _policy_container(database: Any) -> str:
    return f"CN=Password Settings Container,CN=System,{database.domain_dn()}"


def _sites(database: Any) -> None:
    from samba.sites import create_site
    from samba.subnets import create_subnet

    for site in recipe.SITES[1:]:
        create_site(database, database.get_config_basedn(), site)
    for subnet, site in recipe.FIXED_SUBNETS.items():
        create_subnet(database, database.get_config_basedn(), subnet, site)


def _units_and_groups(database: Any) -> None:
    for unit in recipe.UNITS:
        database.create_ou(f"{unit},{database.domain_dn()}")
    for group in recipe.GROUPS:
        database.newgroup(group, groupou=recipe.PUSH)


def _add_user(database: Any, user: User) -> None:
    # The password is nobody's: each lab sets its own.
    database.newuser(user.name, recipe.new_password(), userou=recipe.PUSH)
    for group in user.groups:
        database.add_remove_group_members(group, [user.name], True)
    dn = f"CN={user.name},{recipe.PUSH},{database.domain_dn()}"
    if user.state is UserState.DISABLED:
        replace(database, dn, userAccountControl=str(_UF_NORMAL | _UF_DISABLED))
    elif user.state is UserState.EXPIRED:
        replace(database, dn, accountExpires=_LONG_AGO)
    if user.strict:
        policy = f"CN={recipe.STRICT_POLICY_NAME},{_policy_container(database)}"
        database.modify_ldif(f"dn: {policy}\nchangetype: modify\nadd: msDS-PSOAppliesTo\nmsDS-PSOAppliesTo: {dn}\n")


def add_computer(database: Any, computer: Computer) -> str:
    """A computer's account; returns its DN. When it signed in last is directory.py's to say."""
    fqdn = f"{computer.name}.{recipe.DNS_DOMAIN}"
    dn = f"CN={computer.name},{computer.unit},{database.domain_dn()}"
    database.add(
        {
            "dn": dn,
            "objectClass": "computer",
            "sAMAccountName": f"{computer.name.upper()}$",
            "userAccountControl": str(_UF_WORKSTATION | (0 if computer.enabled else _UF_DISABLED)),
            "dNSHostName": fqdn,
            "operatingSystem": computer.system,
            "operatingSystemVersion": computer.build,
            "lastLogonTimestamp": _LONG_AGO,
            "servicePrincipalName": [f"HOST/{fqdn}", f"HOST/{computer.name.upper()}"],
        }
    )
    for group in computer.groups:
        database.add_remove_group_members(group, [dn], True)
    return dn


def _bulk(database: Any, count: int) -> None:
    """Many computers, in one transaction: every fiftieth disabled, every tenth a server."""
    if not count:
        return
    database.create_ou(f"{recipe.BULK},{database.domain_dn()}")
    database.transaction_start()
    for number in range(1, count + 1):
        server = number % 10 == 0
        add_computer(
            database,
            Computer(
                name=f"bulk{number:05d}",
                unit=recipe.BULK,
                enabled=number % 50 != 0,
                system="Windows Server 2019 Standard" if server else "Windows 11 Enterprise",
                build="10.0 (17763)" if server else "10.0 (22631)",
            ),
        )
    database.transaction_commit()


def _rights(database: Any) -> None:
    """Who may read the passwords of local administrators, and who may read the fine-grained policy."""
    from samba.sd_utils import SDUtils

    descriptors = SDUtils(database)
    readers = sid_of(database, recipe.LAPS_READERS)
    for name, number, *_ in _LAPS_ATTRIBUTES:
        if name in _SECRETS:
            # Read property and control access, on computers below: what LAPS' own cmdlets grant.
            ace = f"(OA;CIIO;RPCR;{_schema_id(number)};{_COMPUTER_CLASS};{readers})"
            descriptors.dacl_add_ace(f"OU=Fleet,{database.domain_dn()}", ace)
    reader = sid_of(database, "reader")
    container = _policy_container(database)
    for dn in (container, f"CN={recipe.STRICT_POLICY_NAME},{container}"):
        descriptors.dacl_add_ace(dn, f"(A;CI;RPLCLORC;;;{reader})")


def sid_of(database: Any, account: str) -> str:
    (found,) = database.search(database.domain_dn(), expression=f"(sAMAccountName={account})", attrs=["objectSid"])
    raw = found["objectSid"][0]
    authority = int.from_bytes(raw[2:8], "big")
    parts = struct.unpack_from(f"<{raw[1]}I", raw, 8)
    return "-".join(["S", str(raw[0]), str(authority), *map(str, parts)])


def replace(database: Any, dn: str, **values: str) -> None:
    """Set attributes of an object, each to one value, those too that only the system may set."""
    text = "\n-\n".join(f"replace: {name}\n{name}: {value}" for name, value in values.items())
    database.modify_ldif(f"dn: {dn}\nchangetype: modify\n{text}\n", ["relax:0"])


def _interval(minutes: int) -> str:
    """A stretch of time as the directory writes it: negative, in units of 100 ns."""
    return str(-minutes * 60 * _TICKS)
