"""A worker: takes work from the queue, keeps its lease, and gives back what it cannot end.

``worker`` is its life, ``lease`` what it may do for how long, ``claimed_run`` a run's targets as it has them. What must
not live here: which claim is good (the store decides), when a host comes back (``queue``), what is done to one
(``push``), and how a run is opened (``wiring``).
"""
