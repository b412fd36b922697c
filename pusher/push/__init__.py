"""Push: one attempt at one target, and the run that makes them all.

``attempt`` tells the whole story on one page. Its chapters are ``approach`` (by ``routes`` to a proven ``identity``),
``account_selection`` (with ``sign_in`` and ``fenced``), ``service_logon`` and ``host_lock``; ``asking`` is the approach
without an account. ``recorder`` keeps what happened, ``host_journal`` and ``losses`` are what is left of it in the
store, or could not be. ``context`` is what a run hands to each attempt, and ``dispatcher`` gives each target its turn.
What must not live here: rendering, and any file of the operator's.
"""
