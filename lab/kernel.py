"""The few things of the kernel that Python 3.11 has no function for: namespaces, mount(2), the loopback interface.

Here: thin typed wrappers that raise OSError. Not here: what is mounted where (see boot.py).
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_REMOUNT = 0x20
MS_BIND = 0x1000

_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2); an empty `kind` or `options` is passed as NULL."""
    done = _libc.mount(
        source.encode(),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {kind or 'bind'} {source} on {target}: {os.strerror(number)}")


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Make `source` appear at `target`, which must exist and be of the same kind (file or folder)."""
    mount(str(source), target, flags=MS_BIND)
    if read_only:
        mount("", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def private_file(source: Path, place: Path, text: str) -> None:
    """Have `place` hold a text in this namespace only, wherever it leads to."""
    source.write_text(text, encoding="utf-8")
    target = place.resolve()
    if not target.exists():  # a link into /run, which is a new one here
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    bind(source, target)


def set_host_name(name: str) -> None:
    """The UTS namespace's host name: what Wine shows as COMPUTERNAME."""
    socket.sethostname(name)


def loopback_up() -> None:
    """A new network namespace starts with its loopback interface down; without it nothing can be reached."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack("16sH14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | _IFF_UP))


def unshare_command() -> list[str]:
    """The start of a command line that gives what follows namespaces of its own, ended with one kill."""
    command = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "--kill-child", "--mount-proc"]
    return command if os.geteuid() == 0 else [*command, "--user", "--map-root-user"]
