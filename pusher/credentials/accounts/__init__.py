"""Accounts: which of them apply to a target and in which order, what their names mean, and how one is tested."""
