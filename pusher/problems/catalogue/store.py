"""Codes of the store: what keeps it from being read or written, and a run that stops because of it."""

from __future__ import annotations

from pusher.models import Stage
from pusher.problems.catalogue.row import CANCELLED, FAILED, GIVE_UP, RETRY, SOON, Row
from pusher.problems.codes import Code

# A table reads as rows.
# fmt: off
STORE = [
    Row(Code.STORE_FULL, Stage.RECORD, GIVE_UP, FAILED,
        "the disk of pusher's store is full",
        "Free space on the disk that holds the store, then run the same command again; it undoes what was left.",
        given_back=True),
    Row(Code.STORE_LOCKED, Stage.RECORD, RETRY, FAILED,
        "another program keeps pusher's store locked",
        "End what holds it (a backup, a database tool), then run the same command again.",
        passing=True, again=SOON),
    Row(Code.STORE_DAMAGED, Stage.RECORD, GIVE_UP, FAILED,
        "pusher's store was deleted, truncated or damaged while it was in use",
        "Put it back from a backup, or move what is left of it away, and push again. A new store has forgotten which "
        "accounts failed to sign in: wait until their domain has forgotten it too."),
    Row(Code.STORE_UNAVAILABLE, Stage.RECORD, GIVE_UP, FAILED,
        "pusher's store cannot be read or written",
        "Look at the disk or the database server that holds it and at the reason in the message, then run the same "
        "command again.",
        given_back=True),
    Row(Code.STORE_REFUSED, Stage.RECORD, GIVE_UP, FAILED,
        "pusher's store refuses an entry",
        "Please report it with the log lines of this target.",
        passing=True),
    Row(Code.STORE_LOST, Stage.RECORD, GIVE_UP, CANCELLED,
        "the run stopped before this target was done: outcomes could no longer be stored",
        "Mend the store as the first failures say, then run the same command again.",
        given_back=True),
]
# fmt: on
