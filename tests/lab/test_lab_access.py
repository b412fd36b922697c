"""What callers are granted: administrators anything, everybody else the right to connect."""

from __future__ import annotations

import pytest

from lab.access import MAXIMUM_ALLOWED, SERVICE, SERVICE_MANAGER, Securable, granted

CONNECT, CREATE, ENUMERATE = 0x1, 0x2, 0x4
GENERIC_READ, GENERIC_ALL = 0x80000000, 0x10000000


@pytest.mark.parametrize("wanted", [0xF003F, GENERIC_ALL, MAXIMUM_ALLOWED, 0])
def test_an_administrator_gets_what_was_asked_for(wanted: int) -> None:
    assert granted(SERVICE_MANAGER, wanted, administrator=True) == wanted


@pytest.mark.parametrize(
    ("kind", "wanted", "expected"),
    [
        (SERVICE_MANAGER, CONNECT, CONNECT),
        (SERVICE_MANAGER, 0, CONNECT),  # to open is to connect
        (SERVICE_MANAGER, MAXIMUM_ALLOWED, CONNECT),
        (SERVICE_MANAGER, CONNECT | CREATE, None),
        (SERVICE_MANAGER, CONNECT | ENUMERATE, None),
        (SERVICE_MANAGER, GENERIC_READ, None),
        (SERVICE_MANAGER, GENERIC_ALL, None),
        (SERVICE, 0x4, None),
        (SERVICE, MAXIMUM_ALLOWED, None),
        (SERVICE, 0, None),
    ],
)
def test_a_remote_user_may_connect_and_no_more(kind: Securable, wanted: int, expected: int | None) -> None:
    assert granted(kind, wanted, administrator=False) == expected
