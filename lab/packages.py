"""The Debian packages that the lab needs.

    python -m lab packages     installs what is missing
    python lab/packages.py     only names it; wants nothing but Python

Here: what is missing and how it is had. Not here: what it is used for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# Package to a file it brings, which is how we know of it in no time.
NEEDED = {
    "samba": "/usr/sbin/smbd",
    "samba-common-bin": "/usr/bin/net",
    "smbclient": "/usr/bin/smbclient",
    "wine": "/usr/bin/wine",
    "krb5-kdc": "/usr/sbin/krb5kdc",
    "krb5-admin-server": "/usr/sbin/kadmin.local",
    "gcc-mingw-w64-x86-64": "/usr/bin/x86_64-w64-mingw32-gcc",
    "wixl": "/usr/bin/wixl",  # makes Windows installer packages
    # The directory (lab/domain): Samba as a domain controller, and its members' winbindd.
    "samba-ad-provision": "/usr/share/samba/setup/provision.ldif",
    "samba-dsdb-modules": "/usr/lib/*/samba/ldb/samldb.so",
    "samba-vfs-modules": "/usr/lib/*/samba/vfs/acl_xattr.so",
    "winbind": "/usr/sbin/winbindd",
    "libnss-winbind": "/usr/lib/*/libnss_winbind.so.2",
    "libnss-wrapper": "/usr/lib/*/libnss_wrapper.so",  # clients of the directory resolve its names without /etc/hosts
    "postgresql": "/usr/lib/postgresql/*/bin/postgres",  # its own cluster is never started (lab/postgresql.py)
}
NEEDED_WITHOUT_ROOT = {"libuid-wrapper": "/usr/lib/*/libuid_wrapper.so"}

_POLICY = Path("/usr/sbin/policy-rc.d")
_SWITCH = Path("/etc/nsswitch.conf")


def missing() -> list[str]:
    """Names of the packages that are not there."""
    needed = NEEDED if os.geteuid() == 0 else {**NEEDED, **NEEDED_WITHOUT_ROOT}
    return [name for name, file in needed.items() if not any(Path("/").glob(file.lstrip("/")))]


def command(names: list[str]) -> str:
    """The one command that installs them."""
    return f"apt-get update && apt-get install --no-install-recommends -y {' '.join(names)}"


def install(progress: Callable[[str], None]) -> list[str]:
    """Install what is missing where we may; returns what is missing still."""
    names = missing()
    if not names:
        return []
    prefix = _right_to_install()
    if prefix is None:
        return names
    progress(f"installing {' '.join(names)}")
    with _no_service_starts(prefix), _names_as_before(prefix):
        for step in (["update", "-q"], ["install", "--no-install-recommends", "-y", "-q", *names]):
            environment = ["env", "DEBIAN_FRONTEND=noninteractive"]
            subprocess.run([*prefix, *environment, "apt-get", *step], check=False, stdout=subprocess.DEVNULL)
    return missing()


def _right_to_install() -> list[str] | None:
    """What to put in front of a command to run it as root; None where we cannot."""
    if shutil.which("apt-get") is None:
        return None
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") is None:
        return None
    asked = subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if asked.returncode == 0 else None


@contextmanager
def _no_service_starts(prefix: list[str]) -> Iterator[None]:
    """Debian starts a service when its package is installed: smbd then listens on port 445 of every address,
    the lab's too. Debian's own way to forbid that is a policy file, which is not ours where there is one."""
    if _POLICY.exists():
        yield
        return
    text = b"#!/bin/sh\nexit 101\n"
    subprocess.run([*prefix, "tee", str(_POLICY)], input=text, stdout=subprocess.DEVNULL, check=True)
    subprocess.run([*prefix, "chmod", "755", str(_POLICY)], check=True)
    try:
        yield
    finally:
        subprocess.run([*prefix, "rm", str(_POLICY)], check=True)


@contextmanager
def _names_as_before(prefix: list[str]) -> Iterator[None]:
    """libnss-winbind enters itself into the machine's nsswitch.conf; the lab's members have one of their own."""
    before = _SWITCH.read_bytes() if _SWITCH.exists() else None
    yield
    if before is not None and _SWITCH.read_bytes() != before:
        subprocess.run([*prefix, "tee", str(_SWITCH)], input=before, stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    print(" ".join(missing()))
