"""Which certificates are believed is said by the context of a connection; the system's CAs are read when one is."""

from __future__ import annotations

import ssl
from pathlib import Path
from unittest import mock

import pytest

from pusher.problems import BadInput
from pusher.transports.winrm.tls import Trust


def test_the_systems_cas_are_read_once_and_by_who_needs_them() -> None:
    with mock.patch.object(ssl, "create_default_context", wraps=ssl.create_default_context) as reading:
        trust = Trust(None)
        trust.context("ab" * 32)
        assert reading.call_count == 0, "a pinned certificate is believed without a CA"
        first, second = trust.context(None), trust.context(None)
    assert first is second and reading.call_count == 1


def test_what_is_not_pinned_needs_a_ca_and_the_name() -> None:
    context = Trust(None).context(None)
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname
    assert not context.hostname_checks_common_name and context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"])
def test_a_ca_file_that_cannot_be_used_is_told_before_anything_is_sent(content: bytes | None, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    if content is not None:
        ca.write_bytes(content)
    with pytest.raises(BadInput, match=r"ca\.pem: no usable CA file"):
        Trust(ca)
