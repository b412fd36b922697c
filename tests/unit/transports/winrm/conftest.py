"""Listeners of the tests, what they are asked with, and a transport that trusts their CA."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pusher.models import Credential, Protocol, Secret
from pusher.transports.port import Endpoint, Limits
from pusher.transports.threaded import Pool
from pusher.transports.winrm.adapter import WinrmTransport
from tests.unit.transports.winrm.certificates import Authority, Issued
from tests.unit.transports.winrm.listener import Listener, Script

HOST, SECRET = "ws1.lab.test", "marker-of-the-secret"
LIMITS = Limits(connect=3.0, sign_in=5.0, call=5.0, stall=3.0, start=5.0)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="session")
def certificate(authority: Authority) -> Issued:
    return authority.issue(HOST)


@pytest.fixture
def listen(tmp_path: Path, certificate: Issued, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Listener]]:
    """Starts a listener; ``tls`` is its certificate, True for a good one."""
    users = tmp_path / "users"
    users.write_text(f":pushadm:{SECRET}\nWS1:pushadm:{SECRET}\nws1:pushadm:{SECRET}\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))
    made = list[Listener]()

    def start(tls: Issued | bool = True, script: Script | None = None) -> Listener:
        shown = certificate if tls is True else tls or None
        made.append(Listener(tls=shown, script=script or Script()))
        return made[-1]

    yield start
    for listener in made:
        listener.close()


@pytest.fixture(scope="session")
def pool() -> Iterator[Pool]:
    pool = Pool(4)
    yield pool
    pool.close()


@pytest.fixture(scope="session")
def transport(pool: Pool, authority: Authority) -> WinrmTransport:
    return WinrmTransport(pool, ca=authority.pem, content=None)


def endpoint(listener: Listener, **changes: object) -> Endpoint:
    scheme = "https" if listener.tls else "http"
    given: dict[str, object] = {"host": HOST, "address": listener.address, "port": listener.port, "scheme": scheme}
    return Endpoint(**{**given, **changes})  # type: ignore[arg-type]


def credential(secret: str = SECRET) -> Credential:
    return Credential(account="push", user="pushadm", domain="WS1", secret=Secret(secret), protocol=Protocol.NTLM)
