"""Codes of targets before anything is sent: their names, what leaves them out, what they cannot be given."""

from __future__ import annotations

from pusher.models import Stage
from pusher.problems.catalogue.row import (
    FAILED,
    GIVE_UP,
    HOURLY,
    LEFT_OUT,
    RETRY,
    SKIPPED,
    SPARED,
    UNREACHABLE,
    WAIT,
    WINDOW,
    Row,
)
from pusher.problems.codes import Code

# A table reads as rows.
# fmt: off
RESOLVE = [
    Row(Code.NAME_NOT_FOUND, Stage.RESOLVE, GIVE_UP, UNREACHABLE,
        "the name does not resolve to an address",
        "Correct the name in the inventory, add its DNS record, or give the host an address.",
        again=HOURLY),
    Row(Code.NAME_SERVER_FAILED, Stage.RESOLVE, RETRY, UNREACHABLE,
        "no name server gave an answer",
        "Check the name servers of this machine (or of the inventory) and push again.",
        again=HOURLY),
    Row(Code.EXCLUDED, Stage.RESOLVE, GIVE_UP, SKIPPED,
        "the inventory or an option excludes this target",
        "Nothing to do; remove the exclusion to push to it.",
        LEFT_OUT),
    Row(Code.DUPLICATE, Stage.RESOLVE, GIVE_UP, SKIPPED,
        "this machine is already in the run under another name",
        "Nothing to do; keep one of the names in the inventory.",
        LEFT_OUT),
    Row(Code.COMPUTER_DISABLED, Stage.RESOLVE, GIVE_UP, SKIPPED,
        "the computer's account in the directory is disabled",
        "Nothing to do; enable the account if the machine is in use.",
        LEFT_OUT),
    Row(Code.COMPUTER_STALE, Stage.RESOLVE, GIVE_UP, SKIPPED,
        "the computer has not been seen by its domain for too long",
        "Nothing to do; if the machine is in use, repair its secure channel, or raise stale_after in the inventory.",
        LEFT_OUT),
    Row(Code.OTHER_CONNECTION, Stage.RESOLVE, GIVE_UP, SKIPPED,
        "the inventory reaches this host in a way in which no Windows machine is reached",
        "Nothing to do; if it runs Windows, say pusher_transports (smb, winrm) for it in the inventory.",
        LEFT_OUT),
    Row(Code.OUTSIDE_WINDOW, Stage.RESOLVE, WAIT, SKIPPED,
        "the target's maintenance window is closed",
        "Wait for the window, or change it.",
        again=WINDOW),
    Row(Code.DOMAIN_CONTROLLER_REFUSED, Stage.RIGHTS, GIVE_UP, SKIPPED,
        "the target is a domain controller",
        "A push account that signs in to domain controllers can take the whole domain: leave it out, or set "
        "domain_controller: allow on the host in the inventory and domain_controllers = true on the account.",
        SPARED,
        bars_removal=True),
    Row(Code.COMMAND_INCOMPLETE, Stage.RESOLVE, GIVE_UP, FAILED,
        "a placeholder of the package's command has no usable value for this target",
        "Give the target the variable (vars) or the site in the inventory."),
    Row(Code.NO_TRANSPORT, Stage.RESOLVE, GIVE_UP, FAILED,
        "no transport that the target allows can be used",
        "Allow smb or winrm for the target in the inventory, or drop --transport."),
]
# fmt: on
