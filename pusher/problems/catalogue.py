"""The catalogue of codes: a table that ``pusher explain`` prints and every outcome draws from.

A row is a code, the stage it usually belongs to, its meaning in one sentence, the remedy an administrator
can carry out, what the scheduler does next, and the status of a target that ends with it. Codes are stable:
scripts count on them. The numbers that lead to a code are in the adapters' ``faults`` modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pusher.models import NextMove, Stage, Status


@dataclass(frozen=True, slots=True)
class Code:
    """A row of the catalogue."""

    code: str
    stage: Stage
    next_move: NextMove
    status: Status
    meaning: str
    remedy: str


_RETRY, _NEXT, _GIVE_UP, _STOP, _TRANSPORT, _WAIT = (
    NextMove.RETRY,
    NextMove.NEXT_ACCOUNT,
    NextMove.GIVE_UP,
    NextMove.STOP_ACCOUNT,
    NextMove.NEXT_TRANSPORT,
    NextMove.WAIT,
)
_FAILED, _UNREACHABLE = Status.FAILED, Status.UNREACHABLE
_SKIPPED, _CANCELLED = Status.SKIPPED, Status.CANCELLED

# A table reads as rows.
# fmt: off
_RESOLVE = [
    Code("name-not-found", Stage.RESOLVE, _GIVE_UP, _UNREACHABLE,
         "the name does not resolve to an address",
         "Correct the name in the inventory, add its DNS record, or give the host an address."),
    Code("name-server-failed", Stage.RESOLVE, _RETRY, _UNREACHABLE,
         "no name server gave an answer",
         "Check the name servers of this machine (or of the inventory) and push again."),
    Code("excluded", Stage.RESOLVE, _GIVE_UP, _SKIPPED,
         "the inventory or an option excludes this target",
         "Nothing to do; remove the exclusion to push to it."),
    Code("duplicate", Stage.RESOLVE, _GIVE_UP, _SKIPPED,
         "this machine is already in the run under another name",
         "Nothing to do; keep one of the names in the inventory."),
    Code("outside-window", Stage.RESOLVE, _WAIT, _SKIPPED,
         "the target's maintenance window is closed",
         "Wait for the window, or change it."),
    Code("domain-controller-refused", Stage.RIGHTS, _GIVE_UP, _SKIPPED,
         "the target is a domain controller",
         "A push account that signs in to domain controllers can take the whole domain: leave it out, or set "
         "domain_controller: allow on the host in the inventory."),
    Code("command-incomplete", Stage.RESOLVE, _GIVE_UP, _FAILED,
         "a placeholder of the package's command has no usable value for this target",
         "Give the target the variable (vars) or the site in the inventory."),
    Code("no-transport", Stage.RESOLVE, _GIVE_UP, _FAILED,
         "no transport that the target allows can be used",
         "Allow smb or winrm for the target in the inventory, or drop --transport."),
]

_REACH = [
    Code("port-closed", Stage.REACH, _TRANSPORT, _UNREACHABLE,
         "the machine answers but refuses the port",
         "On the target, open to this machine: TCP 445 with the Server service (File and Printer Sharing), or TCP 5986 "
         "with a WinRM listener; then push again."),
    Code("timed-out", Stage.REACH, _RETRY, _UNREACHABLE,
         "no answer within the time limit",
         "Check that the machine is on and that no firewall drops the traffic in between."),
    Code("host-unreachable", Stage.REACH, _RETRY, _UNREACHABLE,
         "the network says that the machine cannot be reached",
         "Check the route, the address and that the machine is on."),
    Code("connection-lost", Stage.REACH, _RETRY, _FAILED,
         "the connection was dropped in the middle",
         "Look for a reboot, an unstable link or an intrusion prevention system on the way; push again."),
    Code("transfer-stalled", Stage.STAGE, _RETRY, _FAILED,
         "the copy stopped moving and was given up",
         "Look at the link to the target (loss, rate limits, virus scanner at its file server); push again."),
    Code("dialect-unsupported", Stage.REACH, _TRANSPORT, _FAILED,
         "the target speaks no SMB dialect that can be trusted (2.1 or newer)",
         "Enable SMB 3 on the target; SMB 1 is never used."),
    Code("protocol-error", Stage.REACH, _GIVE_UP, _FAILED,
         "the target's answer is not valid protocol",
         "Check what listens on that port; if it is Windows, capture the exchange and report it."),
    Code("tampered", Stage.REACH, _GIVE_UP, _FAILED,
         "an answer's signature or encryption does not verify",
         "Someone or something on the way changes traffic: find the middlebox before pushing again."),
    Code("certificate-untrusted", Stage.REACH, _TRANSPORT, _FAILED,
         "the WinRM listener's certificate comes from no CA that is trusted here",
         "Give the CA's certificate (--ca, or winrm.ca in the inventory), pin the certificate's SHA-256 fingerprint on "
         "the host, or give the listener a certificate of your own CA."),
    Code("certificate-expired", Stage.REACH, _TRANSPORT, _FAILED,
         "the WinRM listener's certificate is not valid now",
         "Renew it on the target and give the listener the new one; if its dates are right, correct the clock here."),
    Code("certificate-wrong-name", Stage.REACH, _GIVE_UP, _FAILED,
         "the WinRM listener's certificate is for another name than the inventory's",
         "Another machine may answer at this address: correct the record or the name in the inventory, or issue a "
         "certificate whose DNS names hold it. Nothing was sent."),
    Code("certificate-mismatch", Stage.REACH, _GIVE_UP, _FAILED,
         "the WinRM listener's certificate is not the one whose fingerprint the inventory pins",
         "Find out why before anything else: it was renewed (then correct the fingerprint), or another machine "
         "answers. Nothing was sent."),
    Code("tls-failed", Stage.REACH, _TRANSPORT, _FAILED,
         "no TLS connection to the WinRM listener came about",
         "Check that HTTPS is spoken on that port and that the listener has a certificate and TLS 1.2 or newer."),
    Code("winrm-refused", Stage.REACH, _TRANSPORT, _FAILED,
         "the WinRM service does not serve remote requests",
         "Run 'winrm quickconfig' on the target, and look at the policies 'Allow remote server management' and "
         "'Allow remote shell access'."),
    Code("winrm-quota", Stage.REACH, _RETRY, _FAILED,
         "a quota of the WinRM service is used up",
         "Wait, or close stale shells on the target (restart WinRM); see winrm/config/winrs, MaxShellsPerUser."),
    Code("unencrypted-refused", Stage.REACH, _TRANSPORT, _FAILED,
         "no encryption could be agreed on over HTTP, and nothing is sent without",
         "Give the target a WinRM listener on HTTPS; do not set AllowUnencrypted."),
    Code("winrm-fault", Stage.REACH, _GIVE_UP, _FAILED,
         "the WinRM service answered with a fault that this table does not name",
         "Look up the number in the message (winrm helpmsg 0x…) and the target's WinRM event log."),
    Code("too-busy", Stage.REACH, _RETRY, _FAILED,
         "the target is out of connections or resources",
         "Wait until the machine is less busy, or close stale sessions on it."),
    Code("shutting-down", Stage.REACH, _RETRY, _FAILED,
         "the target is shutting down",
         "Push again when it is back."),
    Code("deadline", Stage.RECORD, _RETRY, _FAILED,
         "the time allowed for this target ran out",
         "Raise --deadline for slow machines, or look at the steps' times to see what was slow."),
]

_IDENTIFY = [
    Code("wrong-host", Stage.IDENTIFY, _GIVE_UP, _FAILED,
         "another machine answers at this name's address; nothing was sent to it",
         "Correct the stale DNS record or the address in the inventory (scavenge DNS, renew DHCP), then push "
         "again."),
    Code("identity-unproven", Stage.IDENTIFY, _NEXT, _FAILED,
         "the machine does not say who it is",
         "The target offers no NTLM challenge to compare its name with: use Kerberos for it."),
]

_SIGN_IN = [
    Code("wrong-password", Stage.SIGN_IN, _STOP, _FAILED,
         "the target refuses the user name or password",
         "Check the account's secret once by hand; correct it before the next run. pusher stops a domain account "
         "everywhere at once, so it is not locked out."),
    Code("sign-in-refused", Stage.SIGN_IN, _NEXT, _FAILED,
         "the target refuses the account over WinRM: wrong user or password, or a valid account that is no "
         "administrator here (WinRM answers all of these alike)",
         "Check the secret once by hand. A local account other than RID 500 is filtered by UAC over the network; "
         "others must be local administrators. Where it matters which, push over SMB, which tells them apart."),
    Code("no-such-account", Stage.SIGN_IN, _STOP, _FAILED,
         "the target knows no such user",
         "Correct the user or its domain in the accounts file."),
    Code("account-locked", Stage.SIGN_IN, _STOP, _FAILED,
         "the account is locked out",
         "Unlock it and find what locks it (events 4740 and 4625) before it is used again."),
    Code("account-disabled", Stage.SIGN_IN, _STOP, _FAILED,
         "the account is disabled",
         "Enable it, or list another account."),
    Code("account-expired", Stage.SIGN_IN, _STOP, _FAILED,
         "the account has expired",
         "Extend the account, or list another one."),
    Code("password-expired", Stage.SIGN_IN, _STOP, _FAILED,
         "the account's password has expired",
         "Set a new password and store it where the accounts file points."),
    Code("password-must-change", Stage.SIGN_IN, _STOP, _FAILED,
         "the account must change its password at next sign-in",
         "Change the password (or clear the flag) and store the new one where the accounts file points."),
    Code("account-restricted", Stage.SIGN_IN, _NEXT, _FAILED,
         "a restriction of the account forbids this sign-in",
         "Blank password, Protected Users or an authentication silo: use Kerberos, or another account."),
    Code("logon-hours", Stage.SIGN_IN, _NEXT, _FAILED,
         "the account may not sign in at this time or from this machine",
         "Push within the account's logon hours, or add this machine to its workstations."),
    Code("logon-type-denied", Stage.SIGN_IN, _NEXT, _FAILED,
         "this machine denies the account a network logon",
         "Use the account of this machine's tier; see 'Deny access to this computer from the network'."),
    Code("selective-authentication", Stage.SIGN_IN, _NEXT, _FAILED,
         "selective authentication does not let the account in",
         "Grant 'Allowed to Authenticate' on this computer to the account."),
    Code("ntlm-blocked", Stage.SIGN_IN, _NEXT, _FAILED,
         "the target or its domain refuses NTLM",
         'Use the account by Kerberos (protocol = "kerberos", a UPN, and the host by its full name).'),
    Code("trust-broken", Stage.SIGN_IN, _NEXT, _FAILED,
         "the machine's trust with its domain is broken",
         "Repair its secure channel (Test-ComputerSecureChannel -Repair), or use a local account."),
    Code("no-logon-servers", Stage.SIGN_IN, _RETRY, _FAILED,
         "the target reaches no domain controller",
         "Check the target's DNS and its route to a domain controller."),
    Code("clock-skew", Stage.SIGN_IN, _GIVE_UP, _FAILED,
         "the clocks are too far apart for Kerberos",
         "Correct the time on the target or here (five minutes at most between them)."),
    Code("sign-in-unknown", Stage.SIGN_IN, _GIVE_UP, _UNREACHABLE,
         "the sign-in was sent and no verdict came back; it counts as failed",
         "Look at the target; the account goes on where its lockout budget allows."),
    Code("sign-in-failed", Stage.SIGN_IN, _NEXT, _FAILED,
         "the sign-in failed for a reason this table does not name",
         "Look up the status in the message and in the target's Security log."),
    Code("guest-session", Stage.SIGN_IN, _NEXT, _FAILED,
         "the target let the account in as a guest",
         "Turn guest fallback off on the target and correct the account."),
    Code("kerberos-unavailable", Stage.SIGN_IN, _NEXT, _FAILED,
         "Kerberos is not installed with this pusher",
         "Install it with: pip install 'pusher[kerberos]' (needs libkrb5-dev and gcc)."),
    Code("kerberos-failed", Stage.SIGN_IN, _NEXT, _FAILED,
         "Kerberos gave no ticket for this target",
         "Run kinit for the process's own identity, and give the host by its full DNS name."),
    Code("no-account", Stage.SIGN_IN, _GIVE_UP, _FAILED,
         "no account in the accounts file applies to this target",
         "Widen an account's scope, or enable [fallback] to use the process's own identity."),
    Code("lockout-budget-spent", Stage.SIGN_IN, _NEXT, _FAILED,
         "the account's lockout budget is spent; it was not tried here",
         "Correct the account's password; raise assume_threshold only if the domain's policy allows more."),
    Code("account-stopped", Stage.SIGN_IN, _NEXT, _FAILED,
         "the account was stopped earlier in this run and was not tried here",
         "See the first host of this run where it failed; correct it and retry the run."),
]

_RIGHTS = [
    Code("not-administrator", Stage.RIGHTS, _NEXT, _FAILED,
         "the account signs in but is no administrator here",
         "Add it to the local Administrators group. A local account other than RID 500 is filtered by UAC over the"
         " network: use a domain account or LAPS with the built-in administrator."),
    Code("admin-share-missing", Stage.RIGHTS, _TRANSPORT, _FAILED,
         "the share ADMIN$ does not exist",
         "Turn on the administrative shares (AutoShareWks/AutoShareServer = 1) and restart the Server service, or "
         "push over WinRM."),
    Code("admin-share-read-only", Stage.RIGHTS, _GIVE_UP, _FAILED,
         "ADMIN$ can be opened but not written",
         "Correct the share's or folder's permissions on %SystemRoot%; a virus scanner or disk error may also make"
         " it read-only."),
    Code("folder-denied", Stage.RIGHTS, _NEXT, _FAILED,
         "folders cannot be created or removed under ADMIN$",
         "Correct the permissions of %SystemRoot% for administrators."),
    Code("service-creation-denied", Stage.RIGHTS, _NEXT, _FAILED,
         "the service manager refuses the right to create a service",
         "Restore the service manager's default rights (sc sdshow scmanager) or use an administrator."),
    Code("service-manager-missing", Stage.RIGHTS, _TRANSPORT, _FAILED,
         "the service manager's pipe does not answer",
         "Remote service control may be switched off (DisableRemoteScmEndpoints); turn it on, or use WinRM."),
    Code("registry-denied", Stage.RIGHTS, _NEXT, _FAILED,
         "the registry keys that the package needs cannot be reached",
         "Start the Remote Registry service and grant the account access to the keys."),
    Code("registry-unavailable", Stage.RIGHTS, _GIVE_UP, _FAILED,
         "the remote registry does not answer, so its keys cannot be proven",
         "Only a package that needs the registry is held up: start the Remote Registry service for the push, or "
         "drop [needs] registry."),
    Code("rights-unreadable", Stage.RIGHTS, _GIVE_UP, _FAILED,
         "user rights cannot be read by this transport",
         "Only what needs them is held up: push over SMB, or drop [needs] rights."),
    Code("right-missing", Stage.RIGHTS, _GIVE_UP, _FAILED,
         "the package's service account lacks a right it needs",
         "Grant it in Local Policies, User Rights Assignment (by group policy in a domain)."),
    Code("access-denied", Stage.RIGHTS, _NEXT, _FAILED,
         "access is denied",
         "Compare with the checks of this outcome: an ACL, a virus scanner or attack surface rules can refuse."),
    Code("wrong-architecture", Stage.RIGHTS, _GIVE_UP, _FAILED,
         "the package is not made for this machine's architecture",
         "Push the package built for it."),
    Code("newer-version-present", Stage.RIGHTS, _GIVE_UP, _SKIPPED,
         "a newer version is already installed",
         "Nothing to do; to go back, remove the newer version first."),
    Code("disk-full", Stage.STAGE, _GIVE_UP, _FAILED,
         "there is not enough free disk space",
         "Free space on the target's system drive; the message says how much is needed."),
]

_INSTALL = [
    Code("push-in-progress", Stage.LOCK, _RETRY, _FAILED,
         "another push holds this machine's lock",
         "Wait for the other push to end; the lock frees itself when its connection drops."),
    Code("file-in-use", Stage.STAGE, _RETRY, _FAILED,
         "a file is held open by another process",
         "A virus scanner or the agent itself holds it: push again, or stop what holds it."),
    Code("path-not-found", Stage.STAGE, _GIVE_UP, _FAILED,
         "a path on the target does not exist",
         "Correct the destination in package.toml."),
    Code("copy-mismatch", Stage.STAGE, _RETRY, _FAILED,
         "what the target stored is not what was sent",
         "Look for a disk error or a virus scanner that changes files on the target."),
    Code("package-hash-mismatch", Stage.STAGE, _GIVE_UP, _FAILED,
         "a file of the package does not have the hash that package.toml says",
         "Rebuild the package or correct sha256 in package.toml."),
    Code("blocked-by-antivirus", Stage.START, _GIVE_UP, _FAILED,
         "the virus scanner blocks the file",
         "Sign the agent, or have it allowed by hash in the virus scanner."),
    Code("blocked-by-policy", Stage.START, _GIVE_UP, _FAILED,
         "a software restriction policy blocks the program",
         "Allow the agent in AppLocker, WDAC or the software restriction policy."),
    Code("signature-rejected", Stage.START, _GIVE_UP, _FAILED,
         "Windows rejects the file's signature",
         "Sign the agent with a certificate that the target trusts."),
    Code("disk-error", Stage.STAGE, _GIVE_UP, _FAILED,
         "the target's disk is write-protected or damaged",
         "Check the disk of the target (chkdsk) before pushing again."),
    Code("service-exists-foreign", Stage.SERVICE, _GIVE_UP, _FAILED,
         "a service of this name belongs to another program",
         "Find out what that service is; rename yours, or remove the other one by hand."),
    Code("service-name-taken", Stage.SERVICE, _GIVE_UP, _FAILED,
         "another service already has this display name",
         "Change display_name in package.toml."),
    Code("service-marked-for-delete", Stage.SERVICE, _RETRY, _FAILED,
         "the old service is marked for deletion",
         "Close what holds it (services.msc, Task Manager, monitoring) and push again, or reboot."),
    Code("service-database-locked", Stage.SERVICE, _RETRY, _FAILED,
         "the service database is locked",
         "Push again."),
    Code("service-account-invalid", Stage.SERVICE, _GIVE_UP, _FAILED,
         "the service's account is wrong or may not log on as a service",
         "Correct [service] account, or grant it 'Log on as a service'."),
    Code("service-disabled", Stage.START, _GIVE_UP, _FAILED,
         "the service or something it depends on is disabled",
         'Enable it: set start = "auto" or "demand" in package.toml, and its dependencies on the target.'),
    Code("service-dependents-running", Stage.SERVICE, _RETRY, _FAILED,
         "other services depend on it and are running",
         "Stop the dependents on the target, then push again."),
    Code("service-busy", Stage.SERVICE, _RETRY, _FAILED,
         "the service cannot take the command now",
         "Push again."),
    Code("service-stop-timeout", Stage.SERVICE, _RETRY, _FAILED,
         "the running service did not stop in time",
         "Look at the agent's log for what it waits for; raise stop_timeout in package.toml."),
    Code("service-start-timeout", Stage.START, _GIVE_UP, _FAILED,
         "the service did not report running in time",
         "Look at the agent's log and the System log (7009, 7022) on the target; raise start_timeout for slow "
         "machines."),
    Code("service-exited", Stage.START, _GIVE_UP, _FAILED,
         "the agent's process ended instead of running as a service",
         "Start it by hand on the target and look at its log; a missing runtime or configuration is usual."),
    Code("service-failed", Stage.START, _GIVE_UP, _FAILED,
         "the agent reported a failure of its own",
         "The message holds the agent's exit code: look it up in the agent's manual and log."),
    Code("service-not-a-service", Stage.START, _GIVE_UP, _FAILED,
         "the program does not behave as a service",
         "package.toml's command must start a Windows service binary."),
    Code("service-bad-image", Stage.START, _GIVE_UP, _FAILED,
         "the program is not valid for this machine (damaged or wrong architecture)",
         "Push the build for the target's architecture; check the file on the target."),
    Code("service-missing", Stage.SERVICE, _GIVE_UP, _FAILED,
         "the service does not exist",
         "Nothing to stop or remove; push installs it."),
    Code("rpc-failed", Stage.SERVICE, _RETRY, _FAILED,
         "the remote procedure call failed",
         "Look at the status in the message; push again."),
    Code("undo-failed", Stage.SERVICE, _RETRY, _FAILED,
         "a step failed and what it made could not all be undone",
         "Push again (it finishes or clears what is left), or remove by hand what the message names."),
    Code("cancelled", Stage.RECORD, _GIVE_UP, _CANCELLED,
         "the run was cancelled before this target was done",
         "Retry the run when you are ready: pusher retry RUN."),
    Code("interrupted", Stage.RECORD, _RETRY, _CANCELLED,
         "pusher was ended while it worked on this target",
         "Run the same command again: it first undoes what was left, then installs."),
    Code("failure-limit", Stage.RECORD, _GIVE_UP, _CANCELLED,
         "the run stopped at its limit of failures before this target",
         "Look at the first failures; retry the run when their cause is mended."),
    Code("internal-error", Stage.RECORD, _GIVE_UP, _FAILED,
         "pusher itself failed here",
         "Please report it with the log lines of this target."),
]

_INSTALLERS = [
    Code("installer-failed", Stage.START, _GIVE_UP, _FAILED,
         "the installer ended with an exit code that says it failed",
         "Read the end of its log among this host's events (pusher show RUN HOST); look the exit code up in the "
         "maker's manual, or for an MSI in 'Windows Installer error codes'."),
    Code("installer-timed-out", Stage.START, _GIVE_UP, _FAILED,
         "the installer did not end in time",
         "It may wait for a click: check its silent arguments by hand. Raise installer.timeout in package.toml for a "
         "slow one."),
    Code("installer-busy", Stage.START, _RETRY, _FAILED,
         "another installation is running on the machine",
         "Wait until it has ended (Windows Update counts as one), then push again."),
    Code("installer-cancelled", Stage.START, _GIVE_UP, _FAILED,
         "the installation was cancelled or suspended on the machine",
         "Someone at the machine, or a rule in the package, ended it: read the end of its log among this host's "
         "events."),
    Code("installer-arguments", Stage.START, _GIVE_UP, _FAILED,
         "the installer does not understand its arguments",
         "Correct installer.arguments in package.toml (properties are NAME=VALUE, a transform must be in "
         "the package)."),
    Code("installer-service-missing", Stage.START, _GIVE_UP, _FAILED,
         "the Windows Installer service, or the folder it works in, cannot be used",
         "Start the Windows Installer service (msiserver) on the machine and check that its Temp folder can be "
         "written."),
    Code("other-version-installed", Stage.START, _GIVE_UP, _FAILED,
         "another version of the same product is installed, and the package does not replace it",
         "Give it REINSTALL=ALL REINSTALLMODE=vomus in installer.arguments, or have the other version removed "
         "first."),
    Code("package-bad", Stage.START, _RETRY, _FAILED,
         "the machine cannot open the installer's package, or cannot run it",
         "Look for a virus scanner that holds the file, try the package by hand on one machine, and check that it is "
         "made for this architecture."),
    Code("not-detected", Stage.VERIFY, _GIVE_UP, _FAILED,
         "the installer says that it succeeded, and its product is not found",
         "Correct [detect] in package.toml; where a reboot is needed first, restart the machine and push again."),
    Code("still-detected", Stage.VERIFY, _GIVE_UP, _FAILED,
         "the product was removed, and it is still found",
         "Restart the machine where a reboot is needed; check installer.uninstall and [detect] in package.toml."),
    Code("uninstall-unknown", Stage.SERVICE, _GIVE_UP, _FAILED,
         "the package does not say how its product is removed",
         "Add installer.uninstall to package.toml: the quoted program that removes it, with its silent arguments."),
    Code("runner-missing", Stage.START, _GIVE_UP, _FAILED,
         "this pusher was put together without its runner, which runs installers over SMB",
         "Build it with: python -m pusher.runner (needs gcc-mingw-w64-x86-64), or push over WinRM."),
    Code("runner-failed", Stage.START, _GIVE_UP, _FAILED,
         "the service that runs the installer could not do its work",
         "Look at the System log for PusherRun (events 7045, 7009, 7031) and at what the virus scanner did to "
         "pusher-run.exe; or push over WinRM."),
]

# fmt: on

CATALOGUE: Mapping[str, Code] = MappingProxyType(
    {row.code: row for row in (*_RESOLVE, *_REACH, *_IDENTIFY, *_SIGN_IN, *_RIGHTS, *_INSTALL, *_INSTALLERS)}
)
