"""The store: runs, targets, attempts, events, outcomes, and the journals that survive a kill.

It records and answers; it decides nothing. ``schema`` holds the tables, ``writer`` the thread that commits in
batches, ``store`` the calls, ``budget`` the lockout ledger, ``migrations`` the steps from one schema to the next.
"""

from pusher.store.store import Journal, JournalStep, Mark, Store, open_store

__all__ = ["Journal", "JournalStep", "Mark", "Store", "open_store"]
