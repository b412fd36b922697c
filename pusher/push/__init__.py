"""Push: one attempt at one target, and the run that makes them all.

``attempt`` tells the whole story on one page; ``routes``, ``asking``, ``identity``, ``sign_in`` and ``service_logon``
are its chapters, ``host_journal`` and ``losses`` what it leaves in the store, or could not. ``context`` is what a run
hands to each attempt, and ``dispatcher`` gives each target its turn. What must not live here: rendering, and any file
of the operator's.
"""
