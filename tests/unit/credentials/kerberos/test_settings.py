"""Hosts are asked for by the name as written, whatever DNS says of it; everything else of krb5.conf stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from pusher.credentials.kerberos.settings import host_names_as_written
from pusher.problems import BadInput

THEIRS = """
[libdefaults]
    default_realm = THEIRS.TEST
    dns_lookup_kdc = false
    dns_canonicalize_hostname = true
    rdns = true
"""


def asked_for(name: str) -> str:
    """The principal that gssapi makes of a host's service."""
    gssapi = pytest.importorskip("gssapi", reason="Kerberos is not installed here: it is in the extra kerberos")
    made = gssapi.Name(f"cifs@{name}", gssapi.NameType.hostbased_service)
    return str(made.canonicalize(gssapi.MechType.kerberos))


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "krb5.conf"
    path.write_text(THEIRS)
    monkeypatch.setenv("KRB5_CONFIG", str(path))
    return path


def test_dns_does_not_name_the_host(theirs: Path) -> None:
    assert asked_for("127.0.0.1").startswith("cifs/localhost@"), "what the library does by itself"
    with host_names_as_written():
        assert asked_for("127.0.0.1").startswith("cifs/127.0.0.1@")
    assert asked_for("127.0.0.1").startswith("cifs/localhost@")


def test_the_rest_is_the_operators(theirs: Path) -> None:
    krb5 = pytest.importorskip("krb5", reason="Kerberos is not installed here: it is in the extra kerberos")
    with host_names_as_written():
        assert krb5.get_default_realm(krb5.init_context()) == b"THEIRS.TEST"


@pytest.mark.parametrize("before", [None, "/x/krb5.conf"])
def test_the_environment_is_put_back_and_no_file_is_made(
    before: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed has none to leave behind."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    environ = {} if before is None else {"KRB5_CONFIG": before}
    was = dict(environ)
    with host_names_as_written(environ):
        own, _, rest = environ["KRB5_CONFIG"].partition(":")
        assert Path(own).read_text().count("= false") == 2
        assert rest == (before or "/etc/krb5.conf:/usr/local/etc/krb5.conf")
        assert list(tmp_path.iterdir()) == []
    assert environ == was


@pytest.mark.parametrize("name", ["missing", "with:colon"])
def test_what_the_library_would_pass_over_is_no_setting(name: str, tmp_path: Path) -> None:
    file, environ = tmp_path / name, {"KRB5_CONFIG": "/x"}
    if ":" in name:
        file.touch()
    with pytest.raises(BadInput, match="Kerberos cannot be told"), host_names_as_written(environ, file):
        raise AssertionError
    assert environ == {"KRB5_CONFIG": "/x"}
