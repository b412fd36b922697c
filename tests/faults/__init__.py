"""The faults that a queue must survive, done to real workers on a real database: ``python -m tests.faults``.

Workers are processes of the ``pusher worker`` command; only the hosts are in memory, behind a socket, so that there can
be thousands of them, that they outlive the workers, and that each keeps a record of its own of what was done to it.
While the work goes on, workers are killed and frozen, the database is ended and held up, and connections are cut.
Then every host is asked what became of it. What must not live here: what a worker does about any of this (``worker``).
"""
