"""The registry as access sees it, kept for as long as nothing changes: one look at the store's number tells.

What must not live here: changing anything (``change``).
"""

from __future__ import annotations

from threading import Lock

from pusher.access import Access, compiled
from pusher.clock import Now, utc_now
from pusher.registry.world import world_of
from pusher.store import Store


class Loaded:
    """Over an open store; from any thread."""

    def __init__(self, store: Store, now: Now = utc_now) -> None:
        self._registry, self._now = store.registry, now
        self._lock = Lock()
        self._number = -1
        self._access: Access | None = None

    def access(self) -> Access:
        """All questions of this moment. StoreError; BadInput where what is stored cannot be understood."""
        with self._lock:
            number, now = self._registry.number(), self._now()
            kept = self._access
            if kept is not None and self._number == number:
                until = kept.good_until
                if kept.at <= now and (until is None or now < until):
                    return kept
                # Nothing was changed: a grant has ended, or the clock was set back.
                self._access = compiled(kept.world, now)
                return self._access
            rows = self._registry.rows()
            self._access = compiled(world_of(rows), now)
            self._number = rows.version
            return self._access
