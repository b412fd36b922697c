"""What every adapter of the port to Kerberos keeps: a base class of tests. A realm is made by ``realm``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from pusher.credentials.kerberos.tickets import Kerberos, Ticket
from pusher.models import Secret
from pusher.problems import ProblemError

RIGHT, WRONG = "right-Pässword-7", "wrong-Pässword-7"


class Realm(Protocol):
    """A realm with the principals ``push`` and ``other``, whose password is RIGHT."""

    name: str

    def kerberos(self, *, own: str | None = None, own_key: tuple[str, str] | None = None) -> Kerberos:
        """The port; ``own``: the principal whose ticket the process's default cache holds, ``own_key``: principal and
        password of the key in its client keytab."""

    def keytab(self, name: str, *principals: str) -> Path:
        """A keytab with keys of these full principals; those of this realm are good."""

    def cache(self, principal: str, life: timedelta) -> Path:
        """A ticket cache; a negative ``life``: of a ticket that has expired."""

    def preauthenticated(self) -> int:
        """AS-REQs so far that came with something made of a key."""

    def stop(self) -> None:
        """No KDC answers any more."""


async def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ProblemError) as caught:
        await call()  # type: ignore[misc]
    assert RIGHT not in str(caught.value)
    assert WRONG not in str(caught.value)
    return caught.value.problem.code


class KerberosContract:
    """``realm`` is a fixture of the subclass."""

    async def test_a_right_password_is_one_as_req(self, realm: Realm) -> None:
        kerberos, before = realm.kerberos(), realm.preauthenticated()
        ticket = await kerberos.by_password(f"push@{realm.name}", Secret(RIGHT))
        assert ticket.principal == f"push@{realm.name}"
        assert ticket.ccache.startswith("MEMORY:")
        assert ticket.ends > datetime.now(UTC) + timedelta(minutes=30)
        assert realm.preauthenticated() == before + 1
        kerberos.close()

    async def test_each_ticket_has_a_cache_of_its_own(self, realm: Realm) -> None:
        kerberos = realm.kerberos()
        asked = [kerberos.by_password(f"{name}@{realm.name}", Secret(RIGHT)) for name in ("push", "push", "other")]
        tickets: list[Ticket] = await asyncio.gather(*asked)
        assert len({ticket.ccache for ticket in tickets}) == 3
        kerberos.close()

    async def test_a_wrong_password_is_one_as_req(self, realm: Realm) -> None:
        kerberos, before = realm.kerberos(), realm.preauthenticated()
        assert await refused(lambda: kerberos.by_password(f"push@{realm.name}", Secret(WRONG))) == "wrong-password"
        assert realm.preauthenticated() == before + 1
        kerberos.close()

    async def test_nobody_is_known_by_that_name(self, realm: Realm) -> None:
        kerberos, before = realm.kerberos(), realm.preauthenticated()
        assert await refused(lambda: kerberos.by_password(f"nobody@{realm.name}", Secret(RIGHT))) == "no-such-account"
        keytab = realm.keytab("nobody", f"nobody@{realm.name}")
        assert await refused(lambda: kerberos.by_keytab(f"nobody@{realm.name}", keytab)) == "no-such-account"
        assert realm.preauthenticated() == before
        kerberos.close()

    async def test_a_keytab_is_one_as_req(self, realm: Realm) -> None:
        kerberos, keytab, before = (
            realm.kerberos(),
            realm.keytab("good", f"push@{realm.name}"),
            realm.preauthenticated(),
        )
        ticket = await kerberos.by_keytab(f"push@{realm.name}", keytab)
        assert ticket.principal == f"push@{realm.name}"
        assert realm.preauthenticated() == before + 1
        kerberos.close()

    async def test_a_keytabs_own_spelling_is_taken(self, realm: Realm) -> None:
        kerberos, keytab = realm.kerberos(), realm.keytab("spelling", f"push@{realm.name}")
        assert (await kerberos.by_keytab(f"PUSH@{realm.name}", keytab)).principal == f"push@{realm.name}"
        kerberos.close()

    async def test_a_keytab_that_is_no_use_costs_nothing(self, realm: Realm, tmp_path: Path) -> None:
        kerberos, before, principal = realm.kerberos(), realm.preauthenticated(), f"push@{realm.name}"
        for keytab, code in [
            (realm.keytab("elsewhere", "push@ELSEWHERE.TEST"), "keytab-wrong-realm"),
            (realm.keytab("not-us", f"other@{realm.name}"), "keytab-no-principal"),
            (tmp_path / "missing", "keytab-unreadable"),
        ]:
            assert await refused(lambda keytab=keytab: kerberos.by_keytab(principal, keytab)) == code  # type: ignore[misc]
        assert realm.preauthenticated() == before
        kerberos.close()

    async def test_a_ticket_that_somebody_else_got(self, realm: Realm) -> None:
        kerberos, cache = realm.kerberos(), realm.cache(f"push@{realm.name}", timedelta(hours=1))
        before = realm.preauthenticated()
        ticket = await kerberos.from_cache(f"Push@{realm.name}", cache)
        assert ticket.principal == f"push@{realm.name}"
        assert ticket.ccache.startswith("MEMORY:")
        assert ticket.ends < datetime.now(UTC) + timedelta(hours=2)
        assert realm.preauthenticated() == before
        kerberos.close()

    async def test_a_cache_that_is_no_use(self, realm: Realm, tmp_path: Path) -> None:
        kerberos, before, principal = realm.kerberos(), realm.preauthenticated(), f"push@{realm.name}"
        for cache, code in [
            (realm.cache(principal, timedelta(hours=-1)), "ticket-expired"),
            (realm.cache(f"other@{realm.name}", timedelta(hours=1)), "ticket-wrong-principal"),
            (tmp_path / "missing", "ticket-missing"),
        ]:
            made = realm.preauthenticated()
            assert await refused(lambda cache=cache: kerberos.from_cache(principal, cache)) == code  # type: ignore[misc]
            assert realm.preauthenticated() == made
        assert before <= realm.preauthenticated()
        kerberos.close()

    async def test_the_processs_own(self, realm: Realm) -> None:
        kerberos = realm.kerberos(own=f"push@{realm.name}")
        assert (await kerberos.own()).principal == f"push@{realm.name}"
        kerberos.close()
        bare = realm.kerberos()
        assert await refused(bare.own) == "ticket-missing"
        bare.close()

    async def test_the_processs_own_keytab(self, realm: Realm) -> None:
        name, before = f"other@{realm.name}", realm.preauthenticated()
        bare = realm.kerberos()
        assert await bare.own_principal() is None
        bare.close()
        kerberos = realm.kerberos(own_key=(name, RIGHT))
        assert await refused(kerberos.own) == "ticket-missing"
        assert await kerberos.own_principal() == name
        assert realm.preauthenticated() == before, "to look costs nothing"
        assert (await kerberos.by_own_keytab(name)).principal == name
        assert realm.preauthenticated() == before + 1
        kerberos.close()
        stale = realm.kerberos(own_key=(name, WRONG))
        assert await refused(lambda: stale.by_own_keytab(name)) == "wrong-password"
        assert realm.preauthenticated() == before + 2
        stale.close()

    async def test_no_kdc_is_no_attempt(self, realm: Realm) -> None:
        kerberos, keytab = realm.kerberos(), realm.keytab("later", f"push@{realm.name}")
        before = realm.preauthenticated()
        realm.stop()
        assert await refused(lambda: kerberos.by_password(f"push@{realm.name}", Secret(RIGHT))) == "no-logon-servers"
        assert await refused(lambda: kerberos.by_keytab(f"push@{realm.name}", keytab)) == "no-logon-servers"
        own = realm.kerberos(own_key=(f"push@{realm.name}", RIGHT))
        assert await refused(lambda: own.by_own_keytab(f"push@{realm.name}")) == "no-logon-servers"
        assert realm.preauthenticated() == before
        kerberos.close()
        own.close()
