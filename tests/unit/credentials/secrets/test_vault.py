"""``vault:`` over HTTP, against recorded answers: the requests it makes, and one sentence for everything else."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

import pytest

from pusher import installation
from pusher.credentials.secrets.providers import read_secret
from pusher.models import Account, Protocol, Source
from pusher.problems import BadInput
from tests.unit.credentials.secrets.vault_server import TOKEN, VALUE, RecordedVault, recorded_vault

pytest.importorskip("hvac", reason="Vault's client is not installed here: it is in the extra vault")


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[RecordedVault]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with recorded_vault() as vault:
        yield vault


def account(reference: str) -> Account:
    source = Source(file="accounts.toml", line=7, column=3)
    return Account(name="push", user="corp\\svc", secret=reference, protocol=Protocol.NTLM, source=source)


def environment(vault: RecordedVault, **changes: str) -> dict[str, str]:
    return {"VAULT_ADDR": vault.url, "VAULT_TOKEN": TOKEN} | changes


def value_of(reference: str, environ: dict[str, str]) -> str:
    secret = read_secret(account(reference), environ)
    assert secret is not None
    return secret.reveal()


def refused(reference: str, environ: dict[str, str]) -> str:
    with pytest.raises(BadInput) as caught:
        read_secret(account(reference), environ)
    error: BaseException | None = caught.value
    while error is not None:
        assert TOKEN not in f"{error!r}{error}"
        assert VALUE not in f"{error!r}{error}"
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert "\n" not in caught.value.sentence
    return caught.value.sentence


def test_version_two_of_the_engine(vault: RecordedVault) -> None:
    assert value_of("vault:secret/pusher/push#password", environment(vault)) == VALUE
    assert vault.asked == ["GET /v1/sys/internal/ui/mounts/secret/pusher/push", "GET /v1/secret/data/pusher/push"]


@pytest.mark.parametrize("mount", ["old", "oldest"])
def test_version_one_of_the_engine(vault: RecordedVault, mount: str) -> None:
    assert value_of(f"vault:{mount}/push#password", environment(vault)) == VALUE
    assert vault.asked == [f"GET /v1/sys/internal/ui/mounts/{mount}/push", f"GET /v1/{mount}/push"]


def test_a_mount_of_several_parts(vault: RecordedVault) -> None:
    assert value_of("vault:teams/it/kv/push#password", environment(vault)) == VALUE
    assert vault.asked[1] == "GET /v1/teams/it/kv/data/push"


def test_an_address_that_ends_in_a_slash(vault: RecordedVault) -> None:
    assert value_of("vault:old/push#password", environment(vault, VAULT_ADDR=vault.url + "/")) == VALUE


def test_a_namespace(vault: RecordedVault) -> None:
    vault.namespace = "it/push"
    assert value_of("vault:old/push#password", environment(vault, VAULT_NAMESPACE="it/push")) == VALUE
    assert "has no secret" in refused("vault:old/push#password", environment(vault))


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("secret/pusher/push#passwort", "passwort is not among its fields"),
        ("secret/pusher/push#number", "number is no text"),
        ("secret/pusher/gone#password", "has no secret at secret/pusher/gone, or its latest version is deleted"),
        ("secret/pusher/never#password", "has no secret at secret/pusher/never"),
        ("secret/pusher/forbidden#password", "does not let VAULT_TOKEN read secret/pusher/forbidden"),
        ("nowhere/push#password", "does not let VAULT_TOKEN read nowhere/push (or nothing is mounted there)"),
        ("lying/push#password", "is not Vault"),
        ("pki/push#password", "is not Vault"),
    ],
)
def test_what_vault_refuses(vault: RecordedVault, reference: str, said: str) -> None:
    sentence = refused(f"vault:{reference}", environment(vault))
    assert said in sentence
    assert sentence.startswith("accounts.toml:7:3: the secret of account 'push': ")


def test_another_token(vault: RecordedVault) -> None:
    other = environment(vault, VAULT_TOKEN="hvs.x")
    assert "does not let VAULT_TOKEN read" in refused("vault:old/push#password", other)


def test_a_sealed_vault(vault: RecordedVault) -> None:
    vault.sealed = True
    assert "is sealed, or down" in refused("vault:old/push#password", environment(vault))
    assert len(vault.asked) == 1


@pytest.mark.parametrize("status", [400, 401, 429, 500, 501, 502, 418])
def test_every_other_status_is_a_sentence(vault: RecordedVault, status: int) -> None:
    vault.other = (status, b'{"errors": ["' + TOKEN.encode() + b'"]}', {})
    assert "Vault at " in refused("vault:old/push#password", environment(vault))


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"data": 5}', b'{"data": {"type": "kv", "path": 5}}', b"\xff"]
)
def test_what_answers_is_no_vault(vault: RecordedVault, body: bytes) -> None:
    vault.other = (200, body, {})
    assert "is not Vault" in refused("vault:old/push#password", environment(vault))


def test_the_token_follows_no_redirection(vault: RecordedVault) -> None:
    with recorded_vault() as other:
        vault.other = (307, b"", {"Location": f"{other.url}/v1/old/push"})
        assert "is not Vault" in refused("vault:old/push#password", environment(vault))
        assert other.asked == []


def test_nobody_is_there(vault: RecordedVault) -> None:
    environ = environment(vault)
    vault.server_close()
    vault.socket.close()
    assert "cannot be reached" in refused("vault:old/push#password", environ | {"VAULT_ADDR": "http://127.0.93.9:1"})


@pytest.mark.parametrize("name", ["VAULT_ADDR", "VAULT_TOKEN"])
def test_what_the_environment_must_tell(vault: RecordedVault, name: str) -> None:
    assert f"{name} is not set" in refused("vault:old/push#password", environment(vault, **{name: ""}))
    assert vault.asked == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://vault.corp.example:8200", "would carry the token in clear"),
        ("vault:8200", "is no address of Vault"),
        ("ftp://127.0.0.1", "is no address of Vault"),
        ("https://user:pw@vault", "is no address of Vault"),
        ("https://[", "is no address of Vault"),
    ],
)
def test_an_address_that_is_not_used(vault: RecordedVault, address: str, said: str) -> None:
    assert said in refused("vault:old/push#password", environment(vault, VAULT_ADDR=address))


def test_without_the_package_it_is_one_sentence(vault: RecordedVault, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *given: Any, **more: Any) -> Any:
        if name == "hvac":
            raise ImportError(name)
        return real(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(installation, "add", lambda extra: f"(add {extra})")
    assert "(add vault)" in refused("vault:old/push#password", environment(vault))
    assert vault.asked == []
