"""Codes of what an account may do on a target, and of what a package needs of one."""

from __future__ import annotations

from pusher.models import Stage
from pusher.problems.catalogue.row import FAILED, GIVE_UP, NEXT, SKIPPED, TRANSPORT, Row
from pusher.problems.codes import Code

# A table reads as rows.
# fmt: off
RIGHTS = [
    Row(Code.NOT_ADMINISTRATOR, Stage.RIGHTS, NEXT, FAILED,
        "the account signs in but is no administrator here",
        "Add it to the local Administrators group. A local account other than RID 500 is filtered by UAC over the"
        " network: use a domain account or LAPS with the built-in administrator."),
    Row(Code.ADMIN_SHARE_MISSING, Stage.RIGHTS, TRANSPORT, FAILED,
        "the share ADMIN$ does not exist",
        "Turn on the administrative shares (AutoShareWks/AutoShareServer = 1) and restart the Server service, or "
        "push over WinRM."),
    Row(Code.ADMIN_SHARE_READ_ONLY, Stage.RIGHTS, GIVE_UP, FAILED,
        "ADMIN$ can be opened but not written",
        "Correct the share's or folder's permissions on %SystemRoot%; a virus scanner or disk error may also make"
        " it read-only."),
    Row(Code.FOLDER_DENIED, Stage.RIGHTS, NEXT, FAILED,
        "folders cannot be created or removed under ADMIN$",
        "Correct the permissions of %SystemRoot% for administrators."),
    Row(Code.SERVICE_CREATION_DENIED, Stage.RIGHTS, NEXT, FAILED,
        "the service manager refuses the right to create a service",
        "Restore the service manager's default rights (sc sdshow scmanager) or use an administrator."),
    Row(Code.SERVICE_MANAGER_MISSING, Stage.RIGHTS, TRANSPORT, FAILED,
        "the service manager's pipe does not answer",
        "Remote service control may be switched off (DisableRemoteScmEndpoints); turn it on, or use WinRM."),
    Row(Code.REGISTRY_DENIED, Stage.RIGHTS, NEXT, FAILED,
        "the registry keys that the package needs cannot be reached",
        "Start the Remote Registry service and grant the account access to the keys."),
    Row(Code.REGISTRY_UNAVAILABLE, Stage.RIGHTS, GIVE_UP, FAILED,
        "the remote registry does not answer, so its keys cannot be proven",
        "Only a package that needs the registry is held up: enable the Remote Registry service for the push "
        "(workstations have it disabled), push over WinRM, or drop [needs] registry."),
    Row(Code.RIGHTS_UNREADABLE, Stage.RIGHTS, GIVE_UP, FAILED,
        "user rights cannot be read by this transport",
        "Only what needs them is held up: push over SMB, or drop [needs] rights (of an installer: run_as)."),
    Row(Code.RIGHT_MISSING, Stage.RIGHTS, GIVE_UP, FAILED,
        "the package's service account lacks a right it needs",
        "Grant it in Local Policies, User Rights Assignment (by group policy in a domain)."),
    Row(Code.ACCESS_DENIED, Stage.RIGHTS, NEXT, FAILED,
        "access is denied",
        "Compare with the checks of this outcome: an ACL, a virus scanner or attack surface rules can refuse."),
    Row(Code.WRONG_ARCHITECTURE, Stage.RIGHTS, GIVE_UP, FAILED,
        "the package is not made for this machine's architecture",
        "Push the package built for it."),
    Row(Code.NEWER_VERSION_PRESENT, Stage.RIGHTS, GIVE_UP, SKIPPED,
        "a newer version is already installed",
        "Nothing to do; to go back, remove the newer version first."),
    Row(Code.DISK_FULL, Stage.STAGE, GIVE_UP, FAILED,
        "there is not enough free disk space",
        "Free space on the target's system drive; the message says how much is needed."),
]
# fmt: on
