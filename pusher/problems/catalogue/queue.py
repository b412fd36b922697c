"""Codes of targets that wait in the queue: what ends an attempt through no fault of the target."""

from __future__ import annotations

from pusher.models import Stage
from pusher.problems.catalogue.row import CANCELLED, FAILED, GIVE_UP, NOWHERE, RETRY, SKIPPED, SPARED, WAIT, WINDOW, Row
from pusher.problems.codes import Code

# A table reads as rows.
# fmt: off
QUEUE = [
    Row(Code.WINDOW_CLOSED, Stage.RECORD, WAIT, CANCELLED,
        "the target's maintenance window closed before it was done",
        "Nothing to do: what was begun is undone, and the target is tried again in the next window. Where it never "
        "fits, make the window longer.",
        again=WINDOW),
    Row(Code.ROLLBACK_UNKNOWN, Stage.RESOLVE, GIVE_UP, SKIPPED,
        "what the target had before is in no package of the store or is an installer's, or it was changed since",
        "Nothing was touched. Add the earlier package (pusher packages add DIR) and roll the run back again, or push "
        "it by hand; an installer's product goes by pusher remove first.",
        SPARED, charges=NOWHERE),
    Row(Code.DRAINING, Stage.RECORD, RETRY, CANCELLED,
        "the worker was told to stop before this target was done",
        "Nothing to do: what was begun is undone, and the next worker that is free takes the target.",
        again_in_run=False, again=WINDOW, given_back=True),
    Row(Code.LEASE_LOST, Stage.RECORD, RETRY, CANCELLED,
        "the worker was frozen, or cut off from the store, for so long that it no longer holds this target",
        "Nothing to do: whoever takes the target next first undoes what was left. If it happens again, look at the "
        "load of the worker's machine and at its link to the store.",
        again_in_run=False, again=WINDOW, given_back=True),
    Row(Code.STORE_AWAY, Stage.RECORD, RETRY, CANCELLED,
        "the store's server was away for longer than can be waited for",
        "Look at the database server and the link to it. When it is back the target is tried again, and what was "
        "left there is undone first.",
        again_in_run=False, again=WINDOW, given_back=True),
    Row(Code.CONTENT_MISSING, Stage.STAGE, GIVE_UP, FAILED,
        "the store no longer has what was stored with the run",
        "Store it again with pusher packages add DIR: the same package has the same digest, and the run goes on. An "
        "inventory is stored with a run alone: queue it again.",
        refused=True),
    Row(Code.CONTENT_ALTERED, Stage.STAGE, GIVE_UP, FAILED,
        "what the store has does not have the hash under which it was stored: it was altered, and is not used",
        "Find out who can write to the store's tables: whoever does so can have anything pushed. Then pusher packages "
        "remove DIGEST, and pusher packages add DIR.",
        refused=True),
    Row(Code.ACCOUNTS_DIFFER, Stage.SIGN_IN, GIVE_UP, FAILED,
        "the worker's accounts are not those that the run was queued with: other users, or for other machines",
        "Make the worker's accounts file say the same as the submitter's, but for the secrets; or cancel the run, and "
        "queue it anew with the accounts as they are now.",
        charges=NOWHERE, refused=True),
    Row(Code.PROFILE_UNKNOWN, Stage.SIGN_IN, GIVE_UP, FAILED,
        "the worker's settings have no accounts of that name",
        "Give it the profile under [profiles] in its settings, or queue the run with accounts that it has.",
        charges=NOWHERE, refused=True),
    Row(Code.PACKAGE_NOT_ALLOWED, Stage.STAGE, GIVE_UP, FAILED,
        "the worker's settings do not allow it to push this package",
        "Look at what the package is (pusher packages show), then add its digest to packages in the worker's settings.",
        refused=True),
    Row(Code.REQUESTER_NOT_ALLOWED, Stage.RECORD, GIVE_UP, FAILED,
        "the worker's settings do not allow it to push for whoever queued the run",
        "Have somebody queue it whom requesters in the worker's settings names, or name this one there.",
        refused=True),
]
# fmt: on
