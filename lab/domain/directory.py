"""The live directory, from inside the domain controller's namespace, past LDAP and its rights and policies.

Runs with the system's Python and Samba's bindings. Here: what a lab has of its own, and what tests read and change.
Not here: the objects that every lab has (populate.py), processes (controller.py).
"""

# Samba's bindings are the system's Python's, not the virtual environment's.
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lab.domain import configuration, recipe
from lab.domain.populate import UNSET_ADDRESS, add_computer, controller_dn, open_database, replace, sid_of
from lab.domain.recipe import Computer, Laps, UserState

_FILETIME_EPOCH = 11_644_473_600
_DAY = 86_400
_LAPS_VALID = 20 * _DAY
_ZONES = ("DC=DomainDnsZones", "DC=ForestDnsZones")
_TTL = 5
_STATES = {user.name.lower(): user.state for user in recipe.USERS}


class Directory:
    """What the control socket can ask for. One call at a time: the database's handle is for one thread."""

    def __init__(self) -> None:
        self._database: Any = open_database()
        self._lock = threading.Lock()

    @property
    def calls(self) -> tuple[Callable[..., Any], ...]:
        """Those that may come from outside."""
        live = (self.set_password, self.account, self.unlock, self.restore, self.keytab, self.sid)
        return (*live, self.add_member, self.modify, self.read)

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Alone, and in one transaction, which is much faster than many."""
        with self._lock:
            self._database.transaction_start()
            try:
                yield
            except BaseException:
                self._database.transaction_cancel()
                raise
            self._database.transaction_commit()

    # -- what a lab has of its own -----------------------------------------------------------------------

    def personalize(
        self, address: str, subnets: Mapping[str, str], passwords: Mapping[str, str], laps: Mapping[str, str]
    ) -> None:
        """Addresses, passwords (those of local administrators by computer) and all that is measured from today."""
        with self._at_once():
            self._move_to(address)
            self._make_subnets(subnets)
            for user, password in passwords.items():
                self._set_password(user, password)
                self._restore_state(user)
            for computer in recipe.COMPUTERS:
                dn = f"CN={computer.name},{computer.unit},{recipe.BASE_DN}"
                if computer.fresh:
                    replace(self._database, dn, lastLogonTimestamp=_filetime(-_DAY))
                self._set_laps(dn, computer.laps, laps.get(computer.name, ""))

    def _move_to(self, address: str) -> None:
        """The controller's own A records, and a service name for clients that know its address only."""
        from samba.dcerpc import dnsp

        for zone in _ZONES:
            found = self._database.search(
                f"{zone},{recipe.BASE_DN}", expression="(objectClass=dnsNode)", attrs=["dnsRecord"]
            )
            for node in found:
                records = self._database.dns_extract(node["dnsRecord"])
                ours = [one for one in records if one.wType == dnsp.DNS_TYPE_A and one.data == UNSET_ADDRESS]
                for record in ours:
                    record.data = address
                if ours:
                    self._database.dns_replace_by_dn(node.dn, records)
        change = "changetype: modify\nadd: servicePrincipalName\nservicePrincipalName"
        self._database.modify_ldif(f"dn: {controller_dn()}\n{change}: ldap/{address}\n")

    def _make_subnets(self, subnets: Mapping[str, str]) -> None:
        from samba.subnets import create_subnet

        for subnet, site in subnets.items():
            create_subnet(self._database, self._database.get_config_basedn(), subnet, site)

    def add_member(self, name: str, address: str, unit: str, groups: list[str], laps: str, secret: str) -> None:
        """An account for a host that is to join, and its name in the DNS."""
        from samba.ndr import ndr_pack
        from samba.provision.sambadns import ARecord

        computer = Computer(
            name=name,
            unit=unit,
            groups=tuple(groups),
            laps=Laps(laps),
            system="Windows Server 2022 Standard",
            build="10.0 (20348)",
        )
        with self._at_once():
            dn = add_computer(self._database, computer)
            replace(self._database, dn, lastLogonTimestamp=_filetime(-_DAY))
            self._set_laps(dn, computer.laps, secret)
            record = ARecord(address, serial=1, ttl=_TTL)
            zone = f"DC={recipe.DNS_DOMAIN},CN=MicrosoftDNS,{_ZONES[0]},{recipe.BASE_DN}"
            self._database.add({"dn": f"DC={name},{zone}", "objectClass": "dnsNode", "dnsRecord": ndr_pack(record)})

    def _set_laps(self, dn: str, laps: Laps, secret: str) -> None:
        match laps:
            case Laps.LEGACY:
                until = {"ms-Mcs-AdmPwdExpirationTime": _filetime(_LAPS_VALID)}
                replace(self._database, dn, **{"ms-Mcs-AdmPwd": secret}, **until)
            case Laps.WINDOWS:
                # [MS-ADA2], msLAPS-Password: account, time of the change in hexadecimal digits, password.
                value = json.dumps({"n": recipe.LAPS_ACCOUNT, "t": f"{int(_filetime(0)):x}", "p": secret})
                until = {"msLAPS-PasswordExpirationTime": _filetime(_LAPS_VALID)}
                replace(self._database, dn, **{"msLAPS-Password": value}, **until)
            case Laps.NONE:
                pass

    # -- accounts ----------------------------------------------------------------------------------------

    def set_password(self, user: str, password: str) -> None:
        with self._lock:
            self._set_password(user, password)

    def _set_password(self, user: str, password: str) -> None:
        value = base64.b64encode(f'"{password}"'.encode("utf-16-le")).decode()
        self._database.modify_ldif(
            f"dn: {self._dn(user)}\nchangetype: modify\nreplace: unicodePwd\nunicodePwd:: {value}\n"
        )

    def account(self, user: str) -> dict[str, int]:
        """What the directory counts of an account."""
        names = ["badPwdCount", "lockoutTime", "badPasswordTime", "userAccountControl", "pwdLastSet"]
        with self._lock:
            (found,) = self._database.search(self._dn(user), scope=0, attrs=names)
            return {name: int(found[name][0]) if name in found else 0 for name in names}

    def unlock(self, user: str) -> None:
        """No wrong password counts any more."""
        with self._lock:
            replace(self._database, self._dn(user), lockoutTime="0", badPwdCount="0")

    def restore(self, passwords: Mapping[str, str]) -> None:
        """As those accounts were when the lab was new: unlocked, with that password, and in their own state."""
        with self._at_once():
            for user, password in passwords.items():
                self._set_password(user, password)
                self._restore_state(user)
                replace(self._database, self._dn(user), lockoutTime="0", badPwdCount="0")

    def sid(self, account: str) -> str:
        with self._lock:
            return sid_of(self._database, account)

    def _restore_state(self, user: str) -> None:
        if _STATES.get(user.lower()) is UserState.MUST_CHANGE:
            replace(self._database, self._dn(user), pwdLastSet="0")

    def keytab(self, user: str, name: str) -> None:
        """The account's keys in a file of that name, in the controller's folder."""
        import samba.dckeytab  # noqa: F401 (gives Net the call below)
        from samba.credentials import Credentials
        from samba.net import Net
        from samba.param import LoadParm

        parameters = LoadParm()
        parameters.load(str(configuration.CONFIGURATION))
        file = configuration.DISK / "keytabs" / name
        file.unlink(missing_ok=True)
        with self._lock:
            Net(Credentials(), parameters).export_keytab(keytab=str(file), principal=user)
        Path(file).chmod(0o600)

    def _dn(self, account: str) -> str:
        found = self._database.search(recipe.BASE_DN, expression=f"(sAMAccountName={account})", attrs=[])
        if len(found) != 1:
            raise LookupError(f"no account {account!r} in {recipe.REALM}")
        return str(found[0].dn)

    # -- whatever else -----------------------------------------------------------------------------------

    def modify(self, ldif: str) -> None:
        """Any change, in LDIF with `changetype:`."""
        with self._lock:
            self._database.modify_ldif(ldif, ["relax:0"])

    def read(self, filter: str, attributes: list[str]) -> list[dict[str, list[str]]]:
        """Objects of the domain that match, with `dn`; what is no text comes as hexadecimal digits."""
        with self._lock:
            found = self._database.search(recipe.BASE_DN, expression=filter, attrs=attributes)
            return [
                {
                    "dn": [str(entry.dn)],
                    **{name: [_text(value) for value in entry[name]] for name in attributes if name in entry},
                }
                for entry in found
            ]


def _text(value: bytes) -> str:
    try:
        return bytes(value).decode()
    except UnicodeDecodeError:
        return bytes(value).hex()


def _filetime(seconds_from_now: int) -> str:
    """In units of 100 ns since 1601."""
    return str(int((time.time() + seconds_from_now + _FILETIME_EPOCH) * 10_000_000))
