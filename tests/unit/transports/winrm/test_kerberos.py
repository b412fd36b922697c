"""Signing in by Kerberos, with a real KDC: what is proven, what is sent, and what a refusal means."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.kdc import Kdc, KdcError
from pusher.credentials.kerberos.library import Krb5
from pusher.models import Credential, Protocol, Secret
from pusher.problems import ProblemError
from pusher.transports.port import Link
from pusher.transports.winrm.adapter import WinrmTransport
from tests.unit.transports.winrm.conftest import HOST, LIMITS, SECRET, endpoint
from tests.unit.transports.winrm.listener import Listener, Script, secret_free
from tests.unit.transports.winrm.test_adapter import windows

pytestmark = pytest.mark.lab
pytest.importorskip("gssapi", reason="Kerberos is not installed here: it is in the extra kerberos")

Listen = Callable[..., Listener]


@pytest.fixture(scope="module")
def kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    try:
        with Kdc(tmp_path_factory.mktemp("kdc"), "127.0.91.253") as kdc:
            kdc.add_user("push", SECRET)
            kdc.keytab([HOST])
            yield kdc
    except KdcError as exc:
        if os.environ.get("PUSHER_LAB_REQUIRED") == "1":
            raise
        pytest.skip(str(exc).splitlines()[0])


@pytest.fixture(autouse=True)
def _realm(kdc: Kdc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in kdc.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KRB5_KTNAME", str(kdc.folder / "hosts.keytab"))
    monkeypatch.setenv("KRB5CCNAME", str(tmp_path / "cache"))


def by_password(secret: str = SECRET, user: str = "push") -> Credential:
    return Credential(
        account="push", user=f"{user}@LAB.TEST", domain=None, secret=Secret(secret), protocol=Protocol.KERBEROS
    )


async def refused(call: Awaitable[object]) -> str:
    with pytest.raises(ProblemError) as caught:
        await call
    return caught.value.problem.code


async def opened(transport: WinrmTransport, listener: Listener, **changes: object) -> Link:
    link = await transport.open(endpoint(listener, **changes), LIMITS)
    await link.identify()
    return link


@pytest.mark.parametrize("scheme", ["Negotiate", "Kerberos"])
@pytest.mark.parametrize("tls", [True, False])
async def test_a_ticket_signs_in(transport: WinrmTransport, listen: Listen, tls: bool, scheme: str) -> None:
    listener = listen(tls, Script(answer=windows, schemes=(scheme,)))
    link = await opened(transport, listener)
    session = await link.sign_in(by_password())
    assert link.secret_sent, "to the KDC"
    assert await session.is_domain_controller() is False
    await session.close()
    assert listener.authenticates == 0, "no NTLM"
    assert secret_free(listener.seen, SECRET)
    signing_in = [one for one in listener.seen if one.headers.get("authorization") and one.connection == 1]
    assert len(signing_in) == 1
    if not tls:
        assert not any(b"Envelope" in one.raw for one in listener.seen)


async def test_a_ticket_of_the_cache_is_no_secret(
    transport: WinrmTransport, listen: Listen, kdc: Kdc, tmp_path: Path
) -> None:
    subprocess.run(["kinit", "push@LAB.TEST"], input=SECRET, text=True, check=True, capture_output=True, timeout=30)
    listener = listen(True, Script(answer=windows))
    link = await opened(transport, listener)
    nobody = Credential(account="process", user="", domain=None, secret=None, protocol=Protocol.KERBEROS)
    session = await link.sign_in(nobody)
    assert not link.secret_sent
    assert await session.is_domain_controller() is False
    await session.close()


@pytest.mark.parametrize("tls", [True, False])
async def test_a_ticket_of_this_process_signs_in_on_every_thread(
    transport: WinrmTransport, listen: Listen, tls: bool
) -> None:
    """One cache for many sign-ins at once; none of them has a password, and none asks the KDC as the user again."""
    kerberos = Krb5(lambda: datetime.now(UTC))
    ticket = await kerberos.by_password("push@LAB.TEST", Secret(SECRET))
    listener = listen(tls, Script(answer=windows))
    by_ticket = replace(by_password(), secret=None, ccache=ticket.ccache)

    async def one() -> None:
        link = await opened(transport, listener)
        session = await link.sign_in(by_ticket)
        assert not link.secret_sent
        assert await session.is_domain_controller() is False
        await session.close()

    await asyncio.gather(*(one() for _ in range(8)))
    kerberos.close()
    link = await opened(transport, listener)
    assert await refused(link.sign_in(by_ticket)) == "ticket-missing", "what was forgotten is of no use"
    await link.close()
    assert listener.authenticates == 0, "no NTLM"
    assert secret_free(listener.seen, SECRET)


async def test_a_wrong_password_goes_no_further_than_the_kdc(transport: WinrmTransport, listen: Listen) -> None:
    listener = listen()
    link = await opened(transport, listener)
    assert await refused(link.sign_in(by_password("another"))) == "wrong-password"
    assert link.secret_sent
    assert not [one for one in listener.seen if one.connection == 1]
    await link.close()


async def test_a_user_that_the_kdc_does_not_know(transport: WinrmTransport, listen: Listen) -> None:
    link = await opened(transport, listen())
    assert await refused(link.sign_in(by_password(user="nobody"))) == "no-such-account"
    await link.close()


async def test_a_host_without_a_principal(transport: WinrmTransport, listen: Listen) -> None:
    link = await opened(transport, listen(False), host="unknown.lab.test")
    assert await refused(link.sign_in(by_password())) == "kerberos-failed"
    await link.close()


async def test_a_server_that_does_not_prove_itself(transport: WinrmTransport, listen: Listen) -> None:
    """It took the ticket and says yes; anybody could."""
    listener = listen(True, Script(answer=windows, proves_itself=False))
    link = await opened(transport, listener)
    assert await refused(link.sign_in(by_password())) == "wrong-host"
    assert not [one for one in listener.seen if b"Envelope" in one.raw]
    await link.close()


async def test_a_server_with_an_old_key(
    transport: WinrmTransport, listen: Listen, kdc: Kdc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or another machine behind the name: neither can read the ticket."""
    current, old = kdc.folder / "hosts.keytab", tmp_path / "old.keytab"
    shutil.copy(current, old)
    kdc._kadmin(f"ktadd -k {current} host/{HOST}")
    monkeypatch.setenv("KRB5_KTNAME", str(old))
    listener = listen()
    link = await opened(transport, listener)
    assert await refused(link.sign_in(by_password())) == "sign-in-refused"
    await link.close()
