"""Secrets: what a reference of the accounts file points to, read where it is kept.

What must not live here: a copy of one that outlives its use, and whose it is (``accounts``).
"""

from pusher.credentials.secrets.providers import read_secret

__all__ = ["read_secret"]
