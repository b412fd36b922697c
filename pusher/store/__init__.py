"""The store: runs, targets, attempts, events, outcomes, the journals that survive a kill, and the lockout ledger.

It records and answers. What must not live here: a decision. A file a noun: ``runs``, ``work``, ``waves``, ``claims``,
``workers``, ``refusals``, ``outcomes``, ``events``, ``journals``, ``budget``, ``content``, ``audit``, ``registry``
(with ``registry_change``, ``registry_rows`` and ``registry_schema``); ``queries`` and ``figures`` have what spans
several, ``upkeep`` deletes what is old, and ``store`` is all of them in one hand. Under them: ``opening`` opens one,
``database`` is what they share, ``server_time`` its clock, ``schema`` has the tables, ``writer`` the thread that
commits in batches, ``faults`` what the database library's exceptions mean, ``sqlite_file`` all that is SQLite's own,
``migrations`` the steps from one schema to the next.
"""

from pusher.store.faults import StoreError, StoreNotThereError
from pusher.store.opening import open_store
from pusher.store.store import Store
from pusher.store.urls import shown_url, url_to_paste

__all__ = ["Store", "StoreError", "StoreNotThereError", "open_store", "shown_url", "url_to_paste"]
