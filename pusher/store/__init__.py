"""The store: runs, targets, attempts, events, outcomes, and the journals that survive a kill.

It records and answers; it decides nothing. ``opening`` opens one, ``schema`` holds the tables, ``writer`` the thread
that commits in batches, ``store`` the calls, ``budget`` the lockout ledger, ``faults`` what the database library's
exceptions mean, ``sqlite_file`` all that is SQLite's own, ``migrations`` the steps from one schema to the next.
"""

from pusher.store.faults import StoreError
from pusher.store.opening import open_store, shown_url
from pusher.store.store import Store

__all__ = ["Store", "StoreError", "open_store", "shown_url"]
