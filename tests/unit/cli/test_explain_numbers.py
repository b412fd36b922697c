"""``pusher explain`` takes the numbers that Windows writes into its logs, in any of their spellings."""

from __future__ import annotations

import json

import pytest

from pusher.cli.explaining import explain
from pusher.problems import CATALOGUE, BadInput
from pusher.wiring.numbers import meanings


@pytest.mark.parametrize(
    ("text", "number", "code"),
    [
        ("5", "Win32 error 5", "access-denied"),
        ("0x5", "Win32 error 5", "access-denied"),
        ("1603", "Windows Installer's exit code 1603", "installer-failed"),
        ("0xC000006D", "NTSTATUS 0xC000006D", "wrong-password"),
        ("-1073741715", "NTSTATUS 0xC000006D", "wrong-password"),
        ("3221225581", "NTSTATUS 0xC000006D", "wrong-password"),
        ("2150858770", "WS-Management fault 2150858770, DESTINATION_UNREACHABLE", "host-unreachable"),
        ("0x80338012", "WS-Management fault 2150858770, DESTINATION_UNREACHABLE", "host-unreachable"),
        ("0x80070005", "Win32 error 5, as an HRESULT", "access-denied"),
        ("0x1C010003", "RPC fault 0x1C010003", "service-manager-missing"),
    ],
)
def test_a_number_leads_to_its_code(text: str, number: str, code: str, capsys: pytest.CaptureFixture[str]) -> None:
    explain(text, as_json=True)
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["number"], line["code"]) for line in said] == [(number, code)]
    assert said[0]["remedy"] == CATALOGUE[code].remedy
    explain(text, as_json=False)
    shown = capsys.readouterr().out
    assert number in shown
    assert code in shown


def test_what_it_is_called_while_something_in_particular_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    explain("5", as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "While opening ADMIN$: not-administrator" in shown
    assert "While opening the service manager: service-creation-denied" in shown


@pytest.mark.parametrize("text", ["99999", "0xDEADBEEF", "0", str(2**40), "-9999999999"])
def test_a_number_that_stands_for_nothing(text: str) -> None:
    with pytest.raises(BadInput, match="no code of pusher's stands for"):
        explain(text, as_json=False)


@pytest.mark.parametrize("text", ["wrong-password", "0xZZ", "", "five", "5 6"])
def test_what_is_no_number_is_asked_as_a_code(text: str) -> None:
    assert meanings(text) is None
