"""The endpoint's way to Wine, with a stand-in for `wine`: what ends or does not begin is begun again, or told of."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lab.scenarios import WINDOWS
from lab.winrm.config import Behaviour, Config, User
from lab.winrm.journal import Journal
from lab.winrm.service import Service
from lab.winrm.shells import CmdCommand
from lab.winrm.wine import Helper, HelperError

_WINE = """#!/bin/sh
separator=$(printf '\\037')
while read -r line; do
    number=${line%%"$separator"*}
    case $line in
        *die*) exit 5 ;;
        *) printf '%s\\t{"err": 0, "items": [], "pid": %s}\\n' "$number" $$ ;;
    esac
done
"""
_GET = """<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"
 xmlns:a="http://schemas.xmlsoap.org/ws/2004/08/addressing" xmlns:w="http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd">
 <s:Header><a:Action>http://schemas.xmlsoap.org/ws/2004/09/transfer/Get</a:Action><a:MessageID>1</a:MessageID>
 <w:ResourceURI>http://schemas.microsoft.com/wbem/wsman/1/wmi/root/cimv2/{name}</w:ResourceURI></s:Header><s:Body/>
</s:Envelope>"""
# Of each command the first two starts fail as Wine's cmd fails.
_BUSY_WINE = """#!/bin/sh
result=$(printf '%s' "$LABRC" | sed 's/^Z://; s/\\\\/\\//g')
echo start >> "$result.starts"
if [ "$(wc -l < "$result.starts")" -lt 3 ]; then
    echo "Can't recognize '$LABCMD' as an internal or external command, or batch script." >&2
    printf 9009 > "$result"
else
    echo "$LABCMD ran"
    printf 7 > "$result"
fi
"""


@pytest.fixture(autouse=True)
def wine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = tmp_path / "wine"
    stand_in.write_text(_WINE)
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("WINEPREFIX", str(tmp_path / "prefix"))


def test_whoever_waits_for_a_helper_that_ends_is_told_and_the_next_one_is_served() -> None:
    async def story() -> None:
        helper = Helper("helper.exe")
        first = await helper.ask("service-get", "LabAgent")
        gone = await asyncio.gather(helper.ask("die"), helper.ask("service-get", "after it"), return_exceptions=True)
        assert [type(answer) for answer in gone] == [HelperError, HelperError]
        second = await helper.ask("service-get", "LabAgent")
        assert (first["err"], second["err"]) == (0, 0)
        assert first["pid"] != second["pid"]

    asyncio.run(story())


def test_a_client_is_told_of_a_provider_that_has_crashed(tmp_path: Path) -> None:
    """By a fault, as Windows tells it: not by a connection that is dropped."""
    user = User(name="pushadm", password="", administrator=True, refused=None)
    config = Config(
        windows=WINDOWS,
        name="ws01",
        domain="lab.test",
        address="127.0.0.1",
        users=[user],
        certificate="",
        relay_certificate=None,
        keytab="",
        egress="",
        helper="helper.exe",
        runner="",
        folder=str(tmp_path),
        log=str(tmp_path / "log"),
        behaviour=Behaviour(),
    )

    async def story() -> None:
        service = Service(config, Journal(tmp_path / "log"))
        for name, expected in [("die", b"2147944122"), ("Win32_Thing", b"0x80041010")]:
            status, answer = await service.answer(_GET.format(name=name).encode(), user, secure=True)
            assert status == 500
            assert expected in answer

    asyncio.run(story())


@pytest.mark.parametrize(
    ("line", "code", "starts", "stream"),
    [("setup.exe /S", 7, 3, "stdout"), ("one.exe & two.exe", 9009, 1, "stderr")],
    ids=["one-program", "whose-first-part-may-have-run"],
)
def test_a_program_that_wine_failed_to_start_is_started_again(
    tmp_path: Path, line: str, code: int, starts: int, stream: str
) -> None:
    (tmp_path / "wine").write_text(_BUSY_WINE)

    async def story() -> CmdCommand:
        command = CmdCommand("C1", line)
        await command.start("runner.exe", tmp_path, "pushadm", {}, None)
        while not command.finished:
            assert await command.wait(20)
            command.changed.clear()
            await asyncio.sleep(0.01)
        return command

    ended = asyncio.run(story())
    assert ended.code == code
    assert len((tmp_path / "C1.code.starts").read_text().split()) == starts
    assert [name for name, _ in ended.take(10_000)] == [stream], "what a start that is not the last says is not told"
