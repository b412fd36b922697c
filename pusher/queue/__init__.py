"""The queue: what waits, for how long, in which window, in which wave, and how much of it at once.

Here live pure rules over a time that they are told: ``again`` (when a host is tried anew), ``windows`` (when it may be
worked on; how that is written is ``window_format``'s), ``waves`` (how far a run has gone out), ``priority`` (who is
next), ``adaptive`` (how many at once) and ``jitter`` (that not all come at one moment). What must not live here: I/O, a
clock, chance; what an attempt does; the tables of what waits.
"""
