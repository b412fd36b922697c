"""How a service's password goes over MS-SCMR: encrypted with the session's key as MS-LSAD 5.1.2 has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from impacket.crypto import encryptSecret

from lab.scm import unsealed
from pusher.transports.smb.services import sealed


@given(st.text(st.characters(exclude_categories=["C"]), max_size=60), st.binary(min_size=16, max_size=16))
def test_what_is_sealed_is_read_by_who_has_the_key(password: str, key: bytes) -> None:
    data = sealed(f"{password}\0".encode("utf-16-le"), key)
    assert len(data) % 8 == 0
    assert unsealed(data, key) == password


@pytest.mark.parametrize("length", range(0, 40, 3))
def test_another_implementation_seals_alike(length: int, capsys: pytest.CaptureFixture[str]) -> None:
    key, data = bytes(range(7, 23)), "ä€x".encode("utf-16-le") * length
    assert sealed(data, key) == encryptSecret(key, data)
    capsys.readouterr()  # it prints the key
