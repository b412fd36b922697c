"""The catalogue of codes: a table that ``pusher explain`` prints and every outcome draws from.

A row is a code, the stage it usually belongs to, its meaning in one sentence, the remedy an administrator
can carry out, what the scheduler does next, and the status of a target that ends with it. Codes are stable:
scripts count on them. The numbers that lead to a code are in the adapters' ``faults`` modules.

The rows are in a module for each area, in the order of a push. What must not live here: anything but rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pusher.problems.catalogue.directory import DIRECTORY
from pusher.problems.catalogue.install import INSTALL
from pusher.problems.catalogue.installers import INSTALLERS
from pusher.problems.catalogue.queue import QUEUE
from pusher.problems.catalogue.reach import IDENTIFY, REACH
from pusher.problems.catalogue.resolve import RESOLVE
from pusher.problems.catalogue.rights import RIGHTS
from pusher.problems.catalogue.row import Again, Charges, Part, Row
from pusher.problems.catalogue.sign_in import SIGN_IN
from pusher.problems.catalogue.store import STORE

__all__ = ["CATALOGUE", "Again", "Charges", "Part", "Row"]

CATALOGUE: Mapping[str, Row] = MappingProxyType(
    {
        row.code: row
        for row in (*RESOLVE, *DIRECTORY, *REACH, *IDENTIFY, *SIGN_IN, *RIGHTS, *INSTALL, *INSTALLERS, *STORE, *QUEUE)
    }
)
