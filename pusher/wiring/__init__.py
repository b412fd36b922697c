"""Wiring: the only place that names an adapter. It reads the operator's files, and builds what a run needs.

Everything in ``run_plan`` happens before any target is contacted; BadInput leaves it with nothing done. The directory
is asked where the inventory has groups of it, once every file is read and found good. ``engine`` is what a process has
once, ``run_resources`` a run that is open on top of it; below them are ``target_selection``, ``sign_in``, which a test
of accounts takes too, ``transports``, ``inventory``, ``directory``, ``accounts``, ``authority`` and ``lockout``. What
must not live here: what is asked of an adapter once it is made (``scheduler``, ``credentials``).

Nothing is imported here: each command loads what it needs, and to read an inventory takes no SMB.
"""
