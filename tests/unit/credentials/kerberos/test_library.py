"""The adapter to Kerberos against a scripted KDC: every number's code, what has left by then, nothing hangs."""

from __future__ import annotations

import asyncio
import builtins
import gc
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pusher import installation
from pusher.credentials.kerberos.library import Krb5, SecretUse, translate
from pusher.models import NextMove, Secret
from pusher.problems import CATALOGUE, Problem, ProblemError
from pusher.problems.kerberos import KERBEROS
from tests.unit.credentials.kerberos.scripted_kdc import PREAUTH_REQUIRED, SILENCE, ScriptedKdc

PASSWORD = "right-Pässword-7"
WHO = "u@SCRIPT.TEST"
WANTED = (PREAUTH_REQUIRED, PREAUTH_REQUIRED)
"""The answers to an AS-REQ that comes without a key on purpose, and to the first one of the next exchange."""

StartKdc = Callable[..., ScriptedKdc]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartKdc]:
    pytest.importorskip("krb5", reason="Kerberos is not installed here: it is in the extra kerberos")
    with ExitStack() as stack:

        def started(*answers: int, folder: str = "kdc", **more: Any) -> ScriptedKdc:
            (tmp_path / folder).mkdir()
            kdc = stack.enter_context(ScriptedKdc(tmp_path / folder, answers, **more))
            monkeypatch.setenv("KRB5_CONFIG", kdc.environment["KRB5_CONFIG"])
            monkeypatch.setenv("KRB5CCNAME", str(tmp_path / "none"))
            return kdc

        yield started


async def found(deadline: float = 30.0) -> Problem:
    kerberos = Krb5(now, deadline)
    with pytest.raises(ProblemError) as caught:
        await kerberos.by_password(WHO, Secret(PASSWORD))
    kerberos.close()
    error: BaseException | None = caught.value
    while error is not None:
        assert PASSWORD not in f"{error!r}{error}"
        error = error.__cause__ or error.__context__
    return caught.value.problem


@pytest.mark.parametrize(
    ("answers", "code", "preauthenticated"),
    [
        ((*WANTED, 24), "wrong-password", 1),
        ((6,), "no-such-account", 0),
        ((18,), "account-locked", 0),
        ((*WANTED, 18), "account-locked", 1),
        ((*WANTED, 23), "password-expired", 1),
        ((1,), "account-expired", 0),
        ((12,), "account-restricted", 0),
        ((14,), "account-restricted", 0),
        ((*WANTED, 37), "clock-skew", 1),
        ((*WANTED, 60), "kerberos-failed", 1),
    ],
)
async def test_what_a_kdc_answers(start: StartKdc, answers: tuple[int, ...], code: str, preauthenticated: int) -> None:
    kdc = start(*answers)
    problem = await found()
    assert problem.code == code
    assert f"Kerberos error {answers[-1]}" in problem.message
    assert WHO in problem.message
    assert kdc.preauthenticated == preauthenticated


async def test_a_wrong_password_is_not_tried_again_at_the_realms_primary(start: StartKdc) -> None:
    """As kinit would: it would count twice."""
    primary = start(*WANTED, 24, folder="primary", address="127.0.93.8")
    kdc = start(*WANTED, 24, more=f"primary_kdc = {primary.place}")
    assert (await found()).code == "wrong-password"
    assert (kdc.preauthenticated, primary.asked) == (1, [])


async def test_nobody_is_there(start: StartKdc) -> None:
    kdc = start(24)
    kdc.__exit__()
    assert (await found()).code == "no-logon-servers"


async def test_silence_before_the_password_is_no_attempt(start: StartKdc) -> None:
    start(SILENCE)
    assert (await found(deadline=0.3)).code == "no-logon-servers"


async def test_silence_after_the_password_is_no_verdict(start: StartKdc) -> None:
    kdc = start(*WANTED, SILENCE)
    problem = await found(deadline=0.5)
    assert problem.code == "sign-in-unknown"
    assert kdc.preauthenticated >= 1


def test_no_answer_is_a_verdict_only_where_nothing_was_given() -> None:
    """By whatever way the library says that no KDC answered."""

    class Unreachable(Exception):
        err_code = -1765328384 + 156

    before, after = SecretUse(), SecretUse()
    after.given = True
    assert translate(Unreachable(), WHO, before).code == "no-logon-servers"
    assert translate(Unreachable(), WHO, after).code == "sign-in-unknown"


async def test_the_loop_goes_on_while_a_kdc_is_silent(start: StartKdc) -> None:
    start(SILENCE)
    asking = asyncio.create_task(found(deadline=0.5))
    turns = 0
    while not asking.done():
        turns += 1
        await asyncio.sleep(0.01)
    assert (await asking).code == "no-logon-servers"
    assert turns > 5


async def test_failures_leave_nothing_for_the_garbage_collector(start: StartKdc) -> None:
    """A krb5 object freed in a cycle would take the process with it."""
    start(*WANTED, 24, *WANTED, 24, 6)
    kept = []
    for _ in range(5):
        kerberos = Krb5(now)
        try:
            await kerberos.by_password(WHO, Secret(PASSWORD))
        except ProblemError as error:
            kept.append(error)
            kept.append(kept)  # type: ignore[arg-type]
        kerberos.close()
    del kept
    gc.collect()


async def test_without_the_package_it_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *given: Any, **more: Any) -> Any:
        if name.startswith(("krb5", "pusher.credentials.kerberos.krb5_calls")):
            raise ImportError(name)
        return real(name, *given, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(installation, "add", lambda extra: f"(add {extra})")
    kerberos = Krb5(now)
    for call in (kerberos.own, lambda: kerberos.by_password(WHO, Secret(PASSWORD))):
        with pytest.raises(ProblemError) as caught:
            await call()
        assert caught.value.problem.code == "kerberos-unavailable"
        assert "(add kerberos)" in caught.value.problem.remedy
    kerberos.close()


def test_the_table_is_complete() -> None:
    """Every number that ERRORS has, and that the pre-authentication check can meet; each leads into the catalogue."""
    assert set(KERBEROS) >= {1, 6, 7, 12, 14, 18, 23, 24, 31, 32, 33, 37, 41, 141, 148, 154, 156, 181, 195, 220}
    assert set(KERBEROS.values()) <= CATALOGUE.keys()
    assert CATALOGUE["wrong-password"].next_move is NextMove.STOP_ACCOUNT


def test_the_library_agrees_on_what_the_numbers_are() -> None:
    """By krb5.h, where it is installed."""
    header = Path("/usr/include/krb5/krb5.h")
    if not header.exists():
        pytest.skip("no libkrb5-dev here")
    text = header.read_text(encoding="utf-8", errors="replace")
    for name, number in {
        "KRB5_CC_NOTFOUND": 141, "KRB5_KDCREP_SKEW": 148, "KRB5_REALM_UNKNOWN": 154, "KRB5_KDC_UNREACH": 156,
        "KRB5_KT_NOTFOUND": 181, "KRB5_FCC_NOFILE": 195, "KRB5_PREAUTH_FAILED": 210, "KRB5_REALM_CANT_RESOLVE": 220,
        "KRB5KDC_ERR_PREAUTH_FAILED": 24, "KRB5KDC_ERR_CLIENT_REVOKED": 18, "KRB5KDC_ERR_KEY_EXP": 23,
        "KRB5KRB_AP_ERR_SKEW": 37, "KRB5KDC_ERR_SVC_UNAVAILABLE": 29, "KRB5KDC_ERR_WRONG_REALM": 68,
    }.items():  # fmt: skip
        (value,) = re.findall(rf"#define {name}\s+\(?(-\d+)L", text)
        assert int(value) == -1765328384 + number, name
