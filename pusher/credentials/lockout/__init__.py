"""The lockout budget: how often an account may still fail, over every task, process, run and restart.

``budget``, ``account_state`` and ``refusal`` decide and are pure; ``guard`` and ``broker`` hold the budget in a
process, ``ledger`` in the store; ``readings`` and ``directory_state`` ask the directory how an account stands. What
must not live here: a sign-in.
"""
