"""Pre-authentication at a real domain controller: what each account's AS-REQ comes to, and what the domain counts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.domain import Domain
from lab.domain.recipe import LAPS_ACCOUNT
from pusher.credentials.kerberos.library import Krb5
from pusher.credentials.kerberos.tickets import Ticket, Tickets
from pusher.credentials.lockout.budget import LockoutPolicy, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.credentials.secrets.laps import Laps
from pusher.directory.ldap import LdapDirectory
from pusher.directory.port import DirectoryAccount
from pusher.models import Account, Credential, Protocol, Secret, Target
from pusher.problems import ProblemError
from pusher.transports.port import Endpoint, Limits
from pusher.transports.smb import SmbTransport
from pusher.transports.threaded import Pool
from tests.contract.lab_domain import started

krb5 = pytest.importorskip("krb5", reason="Kerberos is not installed here: it is in the extra kerberos")
pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    with started(tmp_path_factory.mktemp("domain")) as domain:
        yield domain


@pytest.fixture(autouse=True)
def _realm(domain: Domain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name, value in domain.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KRB5CCNAME", str(tmp_path / "none"))
    yield
    domain.reset("push1", "push2")


def now() -> datetime:
    return datetime.now(UTC)


def account(user: str, secret: str = "env:X", protocol: Protocol = Protocol.KERBEROS) -> Account:
    return Account(name=user, user=user, secret=secret, protocol=protocol)


class Office:
    """The tickets of a run."""

    def __init__(self, who: Account, password: str = "") -> None:
        self.who, self.kerberos = who, Krb5(now)
        self.guard = LockoutGuard(LockoutPolicy(threshold=5, reserve=2))
        self.tickets = Tickets(self.kerberos, self.guard, {who.name: Secret(password)}, now)

    async def codes(self, tasks: int = 1) -> set[str | None]:
        """What ``tasks`` tasks at once are told."""
        told = await asyncio.gather(*(self._code() for _ in range(tasks)))
        await self.tickets.close()
        self.kerberos.close()
        return set(told)

    async def _code(self) -> str | None:
        try:
            if self.who.protocol is Protocol.NTLM:
                await self.tickets.prove(self.who)
            else:
                await self.tickets.ticket(self.who)
        except ProblemError as error:
            return error.problem.code
        return None

    @property
    def failures(self) -> int:
        return self.guard.budget(account_key(self.who, "")).failures


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_wrong_password_counts_once_for_all_tasks(domain: Domain, protocol: Protocol) -> None:
    before = domain.bad_password_count("push1")
    office = Office(account(f"push1@{domain.domain}", protocol=protocol), "not the password")
    assert await office.codes(tasks=200) == {"wrong-password", "account-stopped"}
    assert domain.bad_password_count("push1") == before + 1
    assert office.failures == 1


@pytest.mark.parametrize("protocol", list(Protocol))
async def test_a_right_password_counts_nothing(domain: Domain, protocol: Protocol) -> None:
    for user in (f"push1@{domain.domain}", f"PUSH1@{domain.realm}", f"{domain.domain}\\push1"):
        office = Office(account(user, protocol=protocol), domain.password("push1"))
        assert await office.codes(tasks=50) == {None}
    assert domain.bad_password_count("push1") == 0


async def test_a_password_of_yesterday_is_a_wrong_one(domain: Domain) -> None:
    """NTLM and LDAP would take it, and prove nothing; an AS-REQ does not."""
    old = domain.password("push1")
    domain.set_password("push1")
    assert await Office(account(f"push1@{domain.domain}"), old).codes() == {"wrong-password"}
    assert await Office(account(f"push1@{domain.domain}"), domain.password("push1")).codes() == {None}


async def test_a_keytab(domain: Domain) -> None:
    keytab = domain.keytab("push2")
    assert await Office(account(f"push2@{domain.domain}", f"keytab:{keytab}")).codes(tasks=20) == {None}
    other = await Office(account(f"push1@{domain.domain}", f"keytab:{keytab}")).codes()
    assert other == {"keytab-no-principal"}
    elsewhere = await Office(account("push2@elsewhere.test", f"keytab:{keytab}")).codes()
    assert elsewhere == {"keytab-wrong-realm"}
    assert domain.bad_password_count("push2") == 0
    domain.set_password("push2")
    assert await Office(account(f"push2@{domain.domain}", f"keytab:{keytab}")).codes(tasks=20) == {
        "wrong-password", "account-stopped",
    }  # fmt: skip
    assert domain.bad_password_count("push2") == 1


@pytest.mark.parametrize(
    ("user", "code"),
    [("dis1", "account-locked"), ("exp1", "account-locked"), ("must1", "password-expired"),
     ("nobody-of-that-name", "no-such-account")],
)  # fmt: skip
async def test_what_is_wrong_with_an_account(domain: Domain, user: str, code: str) -> None:
    password = "x" if user.startswith("nobody") else domain.password(user)
    office = Office(account(f"{user}@{domain.domain}"), password)
    assert await office.codes() == {code}
    assert office.failures == 0


async def test_a_locked_account(domain: Domain) -> None:
    for _ in range(5):
        await Office(account(f"push1@{domain.domain}"), "not the password").codes()
    assert domain.is_locked("push1")
    office = Office(account(f"push1@{domain.domain}"), domain.password("push1"))
    assert await office.codes(tasks=20) == {"account-locked", "account-stopped"}
    assert office.failures == 0


async def test_an_enterprise_name(domain: Domain) -> None:
    """A UPN suffix that is no realm: the account says which realm it is of."""
    who = Account(
        name="push1", user=f"push1@{domain.netbios}", secret="env:X", protocol=Protocol.KERBEROS, realm=domain.realm
    )
    office = Office(who, domain.password("push1"))
    ticket = await office.tickets.ticket(who)
    assert isinstance(ticket, Ticket)
    assert ticket.principal.casefold() == f"push1@{domain.realm}".casefold()
    office.kerberos.close()


# LAPS


async def found(domain: Domain, reader: str, computer: str, user: str = LAPS_ACCOUNT) -> str:
    """The password that ``reader`` gets, or the code."""
    way = DirectoryAccount(
        domain=domain.domain, user=f"{reader}@{domain.domain}", secret="env:X", server=domain.address, ca=domain.ca
    )
    directory = LdapDirectory(way, Secret(domain.password(reader)))
    learned: list[Secret] = []
    try:
        provider = Laps(directory, domain.base_dn, learned.append)
        who = Account(name="laps", user=f".\\{user}", secret="laps:", protocol=Protocol.NTLM)
        secret = await provider.secret_for(who, Target(name=f"{computer}.{domain.domain}"))
    except ProblemError as error:
        return error.problem.code
    finally:
        await directory.close()
    assert learned == [secret]
    return secret.reveal()


@pytest.mark.parametrize("computer", ["pc01", "pc02"])
async def test_laps_with_the_right_and_without(domain: Domain, computer: str) -> None:
    assert await found(domain, "lapsreader", computer) == domain.laps_password(computer)
    assert await found(domain, "nolaps", computer) == "laps-no-right"


async def test_laps_where_there_is_none(domain: Domain) -> None:
    assert await found(domain, "lapsreader", "pc03") == "laps-not-set"
    assert await found(domain, "lapsreader", "pc99") == "laps-no-computer"
    assert await found(domain, "lapsreader", "pc02", "somebody") == "laps-other-account"


# The ticket


async def test_one_ticket_for_many_sessions_over_smb(domain: Domain) -> None:
    """Of a real server, in threads that share the cache."""
    kerberos, pool = Krb5(now), Pool(16)
    transport = SmbTransport(pool)
    try:
        ticket = await kerberos.by_password(f"push1@{domain.realm}", Secret(domain.password("push1")))
        credential = Credential(
            account="push1", user=f"push1@{domain.domain}", domain=None, secret=None, protocol=Protocol.KERBEROS,
            ccache=ticket.ccache,
        )  # fmt: skip

        async def signed_in() -> str:
            link = await transport.open(Endpoint(host=domain.fqdn, address=domain.address), Limits())
            await link.identify()
            session = await link.sign_in(credential)
            assert not link.secret_sent
            await session.close()
            return session.identity.dialect

        assert await asyncio.gather(*(signed_in() for _ in range(24))) == ["SMB 3.1.1"] * 24
    finally:
        kerberos.close()
        pool.close()
    assert domain.bad_password_count("push1") == 0


async def test_a_host_that_cannot_read_the_ticket(domain: Domain) -> None:
    """A stale name: the ticket is for another machine than the one that answers. It refuses; nothing is counted."""
    (keeper,) = domain.read("(sAMAccountName=push2)", ["distinguishedName"])
    domain.modify(
        f"dn: {keeper['distinguishedName'][0]}\nchangetype: modify\nadd: servicePrincipalName\n"
        f"servicePrincipalName: cifs/elsewhere.{domain.domain}\n"
    )
    kerberos, pool = Krb5(now), Pool(2)
    try:
        ticket = await kerberos.by_password(f"push1@{domain.realm}", Secret(domain.password("push1")))
        link = await SmbTransport(pool).open(
            Endpoint(host=f"elsewhere.{domain.domain}", address=domain.address), Limits()
        )
        await link.identify()
        credential = Credential(
            account="push1", user=f"push1@{domain.domain}", domain=None, secret=None, protocol=Protocol.KERBEROS,
            ccache=ticket.ccache,
        )  # fmt: skip
        with pytest.raises(ProblemError) as caught:
            await link.sign_in(credential)
        assert not link.secret_sent
        await link.close()
        assert caught.value.problem.code == "wrong-password", "which the attempt calls ticket-refused"
    finally:
        kerberos.close()
        pool.close()
    assert domain.bad_password_count("push1") == 0
