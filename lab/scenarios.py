"""The table of scenarios: how a host of the lab differs from a healthy one, and what a push to it must record.

Here: values only. How a difference is brought about is boot.py's, fault_proxy.py's and misbehaving.py's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any

CURRENT_VERSION = "1.4.2"
OLDER_VERSION = "1.3.0"
WINDOWS = r"C:\WINDOWS"
CA = "lab-ca.pem"  # the file of the lab's certificate authority


class Kind(StrEnum):
    """What stands behind a host's name."""

    WINDOWS = "windows"  # smbd and Wine in namespaces of their own
    CLOSED = "closed"  # an address where nothing listens
    SILENT = "silent"  # an address that never answers a SYN
    MUTE = "mute"  # accepts connections and says nothing
    GARBAGE = "garbage"  # answers random bytes
    STALE = "stale"  # a DNS record that leads to the first healthy host


class Account(StrEnum):
    """The state of the account `pushadm` on a host."""

    ADMINISTRATOR = "administrator"
    ORDINARY = "ordinary"  # signs in, but is no administrator
    CHANGED = "changed"  # has another password
    LOCKED = "locked"
    DISABLED = "disabled"
    MUST_CHANGE = "must-change"
    EXPIRED = "expired"


class AdminShare(StrEnum):
    """The state of ADMIN$ on a host."""

    NORMAL = "normal"
    MISSING = "missing"
    READ_ONLY = "read-only"
    FULL = "full"  # on a disk with less room than the agent needs


class Preinstalled(StrEnum):
    """The service LabAgent that is there before anybody pushes."""

    NONE = "none"
    CURRENT = "current"
    OLDER = "older"
    FOREIGN = "foreign"  # the name is taken by a service with another image path


@dataclass(frozen=True, kw_only=True)
class Link:
    """A fault of the link to a host; see fault_proxy.py for the meaning of each."""

    fault: str
    after: int = 0
    after_messages: int = 0
    ms: int = 0
    times: int | None = None


class Certificate(StrEnum):
    """What a host's HTTPS listener presents."""

    TRUSTED = "trusted"  # of the lab's authority, which pusher is given
    UNTRUSTED = "untrusted"  # of another authority
    EXPIRED = "expired"
    WRONG_NAME = "wrong-name"
    SELF_SIGNED = "self-signed"  # and the inventory has its fingerprint


@dataclass(frozen=True, kw_only=True)
class WinRm:
    """A host's WinRM endpoint; see lab/winrm/config.py for what `behaviour` may say."""

    http: bool = True  # port 5985 is open
    https: bool = True  # port 5986 is open
    certificate: Certificate = Certificate.TRUSTED
    curl: bool = True  # curl.exe is there, as in Windows since 1803
    relay: bool = False  # somebody in between ends the TLS, with a trusted certificate of his own
    behaviour: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> dict[str, Any]:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**values, "behaviour": dict(self.behaviour)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> WinRm:
        made = {**values, "certificate": Certificate(values["certificate"])}
        return cls(**{**made, "behaviour": MappingProxyType(dict(values["behaviour"]))})


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One row of the table."""

    name: str
    description: str
    group: str
    expect_status: str
    expect_code: str | None = None
    kind: Kind = Kind.WINDOWS
    account: Account = Account.ADMINISTRATOR
    second_account: bool = False  # `oldadm` is an administrator here
    admin_share: AdminShare = AdminShare.NORMAL
    preinstalled: Preinstalled = Preinstalled.NONE
    link: Link | None = None
    lock_held: bool = False  # somebody else holds the host's push lock
    encryption: str = "if_required"  # smb.conf's "smb encrypt"
    windows: str = WINDOWS  # where Windows says that it is
    smb: bool = True  # port 445 is open
    winrm: WinRm = field(default_factory=WinRm)
    transports: tuple[str, ...] = ("smb",)  # what the inventory says of the host
    vars: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def to_json(self) -> dict[str, Any]:
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            **values,
            "vars": dict(self.vars),
            "link": asdict(self.link) if self.link else None,
            "winrm": self.winrm.to_json(),
            "transports": list(self.transports),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Scenario:
        return cls(
            **{
                **values,
                "kind": Kind(values["kind"]),
                "account": Account(values["account"]),
                "admin_share": AdminShare(values["admin_share"]),
                "preinstalled": Preinstalled(values["preinstalled"]),
                "link": Link(**values["link"]) if values["link"] else None,
                "vars": MappingProxyType(dict(values["vars"])),
                "winrm": WinRm.from_json(values["winrm"]),
                "transports": tuple(values["transports"]),
            }
        )


def _agent_fault(fault: str) -> Mapping[str, str]:
    return MappingProxyType({"fault": fault})


def _over_winrm(
    name: str,
    description: str,
    status: str,
    code: str | None = None,
    *,
    account: Account = Account.ADMINISTRATOR,
    **winrm: Any,
) -> Scenario:
    """A host that has SMB closed, so that only its WinRM endpoint is left."""
    return Scenario(
        name=name,
        description=description,
        group="winrm",
        expect_status=status,
        expect_code=code,
        account=account,
        smb=False,
        winrm=WinRm(**winrm),
        transports=("smb", "winrm"),
    )


def _behaves(**how: Any) -> Mapping[str, Any]:
    return MappingProxyType(how)


_WINRM_ROWS = (
    _over_winrm("winrm-only", "SMB is closed, WinRM is open", "installed"),
    Scenario(
        name="smb-only",
        description="SMB is open, WinRM is closed",
        group="winrm",
        expect_status="installed",
        winrm=WinRm(http=False, https=False),
        transports=("smb", "winrm"),
    ),
    Scenario(
        name="both-closed",
        description="neither SMB nor WinRM: nothing listens at all",
        group="winrm",
        expect_status="unreachable",
        expect_code="port-closed",
        kind=Kind.CLOSED,
        transports=("smb", "winrm"),
    ),
    _over_winrm(
        *("winrm-pinned", "a self-signed certificate that the inventory knows, and no curl.exe", "installed"),
        certificate=Certificate.SELF_SIGNED,
        http=False,
        curl=False,
    ),
    _over_winrm(
        *("winrm-untrusted", "a certificate of an authority nobody knows, HTTP closed", "failed"),
        *("certificate-untrusted",),
        certificate=Certificate.UNTRUSTED,
        http=False,
    ),
    _over_winrm(
        *("winrm-expired", "a certificate that has expired, HTTP closed", "failed", "certificate-expired"),
        certificate=Certificate.EXPIRED,
        http=False,
    ),
    _over_winrm(
        *("winrm-wrong-name", "another machine's certificate, HTTP closed", "failed", "certificate-wrong-name"),
        certificate=Certificate.WRONG_NAME,
        http=False,
    ),
    _over_winrm(
        *("winrm-relay", "somebody in between with a trusted certificate of his own", "failed", "sign-in-refused"),
        http=False,
        relay=True,
    ),
    _over_winrm(
        *("winrm-denied", "pushadm is no administrator and gets 401 for it", "failed", "sign-in-refused"),
        account=Account.ORDINARY,
        behaviour=_behaves(deny="401"),
    ),
    _over_winrm(
        *("winrm-quota", "no shell may be opened any more", "failed", "winrm-quota"),
        behaviour=_behaves(max_shells=0),
    ),
    _over_winrm(
        *("winrm-drops", "HTTP only, and the connection is cut once as the service is created", "installed"),
        https=False,
        behaviour=_behaves(drop_on="Win32_Service.Create"),
    ),
    _over_winrm(
        *("winrm-hangs", "what the operating system is, is never answered", "unreachable", "timed-out"),
        behaviour=_behaves(hang_on="Win32_OperatingSystem"),
    ),
)

_ROWS = (
    Scenario(
        name="healthy",
        description="everything as it should be",
        group="healthy",
        expect_status="installed",
    ),
    Scenario(
        name="same-version",
        description=f"the agent {CURRENT_VERSION} is there and runs",
        group="present",
        expect_status="unchanged",
        preinstalled=Preinstalled.CURRENT,
    ),
    Scenario(
        name="older-version",
        description=f"the agent {OLDER_VERSION} is there and runs",
        group="present",
        expect_status="upgraded",
        preinstalled=Preinstalled.OLDER,
    ),
    Scenario(
        name="foreign-service",
        description="another product's service has the name LabAgent",
        group="present",
        expect_status="failed",
        expect_code="service-exists-foreign",
        preinstalled=Preinstalled.FOREIGN,
    ),
    Scenario(
        name="not-administrator",
        description="pushadm signs in but is not in the administrators group",
        group="refusing",
        expect_status="failed",
        expect_code="not-administrator",
        account=Account.ORDINARY,
    ),
    Scenario(
        name="second-account",
        description="pushadm is no administrator, the second account oldadm is",
        group="healthy",
        expect_status="installed",
        account=Account.ORDINARY,
        second_account=True,
    ),
    Scenario(
        name="wrong-password",
        description="pushadm has another password",
        group="refusing",
        expect_status="failed",
        expect_code="wrong-password",
        account=Account.CHANGED,
    ),
    Scenario(
        name="locked",
        description="pushadm is locked out",
        group="refusing",
        expect_status="failed",
        expect_code="account-locked",
        account=Account.LOCKED,
    ),
    Scenario(
        name="disabled",
        description="pushadm is disabled",
        group="refusing",
        expect_status="failed",
        expect_code="account-disabled",
        account=Account.DISABLED,
    ),
    Scenario(
        name="must-change",
        description="pushadm must change the password before the first sign-in",
        group="refusing",
        expect_status="failed",
        expect_code="password-must-change",
        account=Account.MUST_CHANGE,
    ),
    Scenario(
        name="account-expired",
        description="pushadm has expired",
        group="refusing",
        expect_status="failed",
        expect_code="account-expired",
        account=Account.EXPIRED,
    ),
    Scenario(
        name="no-admin-share",
        description="the administrative shares are switched off",
        group="refusing",
        expect_status="failed",
        expect_code="admin-share-missing",
        admin_share=AdminShare.MISSING,
    ),
    Scenario(
        name="read-only-admin-share",
        description="ADMIN$ lets administrators read only",
        group="refusing",
        expect_status="failed",
        expect_code="admin-share-read-only",
        admin_share=AdminShare.READ_ONLY,
    ),
    Scenario(
        name="disk-full",
        description="the disk under ADMIN$ has less room than the agent needs",
        group="faulty",
        expect_status="failed",
        expect_code="disk-full",
        admin_share=AdminShare.FULL,
    ),
    Scenario(
        name="port-closed",
        description="nothing listens at the address",
        group="unreachable",
        expect_status="unreachable",
        expect_code="port-closed",
        kind=Kind.CLOSED,
    ),
    Scenario(
        name="silent",
        description="the address never answers, as behind a dropping firewall",
        group="unreachable",
        expect_status="unreachable",
        expect_code="timed-out",
        kind=Kind.SILENT,
    ),
    Scenario(
        name="stale-name",
        description="the DNS record leads to another machine",
        group="unreachable",
        expect_status="failed",
        expect_code="wrong-host",
        kind=Kind.STALE,
    ),
    Scenario(
        name="agent-exits",
        description="the agent ends before it has reached the service manager",
        group="faulty",
        expect_status="failed",
        expect_code="service-exited",
        vars=_agent_fault("exit"),
    ),
    Scenario(
        name="agent-never-runs",
        description="the agent reports START_PENDING for ever, its checkpoint unmoving",
        group="faulty",
        expect_status="failed",
        expect_code="service-start-timeout",
        vars=_agent_fault("pending"),
    ),
    Scenario(
        name="agent-never-connects",
        description="the agent's process runs but never reaches the service manager",
        group="faulty",
        expect_status="failed",
        expect_code="service-start-timeout",
        vars=_agent_fault("hang"),
    ),
    Scenario(
        name="agent-slow",
        description="the agent takes some four seconds to start, moving its checkpoint",
        group="healthy",
        expect_status="installed",
        vars=_agent_fault("slow"),
    ),
    Scenario(
        name="agent-fails",
        description="the agent reports a start failure of its own",
        group="faulty",
        expect_status="failed",
        expect_code="service-failed",
        vars=_agent_fault("fail"),
    ),
    Scenario(
        name="link-stalls",
        description="every connection stalls after 100 kB towards the host",
        group="faulty",
        expect_status="failed",
        expect_code="transfer-stalled",
        link=Link(fault="stall", after=100_000),
    ),
    Scenario(
        name="smbd-killed",
        description="the server process of every connection dies after 100 kB",
        group="faulty",
        expect_status="failed",
        expect_code="connection-lost",
        link=Link(fault="kill-smbd", after=100_000),
    ),
    Scenario(
        name="locked-by-another",
        description="another pusher holds the host's lock",
        group="refusing",
        expect_status="failed",
        expect_code="push-in-progress",
        lock_held=True,
    ),
    Scenario(
        name="garbage",
        description="something that is no SMB server listens on the port",
        group="unreachable",
        expect_status="failed",
        expect_code="protocol-error",
        kind=Kind.GARBAGE,
    ),
    Scenario(
        name="mute",
        description="the port accepts connections and never answers",
        group="unreachable",
        expect_status="unreachable",
        expect_code="timed-out",
        kind=Kind.MUTE,
    ),
    Scenario(
        name="halfway",
        description="the host answers the SMB negotiate and then nothing more",
        group="unreachable",
        expect_status="unreachable",
        expect_code="timed-out",
        link=Link(fault="stall", after_messages=1),
    ),
    *_WINRM_ROWS,
    Scenario(
        name="windows-on-d",
        description="Windows is on drive D:, and C$ leads to another disk",
        group="healthy",
        expect_status="installed",
        windows=r"D:\Windows",
        transports=("smb", "winrm"),
    ),
)

SCENARIOS: Mapping[str, Scenario] = MappingProxyType({row.name: row for row in _ROWS})
