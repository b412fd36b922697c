"""The names of accounts as the accounts file writes them: ``user@domain``, ``DOMAIN\\user``, ``.\\user``. Pure.

Here lives which characters Windows allows in them. What must not live here: whose account a name is
(``lockout.budget``, ``kerberos.tickets``).
Sources: MS-SAMR 3.1.1.8.4 (sAMAccountName), and Microsoft's "User name" of NetUserAdd: none of ``"/\\[]:;|=,+*?<>``,
not spaces and full stops alone, no full stop at the end.
"""

from __future__ import annotations

import re

from pusher.config.wording import Wrong, is_visible, shown

USER = "user@domain, DOMAIN\\user, or .\\user for a local account"

# Spaces inside are allowed. Around a name they are a slip, and what does not print would let it pass for another one.
_NAME = re.compile(r"[^\"/\\\[\]:;|=,+*?<>@]{1,104}")
_UPN_NAME = re.compile(r"[^\"/\\\[\]:;|=,*?<>@]{1,256}")
_DOMAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253}[A-Za-z0-9_])?", re.ASCII)


def is_upn(user: str) -> bool:
    """True for a UPN, False for the two others; raises Wrong for a shape that is none of the three."""
    domain, backslash, name = user.partition("\\")
    if backslash and (domain == "." or is_domain(domain)) and _is_name(name, _NAME) and name[-1] != ".":
        return False
    name, at, domain = user.rpartition("@")
    if not backslash and at and is_domain(domain) and is_upn_name(name):
        return True
    raise Wrong(f"{shown(user)} is not a user", USER)


def is_user(user: str) -> bool:
    """Whether it is of one of the three shapes."""
    try:
        is_upn(user)
    except Wrong:
        return False
    return True


def is_upn_name(name: str) -> bool:
    """Whether ``name`` may stand before the ``@``."""
    return _is_name(name, _UPN_NAME)


def is_domain(name: str) -> bool:
    """Whether ``name`` may be a domain's or a Kerberos realm's."""
    return _DOMAIN.fullmatch(name) is not None


def _is_name(name: str, characters: re.Pattern[str]) -> bool:
    return (
        characters.fullmatch(name) is not None and is_visible(name) and bool(name.strip(". ")) and name == name.strip()
    )
