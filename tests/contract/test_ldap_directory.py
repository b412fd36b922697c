"""The LDAP adapter keeps the contract, and what stands on it is right, against the lab's domain controller."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lab.domain import Domain
from pusher.credentials.lockout.directory_state import LockoutState, read_state
from pusher.directory.child import MEMORY
from pusher.directory.ldap import LdapDirectory
from pusher.directory.locate import SrvLocator
from pusher.directory.port import Bounds, Directory, DirectoryAccount, Scope
from pusher.directory.process import ChildProcess
from pusher.models import Account, Protocol, Secret
from pusher.problems import ProblemError
from pusher.targets.directory_query import expand
from pusher.targets.inventory import load_inventory
from tests.contract.directory_contract import ODD, DirectoryBench, DirectoryContract, all_of, code_of
from tests.contract.lab_domain import started

pytestmark = pytest.mark.lab

COMPUTERS = "(objectCategory=computer)"


class LabBench:
    """Kerberos by name, signed and sealed, unless ``change`` makes the account another."""

    odd, nested_member = "PC01$", "PC02$"

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.base, self.fleet = domain.base_dn, f"OU=Fleet,{domain.base_dn}"
        self.nested_group = f"CN=Push-Targets,OU=Push,{domain.base_dn}"
        self.account = DirectoryAccount(
            domain=domain.domain, user=f"reader@{domain.domain}", secret="env:X", server=domain.fqdn
        )

    def directory(self, bounds: Bounds | None = None) -> LdapDirectory:
        return self.made(self.account, bounds=bounds)

    def wrong_password(self) -> Directory:
        return LdapDirectory(self.account, Secret("not it"))

    def unreachable(self) -> Directory:
        return self.made(replace(self.account, server=f"{self.domain.fqdn}:9"))

    def made(self, account: DirectoryAccount, user: str = "reader", bounds: Bounds | None = None) -> LdapDirectory:
        return LdapDirectory(
            account,
            Secret(self.domain.password(user)),
            bounds=bounds,
            locate=SrvLocator([self.domain.nameserver]),
        )


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    with started(tmp_path_factory.mktemp("domain")) as domain:
        domain.modify(f"""dn: CN=pc01,OU=Seattle,OU=Fleet,{domain.base_dn}
changetype: modify
replace: description
description: {ODD}
""")
        yield domain


@pytest.fixture
def lab(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> LabBench:
    for name, value in domain.naming_environment.items():
        monkeypatch.setenv(name, value)  # of the children that speak LDAP
    return LabBench(domain)


class TestLdapDirectory(DirectoryContract):
    @pytest.fixture
    def bench(self, lab: LabBench) -> DirectoryBench:
        return lab


@pytest.fixture
async def closing() -> AsyncIterator[Callable[[LdapDirectory], LdapDirectory]]:
    opened: list[LdapDirectory] = []

    def close_later(directory: LdapDirectory) -> LdapDirectory:
        opened.append(directory)
        return directory

    yield close_later
    for directory in opened:
        await directory.close()


Closing = Callable[[LdapDirectory], LdapDirectory]


async def read(directory: Directory, lab: LabBench) -> int:
    return len(await all_of(directory.search(lab.base, COMPUTERS, ["cn"])))


# -- signing in ---------------------------------------------------------------------------------------------


async def test_a_password_that_is_wrong_costs_one_failure(lab: LabBench) -> None:
    lab.domain.unlock("reader")
    directory = lab.wrong_password()
    for _ in range(3):
        assert await code_of(directory.search(lab.base, COMPUTERS, ["cn"])) == "directory-sign-in-failed"
    await directory.close()
    assert lab.domain.bad_password_count("reader") == 1
    lab.domain.unlock("reader")


async def test_a_good_sign_in_is_by_ticket_alone(lab: LabBench, closing: Closing) -> None:
    before = len(lab.domain.log())
    assert await read(closing(lab.directory()), lab) >= 6
    new = lab.domain.log()[before:]
    assert {seen.service for seen in new} <= {"Kerberos KDC", "LDAP"}
    assert not [seen for seen in new if "simple" in seen.description.lower()], "no password is sent to the server"
    assert [seen.status for seen in new if seen.service == "Kerberos KDC"] == ["NT_STATUS_OK"]


async def test_by_keytab(lab: LabBench, closing: Closing) -> None:
    account = replace(lab.account, secret=f"keytab:{lab.domain.keytab('reader')}")
    assert await read(closing(LdapDirectory(account, None)), lab) >= 6


async def test_a_keytab_without_the_account(lab: LabBench, closing: Closing) -> None:
    account = replace(lab.account, secret=f"keytab:{lab.domain.keytab('push2')}")
    search = closing(LdapDirectory(account, None)).search(lab.base, COMPUTERS, ["cn"])
    assert await code_of(search) == "directory-sign-in-failed"


async def test_a_ticket_cache_that_is_none(lab: LabBench, closing: Closing, tmp_path: Path) -> None:
    empty = tmp_path / "cc"
    empty.write_bytes(b"")
    account = replace(lab.account, secret=f"ccache:{empty}")
    search = closing(LdapDirectory(account, None)).search(lab.base, COMPUTERS, ["cn"])
    assert await code_of(search) == "directory-sign-in-failed"


async def test_by_ldaps(lab: LabBench, closing: Closing) -> None:
    directory = closing(lab.made(replace(lab.account, ca=lab.domain.ca)))
    assert await read(directory, lab) >= 6
    assert any("TLS" in seen.description for seen in lab.domain.log() if seen.service == "LDAP")


async def test_ldaps_by_another_ca(lab: LabBench, closing: Closing) -> None:
    """The password stays here."""
    before = len(lab.domain.log())
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    directory = closing(lab.made(replace(lab.account, ca=system)))
    assert await code_of(directory.search(lab.base, COMPUTERS, ["cn"])) == "directory-tls-failed"
    assert len(lab.domain.log()) == before


async def test_ldaps_by_another_name(
    lab: LabBench, closing: Closing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{lab.domain.address} other.ad.lab.test\n")
    monkeypatch.setenv("NSS_WRAPPER_HOSTS", str(hosts))
    account = replace(lab.account, ca=lab.domain.ca, server="other.ad.lab.test")
    assert await code_of(closing(lab.made(account)).search(lab.base, COMPUTERS, ["cn"])) == "directory-tls-failed"


async def test_kerberos_by_another_name(
    lab: LabBench, closing: Closing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads to the same machine is not that machine's: no canonical name is asked of DNS."""
    hosts = tmp_path / "hosts"
    hosts.write_text(f"{lab.domain.address} {lab.domain.fqdn} other.ad.lab.test\n")
    monkeypatch.setenv("NSS_WRAPPER_HOSTS", str(hosts))
    # What an administrator's own files would allow: both the Kerberos library and libldap have an opinion.
    theirs = Path(lab.domain.environment["KRB5_CONFIG"]).read_text()
    (tmp_path / "krb5.conf").write_text(
        theirs.replace("dns_canonicalize_hostname = false", "dns_canonicalize_hostname = true")
    )
    monkeypatch.setenv("KRB5_CONFIG", str(tmp_path / "krb5.conf"))
    monkeypatch.setenv("LDAPSASL_NOCANON", "off")
    account = replace(lab.account, server="other.ad.lab.test")
    search = closing(lab.made(account)).search(lab.base, COMPUTERS, ["cn"])
    assert await code_of(search) == "directory-sign-in-failed"


@pytest.mark.parametrize(("user", "words"), [("dis1", "disabled"), ("must1", "password has expired")])
async def test_accounts_that_may_not(lab: LabBench, closing: Closing, user: str, words: str) -> None:
    account = replace(lab.account, user=f"{user}@{lab.domain.domain}")
    with pytest.raises(ProblemError) as caught:
        await read(closing(lab.made(account, user)), lab)
    assert caught.value.problem.code == "directory-sign-in-failed" and words in caught.value.problem.message


async def test_the_domains_srv_records_name_the_server(lab: LabBench, closing: Closing) -> None:
    assert await SrvLocator([lab.domain.nameserver])(lab.domain.domain) == [f"{lab.domain.fqdn}:389"]
    assert await read(closing(lab.made(replace(lab.account, server=None))), lab) >= 6
    search = closing(lab.made(replace(lab.account, server=None, domain="no.lab.test"))).search("", "(a=b)", ["cn"])
    assert await code_of(search) == "directory-unreachable"


# -- a controller that is gone, or silent -------------------------------------------------------------------


async def test_a_controller_that_was_restarted(lab: LabBench, closing: Closing) -> None:
    directory = closing(lab.directory())
    assert await read(directory, lab) >= 6
    lab.domain.stop()
    try:
        assert await code_of(directory.search(lab.base, COMPUTERS, ["cn"])) == "directory-unreachable"
    finally:
        lab.domain.start()
    assert await read(directory, lab) >= 6


async def test_a_controller_that_is_silent(lab: LabBench, closing: Closing) -> None:
    """The event loop goes on, the deadline holds, and the process that waited is gone."""
    children: list[ChildProcess] = []

    def start() -> ChildProcess:
        children.append(ChildProcess())
        return children[-1]

    secret = Secret(lab.domain.password("reader"))
    signed_in = LdapDirectory(lab.account, secret, bounds=Bounds(deadline=5.0), start=start)
    assert await read(closing(signed_in), lab) >= 6
    silent = closing(LdapDirectory(lab.account, secret, bounds=Bounds(deadline=2.0), start=start))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.01)

    task = asyncio.create_task(other())
    lab.domain.freeze()
    try:
        for directory in (signed_in, silent):
            before = turns
            assert await code_of(directory.search(lab.base, COMPUTERS, ["cn"])) == "directory-timed-out"
            assert turns - before > 50
    finally:
        task.cancel()
        lab.domain.thaw()
    assert not any(child.is_alive for child in children)


class Hostile:
    """Answers whatever comes with ``beginning``, and then sends without end."""

    def __init__(self, beginning: bytes) -> None:
        self._beginning = beginning
        self.sent = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(10)
            writer.write(self._beginning)
            while self._beginning:
                writer.write(bytes(65_536))
                await writer.drain()
                self.sent += 65_536
            await asyncio.sleep(60)
        except ConnectionError:
            pass
        finally:
            writer.close()


@pytest.mark.parametrize(
    "beginning",
    [
        b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01\x61\x84\x7f\xff\xff\xf0",  # one message of 2 GiB
        b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x0e\x04\x00\x04\x00" * 1000,  # bind answers without end
        b"",  # silence
    ],
    ids=["one-message", "many", "silence"],
)
async def test_a_hostile_server_cannot_fill_memory(lab: LabBench, closing: Closing, beginning: bytes) -> None:
    hostile = Hostile(beginning)
    server = await asyncio.start_server(hostile, lab.domain.address, 0)
    port = server.sockets[0].getsockname()[1]
    account = replace(lab.account, server=f"{lab.domain.fqdn}:{port}")
    directory = closing(lab.made(account, bounds=Bounds(deadline=5.0)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    search = directory.search(lab.base, COMPUTERS, ["cn"])
    assert (await code_of(search)).startswith("directory-")
    await directory.close()
    server.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000, "kilobytes, of this process"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < MEMORY // 1024


# -- what stands on it --------------------------------------------------------------------------------------


async def state(lab: LabBench, directory: Directory, user: str) -> LockoutState:
    account = Account(name=user, user=f"{user}@{lab.domain.domain}", secret="env:X", protocol=Protocol.KERBEROS)
    return await read_state(directory, lab.base, account)


async def test_the_domains_lockout_policy(lab: LabBench, closing: Closing) -> None:
    lab.domain.reset("push1")
    directory = closing(lab.directory())
    found = await state(lab, directory, "push1")
    assert (found.threshold, found.window, found.bad, found.locked, found.disabled) == (5, 1800, 0, False, False)
    assert found.counted_by == lab.domain.fqdn
    assert (await state(lab, directory, "dis1")).disabled
    assert (await state(lab, directory, "exp1")).expired and not found.expired
    assert (await state(lab, directory, "must1")).must_change and not found.must_change


async def test_a_failure_is_seen_at_once_and_a_lock_too(lab: LabBench, closing: Closing) -> None:
    lab.domain.reset("push2")
    directory = closing(lab.directory())
    wrong = replace(lab.account, user=f"push2@{lab.domain.domain}")
    for count in range(1, 6):
        once = LdapDirectory(wrong, Secret("not it"))
        assert await code_of(once.search(lab.base, COMPUTERS, ["cn"])) == "directory-sign-in-failed"
        await once.close()
        found = await state(lab, directory, "push2")
        assert (found.bad, found.locked) == (count, count == 5)
    lab.domain.reset("push2")


async def test_a_fine_grained_policy_by_who_may_read_it(lab: LabBench, closing: Closing) -> None:
    allowed = await state(lab, closing(lab.directory()), "strict1")
    assert (allowed.threshold, allowed.window) == (4, 3600) and "Strict-Push" in allowed.policy
    other = replace(lab.account, user=f"push1@{lab.domain.domain}")
    hidden = await state(lab, closing(lab.made(other, "push1")), "strict1")
    assert (hidden.threshold, hidden.window) == (3, 86_400) and "assumed" in hidden.policy


async def test_an_account_that_is_not_there(lab: LabBench, closing: Closing) -> None:
    with pytest.raises(ProblemError) as caught:
        await state(lab, closing(lab.directory()), "nobody")
    assert caught.value.problem.code == "no-such-account"


async def test_computers_become_targets(lab: LabBench, closing: Closing, tmp_path: Path) -> None:
    path = tmp_path / "i.yaml"
    path.write_text(f"""version: 1
groups:
  everyone:
    directory: {{base: '{lab.base}', stale_after: 90d}}
  targets:
    directory: {{base: '{lab.base}', group: '{lab.nested_group}'}}
  servers:
    directory: {{base: '{lab.base}', filter: '(operatingSystem=Windows Server*)'}}
""")
    inventory = await expand(load_inventory(path), closing(lab.directory()))
    found = {one.target.name.partition(".")[0].lower(): one for one in inventory.targets()}
    assert {name: one.decision.code for name, one in found.items()} == {
        "pc01": None, "pc02": None, "pc03": None, "pc04": None,
        "pcoff": "computer-disabled", "pcstale": "computer-stale", "dc1": "domain-controller-refused",
    }  # fmt: skip
    groups = {name: one.target.groups for name, one in found.items()}
    assert groups["pc01"] == groups["pc02"] == ("everyone", "targets"), "the second by a group in the group"
    assert groups["pc04"] == ("everyone", "servers")
    for address in ("127.0.0.1", lab.domain.address, "10.77.0.9", "10.78.1.1", "10.78.9.9", "10.99.0.1"):
        assert inventory.sites.site_of(address) == lab.domain.site_of(address), address
    assert inventory.sites.site_of("10.78.9.9") == "Seattle"


async def test_every_attribute_is_bytes(lab: LabBench, closing: Closing) -> None:
    """Also those that look like numbers, truths or text."""
    attributes = ["objectGUID", "objectSid", "uSNCreated", "isCriticalSystemObject", "whenCreated", "logonCount"]
    (found,) = await all_of(
        closing(lab.directory()).search(lab.base, "(sAMAccountName=dc1$)", attributes, Scope.SUBTREE)
    )
    assert set(found.attributes) == {name.lower() for name in attributes}
    assert found.attributes["iscriticalsystemobject"] == (b"TRUE",)
    assert len(found.attributes["objectguid"][0]) == 16
    assert found.attributes["logoncount"][0].isdigit()


async def test_without_the_sasl_module_of_kerberos(
    lab: LabBench, closing: Closing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SASL_PATH", str(tmp_path))
    search = closing(lab.directory()).search(lab.base, COMPUTERS, ["cn"])
    assert await code_of(search) == "directory-unavailable"
