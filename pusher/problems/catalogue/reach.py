"""Codes of the way to a target: network, SMB, TLS, WinRM, time limits; and of who answers there."""

from __future__ import annotations

from pusher.models import Stage
from pusher.problems.catalogue.row import (
    FAILED,
    GIVE_UP,
    HOURLY,
    NEXT,
    NOWHERE,
    RETRY,
    SOON,
    TRANSPORT,
    UNREACHABLE,
    Row,
)
from pusher.problems.codes import Code

# A table reads as rows.
# fmt: off
REACH = [
    Row(Code.PORT_CLOSED, Stage.REACH, TRANSPORT, UNREACHABLE,
        "the machine answers but refuses the port",
        "On the target, open to this machine: TCP 445 with the Server service (File and Printer Sharing), or TCP 5986 "
        "with a WinRM listener; then push again.",
        again=HOURLY),
    Row(Code.TIMED_OUT, Stage.REACH, RETRY, UNREACHABLE,
        "no answer within the time limit",
        "Check that the machine is on and that no firewall drops the traffic in between.",
        session_gone=True, again_in_run=False, again=HOURLY),
    Row(Code.HOST_UNREACHABLE, Stage.REACH, RETRY, UNREACHABLE,
        "the network says that the machine cannot be reached",
        "Check the route, the address and that the machine is on.",
        passing=True, again=HOURLY),
    Row(Code.CONNECTION_LOST, Stage.REACH, RETRY, FAILED,
        "the connection was dropped in the middle",
        "Look for a reboot, an unstable link or an intrusion prevention system on the way; push again.",
        session_gone=True, passing=True, again=SOON),
    Row(Code.TRANSFER_STALLED, Stage.STAGE, RETRY, FAILED,
        "the copy stopped moving and was given up",
        "Look at the link to the target (loss, rate limits, virus scanner at its file server); push again.",
        session_gone=True, again=SOON),
    Row(Code.DIALECT_UNSUPPORTED, Stage.REACH, TRANSPORT, FAILED,
        "the target speaks no SMB dialect that can be trusted (2.1 or newer)",
        "Enable SMB 3 on the target; SMB 1 is never used."),
    Row(Code.PROTOCOL_ERROR, Stage.REACH, GIVE_UP, FAILED,
        "the target's answer is not valid protocol",
        "Check what listens on that port; if it is Windows, capture the exchange and report it.",
        session_gone=True),
    Row(Code.TAMPERED, Stage.REACH, GIVE_UP, FAILED,
        "an answer's signature or encryption does not verify",
        "Someone or something on the way changes traffic: find the middlebox before pushing again.",
        session_gone=True),
    Row(Code.CERTIFICATE_UNTRUSTED, Stage.REACH, TRANSPORT, FAILED,
        "the WinRM listener's certificate comes from no CA that is trusted here",
        "Give the CA's certificate (--ca, or winrm.ca in the inventory), pin the certificate's SHA-256 fingerprint on "
        "the host, or give the listener a certificate of your own CA."),
    Row(Code.CERTIFICATE_EXPIRED, Stage.REACH, TRANSPORT, FAILED,
        "the WinRM listener's certificate is not valid now",
        "Renew it on the target and give the listener the new one; if its dates are right, correct the clock here."),
    Row(Code.CERTIFICATE_WRONG_NAME, Stage.REACH, GIVE_UP, FAILED,
        "the WinRM listener's certificate is for another name than the inventory's",
        "Another machine may answer at this address: correct the record or the name in the inventory, or issue a "
        "certificate whose DNS names hold it. Nothing was sent."),
    Row(Code.CERTIFICATE_MISMATCH, Stage.REACH, GIVE_UP, FAILED,
        "the WinRM listener's certificate is not the one whose fingerprint the inventory pins",
        "Find out why before anything else: it was renewed (then correct the fingerprint), or another machine "
        "answers. Nothing was sent."),
    Row(Code.TLS_FAILED, Stage.REACH, TRANSPORT, FAILED,
        "no TLS connection to the WinRM listener came about",
        "Check that HTTPS is spoken on that port and that the listener has a certificate and TLS 1.2 or newer."),
    Row(Code.WINRM_REFUSED, Stage.REACH, TRANSPORT, FAILED,
        "the WinRM service does not serve remote requests",
        "Run 'winrm quickconfig' on the target, and look at the policies 'Allow remote server management' and "
        "'Allow remote shell access'."),
    Row(Code.WINRM_QUOTA, Stage.REACH, RETRY, FAILED,
        "a quota of the WinRM service is used up",
        "Wait, or close stale shells on the target (restart WinRM); see winrm/config/winrs, MaxShellsPerUser.",
        again=SOON),
    Row(Code.UNENCRYPTED_REFUSED, Stage.REACH, TRANSPORT, FAILED,
        "no encryption could be agreed on over HTTP, and nothing is sent without",
        "Give the target a WinRM listener on HTTPS; do not set AllowUnencrypted."),
    Row(Code.WINRM_FAULT, Stage.REACH, GIVE_UP, FAILED,
        "the WinRM service answered with a fault that this table does not name",
        "Look up the number in the message (winrm helpmsg 0x…) and the target's WinRM event log."),
    Row(Code.TOO_BUSY, Stage.REACH, RETRY, FAILED,
        "the target is out of connections or resources",
        "Wait until the machine is less busy, or close stale sessions on it.",
        passing=True, again=SOON),
    Row(Code.SHUTTING_DOWN, Stage.REACH, RETRY, FAILED,
        "the target is shutting down",
        "Push again when it is back.",
        again=SOON),
    Row(Code.DEADLINE, Stage.RECORD, RETRY, FAILED,
        "the time allowed for this target ran out",
        "Raise --deadline for slow machines, or look at the steps' times to see what was slow.",
        again_in_run=False, again=SOON),
]

IDENTIFY = [
    Row(Code.WRONG_HOST, Stage.IDENTIFY, GIVE_UP, FAILED,
        "another machine answers at this name's address; nothing was sent to it",
        "If the name in the inventory is only a label for the machine that answers, write the machine's own name "
        "beside it (machine: NAME; pusher resolve --identify prints it). Otherwise correct the stale DNS record or "
        "the address in the inventory (scavenge DNS, renew DHCP). Then push again.",
        charges=NOWHERE),
    Row(Code.IDENTITY_UNPROVEN, Stage.IDENTIFY, NEXT, FAILED,
        "the machine does not say who it is",
        "The target offers no NTLM challenge to compare its name with: use Kerberos for it."),
]
# fmt: on
