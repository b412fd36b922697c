"""Codes of packages that are installers: the installer's end, detection, removal, and what runs it."""

from __future__ import annotations

from pusher.models import Stage
from pusher.problems.catalogue.row import FAILED, GIVE_UP, RETRY, SOON, Row
from pusher.problems.codes import Code

# A table reads as rows.
# fmt: off
INSTALLERS = [
    Row(Code.INSTALLER_FAILED, Stage.START, GIVE_UP, FAILED,
        "the installer ended with an exit code that says it failed",
        "Read the end of its log among this host's events (pusher show RUN HOST); look the exit code up in the "
        "maker's manual, or for an MSI in 'Windows Installer error codes'."),
    Row(Code.INSTALLER_TIMED_OUT, Stage.START, GIVE_UP, FAILED,
        "the installer did not end in time",
        "It may wait for a click: check its silent arguments by hand. Raise installer.timeout in package.toml for a "
        "slow one."),
    Row(Code.INSTALLER_BUSY, Stage.START, RETRY, FAILED,
        "another installation is running on the machine",
        "Wait until it has ended (Windows Update counts as one), then push again.",
        again=SOON),
    Row(Code.INSTALLER_CANCELLED, Stage.START, GIVE_UP, FAILED,
        "the installation was cancelled or suspended on the machine",
        "Someone at the machine, or a rule in the package, ended it: read the end of its log among this host's "
        "events."),
    Row(Code.INSTALLER_ARGUMENTS, Stage.START, GIVE_UP, FAILED,
        "the installer does not understand its arguments",
        "Correct installer.arguments in package.toml (properties are NAME=VALUE, a transform must be in "
        "the package)."),
    Row(Code.INSTALLER_SERVICE_MISSING, Stage.START, GIVE_UP, FAILED,
        "the Windows Installer service, or the folder it works in, cannot be used",
        "Start the Windows Installer service (msiserver) on the machine and check that its Temp folder can be "
        "written."),
    Row(Code.OTHER_VERSION_INSTALLED, Stage.START, GIVE_UP, FAILED,
        "another version of the same product is installed, and the package does not replace it",
        "Give it REINSTALL=ALL REINSTALLMODE=vomus in installer.arguments, or have the other version removed "
        "first."),
    Row(Code.PACKAGE_BAD, Stage.START, RETRY, FAILED,
        "the machine cannot open the installer's package, or cannot run it",
        "Look for a virus scanner that holds the file, try the package by hand on one machine, and check that it is "
        "made for this architecture.",
        again=SOON),
    Row(Code.NOT_DETECTED, Stage.VERIFY, GIVE_UP, FAILED,
        "the installer says that it succeeded, and its product is not found",
        "Correct [detect] in package.toml; where a reboot is needed first, restart the machine and push again."),
    Row(Code.STILL_DETECTED, Stage.VERIFY, GIVE_UP, FAILED,
        "the product was removed, and it is still found",
        "Restart the machine where a reboot is needed; check installer.uninstall and [detect] in package.toml."),
    Row(Code.UNINSTALL_UNKNOWN, Stage.SERVICE, GIVE_UP, FAILED,
        "the package does not say how its product is removed",
        "Add installer.uninstall to package.toml: the quoted program that removes it, with its silent arguments."),
    Row(Code.RUN_AS_UNSUPPORTED, Stage.START, GIVE_UP, FAILED,
        "the transport cannot run an installer as the account that signs in",
        'Push it with --transport winrm, or take run_as = "account" out of [installer].'),
    Row(Code.RUNNER_MISSING, Stage.START, GIVE_UP, FAILED,
        "this pusher was put together without its runner, which runs installers as SYSTEM",
        "Build it with: python -m pusher.helper_exe (needs gcc-mingw-w64-x86-64)."),
    Row(Code.RUNNER_FAILED, Stage.START, GIVE_UP, FAILED,
        "the service that runs the installer could not do its work",
        "Look at the System log for PusherRun (events 7045, 7009, 7031) and at what the virus scanner did to "
        "pusher-run.exe; or push over WinRM with run_as = \"account\" in [installer]."),
]
# fmt: on
