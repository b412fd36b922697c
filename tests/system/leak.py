"""The pusher command with a fault of its own: an exception that has the password in its text, at a place that is named.
At ``outcome`` it is the store's, whose statement and values have it.

python -P leak.py PLACE push INVENTORY …
"""

from __future__ import annotations

import sqlite3
import sys
from typing import Any
from unittest.mock import patch

from sqlalchemy import exc

from pusher.cli import main
from pusher.push import sign_in as signing_in
from pusher.store import Store
from pusher.store.faults import translated
from pusher.transports.smb import adapter

PLACES = ("attempt", "sign-in")
OUTCOME = "outcome"


def _fail(credential: Any) -> None:
    password = credential.secret.reveal()
    try:
        raise KeyError(password)
    except KeyError as error:
        raise RuntimeError(f"could not sign in with {password!r} of {credential}") from error


def leak_at(place: str) -> None:
    if place == "attempt":  # where nobody expects an exception
        make = signing_in._credential

        async def making(*given: Any) -> Any:
            made = await make(*given)
            _fail(made)
            return made

        patch.object(signing_in, "_credential", making).start()
    elif place == OUTCOME:
        make, seen = signing_in._credential, list[str]()

        async def watching(*given: Any) -> Any:
            made = await make(*given)
            assert made.secret is not None
            seen.append(made.secret.reveal())
            return made

        async def losing(*_: Any) -> None:
            with translated("the store"):
                said = f"INSERT INTO outcomes VALUES ('{seen[-1]}')"
                raise exc.OperationalError(said, {"message": seen[-1]}, sqlite3.OperationalError("disk I/O error"))

        patch.object(signing_in, "_credential", watching).start()
        patch.object(Store, "outcome", losing).start()
    else:  # under the translation of what the libraries raise
        patch.object(adapter._SmbLink, "_sign_in", lambda link, credential: _fail(credential)).start()


if __name__ == "__main__":
    leak_at(sys.argv.pop(1))
    main()
