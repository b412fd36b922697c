"""No table of a queued run holds a secret, where one lies, or a place on a worker's machine: on both engines."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine

from pusher.models import LOGON_RIGHT
from pusher.store.urls import address_of
from tests.unit.cli.workplace import SECRET, Workplace
from tests.unit.push.harness import program

PLANTED = {
    "the submitter's reference": "env:PLANTED_ONE",
    "the reference in package.toml": "planted-two",
    "a variable that nobody asks for": "planted-three",
    "the worker's reference": "planted-four",
    "the worker's accounts file": "planted-five",
    "the worker's data folder": "planted-six",
    "the secret itself": SECRET,
    "the service's": "planted-seven",
}
SERVICE = (
    '[service]\nname = "Agent"\ndisplay_name = "Agent"\ncommand = \'%SystemRoot%\\agent\\agent.exe --of {channel}\'\n'
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.process)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/s.sqlite"
    return str(request.getfixturevalue("server_store"))


def everything_in(url: str) -> dict[str, str]:
    """Each table's rows, as Python writes them."""
    engine = create_engine(address_of(url))
    found = MetaData()
    found.reflect(engine)
    with engine.connect() as connection:
        rows = {name: repr(connection.execute(table.select()).all()) for name, table in found.tables.items()}
    engine.dispose()
    return rows


def test_what_is_planted_is_in_no_table(place: Workplace, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content, folder, away = program("1"), place.folder / "package", place.folder / PLANTED["the worker's data folder"]
    folder.mkdir()
    (folder / "agent.exe").write_bytes(content)
    (folder / "package.toml").write_text(
        f'name = "agent"\nversion = "1"\n[[file]]\nsource = "agent.exe"\ndest = \'agent\\agent.exe\'\n'
        f'sha256 = "{hashlib.sha256(content).hexdigest()}"\n{SERVICE}'
        f"account = 'CORP\\svc'\nsecret = \"file:{PLANTED['the reference in package.toml']}\"\n"
        '[verify]\nstay_running = "0s"\n'
    )
    place.accounts("[[account]]\nname = 'push'\nuser = 'corp\\pushadm'\nsecret = 'env:PLANTED_ONE'\n")
    more = f"vars: {{channel: beta, password: {PLANTED['a variable that nobody asks for']}}}"
    place.inventory({"all": "ab"}, {"all": more})
    queued = place.run("push", "i.yaml", "--package", "package", "--queue", "--store", url)
    assert queued.status == 0, queued.err
    away.mkdir()
    for planted, text in (("the worker's reference", SECRET), ("the service's", PLANTED["the service's"])):
        file = away / PLANTED[planted]
        file.touch(mode=0o600)
        file.write_text(text)
    mine = away / PLANTED["the worker's accounts file"]
    mine.write_text(
        f"[[account]]\nname = 'push'\nuser = 'corp\\pushadm'\nsecret = 'file:{away}/planted-four'\n"
        f"[[account]]\nname = 'svc'\nuser = 'CORP\\svc'\nsecret = 'file:{away}/planted-seven'\nuse = 'run'\n"
    )
    for host in place.hosts.values():
        host.passwords["corp\\svc"] = PLANTED["the service's"]
        host.rights["corp\\svc"] = frozenset({LOGON_RIGHT})
    monkeypatch.setenv("XDG_DATA_HOME", str(away))
    done = place.run("worker", "--until-idle", "--accounts", str(mine), "--store", url, "--json")
    assert done.verdicts == dict.fromkeys("ab", ("installed", None)), done.err
    assert (away / "pusher" / "blobs").is_dir()
    tables = everything_in(url)
    assert "beta" in tables["chunks"] and "Agent" in tables["journals"], "the search finds what is there"
    found = [f"{what} in {name}" for what, text in PLANTED.items() for name, rows in tables.items()
             if text in rows.replace("rights", "")]  # fmt: skip
    assert found == []
