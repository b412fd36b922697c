"""DPAPI-NG: real blobs of a root key that the test makes, and what is believed of a machine's and a server's bytes.

No Windows domain controller is here: what GetKey answers is made of that root key, as a domain controller makes it.
"""

from __future__ import annotations

import builtins
import json
import struct
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pusher import installation
from pusher.credentials.kerberos.tickets import Ticket
from pusher.credentials.secrets.dpapi import DpapiNg
from pusher.credentials.secrets.laps import ENCRYPTED, Laps
from pusher.directory.memory import MemoryDirectory, entry
from pusher.directory.port import DirectoryAccount
from pusher.models import Account, Protocol, Secret, Target
from pusher.problems import Code, NextMove, ProblemError, problem

pytest.importorskip("dpapi_ng", reason="dpapi-ng is not installed here: it is in the extra laps")
from dpapi_ng import KeyCache, _client, ncrypt_protect_secret
from dpapi_ng._blob import DPAPINGBlob

BASE, WHOSE = "DC=corp,DC=example", f"{ENCRYPTED} of CN=WS01"
PASSWORD = "W1nLaps+Secret{9}"
ADMIN = Account(name="laps", user=".\\Administrator", secret="laps:", protocol=Protocol.NTLM)
READER = DirectoryAccount(domain="corp.example", user="reader@corp.example", secret="env:R", server="dc1.corp.example")
ROOT, SID = uuid.uuid4(), "S-1-5-21-1-2-3-512"
START = datetime(2026, 5, 4, tzinfo=UTC)


def root_key() -> Any:
    cache = KeyCache()
    cache.load_key(bytes(range(64)), ROOT)
    return cache


def protected(plaintext: bytes, sid: str = SID) -> bytes:
    return bytes(ncrypt_protect_secret(plaintext, sid, root_key_identifier=ROOT, cache=root_key()))


def said(name: str = "Administrator", password: object = PASSWORD) -> bytes:
    return (json.dumps({"n": name, "t": "1dc5b3a1c41cde0", "p": password}) + "\0").encode("utf-16-le")


def attribute(blob: bytes, *, size: int | None = None, flags: int = 0) -> bytes:
    """MS-ADTS: msLAPS-EncryptedPassword."""
    return struct.pack("<IIII", 0x1DC5B3A, 0x1C41CDE0, len(blob) if size is None else size, flags) + blob


class Domain:
    """What the adapter is made with: a ticket, and domain controllers that have the root key."""

    def __init__(self, *, known: bool = False, **changes: Any) -> None:
        self.asked: list[tuple[str, object, str]] = []
        self.tickets, self.now = 0, START
        self.fails: dict[str, BaseException] = {}
        self.no_ticket: Code | None = None
        self.answer: Callable[[Any], Any] = lambda key: key
        self.dpapi = DpapiNg(
            replace(READER, **changes), self._ticket, lambda name: f"<{name}>", self._locate, lambda: self.now,
            cache=root_key() if known else None,
        )  # fmt: skip

    async def _ticket(self) -> Ticket:
        self.tickets += 1
        if self.no_ticket is not None:
            raise ProblemError(problem(self.no_ticket))
        return Ticket(ccache="MEMORY:x", principal="reader@CORP.EXAMPLE", ends=START)

    async def _locate(self, domain: str) -> list[str]:
        assert domain == "corp.example"
        return ["dc1.corp.example:389", "dc2.corp.example:389"]

    async def get_key(
        self, server: str, sd: bytes, root: uuid.UUID, *place: int, username: object, auth_protocol: str
    ) -> Any:
        self.asked.append((server, username, auth_protocol))
        if (error := self.fails.get(server)) is not None:
            raise error
        return self.answer(root_key()._get_key(sd, root, *place))

    async def code(self, blob: bytes) -> str:
        with pytest.raises(ProblemError) as caught:
            await self.dpapi(blob, WHOSE)
        return caught.value.problem.code


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Domain]:
    def made(**changes: Any) -> Domain:
        found = Domain(**changes)
        monkeypatch.setattr(_client, "_async_get_key", found.get_key)
        return found

    return made


async def of_laps(value: bytes, domain: Domain | None = None, learned: list[Secret] | None = None) -> str:
    """The password, or the code; it shows in nothing that was raised."""
    computer = entry(f"CN=WS01,{BASE}", {"objectCategory": "computer", "sAMAccountName": "ws01$",
                                        "msLAPS-EncryptedPassword": value})  # fmt: skip
    directory = MemoryDirectory([entry(BASE), computer])
    dpapi = (domain or Domain(known=True)).dpapi
    provider = Laps(directory, BASE, ([] if learned is None else learned).append, dpapi)
    try:
        return (await provider.secret_for(ADMIN, Target(name="ws01"))).reveal()
    except ProblemError as error:
        chain: BaseException | None = error
        while chain is not None:
            text = f"{chain}{chain!r}".replace("\\x00", "")
            assert PASSWORD not in text
            chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
        assert error.problem.next_move is NextMove.NEXT_ACCOUNT
        return error.problem.code


async def test_a_real_blob_gives_the_password_and_the_log_knows_it_first() -> None:
    learned: list[Secret] = []
    assert await of_laps(attribute(protected(said())), learned=learned) == PASSWORD
    assert learned == [Secret(PASSWORD)]


async def test_the_content_may_follow_the_envelope() -> None:
    """So Windows LAPS writes it, other than NCryptProtectSecret."""
    blob = DPAPINGBlob.unpack(protected(said())).pack(blob_in_envelope=False)
    assert await of_laps(attribute(blob)) == PASSWORD


GOOD = protected(said())


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (attribute(protected(said("Admin2"))), "laps-other-account"),
        (attribute(protected(said(password=PASSWORD * 20))), "laps-unreadable"),
        (attribute(protected(said(password=7))), "laps-unreadable"),
        (attribute(protected(f"no JSON {PASSWORD}".encode("utf-16-le"))), "laps-unreadable"),
        (attribute(protected(PASSWORD.encode("utf-16-le") + b"\x00\xd8")), "laps-unreadable"),
        (attribute(protected(said()[:-1])), "laps-unreadable"),
        (attribute(protected(b"")), "laps-unreadable"),
        (attribute(protected(said() + b"\0" * 3000)), "laps-unreadable"),
        (attribute(GOOD, size=len(GOOD) - 1), "laps-unreadable"),
        (attribute(GOOD, size=len(GOOD) + 1), "laps-unreadable"),
        (attribute(GOOD, size=0xFFFFFFFF), "laps-unreadable"),
        (attribute(GOOD, flags=1), "laps-unreadable"),
        (attribute(GOOD + b"\0" * 4096), "laps-unreadable"),
        (attribute(GOOD[:-1]), "laps-unreadable"),
        (attribute(GOOD[:-1] + bytes([GOOD[-1] ^ 1])), "laps-unreadable"),
        (attribute(GOOD[:100]), "laps-unreadable"),
        (attribute(b"\x30"), "laps-unreadable"),
        (attribute(b""), "laps-unreadable"),
        (attribute(GOOD)[:15], "laps-unreadable"),
        (GOOD, "laps-unreadable"),
        (b"\0", "laps-unreadable"),
    ],
    ids=range(21),
)
async def test_what_is_not_of_its_form(value: bytes, code: Code) -> None:
    assert await of_laps(value) == code


async def test_every_cut_of_a_blob_ends_in_a_sentence() -> None:
    dpapi = Domain(known=True)
    codes = {await dpapi.code(GOOD[:length]) for length in range(len(GOOD))}
    assert codes == {"laps-unreadable"}


def with_key(**changes: Any) -> bytes:
    blob = DPAPINGBlob.unpack(GOOD)
    return bytes(replace(blob, key_identifier=replace(blob.key_identifier, **changes)).pack())


@pytest.mark.parametrize(
    "changes",
    [
        {"l1": 32}, {"l2": 32}, {"l2": 0xFFFFFFFF}, {"l0": 0xFFFFFFFF},
        {"flags": 1, "key_info": b"DHPB" + b"\xff\xff\xff\xff" + b"\1" * 768},
        {"flags": 1, "key_info": b"DHPB" + b"\0\1\0\0" + b"\0" * 768},
        {"flags": 1, "key_info": b""},
    ],
)  # fmt: skip
async def test_numbers_that_would_keep_the_library_busy_are_not_given_to_it(changes: dict[str, Any]) -> None:
    assert await Domain(known=True).code(with_key(**changes)) == "laps-unreadable"


async def test_the_key_is_asked_for_once_by_kerberos_of_the_directorys_server(domain: Callable[..., Domain]) -> None:
    corp = domain()
    blob = with_key(domain_name="evil.example", forest_name="evil.example")
    for _ in range(3):
        assert await corp.dpapi(blob, WHOSE) == said()
    assert corp.asked == [("dc1.corp.example", "<MEMORY:x>", "kerberos")]
    assert corp.tickets == 1
    await corp.dpapi(protected(said(), "S-1-5-21-1-2-3-513"), WHOSE)
    assert len(corp.asked) == 2, "another group has another key"


async def test_the_next_server_where_one_does_not_answer(domain: Callable[..., Domain]) -> None:
    corp = domain(server=None)
    corp.fails = {"dc1.corp.example": ConnectionRefusedError()}
    assert await corp.dpapi(GOOD, WHOSE) == said()
    assert [server for server, *_ in corp.asked] == ["dc1.corp.example", "dc2.corp.example"]


async def test_silence_is_not_waited_for_by_every_machine(domain: Callable[..., Domain]) -> None:
    corp = domain()
    corp.fails = {"dc1.corp.example": TimeoutError()}
    assert [await corp.code(GOOD) for _ in range(3)] == ["directory-unreachable"] * 3
    assert len(corp.asked) == 1
    corp.fails.clear()
    corp.now += timedelta(minutes=2)
    assert await corp.dpapi(GOOD, WHOSE) == said()


@pytest.mark.parametrize("error", [ValueError("Receive Fault with status 0x00000005"), EOFError(), RuntimeError()])
async def test_a_refusal_is_of_this_machine_alone(domain: Callable[..., Domain], error: BaseException) -> None:
    corp = domain(server=None)
    corp.fails = {"dc1.corp.example": error}
    assert await of_laps(attribute(GOOD), corp) == "laps-encrypted"
    assert len(corp.asked) == 1, "nobody else is asked what one has refused"
    corp.fails.clear()
    assert await of_laps(attribute(GOOD), corp) == PASSWORD


@pytest.mark.parametrize("code", ["wrong-password", "no-logon-servers", "kerberos-unavailable", "account-stopped"])
async def test_a_reader_without_a_ticket_is_no_verdict_on_the_local_account(
    domain: Callable[..., Domain], code: Code
) -> None:
    corp = domain()
    corp.no_ticket = code
    assert await of_laps(attribute(GOOD), corp) == "laps-encrypted"
    assert not corp.asked


@pytest.mark.parametrize(
    "changes",
    [{"flags": 3}, {"l1": 0, "l2": 0}, {"l1": 32}, {"l2": -1}, {"l0": 1}, {"root_key_identifier": uuid.uuid4()}],
)
async def test_a_key_that_does_not_open_it_is_refused_and_not_kept(
    domain: Callable[..., Domain], changes: dict[str, Any]
) -> None:
    corp = domain()
    corp.answer = lambda key: replace(key, **changes)
    blob = with_key(l1=5, l2=7) if "l1" in changes else GOOD
    assert await corp.code(blob) == "laps-encrypted"
    assert await corp.code(blob) == "laps-encrypted"
    assert len(corp.asked) == 2


async def test_nobody_at_the_port() -> None:
    assert await Domain(server="127.0.93.211").code(GOOD) == "directory-unreachable"


async def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name.startswith("dpapi_ng"):
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(installation, "add", lambda extra: f"(add {extra})")
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ProblemError) as caught:
        await Domain().dpapi(GOOD, WHOSE)
    assert caught.value.problem.code == "laps-encrypted"
    assert "(add laps)" in caught.value.problem.remedy
