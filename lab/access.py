"""What a caller may ask of the service manager: access masks by MS-SCMR 3.1.4 and Windows' default descriptors.

Wine runs every service call as one user and refuses nobody; Windows compares the mask that a handle is
opened with against a security descriptor. Administrators get everything. Everybody else who comes over the
network may connect to the service manager and nothing more: the wider read rights of the default
descriptors are for interactive users and services.

Pure: numbers in, numbers out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MAXIMUM_ALLOWED = 0x02000000
_READ, _WRITE, _EXECUTE, _ALL = 0x80000000, 0x40000000, 0x20000000, 0x10000000
_READ_CONTROL = 0x00020000


@dataclass(frozen=True, kw_only=True)
class Securable:
    """A kind of object: what its generic rights stand for, and what a remote non-administrator gets."""

    generic: Mapping[int, int]
    remote_user: int
    implied: int = 0  # what every opening asks for, said or not


SERVICE_MANAGER = Securable(
    generic=MappingProxyType(
        {
            _READ: _READ_CONTROL | 0x4 | 0x10,  # enumerate services, query lock status
            _WRITE: _READ_CONTROL | 0x2 | 0x20,  # create services, modify boot configuration
            _EXECUTE: _READ_CONTROL | 0x1 | 0x8,  # connect, lock
            _ALL: 0xF003F,
        }
    ),
    remote_user=0x1,  # connect
    implied=0x1,
)
SERVICE = Securable(
    generic=MappingProxyType(
        {
            _READ: _READ_CONTROL | 0x1 | 0x4 | 0x8 | 0x80,  # query configuration, status; dependents; interrogate
            _WRITE: _READ_CONTROL | 0x2,  # change configuration
            _EXECUTE: _READ_CONTROL | 0x10 | 0x20 | 0x40 | 0x100,  # start, stop, pause, user-defined control
            _ALL: 0xF01FF,
        }
    ),
    remote_user=0,
)


def granted(kind: Securable, wanted: int, *, administrator: bool) -> int | None:
    """The mask to open the object with, or None where Windows would answer ACCESS_DENIED."""
    if administrator:
        return wanted
    specific = _without_generic(kind, wanted) | kind.implied
    if specific & MAXIMUM_ALLOWED:
        specific = specific & ~MAXIMUM_ALLOWED | kind.remote_user
    if specific == 0 or specific & ~kind.remote_user:
        return None
    return specific


def _without_generic(kind: Securable, mask: int) -> int:
    for bit, meaning in kind.generic.items():
        if mask & bit:
            mask = mask & ~bit | meaning
    return mask
