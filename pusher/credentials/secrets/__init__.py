"""Secrets: what a reference of the accounts file points to, read where it is kept. Nothing is kept here."""

from pusher.credentials.secrets.providers import read_secret

__all__ = ["read_secret"]
