"""A Kerberos realm for a lab: MIT's KDC on a loopback address, with principals for users and for the hosts' services.

    with Kdc(folder, "127.0.20.253") as kdc:
        kdc.add_user("pushadm", password)
        keytab = kdc.keytab(["ws01.lab.test"])

Clients find it by the environment of `kdc.environment`. Not here: a directory (accounts, groups, policies).
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

REALM = "LAB.TEST"
_PORT = 10088
_READY_LIMIT = 20.0
_CLOCK_AHEAD = Path(__file__).parent / "c" / "clock_ahead.c"
_SERVICES = ("host", "HTTP", "cifs")

_CLIENT = """
[libdefaults]
    default_realm = {realm}
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
[realms]
    {realm} = {{
        kdc = {address}:{port}
    }}
[domain_realm]
    .{domain} = {realm}
"""
_SERVER = """
[kdcdefaults]
    kdc_listen = {address}:{port}
    kdc_tcp_listen = {address}:{port}
[realms]
    {realm} = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
        acl_file = {folder}/acl
        supported_enctypes = aes256-cts-hmac-sha1-96:normal
        default_principal_flags = +preauth
    }}
[logging]
    kdc = FILE:{folder}/kdc.log
"""


class KdcError(Exception):
    """A tool of MIT Kerberos failed; the message holds what it said."""


class Kdc:
    """One realm; a context. Everything it makes lies in ``folder``, which must exist.

    ``ahead``: seconds that its clock is ahead of this machine's, or behind where that is below zero; takes gcc.
    """

    def __init__(self, folder: Path, address: str, port: int = _PORT, *, ahead: int = 0) -> None:
        self.folder, self._address, self._port, self._ahead = folder, address, port, ahead
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client's environment needs."""
        return {"KRB5_CONFIG": str(self.folder / "krb5.conf")}

    def __enter__(self) -> Kdc:
        known = {
            "realm": REALM,
            "domain": REALM.lower(),
            "address": self._address,
            "port": self._port,
            "folder": self.folder,
        }
        (self.folder / "krb5.conf").write_text(_CLIENT.format(**known), encoding="utf-8")
        (self.folder / "kdc.conf").write_text(_SERVER.format(**known), encoding="utf-8")
        master = os.urandom(16).hex()
        self._run(["kdb5_util", "create", "-s", "-r", REALM], f"{master}\n{master}\n")
        with (self.folder / "krb5kdc.out").open("wb") as output:
            self._process = subprocess.Popen(
                ["krb5kdc", "-n", "-r", REALM], env=self._environment() | self._clock(), stdout=output, stderr=output
            )
        self._wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def add_user(self, name: str, password: str) -> None:
        """A user's principal, or a new password for one that exists."""
        self._kadmin(f"delprinc -force {name}", f"addprinc -pw {password} {name}")

    def keytab(self, fqdns: Iterable[str]) -> Path:
        """The keys of the hosts' services, in one file that only its owner reads."""
        path = self.folder / "hosts.keytab"
        principals = [f"{service}/{fqdn}" for fqdn in fqdns for service in _SERVICES]
        self._kadmin(
            *(f"addprinc -randkey {principal}" for principal in principals),
            *(f"ktadd -k {path} {principal}" for principal in principals),
        )
        path.chmod(0o600)
        return path

    def log(self) -> str:
        """What the KDC has logged: a line for each AS-REQ and TGS-REQ."""
        path = self.folder / "kdc.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _kadmin(self, *commands: str) -> None:
        # By standard input: arguments are for every user of the machine to see.
        said = self._run(["kadmin.local", "-r", REALM], "\n".join(commands) + "\nquit\n")
        if "while" in said and "does not exist" not in said:
            raise KdcError(said)

    def _run(self, command: list[str], text: str) -> str:
        try:
            done = subprocess.run(
                command, input=text, env=self._environment(), capture_output=True, text=True, timeout=60, check=False
            )
        except FileNotFoundError as exc:
            raise KdcError(f"{command[0]} is missing: run `python -m lab packages`") from exc
        if done.returncode:
            raise KdcError(f"{command[0]} failed:\n{done.stdout}{done.stderr}".rstrip())
        return done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "KRB5_KDC_PROFILE": str(self.folder / "kdc.conf"),
            **self.environment,
        }

    def _clock(self) -> dict[str, str]:
        if not self._ahead:
            return {}
        shim = self.folder / "clock_ahead.so"
        self._run(["gcc", "-O1", "-shared", "-fPIC", "-o", str(shim), str(_CLOCK_AHEAD)], "")
        return {"LD_PRELOAD": str(shim), "CLOCK_AHEAD": str(self._ahead)}

    def _wait(self) -> None:
        assert self._process is not None
        limit = time.monotonic() + _READY_LIMIT
        while True:
            try:
                socket.create_connection((self._address, self._port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > limit:
                    said = (self.folder / "krb5kdc.out").read_text(encoding="utf-8", errors="replace")
                    raise KdcError(f"krb5kdc does not answer: {said}") from None
                time.sleep(0.05)
            else:
                return
