"""MIT's library against a real KDC keeps the contract; and what only a real one shows."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import spnego

from lab.kdc import REALM, Kdc, KdcError
from pusher.credentials.kerberos.library import Krb5
from pusher.credentials.kerberos.tickets import Tickets
from pusher.credentials.lockout.budget import LockoutPolicy, account_key
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.models import Protocol, Secret, Verb
from pusher.problems import ProblemError
from pusher.scheduler.admission import Caps
from pusher.transports.memory import User
from pusher.transports.ticket import ticket_credential
from tests.contract.kerberos_contract import RIGHT, KerberosContract
from tests.unit.push.harness import make_account, make_host, shared_store
from tests.unit.push.test_dispatcher import Estate

krb5 = pytest.importorskip("krb5", reason="Kerberos is not installed here: it is in the extra kerberos")
pytestmark = pytest.mark.lab

_AES256 = 18
_WITH_A_KEY = re.compile(r"AS_REQ .*(?:ISSUE|PREAUTH_FAILED):")


class KdcRealm:
    name = REALM

    def __init__(self, kdc: Kdc, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kdc, self.folder, self._monkeypatch = kdc, folder, monkeypatch
        self._caches = 0

    def kerberos(self, *, own: str | None = None, own_key: tuple[str, str] | None = None) -> Krb5:
        cache = self.folder / "own" if own is None else self.cache(own, timedelta(hours=1))
        self._monkeypatch.setenv("KRB5CCNAME", str(cache))
        client = self.folder / "client.keytab"
        client.unlink(missing_ok=True)
        if own_key is not None:
            self._add(client, *own_key)
        self._monkeypatch.setenv("KRB5_CLIENT_KTNAME", str(client))
        return Krb5(lambda: datetime.now(UTC))

    def keytab(self, name: str, *principals: str) -> Path:
        path = self.folder / f"{name}.keytab"
        for full in principals:
            self._add(path, full, RIGHT)
        return path

    def _add(self, path: Path, full: str, password: str) -> None:
        context = krb5.init_context()
        keytab = krb5.kt_resolve(context, f"FILE:{path}".encode())
        principal = krb5.parse_name_flags(context, full.encode())
        user, _, realm = full.partition("@")
        key = krb5.c_string_to_key(context, _AES256, password.encode(), f"{realm}{user}".encode())
        krb5.kt_add_entry(context, keytab, principal, 1, 0, key)

    def cache(self, principal: str, life: timedelta) -> Path:
        self._caches += 1
        path = self.folder / f"cache-{self._caches}"
        seconds = max(int(life.total_seconds()), 1)
        subprocess.run(
            ["kinit", "-c", str(path), "-l", f"{seconds}s", principal],
            input=RIGHT, text=True, check=True, capture_output=True, timeout=30,
        )  # fmt: skip
        if life < timedelta():
            time.sleep(seconds + 1.5)
        return path

    def preauthenticated(self) -> int:
        return len(_WITH_A_KEY.findall(self.kdc.log()))

    def stop(self) -> None:
        self.kdc.__exit__()


def a_realm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int = 0) -> Iterator[KdcRealm]:
    (tmp_path / "kdc").mkdir()
    try:
        with Kdc(tmp_path / "kdc", f"127.0.92.{os.getpid() % 250 + 2}", ahead=ahead) as kdc:
            for user in ("push", "other"):
                kdc.add_user(user, RIGHT)
            for name, value in kdc.environment.items():
                monkeypatch.setenv(name, value)
            yield KdcRealm(kdc, tmp_path, monkeypatch)
    except KdcError as exc:
        if os.environ.get("PUSHER_LAB_REQUIRED") == "1":
            raise
        pytest.skip(str(exc).splitlines()[0])


@pytest.fixture
def realm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KdcRealm]:
    yield from a_realm(tmp_path, monkeypatch)


class TestKrb5(KerberosContract):
    async def test_the_ticket_is_for_every_thread_until_it_is_closed(self, realm: KdcRealm) -> None:
        kerberos = realm.kerberos()
        ticket = await kerberos.by_password(f"push@{REALM}", Secret(RIGHT))
        context = krb5.init_context()
        held = list(krb5.cc_resolve(context, ticket.ccache.encode()))
        assert [creds.server.components[0] for creds in held] == [b"krbtgt"]
        assert not held[0].ticket_flags & krb5.TicketFlags.forwardable
        kerberos.close()
        assert list(krb5.cc_resolve(context, ticket.ccache.encode())) == []

    async def test_a_right_password_is_right_every_time(self, realm: KdcRealm) -> None:
        """With several threads at once, and wrong ones in between: none is ever taken for another."""
        kerberos = realm.kerberos()

        async def is_right(given: str) -> bool:
            try:
                await kerberos.by_password(f"push@{REALM}", Secret(given))
            except ProblemError as error:
                assert error.problem.code == "wrong-password"
                return False
            return True

        given = [RIGHT, RIGHT, "wrong", RIGHT, RIGHT] * 60
        assert await asyncio.gather(*(is_right(one) for one in given)) == [one == RIGHT for one in given]
        kerberos.close()

    async def test_the_operators_cache_is_only_read(self, realm: KdcRealm) -> None:
        kerberos, cache = realm.kerberos(), realm.cache(f"push@{REALM}", timedelta(hours=1))
        before = cache.read_bytes()
        await kerberos.from_cache(f"push@{REALM}", cache)
        kerberos.close()
        assert cache.read_bytes() == before

    @pytest.mark.parametrize("given", [RIGHT, "not the password"])
    async def test_fifty_hosts_at_concurrency_twenty_are_one_as_req(self, realm: KdcRealm, given: str) -> None:
        """A whole run, on machines in memory."""
        kerberos, before = realm.kerberos(), realm.preauthenticated()
        account = make_account(f"push@{REALM.lower()}", name="push", protocol=Protocol.KERBEROS)
        hosts = [make_host(users={account.user: User(password=RIGHT)}) for _ in range(50)]
        with shared_store() as store:
            estate = Estate(
                store, hosts, accounts=(account,), secrets={"push": Secret(given)}, kerberos=kerberos,
                guard=LockoutGuard(LockoutPolicy(threshold=3, reserve=2)), verb=Verb.CHECK,
                caps=Caps(total=20, subnet=0),
            )  # fmt: skip
            codes = await estate.run()
        kerberos.close()
        assert realm.preauthenticated() == before + 1
        assert codes == ({"ok": 50} if given == RIGHT else {"wrong-password": 1, "account-stopped": 49})
        assert sum(len(host.sign_ins) for host in hosts) == (50 if given == RIGHT else 0)

    async def test_the_ticket_alone_signs_in_for_a_dpapi_key(
        self, realm: KdcRealm, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The library's sign-in (three legs, host/ at the domain controller) against an acceptor with that key."""
        sign_in = pytest.importorskip(
            "dpapi_ng._rpc._auth", reason="dpapi-ng is not installed: it is in the extra laps"
        )
        monkeypatch.setenv("KRB5_KTNAME", str(realm.kdc.keytab(["dc1.lab.test"])))
        kerberos = realm.kerberos()
        ticket = await kerberos.by_password(f"push@{REALM}", Secret(RIGHT))
        asks = sign_in.AuthenticationProvider(ticket_credential(ticket.ccache), None, "dc1.lab.test", "kerberos")
        dce = spnego.ContextReq.default | spnego.ContextReq.dce_style
        accepts = spnego.server(hostname="dc1.lab.test", service="host", protocol="kerberos", context_req=dce)
        answer = accepts.step(asks.step().auth_value)
        accepts.step(asks.step(answer).auth_value)
        assert asks.complete
        assert accepts.complete
        assert accepts.client_principal == f"push@{REALM}"
        kerberos.close()


@pytest.mark.parametrize("ahead", [600, -600])
class TestAnotherClock:
    """A KDC whose clock is ten minutes off; five are what Kerberos bears."""

    @pytest.fixture
    def realm(self, ahead: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KdcRealm]:
        yield from a_realm(tmp_path, monkeypatch, ahead)

    async def test_the_library_follows_the_kdcs_clock(self, realm: KdcRealm) -> None:
        """MIT's default (kdc_timesync): the KDC's first answer tells its time, and the key is used by that."""
        kerberos = realm.kerberos()
        ticket = await kerberos.by_password(f"push@{REALM}", Secret(RIGHT))
        assert timedelta(hours=23) < ticket.ends - datetime.now(UTC) <= timedelta(hours=24), "by our own clock"
        kerberos.close()

    @pytest.mark.parametrize(("given", "code"), [(RIGHT, "clock-skew"), ("not the password", "wrong-password")])
    async def test_where_it_does_not_only_a_wrong_password_is_charged(
        self, realm: KdcRealm, given: str, code: str
    ) -> None:
        """The KDC decrypts the timestamp before it looks at it: who hears of the clock had the password right."""
        settings = realm.kdc.folder / "krb5.conf"
        settings.write_text("[libdefaults]\nkdc_timesync = 0\n" + settings.read_text())
        kerberos, guard = realm.kerberos(), LockoutGuard(LockoutPolicy(threshold=5, reserve=2))
        account = make_account(f"push@{REALM.lower()}", name="push", protocol=Protocol.KERBEROS)
        key = account_key(account, "")
        before = guard.budget(key)
        tickets = Tickets(kerberos, guard, {"push": Secret(given)}, lambda: datetime.now(UTC))
        with pytest.raises(ProblemError) as caught:
            await tickets.ticket(account)
        assert caught.value.problem.code == code
        assert (guard.budget(key) == before) is (code == "clock-skew")
        assert ("verify failure: Clock skew too great" in realm.kdc.log()) is (code == "clock-skew")
        assert realm.preauthenticated() == 1
        kerberos.close()
