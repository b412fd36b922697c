"""Accounts: which of them apply to a target and in which order, what their names mean, and how one is tested.

What must not live here: the file that lists them (``accounts_file``), their secrets (``secrets``), how often one may
fail (``lockout``).
"""
