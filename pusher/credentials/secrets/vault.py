"""A secret of HashiCorp Vault's key/value engines: ``vault:PATH#FIELD``, with PATH as ``vault kv get`` takes it.

Over ``hvac``, which is loaded when it is first needed (the extra ``vault``). Where Vault is and who asks come from
the environment: VAULT_ADDR, VAULT_TOKEN, and where they are set VAULT_NAMESPACE and VAULT_CACERT. Which version of the
engine is mounted there, Vault itself tells, as it tells its own command (sys/internal/ui/mounts). Every failure is one
sentence; the token and the secret are in none. Sources: Vault's HTTP API, "KV secrets engine" versions 1 and 2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from pusher import installation
from pusher.models import Account
from pusher.problems import BadInput

_TIMEOUT = 10
"""Seconds without a byte."""
_SAYS: Mapping[str, str] = {
    "Unauthorized": "does not accept VAULT_TOKEN",
    "Forbidden": "does not let VAULT_TOKEN read {path} (or nothing is mounted there)",
    "InvalidPath": "has no secret at {path}, or its latest version is deleted",
    "RateLimitExceeded": "is limiting requests; try again later",
    "VaultNotInitialized": "is not initialized",
    "VaultDown": "is sealed, or down for maintenance",
    "InvalidRequest": "does not take {path} for the path of a secret",
}
"""By hvac's class of exception, which goes by the HTTP status alone."""


class _OddAnswerError(Exception):
    """An answer that is not what Vault's documentation says."""


def read_vault(reference: str, account: Account, environ: Mapping[str, str]) -> str:
    """The value of FIELD at PATH; BadInput says why there is none. ``reference``: what follows ``vault:``."""
    path, _, field = reference.partition("#")
    address, token = _required(environ, "VAULT_ADDR", account), _required(environ, "VAULT_TOKEN", account)
    _check_address(address, account)
    try:
        import hvac
        from requests.exceptions import RequestException
    except ImportError as error:
        wanted = f"hvac; install it with: {installation.add('vault')}"
        raise BadInput(account.source, f"account {account.name!r} has a vault: secret", wanted) from error
    client = hvac.Client(
        url=address.rstrip("/"),
        token=token,
        timeout=_TIMEOUT,
        verify=environ.get("VAULT_CACERT") or True,
        namespace=environ.get("VAULT_NAMESPACE") or None,
        allow_redirects=False,  # the token would follow
    )
    try:
        data = _read(client, path)
    except hvac.exceptions.VaultError as error:
        said = _SAYS.get(type(error).__name__, "cannot serve the request now").format(path=path)
        # Not "from" it: it carries the answer.
        raise _refused(account, f"Vault at {address} {said}") from None
    except RequestException as error:
        raise _refused(account, f"Vault at {address} cannot be reached ({type(error).__name__})") from None
    except (OSError, _OddAnswerError) as error:
        raise _refused(account, f"what answers at {address} is not Vault ({type(error).__name__})") from None
    finally:
        client.adapter.close()
    value = data.get(field)
    if not isinstance(value, str):
        what = "is no text" if field in data else "is not among its fields"
        raise _refused(account, f"of the secret at {path} in Vault, {field} {what}")
    return value


def _read(client: Any, path: str) -> Mapping[str, Any]:
    """The fields of the secret, by the version of the engine that is mounted there."""
    asked = quote(path)
    mount = _part(client.adapter.get(f"/v1/sys/internal/ui/mounts/{asked}"), "data")
    at, options = mount.get("path"), mount.get("options") or {}
    if mount.get("type") not in ("kv", "generic") or not isinstance(at, str) or not isinstance(options, dict):
        raise _OddAnswerError
    if not f"{path}/".startswith(at) or not at.endswith("/"):
        raise _OddAnswerError
    if options.get("version") != "2":
        return _part(client.adapter.get(f"/v1/{asked}"), "data")
    return _part(client.adapter.get(f"/v1/{quote(at)}data/{quote(path[len(at) :])}"), "data", "data")


def _part(answer: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        answer = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(answer, dict):
        raise _OddAnswerError
    return answer


def _required(environ: Mapping[str, str], name: str, account: Account) -> str:
    value = environ.get(name)
    if not value:
        raise BadInput(account.source, f"account {account.name!r} has a vault: secret, and {name} is not set", name)
    return value


def _check_address(address: str, account: Account) -> None:
    try:
        parts = urlsplit(address)
        host = parts.hostname
    except ValueError:
        host = None
    if host is None or parts.scheme not in ("http", "https") or "@" in parts.netloc:
        raise BadInput(account.source, "VAULT_ADDR is no address of Vault", "https://HOST:8200")
    if parts.scheme == "http" and not _is_loopback(host):
        raise BadInput(account.source, f"VAULT_ADDR ({address}) would carry the token in clear", "https://")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refused(account: Account, said: str) -> BadInput:
    return BadInput(account.source, f"the secret of account {account.name!r}: {said}")
