"""Where a store is: a path or a URL, as it is meant, as it may be shown, and what may not stand in it.

Here nothing is opened. How the way to a server has to be protected is ``postgresql_server``'s.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import quote_plus

from sqlalchemy import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from pusher.problems import BadInput

_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
"""What is meant by a URL that names none."""
_HIDDEN = "***"
_SCHEME = re.compile(r"\w+(?:\+\w+)?(?=://)")
_SECRET = re.compile(r"pass|pwd|secret|token|key", re.IGNORECASE)
"""Parameters of a URL that may hold a secret: libpq takes a password there too."""
_FILES = frozenset({"passfile", "sslkey", "sslkeylogfile"})
"""Parameters of libpq's that name a file with a secret in it."""


def address_of(url: str) -> URL:
    """BadInput where it cannot be made out, or holds a secret.

    A path is taken as it is: a question mark in it begins no parameters.
    """
    if "://" not in url:
        return URL.create("sqlite", database=str(Path(url).expanduser()))
    try:
        address = make_url(url)
    except (SQLAlchemyError, ValueError):
        # From nothing: the exception may hold the URL with its password.
        raise BadInput(
            None, f"the store {shown_url(url)} is no URL", "a file, or a URL such as sqlite:///FILE"
        ) from None
    if address.password or any(_is_secret(name) and value for name, value in address.query.items()):
        raise BadInput(
            None,
            f"the store {shown_url(url)} has a password in its URL, which others on this machine can read",
            "none there: the password in the file that PGPASSFILE names (or ~/.pgpass), or a sign-in by peer or GSS",
        )
    return address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))


def shown_url(url: str) -> str:
    """The URL as it may be shown: a secret in it stays hidden. A file's path is shown as it is."""
    if "://" not in url:
        return url
    try:
        address = make_url(url)
    except (SQLAlchemyError, ValueError):
        scheme = _SCHEME.match(url)
        return f"{scheme[0]}://{_HIDDEN}" if scheme else _HIDDEN
    query = {name: _HIDDEN if _is_secret(name) else value for name, value in address.query.items()}
    shown = address.set(query=query).render_as_string(hide_password=True)
    return shown.replace(quote_plus(_HIDDEN), _HIDDEN)


def url_to_paste(url: str) -> str:
    """The URL as it stands in a command that is printed to be pasted: without a secret, whatever was given."""
    if "://" not in url:
        return url
    said = make_url(url)
    query = {name: value for name, value in said.query.items() if not _is_secret(name)}
    bare = URL.create(said.drivername, said.username, None, said.host, said.port, said.database, query)
    return bare.render_as_string(hide_password=False)


def _is_secret(name: str) -> bool:
    return name not in _FILES and _SECRET.search(name) is not None
