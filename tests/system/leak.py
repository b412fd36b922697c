"""The pusher command with a fault of its own: an exception that has the password in its text, at a place that is named.

python -P leak.py PLACE push INVENTORY …
"""

from __future__ import annotations

import sys
from typing import Any
from unittest.mock import patch

from pusher.cli import main
from pusher.scheduler import signing_in
from pusher.transports.smb import adapter

PLACES = ("attempt", "sign-in")


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
    else:  # under the translation of what the libraries raise
        patch.object(adapter._SmbLink, "_sign_in", lambda link, credential: _fail(credential)).start()


if __name__ == "__main__":
    leak_at(sys.argv.pop(1))
    main()
