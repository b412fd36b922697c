"""A worker: takes work from the queue, keeps its lease, and gives back what it cannot end.

``worker`` is its life, ``lease`` what it may do for how long, ``run_in_hand`` a run that it has taken up,
``claimed_run`` that run's targets as it has them, ``coming_back`` what becomes of one after an attempt; ``turns`` how
its places are shared among runs, ``run_windows`` which of these may be touched now, ``rollouts`` how far they go. What
must not live here: which claim is good (the store decides), when a host comes back (``queue``), what is done to one
(``push``), and how a run is opened (``wiring``).
"""
