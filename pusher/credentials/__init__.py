"""Credentials: which accounts a target gets, in which order, what proves them, and how often one may fail.

``accounts_file`` reads what the operator wrote; ``accounts`` orders it for a target; ``secrets`` reads what a reference
points to; ``kerberos`` proves a domain account once and keeps its ticket; ``lockout`` holds the budget over all tasks,
processes and runs. What must not live here: a transport.
"""
