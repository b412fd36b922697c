"""A domain in memory for tests of accounts: its directory, its Kerberos, a lockout guard, and who of them was asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pusher.credentials.kerberos.memory import MemoryKerberos
from pusher.credentials.kerberos.tickets import Tickets
from pusher.credentials.lockout.budget import LockoutPolicy, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.lockout.ledger import MemoryLedger
from pusher.credentials.lockout.readings import Readings
from pusher.directory.memory import MemoryDirectory, Value, Values, entry
from pusher.models import Account, Protocol, Secret
from pusher.problems import Problem

DOMAIN, BASE, REALM, NETBIOS = "corp.example", "DC=corp,DC=example", "CORP.EXAMPLE", "KORP"
NOW = datetime(2026, 3, 4, 12, 0, 0, tzinfo=UTC)
STATES: dict[str, dict[str, Value]] = {
    "account-locked": {"msDS-User-Account-Control-Computed": 0x10},
    "account-disabled": {"userAccountControl": 514},
    "account-expired": {"accountExpires": 131_000_000_000_000_000},
    "password-expired": {"msDS-User-Account-Control-Computed": 0x800000, "pwdLastSet": 131_000_000_000_000_000},
    "password-must-change": {"msDS-User-Account-Control-Computed": 0x800000, "pwdLastSet": 0},
}
"""How the directory tells each of the codes that stop an account."""

_CONFIGURATION = f"CN=Configuration,{BASE}"
_SERVER = f"CN=DC1,CN=Servers,CN=HQ,CN=Sites,{_CONFIGURATION}"


def kerberos_account(user: str = "svc", secret: str = "env:X", name: str = "") -> Account:
    return Account(name=name or user, user=f"{user}@{DOMAIN}", secret=secret, protocol=Protocol.KERBEROS)


def ntlm_account(user: str = "svc", realm: str | None = None) -> Account:
    return Account(name="ntlm", user=f"{NETBIOS}\\{user}", secret="env:X", protocol=Protocol.NTLM, realm=realm)


def directory(threshold: int = 5, window: int = 1800, bad: int = 0, **given: object) -> MemoryDirectory:
    """A user ``svc`` who works (``bad`` failures a minute ago), and one in each of ``STATES``."""
    filetime = int((NOW - timedelta(minutes=1) - datetime(1601, 1, 1, tzinfo=UTC)).total_seconds()) * 10_000_000
    plain: dict[str, Values] = {"objectClass": "user", "userAccountControl": 512, "badPwdCount": bad,
                                "badPasswordTime": filetime, "msDS-User-Account-Control-Computed": 0}  # fmt: skip
    users = {"svc": {}, **STATES}
    return MemoryDirectory(
        [
            entry(BASE, {"lockoutThreshold": threshold, "lockOutObservationWindow": -window * 10_000_000,
                         "fSMORoleOwner": f"CN=NTDS Settings,{_SERVER}"}),
            entry(_SERVER, {"dNSHostName": "dc1.corp.example"}),
            entry(f"CN=Partitions,{_CONFIGURATION}"),
            entry(f"CN=X,CN=Partitions,{_CONFIGURATION}", {"nCName": BASE, "nETBIOSName": NETBIOS}),
            *(entry(f"CN={name},{BASE}", {**plain, "sAMAccountName": name,
                                          "userPrincipalName": f"{name}@{DOMAIN}", **state})
              for name, state in users.items()),
        ],
        root={"currentTime": f"{NOW:%Y%m%d%H%M%S}.0Z", "configurationNamingContext": _CONFIGURATION},
        **given,  # type: ignore[arg-type]
    )  # fmt: skip


class Ground:
    """One run in the domain, in which every user's password is ``right``. ``asked`` are its AS-REQs."""

    def __init__(
        self,
        found: MemoryDirectory | None = None,
        *,
        threshold: int = 3,
        reserve: int = 2,
        seconds: float = 60.0,
        ledger: MemoryLedger | None = None,
        password: str = "right",
        run: str = "",
    ) -> None:
        self.at = NOW
        self.directory = found or directory()
        self.ledger = ledger or MemoryLedger()
        self.guard = LockoutGuard(
            LockoutPolicy(threshold=threshold, reserve=reserve), self.ledger, run=run or f"run-{id(self)}"
        )
        self.kerberos = MemoryKerberos(self.now, {f"{name}@{REALM}": "right" for name in ("svc", "old", *STATES)})
        self.notes: list[tuple[str, str]] = []
        self.readings = Readings(self.directory, DOMAIN, self.guard, self._note, seconds)
        self.secret = Secret(password)
        names = ("svc", "old", "ntlm", *STATES)
        self.tickets = Tickets(
            self.kerberos, self.guard, dict.fromkeys(names, self.secret), self.now, self.readings.before
        )

    def now(self) -> datetime:
        return self.at

    def _note(self, account: Account, why: Problem) -> None:
        self.notes.append((account.name, why.code))

    @property
    def asked(self) -> list[str]:
        return self.kerberos.asked

    def failures(self, account: Account) -> int:
        return self.guard.budget(account_key(account, "")).failures

    @property
    def states_read(self) -> int:
        """How often an account was looked up in the directory."""
        mine = [*self.directory.searches, *(search for other in self.directory._others for search in other.searches)]
        return sum("sAMAccountName=" in filter for _, filter in mine)
