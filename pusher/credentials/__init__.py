"""Credentials: which accounts a target gets, in which order, and how often one may fail.

``ladder`` (pure) orders, ``budget`` (pure) counts, ``guard`` makes the count hold over every task of the process,
``secrets`` reads what a reference points to, ``accounts_file`` reads the operator's file. No transport here.
"""
