"""LAPS: which attribute is the password, and what its absence means."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from pusher.credentials.secrets.laps import Laps, is_laps, password_in
from pusher.directory.memory import MemoryDirectory, Values, entry
from pusher.directory.port import Entry
from pusher.models import Account, Protocol, Secret, Target
from pusher.problems import CATALOGUE, Code, NextMove, ProblemError

BASE = "DC=corp,DC=example"
DN = f"CN=WS01,OU=Fleet,{BASE}"
PASSWORD = "W1nLaps+Secret{9}"
ADMIN = Account(name="laps", user=".\\Administrator", secret="laps:", protocol=Protocol.NTLM)
SOON, LATER = 134_400_000_000_000_000, 134_500_000_000_000_000


def windows(name: str = "Administrator", password: object = PASSWORD) -> str:
    return json.dumps({"n": name, "t": "1dc5b3a1c41cde0", "p": password})


def code_and_secret(attributes: Mapping[str, Values], account: Account = ADMIN) -> str:
    """The password, or the code."""
    try:
        return password_in(entry(DN, attributes), account).reveal()
    except ProblemError as error:
        chain: BaseException | None = error
        while chain is not None:
            assert PASSWORD not in f"{chain}{chain!r}"
            chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
        assert error.problem.next_move is NextMove.NEXT_ACCOUNT
        return error.problem.code


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({"ms-Mcs-AdmPwd": "legacy", "ms-Mcs-AdmPwdExpirationTime": SOON}, "legacy"),
        ({"ms-Mcs-AdmPwd": "legacy"}, "legacy"),
        ({"msLAPS-Password": windows(), "msLAPS-PasswordExpirationTime": SOON}, PASSWORD),
        ({"msLAPS-Password": windows("administrator")}, PASSWORD),
        # A reader without the right sees the expiry time, and no error.
        ({"ms-Mcs-AdmPwdExpirationTime": SOON}, "laps-no-right"),
        ({"msLAPS-PasswordExpirationTime": SOON}, "laps-no-right"),
        ({}, "laps-not-set"),
        ({"msLAPS-EncryptedPassword": b"\0\1\2", "msLAPS-PasswordExpirationTime": SOON}, "laps-encrypted"),
        ({"msLAPS-Password": windows("Admin2")}, "laps-other-account"),
        # Moved from one kind to the other: the one that expires last is in force.
        ({"ms-Mcs-AdmPwd": "old", "ms-Mcs-AdmPwdExpirationTime": SOON,
          "msLAPS-Password": windows(), "msLAPS-PasswordExpirationTime": LATER}, PASSWORD),
        ({"ms-Mcs-AdmPwd": "back", "ms-Mcs-AdmPwdExpirationTime": LATER,
          "msLAPS-Password": windows(), "msLAPS-PasswordExpirationTime": SOON}, "back"),
        ({"ms-Mcs-AdmPwd": "old", "ms-Mcs-AdmPwdExpirationTime": SOON,
          "msLAPS-EncryptedPassword": b"\0", "msLAPS-PasswordExpirationTime": LATER}, "laps-encrypted"),
        ({"ms-Mcs-AdmPwd": "old", "msLAPS-Password": windows()}, PASSWORD),
        # A directory is never trusted.
        ({"msLAPS-Password": "no JSON"}, "laps-unreadable"),
        ({"msLAPS-Password": "[" * 3000}, "laps-unreadable"),
        ({"msLAPS-Password": "[]"}, "laps-unreadable"),
        ({"msLAPS-Password": '{"p": "x"}'}, "laps-unreadable"),
        ({"msLAPS-Password": '{"n": "Administrator"}'}, "laps-unreadable"),
        ({"msLAPS-Password": windows(password=7)}, "laps-unreadable"),
        ({"msLAPS-Password": windows(password="")}, "laps-unreadable"),
        ({"msLAPS-Password": windows(password=PASSWORD * 20)}, "laps-unreadable"),
        ({"msLAPS-Password": windows() + " " * 5000}, "laps-unreadable"),
        ({"msLAPS-Password": PASSWORD.encode() + b"\xff"}, "laps-unreadable"),
        ({"ms-Mcs-AdmPwd": b"\xff\xfe"}, "laps-unreadable"),
        ({"ms-Mcs-AdmPwd": PASSWORD * 20}, "laps-unreadable"),
        ({"ms-Mcs-AdmPwd": f"\ufeff{PASSWORD}\r\n"}, PASSWORD),
        ({"ms-Mcs-AdmPwd": f"{PASSWORD}\b"}, "laps-unreadable"),
        ({"msLAPS-Password": windows(password=f"{PASSWORD}\n{PASSWORD}")}, "laps-unreadable"),
        ({"msLAPS-Password": windows(password=f"{PASSWORD}\ud83d")}, "laps-unreadable"),
    ],
)  # fmt: skip
def test_what_the_attributes_say(attributes: Mapping[str, Values], found: str) -> None:
    assert code_and_secret(attributes) == found


def test_every_code_is_in_the_catalogue() -> None:
    codes = {code for code in CATALOGUE if code.startswith("laps-")}
    assert codes == {
        "laps-no-computer", "laps-no-right", "laps-not-set", "laps-encrypted", "laps-other-account", "laps-unavailable",
        "laps-unreadable",
    }  # fmt: skip


def computer(name: str, **attributes: Values) -> Entry:
    return entry(
        f"CN={name},OU=Fleet,{BASE}",
        {"objectCategory": "computer", "sAMAccountName": f"{name}$", "dNSHostName": f"{name}.corp.example"}
        | attributes,
    )


def laps(*entries: Entry, learned: list[Secret] | None = None, fails: Mapping[str, Code] | None = None) -> Laps:
    directory = MemoryDirectory([entry(BASE), *entries], fails=fails or {})
    return Laps(directory, BASE, ([] if learned is None else learned).append)


async def refused(provider: Laps, name: str) -> str:
    with pytest.raises(ProblemError) as caught:
        await provider.secret_for(ADMIN, Target(name=name))
    return caught.value.problem.code


@pytest.mark.parametrize("name", ["ws01.corp.example", "WS01.Corp.Example.", "ws01"])
async def test_the_machine_is_found_by_its_name(name: str) -> None:
    learned: list[Secret] = []
    provider = laps(
        computer("ws01", **{"ms-Mcs-AdmPwd": "one"}), computer("ws02", **{"ms-Mcs-AdmPwd": "two"}), learned=learned
    )
    assert (await provider.secret_for(ADMIN, Target(name=name))).reveal() == "one"
    assert learned == [Secret("one")], "the log's redactor knows it before anybody"


@pytest.mark.parametrize("name", ["ws03.corp.example", "10.1.2.3", "*", "ws01)(cn=*", "ws01.other.example"])
async def test_no_such_computer(name: str) -> None:
    assert await refused(laps(computer("ws01", **{"ms-Mcs-AdmPwd": "one"})), name) == "laps-no-computer"


async def test_two_that_claim_to_be_it_get_nothing() -> None:
    liar = computer("evil", dNSHostName="ws01.corp.example", **{"ms-Mcs-AdmPwd": "evil"})
    assert await refused(laps(computer("ws01", **{"ms-Mcs-AdmPwd": "one"}), liar), "ws01.corp.example") == (
        "laps-no-computer"
    )


async def test_a_directory_that_fails_is_its_own_problem() -> None:
    assert await refused(laps(fails={BASE: Code.DIRECTORY_UNREACHABLE}), "ws01") == Code.DIRECTORY_UNREACHABLE


def test_which_accounts_it_is_about() -> None:
    assert is_laps(ADMIN)
    assert not is_laps(Account(name="x", user=".\\a", secret="env:LAPS", protocol=Protocol.NTLM))
