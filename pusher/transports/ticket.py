"""A ticket as the sign-in library takes it, for the one other adapter that signs in: DPAPI's. See wiring.

What must not live here: how a ticket is come by.
"""

from __future__ import annotations

import spnego


def ticket_credential(ccache: str) -> object:
    """The ticket in the cache of that name, for a parameter that takes a user's name too."""
    return spnego.KerberosCCache(ccache)
