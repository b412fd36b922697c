"""Credentials: which accounts a target gets, in which order, what proves them, and how often one may fail.

``accounts`` reads the operator's file and orders its accounts for a target; ``secrets`` reads what a reference points
to; ``kerberos`` proves a domain account once and keeps its ticket; ``lockout`` holds the budget over all tasks,
processes and runs. No transport here.
"""
