"""How a host is put together inside its namespaces: its file system, its Wine, its Samba, in this order.

Everything lies under one private tmpfs on /run, so that paths are short, nothing of the machine's own
services is seen, and all of it is gone with the namespace. What must be readable afterwards (logs) and the
host's drive lie in the host's folder on disk, bound into that tmpfs.

Not here: what goes on after the boot (host.py), what Samba is told (samba.py).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lab import kernel, samba
from lab.build import WINE_ENVIRONMENT
from lab.logons import Logons
from lab.lsa import LsaPipe
from lab.order import Order
from lab.samba import LAPS_ACCOUNT, Samba
from lab.scenarios import AdminShare
from lab.scm import ServiceManagerPipe

HOME = Path("/run/lab")
DISK = HOME / "disk"  # the host's folder
LOGS = DISK / "log"
PREFIX = HOME / "prefix"
DRIVE = PREFIX / "drive_c"
KEEPER_FILE = HOME / "keeper"
_RELAYS = 3
_TEMPLATE = HOME / "template"
_RELAY = HOME / "relay.exe"
HELPER = HOME / "helper.exe"
RUNNER = HOME / "runner.exe"
EGRESS = HOME / "egress"
_AGENT = HOME / "agent.exe"
_KERBEROS = HOME / "etc" / "krb5.conf"  # members of the directory have one
_SMALL_DISK = HOME / "small"
_SMALL_DISK_BYTES = 1 << 20
_ROOM_ON_FULL_DISK = 100_000

_SERVICE_KEY = r"System\\CurrentControlSet\\Services\\LabAgent"


class BootError(Exception):
    """The host cannot be started; the message says which part."""


@dataclass(frozen=True, kw_only=True)
class Booted:
    """A host whose parts run."""

    samba: Samba
    relay_port: int
    children: dict[str, subprocess.Popen[bytes]]


def environment() -> dict[str, str]:
    """All that the host's programs get of an environment; what the caller's holds is none of their business."""
    base = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(HOME / "home"),
        "TMPDIR": str(HOME / "tmp"),
    }
    if _KERBEROS.exists():
        # Without the second Samba's tools would write into the machine's own /etc/krb5.keytab.
        base |= {"KRB5_CONFIG": str(_KERBEROS), "KRB5_KTNAME": f"FILE:{HOME}/samba/private/krb5.keytab"}
    if not _is_real_root():
        # setuid() to a user that the namespace has not would fail; the wrapper makes smbd believe in it.
        base |= {"LD_PRELOAD": "libuid_wrapper.so", "UID_WRAPPER": "1", "UID_WRAPPER_ROOT": "1"}
    return base


def wine_environment() -> dict[str, str]:
    """For Wine's programs."""
    base = {name: value for name, value in environment().items() if name != "LD_PRELOAD"}
    return {**base, **WINE_ENVIRONMENT, "WINEPREFIX": str(PREFIX)}


def as_user(given: Mapping[str, str], user: str) -> dict[str, str]:
    """The environment for Wine's programs that ``user`` starts.

    Wine runs all of a host as one Unix user, and takes what it answers to GetUserName from USER. So a program that asks
    is told who has started it; that it may do what all may there, and keeps the USERNAME of the prefix, is Wine's.
    """
    name = re.sub(r"[^\w.-]", "_", user.rpartition("\\")[2].partition("@")[0])
    profile = Path(given["WINEPREFIX"], "drive_c", "users", name)
    (profile / "Temp").mkdir(parents=True, exist_ok=True)
    return {**given, "USER": name}


def service_logons() -> Logons:
    """Who may log on as a service on this host, for each process of it that is asked."""
    return Logons(
        file=DISK / "logons.json", samba=HOME / "samba" / "smb.conf", keeper=KEEPER_FILE, environment=environment()
    )


def _is_real_root() -> bool:
    """False in a user namespace that maps one user only."""
    return int(Path("/proc/self/uid_map").read_text(encoding="ascii").split()[2]) > 1


def boot(order: Order) -> Booted:
    """Start everything; returns when the parts run, which is a little before they all answer."""
    _file_system(order)
    kernel.set_host_name(order.name.upper())
    kernel.loopback_up()
    if order.preinstalled is not None and order.fresh:
        _preinstall(**order.preinstalled)
    relay = _start_relay()  # Wine takes the longest, so Samba starts while it does
    member = order.membership
    server = Samba(
        name=order.name,
        home=HOME / "samba",
        logs=LOGS,
        drive=DRIVE,
        environment=environment(),
        interfaces=order.interfaces,
        membership=member,
    )
    server.configure(order.admin_share, order.encryption, order.windows[0])
    children = {"wine": relay}
    if member is not None:
        from lab.domain.bridge import Bridge  # which few hosts need

        Bridge(EGRESS, order.address, member.controller).start()
        server.join(member, DISK / "membership")
        shutil.copyfile(server.home / "private" / "krb5.keytab", DISK / "krb5.keytab")
        (DISK / "krb5.keytab").chmod(0o600)
        children["winbindd"] = server.start_winbindd()
    server.add_accounts(order.passwords, order.account)
    children["samba-dcerpcd"], children["smbd"] = server.start()
    children["wine"], port = _ready(relay)
    svcctl = server.pipes / "svcctl"
    ServiceManagerPipe(
        svcctl, lambda: socket.create_connection(("127.0.0.1", port)), order.windows, service_logons()
    ).start()
    LsaPipe(server.pipe("lsarpc"), service_logons()).start()
    return Booted(samba=server, relay_port=port, children=children)


def _file_system(order: Order) -> None:
    """The private /run and what is bound into it. Handles are opened first: a folder may lie under /run."""
    sources = {DISK: order.folder, _TEMPLATE: order.template, _RELAY: order.relay}
    sources |= {HELPER: order.helper, RUNNER: order.runner, EGRESS: order.egress}
    if order.preinstalled is not None:
        sources[_AGENT] = order.preinstalled["executable"]
    handles = {place: os.open(source, os.O_PATH) for place, source in sources.items()}
    kernel.mount("tmpfs", Path("/run"), "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for folder in (HOME, PREFIX, HOME / "home", HOME / "tmp", HOME / "etc"):
        folder.mkdir()
    for place, handle in handles.items():
        if Path(sources[place]).is_dir():
            place.mkdir()
        else:
            place.touch()
        kernel.bind(Path(f"/proc/self/fd/{handle}"), place, read_only=place not in (DISK, EGRESS))
        os.close(handle)
    if order.overlay:
        options = f"lowerdir={_TEMPLATE},upperdir={DISK / 'upper'},workdir={DISK / 'work'}"
        kernel.mount("overlay", PREFIX, "overlay", options=options)
    else:
        kernel.bind(DISK / "prefix", PREFIX)
    if order.windows[0].upper() != "C":
        drive = PREFIX / "dosdevices" / f"{order.windows[0].lower()}:"
        drive.unlink(missing_ok=True)
        drive.symlink_to(DRIVE)
    if not order.winrm.curl:
        (DRIVE / "windows" / "system32" / "curl.exe").unlink(missing_ok=True)
    if order.admin_share is AdminShare.FULL:
        _fill_windows_disk()
    _private_etc(order)


def _fill_windows_disk() -> None:
    """Put the windows folder on a small disk of its own, and leave little room on it.

    Room is then short for whoever asks (an overlay answers for its upper layer) and for whoever writes.
    """
    windows = DRIVE / "windows"
    lower = HOME / "windows"
    for folder in (_SMALL_DISK, lower):
        folder.mkdir()
    kernel.bind(windows, lower)
    kernel.mount("tmpfs", _SMALL_DISK, "tmpfs", options=f"size={_SMALL_DISK_BYTES}")
    for name in ("upper", "work"):
        (_SMALL_DISK / name).mkdir()
    options = f"lowerdir={lower},upperdir={_SMALL_DISK}/upper,workdir={_SMALL_DISK}/work"
    kernel.mount("overlay", windows, "overlay", options=options)
    room = os.statvfs(windows)
    (windows / "memory.dmp").write_bytes(bytes(room.f_bavail * room.f_frsize - _ROOM_ON_FULL_DISK))


def _private_etc(order: Order) -> None:
    """Users, groups and the host's own names, for this namespace only."""
    passwd, group = samba.unix_accounts(
        order.account, second_account=order.second_account, laps=LAPS_ACCOUNT in order.passwords
    )
    # The first name is what Samba gives as the DNS name in its NTLM challenge.
    names = f"127.0.0.1 {order.name}.{order.domain} {order.name.upper()} localhost\n"
    switch = "passwd: files\ngroup: files\nshadow: files\nhosts: files\n"
    files = {"passwd": passwd, "group": group, "hosts": names, "nsswitch.conf": switch}
    if order.membership is not None:
        _KERBEROS.write_text(order.membership.kerberos, encoding="utf-8")
        Path("/run/samba").mkdir()  # where winbindd has its socket
        files["resolv.conf"] = f"nameserver {order.membership.controller}\nsearch {order.domain}\n"
        files["nsswitch.conf"] = "passwd: files winbind\ngroup: files winbind\nshadow: files\nhosts: files dns\n"
    for name, text in files.items():
        kernel.private_file(HOME / "etc" / name, Path("/etc") / name, text)


def _preinstall(executable: str, place: str, display_name: str, command: str) -> None:
    """Put a service where a push would have put it: its executable at `place` of drive C:, and the entry that
    Wine would have written into its database. Wine has not started yet and finds both."""
    del executable  # bound to a place of its own by now
    target = DRIVE / place
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_AGENT, target)
    quoted = command.replace("\\", "\\\\").replace('"', '\\"')
    entry = (
        f"\n[{_SERVICE_KEY}] {int(time.time())}\n"
        f'"DisplayName"="{display_name}"\n'
        '"ErrorControl"=dword:00000001\n'
        # A plain string, as Wine writes it: one marked as expandable would be expanded by Wine when it is read, with
        # Wine's own folders. What Windows makes of it is scm.py's business.
        f'"ImagePath"="{quoted}"\n'
        '"ObjectName"="LocalSystem"\n'
        '"PreshutdownTimeout"=dword:0002bf20\n'
        '"Start"=dword:00000002\n'
        '"Type"=dword:00000010\n'
    )
    # By a new file and a rename: in a hard-linked prefix the old one is the template's too.
    registry = PREFIX / "system.reg"
    beside = registry.with_name("system.new")
    shutil.copyfile(registry, beside)
    with beside.open("a", encoding="ascii") as file:
        file.write(entry)
    beside.rename(registry)


def _start_relay() -> subprocess.Popen[bytes]:
    """Start Wine by starting the relay in it; services.exe comes with it."""
    with (LOGS / "wine.err").open("ab") as errors:
        return subprocess.Popen(
            ["wine", str(_RELAY), "svcctl"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            # The service manager, and what it starts: the machine itself.
            env=as_user(wine_environment(), "SYSTEM"),
        )


def shut_down_wine() -> None:
    """End Wine as a shutdown does, so that its registry is on disk."""
    subprocess.run(["wineserver", "--kill"], env=wine_environment(), capture_output=True, check=True, timeout=20)
    subprocess.run(["wineserver", "--wait"], env=wine_environment(), capture_output=True, check=True, timeout=20)


def _ready(relay: subprocess.Popen[bytes]) -> tuple[subprocess.Popen[bytes], int]:
    """The relay and its port. It is started once more where its process died without a word: Wine fails to begin one
    now and then, and nothing of it has been run."""
    for left in reversed(range(_RELAYS)):
        assert relay.stdout is not None
        line = relay.stdout.readline().decode(errors="replace")
        if found := re.match(r"READY (\d+)", line):
            return relay, int(found[1])
        if line or not left:
            raise BootError(f"the relay did not start in Wine: {line!r}; see {LOGS}/wine.err")
        relay.wait()
        relay = _start_relay()
    raise AssertionError("the last one returns or raises")
