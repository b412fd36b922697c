"""Secrets: what a reference of the accounts file points to, read where it is kept. Nothing is kept here."""
