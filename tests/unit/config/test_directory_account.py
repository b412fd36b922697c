"""``[directory]`` of the accounts file: what it may say, and the sentence for everything else."""

# ruff: noqa: E501 - a golden sentence is as long as it is

from __future__ import annotations

from pathlib import Path

import pytest

from pusher.credentials.accounts.directory_account import read_directory_secret
from pusher.credentials.accounts_file import load_accounts
from pusher.credentials.secrets.references import AVAILABLE
from pusher.directory.port import DirectoryAccount
from pusher.models import Secret
from pusher.problems import BadInput

GOOD = {"domain": "corp.example", "user": "reader@corp.example", "secret": "env:READER"}
PLANTED = "hunter2!Pässword"


def written(folder: Path, **changes: str) -> Path:
    lines = [f'{key} = "{value}"' for key, value in {**GOOD, **changes}.items() if value != ""]
    path = folder / "accounts.toml"
    path.write_text("[directory]\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_account_that_reads(tmp_path: Path) -> None:
    path = written(tmp_path, domain="CORP.example", server="dc1.corp.example", ca="ca.pem")
    found = load_accounts(path)
    assert found.directory is not None and found.directory.source is not None
    assert found.directory == DirectoryAccount(
        domain="corp.example",
        user="reader@corp.example",
        secret="env:READER",
        server="dc1.corp.example",
        ca=tmp_path / "ca.pem",
        source=found.directory.source,
    )
    assert found.accounts == (), "it is no push account"


def test_none_is_none(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("[fallback]\nenabled = true\n")
    assert load_accounts(path).directory is None


def test_its_secret_is_read_like_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    account = load_accounts(written(tmp_path)).directory
    assert account is not None
    with pytest.raises(BadInput, match="READER, which is not set"):
        read_directory_secret(account)
    monkeypatch.setenv("READER", "x")
    assert read_directory_secret(account) == Secret("x")


def test_a_keytab_is_no_secret_to_read(tmp_path: Path) -> None:
    (tmp_path / "r.keytab").write_bytes(b"\x05\x02")
    (tmp_path / "r.keytab").chmod(0o600)
    account = load_accounts(written(tmp_path, secret="keytab:r.keytab")).directory
    assert account is not None and account.secret == f"keytab:{tmp_path}/r.keytab"
    assert read_directory_secret(account) is None
    (tmp_path / "r.keytab").chmod(0o644)
    with pytest.raises(BadInput, match="others than its owner"):
        read_directory_secret(account)


SERVER = "expected a domain controller's full name such as dc1.corp.example"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"domain": ""}, "1:1: directory.domain is missing; expected a domain's DNS name such as corp.example"),
        ({"user": ""}, "1:1: directory.user is missing; expected a user such as reader@corp.example"),
        ({"secret": ""}, f"1:1: directory.secret is missing; expected {AVAILABLE}"),
        (
            {"domain": "corp"},
            "2:10: directory.domain: 'corp' is no domain; expected a domain's DNS name such as corp.example",
        ),
        (
            {"domain": "corp..example"},
            "2:10: directory.domain: 'corp..example' is no domain; expected a domain's DNS name such as corp.example",
        ),
        (
            {"domain": "DC=corp,DC=example"},
            "2:10: directory.domain: 'DC=corp,DC=example' is no domain; expected a domain's DNS name such as corp.example",
        ),
        (
            {"user": "CORP\\\\reader"},
            "3:8: directory.user: 'CORP\\reader' is not a user; expected a user such as reader@corp.example",
        ),
        (
            {"user": "reader"},
            "3:8: directory.user: 'reader' is not a user; expected a user such as reader@corp.example",
        ),
        (
            {"secret": PLANTED},
            f"4:10: directory.secret: secret is no reference to a secret (a password is never written in this file); expected {AVAILABLE}",
        ),
        ({"secret": "laps:"}, "4:10: directory.secret: laps: is for a local account; expected another secret"),
        ({"server": "10.0.0.1"}, f"5:10: directory.server: '10.0.0.1' is no domain controller's name; {SERVER}"),
        ({"server": "ldap://dc1"}, f"5:10: directory.server: 'ldap://dc1' is no domain controller's name; {SERVER}"),
        ({"server": "dc1:99999"}, f"5:10: directory.server: 'dc1:99999' is no domain controller's name; {SERVER}"),
        (
            {"ca": "x"},
            "5:6: directory.ca: the password would go to whomever DNS names; expected server too: a domain controller's full name such as dc1.corp.example",
        ),
        (
            {"ca": "x", "pasword": "y"},
            "6:1: directory.pasword is not a known key; expected domain, user, secret, server or ca",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(BadInput) as caught:
        load_accounts(path)
    assert caught.value.sentence == f"{path}:{sentence}"
    assert PLANTED not in caught.value.sentence


def test_ldaps_is_by_password(tmp_path: Path) -> None:
    (tmp_path / "r.keytab").write_bytes(b"\x05\x02")
    path = written(tmp_path, secret="keytab:r.keytab", ca="ca.pem")
    with pytest.raises(BadInput) as caught:
        load_accounts(path)
    assert caught.value.sentence == (
        f"{path}:4:10: directory.secret: keytab: is for kerberos, and with ca the sign-in is by password; expected a password, or no ca"
    )
