"""``[directory]`` of the accounts file: the account that reads the directory. It is no push account.

Here live its format and how its secret is read. What must not live here: LDAP.
"""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import Field

from pusher.config.document import Document
from pusher.config.validate import FormatModel
from pusher.config.wording import Wrong, shown
from pusher.credentials.accounts.users import is_upn_name
from pusher.credentials.secrets import references
from pusher.credentials.secrets.providers import read_secret
from pusher.directory.port import DirectoryAccount
from pusher.models import Account, Protocol, Secret
from pusher.problems import BadInput

_DOMAIN_WORDS = "a domain's DNS name such as corp.example"
_SERVER_WORDS = "a domain controller's full name such as dc1.corp.example"
_USER_WORDS = "a user such as reader@corp.example"
_CA_WORDS = "the file of a certificate authority, in PEM"

_DNS = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*"
_NAME = re.compile(_DNS, re.ASCII)
_SERVER = re.compile(rf"{_DNS}(?::[0-9]{{1,5}})?", re.ASCII)
_ADDRESS = re.compile(r"[0-9.]+(?::[0-9]+)?", re.ASCII)
_MAX_NAME = 253


class DirectoryModel(FormatModel):
    """The table as it is written."""

    domain: str = Field(description=_DOMAIN_WORDS)
    user: str = Field(description=_USER_WORDS)
    secret: str = Field(description=references.AVAILABLE)
    server: str | None = Field(default=None, description=_SERVER_WORDS)
    ca: str | None = Field(default=None, min_length=1, description=_CA_WORDS)


def directory_account(document: Document, model: DirectoryModel) -> DirectoryAccount:
    """The account of the table ``[directory]``; raises BadInput."""
    folder = Path(document.file).parent
    key = "domain"
    try:
        if not _NAME.fullmatch(model.domain) or len(model.domain) > _MAX_NAME or "." not in model.domain:
            raise Wrong(f"{shown(model.domain)} is no domain", _DOMAIN_WORDS)
        key = "server"
        if model.server is not None:
            _check_server(model.server)
        key = "user"
        name, _, domain = model.user.rpartition("@")
        if not is_upn_name(name) or not _NAME.fullmatch(domain):
            raise Wrong(f"{shown(model.user)} is not a user", _USER_WORDS)
        key = "secret"
        secret = references.checked(model.secret, folder)
        scheme = references.scheme_of(secret)
        if scheme == "laps":
            raise Wrong("laps: is for a local account", "another secret")
        if scheme in references.KERBEROS_ONLY and model.ca is not None:
            raise Wrong(f"{scheme}: is for kerberos, and with ca the sign-in is by password", "a password, or no ca")
        key = "ca"
        if model.ca is not None and model.server is None:
            # An SRV record proves nothing, and any machine may have a certificate of that CA for its own name.
            raise Wrong("the password would go to whomever DNS names", f"server too: {_SERVER_WORDS}")
    except Wrong as exc:
        place = document.source(("directory", key))
        raise BadInput(place, f"directory.{key}: {exc.found}", exc.expected) from None
    return DirectoryAccount(
        domain=model.domain.lower(),
        user=model.user,
        secret=secret,
        server=model.server,
        ca=folder / references.path_of(model.ca) if model.ca is not None else None,
        source=document.source(("directory",)),
    )


def read_directory_secret(account: DirectoryAccount) -> Secret | None:
    """Its password; None for a keytab or a ticket cache. BadInput where the reference gives none."""
    return read_secret(
        Account(
            name="directory",
            user=account.user,
            secret=account.secret,
            protocol=Protocol.KERBEROS,
            source=account.source,
        )
    )


def _check_server(text: str) -> None:
    host, colon, port = text.partition(":")
    named = _SERVER.fullmatch(text) and not _ADDRESS.fullmatch(text) and len(host) <= _MAX_NAME
    if not named or (colon and not 1 <= int(port) <= 65535):
        # By an address neither Kerberos nor a certificate proves who answers.
        raise Wrong(f"{shown(text)} is no domain controller's name", _SERVER_WORDS)
