"""A domain controller as tests and the command line see it: starting and ending it, and what can be done to it.

    with Domain(folder, "127.0.60.252") as domain:
        domain.password("push1"), domain.environment, domain.bad_password_count("push1")

Everything it makes lies in ``folder``; everything it runs ends with one process. Secrets are files that only their
owner reads. Not here: what goes on inside (controller.py), what the directory holds (recipe.py).
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from lab import control, kernel, packages, processes
from lab.build import default_cache
from lab.control import ControlError
from lab.domain import configuration, recipe
from lab.domain.order import Order
from lab.domain.recipe import Laps
from lab.host_client import LabError
from lab.order import Membership
from lab.scenarios import CA

_SYSTEM_PYTHON = "/usr/bin/python3"  # Samba's bindings are for it and no other
_READY_LIMIT, _PER_COMPUTER = 300.0, 0.15  # seconds; the latter to make a large snapshot
_CERTIFICATES = "certificates"
_LEFT_BY_DOWN = ("certificates", "secrets", "keytabs", "log")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One attempt to sign in that the domain controller has judged."""

    time: str
    user: str  # as the client wrote it
    status: str  # NT_STATUS_...
    service: str  # Kerberos KDC, LDAP, NETLOGON (for a member) or SMB2
    description: str  # how: ENC-TS Pre-authentication, simple bind/TLS, network and so on
    client: str


@dataclass(frozen=True, kw_only=True)
class Member:
    """A host that is to join: its account in the directory."""

    name: str
    address: str
    unit: str = recipe.SEATTLE
    groups: Sequence[str] = ()
    laps: Laps = Laps.NONE


class Domain:
    """A Samba domain controller on one loopback address; a context, or ``up`` and ``down``."""

    realm = recipe.REALM
    domain = recipe.DNS_DOMAIN
    netbios = recipe.NETBIOS
    base_dn = recipe.BASE_DN
    fqdn = recipe.CONTROLLER_FQDN

    def __init__(
        self,
        folder: Path,
        address: str,
        *,
        authorities: Path | None = None,
        bulk: int = 0,
        cache: Path | None = None,
        progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`authorities` are a lab's own (see lab/certificates.py); by default there are new ones in the folder.

        With `bulk` there are as many more computers below OU=Bulk,OU=Fleet; their snapshot takes a while to make.
        """
        self.folder = folder.absolute()
        self.address = address
        self._authorities = authorities or self.folder / _CERTIFICATES
        self._bulk = bulk
        self._cache = cache or default_cache()
        self._progress = progress

    def __repr__(self) -> str:
        return f"Domain({self.realm!r}, {self.address})"

    # -- life --------------------------------------------------------------------------------------------

    def __enter__(self) -> Domain:
        try:
            self.up()
        except BaseException:
            self.down()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    @property
    def is_up(self) -> bool:
        return processes.running(self._record) is not None

    def up(self) -> None:
        """Start the controller; returns when it answers."""
        if missing := packages.missing():
            raise LabError(f"the domain needs {', '.join(missing)}: run `python -m lab packages`")
        if os.geteuid() != 0:
            raise LabError("a domain controller needs root: Samba sets owners and security attributes of files")
        if self.is_up:
            raise LabError(f"{self!r} runs already")
        began = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._cache.mkdir(parents=True, exist_ok=True)
        for name in ("log", "keytabs", "secrets"):
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)
        self._write_client_files()
        self._make_order().write(self.folder / "order.json")
        self._spawn()
        try:
            self._ask("ready", timeout=_READY_LIMIT + self._bulk * _PER_COMPUTER)
        except ControlError as exc:
            raise LabError(f"{exc}\n{self.log_tail()}") from exc
        self._progress(f"{self.fqdn} {self.address} {self.realm}: {time.monotonic() - began:.1f} s")

    def down(self) -> None:
        """End the controller and remove its files. No-op when there is nothing."""
        mark = processes.read_mark(self._record)
        if mark is not None:
            processes.end(mark)
        if self.folder.exists():
            processes.wait_for_unrecorded(self.folder)
        for name in _LEFT_BY_DOWN:
            if (self.folder / name).exists():
                shutil.rmtree(self.folder / name)
        for name in ("process.json", "order.json", "krb5.conf", "hosts", "control.sock"):
            processes.remove_written(self.folder / name)

    def _spawn(self) -> None:
        command = [part for part in kernel.unshare_command() if part != "--net"]
        with control.listen(self.folder / "control.sock") as listener:
            command += [_SYSTEM_PYTHON, "-m", "lab.domain.controller", "--order", str(self.folder / "order.json")]
            processes.spawn(
                [*command, "--control", str(listener.fileno())],
                self._record,
                self.folder / "log" / "controller.log",
                keep=[listener.fileno()],
                env={
                    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                    "LANG": "C.UTF-8",
                    "PYTHONPATH": str(Path(__file__).parent.parent.parent),
                    "PYTHONDONTWRITEBYTECODE": "1",
                },
            )

    def _make_order(self) -> Order:
        from lab import certificates  # slow to import

        if not self._authorities.exists():
            certificates.make_authorities(self._authorities)
        pem = self.folder / "secrets" / "controller.pem"
        certificates.issue_for_controller(self._authorities, self.fqdn, self.address, pem)
        certificate, mark, key = pem.read_text(encoding="ascii").partition("-----BEGIN PRIVATE KEY-----")
        users = [recipe.ADMINISTRATOR, *(user.name for user in recipe.USERS)]
        passwords = {user: self._new_secret(user) for user in users}
        computers = [computer.name for computer in recipe.COMPUTERS if computer.laps is not Laps.NONE]
        return Order(
            address=self.address,
            folder=str(self.folder),
            cache=str(self._cache),
            bulk=self._bulk,
            certificate=certificate,
            key=mark + key,
            authority=self.ca.read_text(encoding="ascii"),
            subnets=self.subnets,
            passwords=passwords,
            laps={computer: self._new_secret(f"laps-{computer}") for computer in computers},
        )

    def _write_client_files(self) -> None:
        processes.write_atomically(self.folder / "krb5.conf", configuration.kerberos(self.address))
        processes.write_atomically(self.folder / "hosts", f"{self.address} {self.fqdn}\n127.0.0.1 localhost\n")

    # -- for clients -------------------------------------------------------------------------------------

    @property
    def nameserver(self) -> str:
        """As an inventory writes it."""
        return f"{self.address}:{configuration.DNS_PORT}"

    @property
    def ca(self) -> Path:
        """The authority that signs the LDAPS certificate, which is for the controller's name and for its address."""
        return self._authorities / CA

    @property
    def environment(self) -> dict[str, str]:
        """What a client's process needs for Kerberos."""
        return {"KRB5_CONFIG": str(self.folder / "krb5.conf"), "LDAPSASL_NOCANON": "on"}

    @property
    def naming_environment(self) -> dict[str, str]:
        """And to resolve the controller's name by the C library, as libldap does; for new processes only.

        Without it a client takes the address: the certificate and the principal ldap/ADDRESS are for that too.
        """
        return {**self.environment, "LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_HOSTS": str(self.folder / "hosts")}

    @property
    def subnets(self) -> dict[str, str]:
        """The lab's own in the directory, with their sites: a host's is by the longest prefix."""
        network = IPv4Network(f"{self.address}/24", strict=False)
        paris = IPv4Network((network.network_address + 2, 31))
        return {str(network): "Seattle", str(paris): "Paris"}

    def site_of(self, address: str) -> str | None:
        """The site that the directory's subnets say."""
        known = {IPv4Network(text): site for text, site in {**recipe.FIXED_SUBNETS, **self.subnets}.items()}
        within = [network for network in known if IPv4Address(address) in network]
        return known[max(within, key=lambda network: network.prefixlen)] if within else None

    # -- accounts ----------------------------------------------------------------------------------------

    def password(self, user: str) -> str:
        """Of a user (see recipe.py; Administrator too)."""
        return self.secret_file(user).read_text(encoding="utf-8")

    def secret_file(self, user: str) -> Path:
        """The file that holds it, for `secret = "file:..."`."""
        return self.folder / "secrets" / user

    def laps_password(self, computer: str) -> str:
        """Of the computer's local administrator (`lapsadm`), as the directory has it."""
        return self.password(f"laps-{computer}")

    def has_laps(self, computer: str) -> bool:
        return self.secret_file(f"laps-{computer}").exists()

    def set_password(self, user: str, new: str | None = None) -> str:
        """As an administrator sets it; a random one by default. `password` gives it from now on."""
        value = new or recipe.new_password()
        self._ask("set_password", user=user, password=value)
        self._write_secret(user, value)
        return value

    def bad_password_count(self, user: str) -> int:
        """`badPwdCount`, just as it stands."""
        return self._account(user)["badPwdCount"]

    def lockout_time(self, user: str) -> int:
        """`lockoutTime`: when the account was locked, in units of 100 ns since 1601; 0 where it is not."""
        return self._account(user)["lockoutTime"]

    def is_locked(self, user: str) -> bool:
        return self.lockout_time(user) != 0

    def unlock(self, user: str) -> None:
        """No wrong password counts any more."""
        self._ask("unlock", user=user)

    def reset(self, *users: str) -> None:
        """As the accounts were when the lab was new, their passwords too. Without names all that are otherwise."""
        originals = json.loads((self.folder / "order.json").read_text(encoding="utf-8"))["passwords"]
        chosen = users or [user for user in originals if self._differs(user, originals[user])]
        self._ask("restore", passwords={user: originals[user] for user in chosen})
        for user in chosen:
            self._write_secret(user, originals[user])

    def _differs(self, user: str, original: str) -> bool:
        account = self._account(user)
        return self.password(user) != original or account["badPwdCount"] != 0 or account["lockoutTime"] != 0

    def keytab(self, user: str) -> Path:
        """The account's keys as they are now, in a file that only its owner reads."""
        self._ask("keytab", user=user, name=user)
        return self.folder / "keytabs" / user

    def sid(self, account: str) -> str:
        """Of a user, group or computer."""
        return str(self._ask("sid", account=account))

    def _account(self, user: str) -> Mapping[str, int]:
        found: Mapping[str, int] = self._ask("account", user=user)
        return found

    # -- the directory -----------------------------------------------------------------------------------

    def add_member(self, member: Member) -> None:
        """The account of a host that is to join."""
        secret = self._new_secret(f"laps-{member.name}") if member.laps is not Laps.NONE else ""
        self._ask(
            "add_member",
            name=member.name,
            address=member.address,
            unit=member.unit,
            groups=list(member.groups),
            laps=member.laps,
            secret=secret,
        )

    @property
    def membership(self) -> Membership:
        """What a host is told that is to join."""
        groups = (recipe.ADMINS, "Domain Admins")
        return Membership(
            realm=self.realm,
            workgroup=self.netbios,
            controller=self.address,
            kerberos=configuration.kerberos(self.address),
            administrator=recipe.ADMINISTRATOR,
            password=self.password(recipe.ADMINISTRATOR),
            administrators=tuple(self.sid(group) for group in groups),
            users=tuple(user.name for user in recipe.USERS if recipe.ADMINS in user.groups),
        )

    def modify(self, ldif: str) -> None:
        """Any change of the directory, in LDIF with `changetype:`; no rights are asked for."""
        self._ask("modify", ldif=ldif)

    def read(self, filter: str, attributes: Sequence[str] = ()) -> list[dict[str, list[str]]]:
        """Objects of the domain past LDAP and its rights; what is no text comes as hexadecimal digits."""
        found: list[dict[str, list[str]]] = self._ask("read", filter=filter, attributes=list(attributes))
        return found

    # -- faults and logs ---------------------------------------------------------------------------------

    def stop(self) -> None:
        """The controller is shut down: every port refuses. Its directory is kept for `start`."""
        self._ask("stop")

    def start(self) -> None:
        self._ask("start", timeout=90)

    def freeze(self) -> None:
        """Every port takes connections and says nothing, until `thaw`."""
        self._ask("freeze")

    def thaw(self) -> None:
        self._ask("thaw")

    def log(self) -> list[Seen]:
        """Every attempt to sign in, oldest first; the lab's members and their winbindd too."""
        path = self.folder / "log" / configuration.AUTHENTICATION_LOG
        if not path.exists():
            return []
        return parse_log(path.read_text(encoding="utf-8", errors="replace"))

    def log_tail(self, lines: int = 15) -> str:
        """The end of what the controller's process has logged."""
        found = []
        for path in (self.folder / "log" / "controller.log", self.folder / "log" / "samba.out"):
            if path.exists():
                text = path.read_text(encoding="utf-8", errors="replace")
                found += [f"{path}:", *text.splitlines()[-lines:]]
        return "\n".join(found)

    # -- state -------------------------------------------------------------------------------------------

    @property
    def _record(self) -> Path:
        return self.folder / "process.json"

    def _new_secret(self, name: str) -> str:
        value = recipe.new_password()
        self._write_secret(name, value)
        return value

    def _write_secret(self, name: str, value: str) -> None:
        processes.write_atomically(self.secret_file(name), value, mode=0o600)

    def _ask(self, call: str, timeout: float = 30.0, **arguments: Any) -> Any:
        try:
            return control.ask(self.folder / "control.sock", call, arguments, timeout)
        except ControlError as exc:
            if call == "ready":
                raise
            raise LabError(f"{self.realm}: {exc}") from exc


def parse_log(text: str) -> list[Seen]:
    """Samba's authentication audit: a JSON object a line, some with words in front."""
    found = []
    for line in text.splitlines():
        start = line.find('{"timestamp"')
        if start < 0:
            continue
        try:
            event = json.loads(line[start:])
        except ValueError:
            continue  # it is being written
        if event.get("type") != "Authentication":
            continue
        details = event["Authentication"]
        found.append(
            Seen(
                time=event["timestamp"],
                user=details["clientAccount"] or "",
                status=details["status"],
                service=details["serviceDescription"] or "",
                description=details["authDescription"] or "",
                client=details["remoteAddress"] or "",
            )
        )
    return found
