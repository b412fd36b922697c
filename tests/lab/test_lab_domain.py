"""The lab's domain controller: accounts and their counts, policies, LAPS, faults, and nothing left behind."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.resolver
import ldap3  # type: ignore[import-untyped]
import pytest

from lab.domain import Domain, recipe
from tests.conftest import StartDomain

pytestmark = pytest.mark.lab

_PREAUTH_FAILED, _REVOKED, _KEY_EXPIRED, _UNREACHABLE = -1765328360, -1765328366, -1765328361, -1765328228


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, start_domain: StartDomain) -> Domain:
    return start_domain(tmp_path_factory.mktemp("domain"))


@pytest.fixture
def domain(running: Domain, monkeypatch: pytest.MonkeyPatch) -> Iterator[Domain]:
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    yield running
    running.reset()


def as_req(domain: Domain, user: str, password: str | None = None) -> int:
    """One AS-REQ; 0 or the Kerberos error."""
    import krb5

    context = krb5.init_context()
    principal = krb5.parse_name_flags(context, f"{user}@{domain.realm}".encode())
    options = krb5.get_init_creds_opt_alloc(context)
    try:
        krb5.get_init_creds_password(context, principal, options, (password or domain.password(user)).encode())
    except krb5.Krb5Error as exc:
        return int(exc.err_code)
    return 0


def connected(domain: Domain, user: str) -> ldap3.Connection:
    """Signed in over LDAPS, the certificate checked."""
    tls = ldap3.Tls(ca_certs_file=str(domain.ca), validate=ssl.CERT_REQUIRED, valid_names=[domain.fqdn])
    server = ldap3.Server(domain.address, port=636, use_ssl=True, tls=tls)
    connection = ldap3.Connection(server, f"{user}@{domain.domain}", domain.password(user), raise_exceptions=True)
    connection.bind()
    return connection


def test_a_right_password_and_the_states_of_accounts(domain: Domain) -> None:
    answers = {user.name: as_req(domain, user.name) for user in recipe.USERS}
    assert {name: code for name, code in answers.items() if code} == {
        "dis1": _REVOKED,
        "exp1": _REVOKED,
        "must1": _KEY_EXPIRED,
    }
    assert {domain.bad_password_count(user.name) for user in recipe.USERS} == {0}


def test_a_wrong_password_counts_once_and_is_in_the_log(domain: Domain) -> None:
    before = len(domain.log())
    assert as_req(domain, "push1", "wrong") == _PREAUTH_FAILED
    assert domain.bad_password_count("push1") == 1
    (seen,) = domain.log()[before:]
    assert (seen.user, seen.status) == (f"push1@{domain.realm}", "NT_STATUS_WRONG_PASSWORD")
    assert seen.service == "Kerberos KDC"


@pytest.mark.parametrize(
    ("user", "threshold"),
    [("push2", recipe.DOMAIN_POLICY.threshold), ("strict1", recipe.STRICT_POLICY.threshold)],
)
def test_an_account_is_locked_at_its_own_threshold(domain: Domain, user: str, threshold: int) -> None:
    for _ in range(threshold - 1):
        assert as_req(domain, user, "wrong") == _PREAUTH_FAILED
    assert not domain.is_locked(user)
    as_req(domain, user, "wrong")
    assert domain.is_locked(user)
    assert as_req(domain, user) == _REVOKED
    domain.unlock(user)
    assert (as_req(domain, user), domain.bad_password_count(user)) == (0, 0)


def test_a_changed_password_and_the_reset(domain: Domain) -> None:
    old = domain.password("push3")
    new = domain.set_password("push3")
    assert new != old
    assert as_req(domain, "push3", new) == 0
    assert as_req(domain, "push3", old) == _PREAUTH_FAILED
    domain.reset()
    assert domain.password("push3") == old
    assert (as_req(domain, "push3"), domain.bad_password_count("push3")) == (0, 0)


def test_a_keytab_is_its_owners_only_and_gives_a_ticket(domain: Domain, tmp_path: Path) -> None:
    keytab = domain.keytab("push1")
    assert keytab.stat().st_mode & 0o777 == 0o600
    command = ["kinit", "-k", "-t", str(keytab), "-c", str(tmp_path / "cache"), f"push1@{domain.realm}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("user", "sees_secret"), [("lapsreader", True), ("nolaps", False), ("reader", False), ("push1", False)]
)
def test_who_sees_the_passwords_of_local_administrators(domain: Domain, user: str, sees_secret: bool) -> None:
    secrets, expiries = ["ms-Mcs-AdmPwd", "msLAPS-Password"], ["ms-Mcs-AdmPwdExpirationTime"]
    expiries += ["msLAPS-PasswordExpirationTime"]
    connection = connected(domain, user)
    connection.search(f"OU=Fleet,{domain.base_dn}", "(|(cn=pc01)(cn=pc02))", attributes=secrets + expiries)
    rows = {row["dn"][3:7]: row["attributes"] for row in connection.response}
    # Who has no right is told of no error: the value is just not there, its date is.
    assert rows["pc01"]["ms-Mcs-AdmPwdExpirationTime"]
    assert rows["pc02"]["msLAPS-PasswordExpirationTime"]
    if sees_secret:
        assert rows["pc01"]["ms-Mcs-AdmPwd"] == domain.laps_password("pc01")
        assert domain.laps_password("pc02") in rows["pc02"]["msLAPS-Password"]
    else:
        assert not rows["pc01"]["ms-Mcs-AdmPwd"]
        assert not rows["pc02"]["msLAPS-Password"]


@pytest.mark.parametrize(("user", "may"), [("reader", True), ("push1", False)])
def test_who_reads_the_fine_grained_policy(domain: Domain, user: str, may: bool) -> None:
    connection = connected(domain, user)
    connection.search(domain.base_dn, "(objectClass=msDS-PasswordSettings)", attributes=["msDS-LockoutThreshold"])
    found = [row["attributes"]["msDS-LockoutThreshold"] for row in connection.response if "attributes" in row]
    assert found == ([recipe.STRICT_POLICY.threshold] if may else [])


def test_names_and_sites(domain: Domain) -> None:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [domain.address]
    (found,) = resolver.resolve(f"_ldap._tcp.pdc._msdcs.{domain.domain}", "SRV")
    assert (found.target.to_text(omit_final_dot=True), found.port) == (domain.fqdn, 389)
    assert [row.address for row in resolver.resolve(domain.fqdn, "A")] == [domain.address]
    network = domain.address.rpartition(".")[0]
    assert [domain.site_of(f"{network}.{last}") for last in (1, 2, 3, 4)] == ["Seattle", "Paris", "Paris", "Seattle"]


@pytest.mark.parametrize("user", ["reader"])
def test_a_stopped_controller_refuses_and_comes_back_as_it_was(domain: Domain, user: str) -> None:
    as_req(domain, user, "wrong")
    domain.stop()
    try:
        assert as_req(domain, user) == _UNREACHABLE
    finally:
        domain.start()
    assert domain.bad_password_count(user) == 1
    assert as_req(domain, user) == 0


def test_down_leaves_nothing_and_another_start_has_other_passwords(
    running: Domain, tmp_path: Path, free_controller_address: Callable[[], str]
) -> None:
    folder, address = tmp_path / "other", free_controller_address()
    passwords = []
    for _ in range(2):
        with Domain(folder, address) as domain:
            there = left_of(folder, address)
            assert all(there[kind] for kind in ("processes", "sockets", "files"))
            assert there["mounts"] == []  # they are its own
            passwords.append(domain.password("push1"))
            assert "snapshot unpacked" in (folder / "log" / "controller.log").read_text(encoding="utf-8")
            shown = b"".join(commands()[0])
            assert passwords[-1].encode() not in shown
        assert left_of(folder, address) == {"processes": [], "mounts": [], "sockets": [], "files": []}
    assert len(set(passwords)) == 2
    assert running.is_up


def commands() -> tuple[list[bytes], list[str]]:
    """The command lines of this machine's processes."""
    raw = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            raw.append((folder / "cmdline").read_bytes())
        except OSError:
            continue
    return raw, [line.replace(b"\0", b" ").decode(errors="replace") for line in raw]


def left_of(folder: Path, address: str) -> dict[str, list[object]]:
    """Whatever there is of a controller: processes, mounts, listening sockets, files."""
    sockets = subprocess.run(["ss", "-Hltun"], capture_output=True, text=True, check=True).stdout.splitlines()
    mounts = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    return {
        "processes": [line for line in commands()[1] if str(folder) in line],
        "mounts": [line for line in mounts if str(folder) in line],
        "sockets": [line for line in sockets if f" {address}:" in line],
        "files": list(folder.iterdir()),
    }
