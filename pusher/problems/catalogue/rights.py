"""Codes of what an account may do on a target, and of what a package needs of one."""

from __future__ import annotations

from pusher.models import Stage
from pusher.problems.catalogue.code import FAILED, GIVE_UP, NEXT, SKIPPED, TRANSPORT, Code

# A table reads as rows.
# fmt: off
RIGHTS = [
    Code("not-administrator", Stage.RIGHTS, NEXT, FAILED,
         "the account signs in but is no administrator here",
         "Add it to the local Administrators group. A local account other than RID 500 is filtered by UAC over the"
         " network: use a domain account or LAPS with the built-in administrator."),
    Code("admin-share-missing", Stage.RIGHTS, TRANSPORT, FAILED,
         "the share ADMIN$ does not exist",
         "Turn on the administrative shares (AutoShareWks/AutoShareServer = 1) and restart the Server service, or "
         "push over WinRM."),
    Code("admin-share-read-only", Stage.RIGHTS, GIVE_UP, FAILED,
         "ADMIN$ can be opened but not written",
         "Correct the share's or folder's permissions on %SystemRoot%; a virus scanner or disk error may also make"
         " it read-only."),
    Code("folder-denied", Stage.RIGHTS, NEXT, FAILED,
         "folders cannot be created or removed under ADMIN$",
         "Correct the permissions of %SystemRoot% for administrators."),
    Code("service-creation-denied", Stage.RIGHTS, NEXT, FAILED,
         "the service manager refuses the right to create a service",
         "Restore the service manager's default rights (sc sdshow scmanager) or use an administrator."),
    Code("service-manager-missing", Stage.RIGHTS, TRANSPORT, FAILED,
         "the service manager's pipe does not answer",
         "Remote service control may be switched off (DisableRemoteScmEndpoints); turn it on, or use WinRM."),
    Code("registry-denied", Stage.RIGHTS, NEXT, FAILED,
         "the registry keys that the package needs cannot be reached",
         "Start the Remote Registry service and grant the account access to the keys."),
    Code("registry-unavailable", Stage.RIGHTS, GIVE_UP, FAILED,
         "the remote registry does not answer, so its keys cannot be proven",
         "Only a package that needs the registry is held up: enable the Remote Registry service for the push "
         "(workstations have it disabled), push over WinRM, or drop [needs] registry."),
    Code("rights-unreadable", Stage.RIGHTS, GIVE_UP, FAILED,
         "user rights cannot be read by this transport",
         "Only what needs them is held up: push over SMB, or drop [needs] rights (of an installer: run_as)."),
    Code("right-missing", Stage.RIGHTS, GIVE_UP, FAILED,
         "the package's service account lacks a right it needs",
         "Grant it in Local Policies, User Rights Assignment (by group policy in a domain)."),
    Code("access-denied", Stage.RIGHTS, NEXT, FAILED,
         "access is denied",
         "Compare with the checks of this outcome: an ACL, a virus scanner or attack surface rules can refuse."),
    Code("wrong-architecture", Stage.RIGHTS, GIVE_UP, FAILED,
         "the package is not made for this machine's architecture",
         "Push the package built for it."),
    Code("newer-version-present", Stage.RIGHTS, GIVE_UP, SKIPPED,
         "a newer version is already installed",
         "Nothing to do; to go back, remove the newer version first."),
    Code("disk-full", Stage.STAGE, GIVE_UP, FAILED,
         "there is not enough free disk space",
         "Free space on the target's system drive; the message says how much is needed."),
]
# fmt: on
