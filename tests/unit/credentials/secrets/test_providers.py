"""Secret providers: every reference, every way it can be wrong, and no value in any sentence."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.errors
import pytest

from pusher.credentials.accounts.selection import OWN_IDENTITY
from pusher.credentials.secrets import providers as secrets
from pusher.credentials.secrets.providers import read_secret
from pusher.models import Account, Protocol, Secret, Source
from pusher.problems import BadInput

VALUE = "correct horse battery staple"


def account(secret: str, file: Path | None = None) -> Account:
    source = Source(file=str(file or "accounts.toml"), line=7, column=3)
    return Account(name="push", user="corp\\svc", secret=secret, protocol=Protocol.NTLM, source=source)


def refused(secret: str, **changes: object) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_secret(account(secret), **{"environ": {}, "ask": nobody, **changes})  # type: ignore[arg-type]
    for text in (str(caught.value), repr(caught.value), str(caught.value.__cause__), repr(caught.value.__cause__)):
        assert VALUE not in text
    return caught.value


def nobody(_: str) -> str:
    raise AssertionError("nobody is to be asked")


def value_of(secret: Secret | None) -> str:
    assert secret is not None
    return secret.reveal()


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{VALUE}\n")
    path.chmod(0o600)
    return path


def test_our_own_identity_has_none() -> None:
    assert read_secret(OWN_IDENTITY, {}, nobody) is None


# env


def test_from_the_environment() -> None:
    assert value_of(read_secret(account("env:PUSH"), {"PUSH": VALUE}, nobody)) == VALUE


def test_a_variable_that_is_not_set() -> None:
    error = refused("env:PUSH", environ={"OTHER": VALUE})
    assert "PUSH, which is not set" in error.sentence
    assert error.sentence.startswith("accounts.toml:7:3: ")


def test_a_variable_that_is_empty() -> None:
    assert "is empty" in refused("env:PUSH", environ={"PUSH": ""}).sentence


# file


def test_from_a_file(secret_file: Path) -> None:
    assert value_of(read_secret(account(f"file:{secret_file}"), {}, nobody)) == VALUE


def test_a_file_beside_the_accounts_file(secret_file: Path) -> None:
    beside = account("file:secret", secret_file.parent / "accounts.toml")
    assert value_of(read_secret(beside, {}, nobody)) == VALUE


def test_a_file_in_the_home_folder(secret_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(secret_file.parent))
    assert value_of(read_secret(account("file:~/secret"), {}, nobody)) == VALUE


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_line_end_is_no_part_of_it(secret_file: Path, end: str) -> None:
    secret_file.write_bytes(f" {VALUE} {end}".encode())
    assert value_of(read_secret(account(f"file:{secret_file}"), {}, nobody)) == f" {VALUE} "


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601, 0o777])
def test_a_file_that_others_can_read(secret_file: Path, mode: int) -> None:
    secret_file.chmod(mode)
    sentence = refused(f"file:{secret_file}").sentence
    assert f"mode {mode:04o}" in sentence
    assert "chmod 600" in sentence


def test_a_link_is_followed_to_what_it_leads_to(secret_file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(secret_file)
    assert value_of(read_secret(account(f"file:{tmp_path}/link"), {}, nobody)) == VALUE
    secret_file.chmod(0o644)
    assert "0644" in refused(f"file:{tmp_path}/link").sentence


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user(secret_file: Path) -> None:
    os.chown(secret_file, 12345, 12345)
    assert "belongs to another user" in refused(f"file:{secret_file}").sentence


def test_a_file_that_does_not_exist(tmp_path: Path) -> None:
    sentence = refused(f"file:{tmp_path}/missing").sentence
    assert "No such file" in sentence
    assert f"{tmp_path}/missing" in sentence


def test_a_folder(tmp_path: Path) -> None:
    assert "cannot be read" in refused(f"file:{tmp_path}").sentence


def test_a_file_that_is_not_text(secret_file: Path) -> None:
    secret_file.write_bytes(VALUE.encode() + b"\xff\xfe")
    assert "is not text" in refused(f"file:{secret_file}").sentence


def test_a_file_that_is_empty(secret_file: Path) -> None:
    secret_file.write_text("\n")
    assert "is empty" in refused(f"file:{secret_file}").sentence


def test_a_file_that_is_no_secret(secret_file: Path) -> None:
    secret_file.write_text(VALUE * 1000)
    assert "at most 4096" in refused(f"file:{secret_file}").sentence
    secret_file.write_text(f"-----BEGIN PRIVATE KEY-----\n{VALUE}\n-----END PRIVATE KEY-----\n")
    assert "has more than one line" in refused(f"file:{secret_file}").sentence


@pytest.mark.parametrize(
    "data",
    [b"\xef\xbb\xbf%s\r\n", b"\xff\xfe%s\r\0\n\0", b"\xfe\xff%s\0\r\0\n"],
    ids=["utf-8", "utf-16-le", "utf-16-be"],
)
def test_a_file_that_powershell_wrote(secret_file: Path, data: bytes) -> None:
    encoding = {0xEF: "utf-8", 0xFF: "utf-16-le", 0xFE: "utf-16-be"}[data[0]]
    secret_file.write_bytes(data % VALUE.encode(encoding))
    assert value_of(read_secret(account(f"file:{secret_file}"), {}, nobody)) == VALUE


@pytest.mark.parametrize("name", ["~nobody-of-this-name/secret", "a\0b"])
def test_a_file_that_cannot_be(name: str) -> None:
    assert "cannot be read" in refused(f"file:{name}").sentence


# keyring


class Ring(keyring.backend.KeyringBackend):  # type: ignore[misc]
    """A backend by keyring's own API."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[tuple[str, str], str] = {}
        self.error: Exception | None = None

    def get_password(self, service: str, username: str) -> str | None:
        if self.error is not None:
            raise self.error
        return self.held.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.held[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.held[service, username]


@pytest.fixture
def ring() -> Iterator[Ring]:
    before, ring = keyring.get_keyring(), Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_from_the_keyring(ring: Ring) -> None:
    keyring.set_password("vault", "svc", VALUE)
    keyring.set_password("pusher", "svc", "another")
    assert value_of(read_secret(account("keyring:vault/svc"), {}, nobody)) == VALUE
    assert value_of(read_secret(account("keyring:svc"), {}, nobody)) == "another"


def test_a_keyring_without_it(ring: Ring) -> None:
    assert "keyring set vault svc" in refused("keyring:vault/svc").sentence


def test_a_keyring_with_nothing_in_it(ring: Ring) -> None:
    keyring.set_password("vault", "svc", "")
    assert "is empty" in refused("keyring:vault/svc").sentence


@pytest.mark.parametrize(
    "error",
    [keyring.errors.KeyringLocked("no"), keyring.errors.NoKeyringError("no"), keyring.errors.InitError("no")],
)
def test_a_keyring_that_does_not_open(ring: Ring, error: Exception) -> None:
    ring.error = error
    assert type(error).__name__ in refused("keyring:vault/svc").sentence


# prompt


def test_from_somebody_who_is_asked() -> None:
    asked = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        return VALUE

    assert value_of(read_secret(account("prompt"), {}, ask)) == VALUE
    assert asked == ["Password of corp\\svc (account push): "]


@pytest.mark.parametrize("error", [EOFError(), OSError("no terminal")])
def test_nobody_to_ask(error: Exception) -> None:
    def ask(_: str) -> str:
        raise error

    assert "nobody to ask" in refused("prompt", ask=ask).sentence


def test_an_empty_answer() -> None:
    assert "is empty" in refused("prompt", ask=lambda _: "").sentence


def test_an_answer_that_is_no_text() -> None:
    def ask(_: str) -> str:
        return VALUE.encode("utf-16").decode("utf-8")

    assert "is not text" in refused("prompt", ask=ask).sentence


# Whatever it is read from


@pytest.fixture(params=["env", "file", "keyring", "vault", "prompt"])
def read_from(
    request: pytest.FixtureRequest, tmp_path: Path, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """The secret that each source makes of a text; BadInput as it is."""

    def read(text: str) -> str:
        path = tmp_path / "secret"
        path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
        path.chmod(0o600)
        ring.set_password("pusher", "svc", text)
        monkeypatch.setattr(secrets, "read_vault", lambda *_: text)
        references = {"env": "env:PW", "file": f"file:{path}", "keyring": "keyring:svc", "vault": "vault:a#b"}
        reference = references.get(request.param, "prompt")
        return value_of(read_secret(account(reference), {"PW": text}, lambda _: text))

    return read


@pytest.mark.parametrize("text", [f"\ufeff{VALUE}\r\n", f"{VALUE}\n\n", VALUE, f"{VALUE}\r"])
def test_what_stands_around_a_password_is_no_part_of_it(read_from: Callable[[str], str], text: str) -> None:
    assert read_from(text) == VALUE


@pytest.mark.parametrize(
    "text", [f"{VALUE}\b", f"{VALUE}\t{VALUE}", f"{VALUE}\n{VALUE}", f"{VALUE}\0", f"{VALUE}\udcff"]
)
def test_what_nobody_types_is_refused(read_from: Callable[[str], str], text: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_from(text)
    assert caught.value.sentence.startswith("accounts.toml:7:3: the secret of account 'push' (")
    assert VALUE not in caught.value.sentence
    assert caught.value.__cause__ is None


# The type


def test_a_secret_does_not_show() -> None:
    secret = Secret(VALUE)
    for text in (repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{secret!r}", f"{[secret]}"):
        assert VALUE not in text
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_secrets_are_equal_by_value() -> None:
    assert Secret(VALUE) == Secret(VALUE) != Secret("other")
    assert hash(Secret(VALUE)) == hash(Secret(VALUE))
    assert Secret(VALUE) != VALUE


# What is no password


@pytest.mark.parametrize("scheme", ["keytab", "ccache"])
def test_a_key_is_kept_as_well_as_a_password(secret_file: Path, scheme: str) -> None:
    reference = f"{scheme}:{secret_file}"
    assert read_secret(account(reference), {}, nobody) is None
    secret_file.chmod(0o640)
    assert "mode 0640" in refused(reference).sentence
    assert "chmod 600" in refused(reference).sentence
    secret_file.unlink()
    assert "cannot be read" in refused(reference).sentence


def test_a_password_of_each_machines_own_is_read_later() -> None:
    assert read_secret(account("laps:"), {}, nobody) is None
