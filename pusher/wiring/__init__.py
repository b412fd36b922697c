"""Wiring: the only place that names an adapter. It reads the operator's files, and builds what a run needs.

Everything in ``prepared`` happens before any target is contacted; BadInput leaves it with nothing done. The directory
is asked where the inventory has groups of it, once every file is read and found good. ``session`` is a run that is
open, ``examination`` a test of accounts; below these are ``inventory``, ``directory``, ``accounts``, ``authority`` and
``lockout``. What must not live here: what is asked of an adapter once it is made (``scheduler``, ``credentials``).
"""

from __future__ import annotations

from pusher.wiring.accounts import accounts_to_test
from pusher.wiring.directory import directory_of
from pusher.wiring.examination import Examination
from pusher.wiring.inventory import inventory_of, placing_for, resolver_for
from pusher.wiring.lockout import lockout_policy
from pusher.wiring.prepared import Prepared
from pusher.wiring.session import Session

__all__ = [
    "Examination",
    "Prepared",
    "Session",
    "accounts_to_test",
    "directory_of",
    "inventory_of",
    "lockout_policy",
    "placing_for",
    "resolver_for",
]
