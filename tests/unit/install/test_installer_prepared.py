"""What an installer's package needs on this side, found before anything is contacted."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from pusher import helper_exe
from pusher.models import Verb
from pusher.problems import BadInput
from pusher.settings import Options
from pusher.wiring.engine import open_engine
from pusher.wiring.run_plan import RunPlan, prepare_run
from tests.unit.install.test_installer_format import EXE, EXE_TEXT, MSI_TEXT, RULE, SAMPLE, SILENT


def plan(
    folder: Path,
    text: str,
    verb: Verb = Verb.PUSH,
    transports: str = "smb",
    transport: str = "auto",
    accounts: str | None = None,
) -> RunPlan:
    if accounts is not None:
        (folder / "accounts.toml").write_text(accounts)
    (folder / "labtool.msi").write_bytes(SAMPLE)
    (folder / "setup.exe").write_bytes(EXE)
    (folder / "package.toml").write_text(text)
    inventory = folder / "hosts.yaml"
    inventory.write_text(
        f"version: 1\ndefaults: {{transports: [{transports}]}}\ngroups: {{a: {{hosts: [ws1.lab.test]}}}}\n"
    )
    with open_engine() as unused:
        return prepare_run(Options(inventory=inventory, package=folder, transport=transport), verb, unused)


@pytest.fixture
def no_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helper_exe, "PROGRAM", tmp_path / "pusher-run.exe")


@pytest.fixture
def some_runner(tmp_path: Path, no_runner: None) -> None:
    (tmp_path / "pusher-run.exe").write_bytes(b"MZ")


@pytest.mark.usefixtures("no_runner")
def test_a_runner_that_is_not_built_is_missed_before_anything_is_contacted(tmp_path: Path) -> None:
    for transports, transport in (("smb", "auto"), ("winrm, smb", "auto"), ("winrm", "auto")):
        with pytest.raises(
            BadInput, match=r"package\.toml: pusher-run\.exe, .* is not built: run python -m pusher\.helper_exe"
        ):
            plan(tmp_path, MSI_TEXT, transports=transports, transport=transport)


@pytest.mark.usefixtures("no_runner")
def test_what_runs_as_the_push_account_needs_no_runner_and_goes_by_winrm_only(tmp_path: Path) -> None:
    text = MSI_TEXT.replace("[installer]", '[installer]\nrun_as = "account"')
    assert plan(tmp_path, text, transports="winrm").package
    assert plan(tmp_path, text, transports="smb, winrm", transport="winrm").package
    for transports, transport in (("smb", "auto"), ("winrm, smb", "auto"), ("winrm, smb", "smb")):
        with pytest.raises(BadInput, match="over SMB an installer runs as the machine itself"):
            plan(tmp_path, text, transports=transports, transport=transport)


@pytest.mark.usefixtures("some_runner")
def test_an_exe_without_a_way_to_remove_it_is_not_removed(tmp_path: Path) -> None:
    text = EXE_TEXT + SILENT + RULE
    assert plan(tmp_path, text).package
    with pytest.raises(BadInput, match=r"installer\.uninstall is missing"):
        plan(tmp_path, text, Verb.REMOVE)
    assert plan(tmp_path, MSI_TEXT, Verb.REMOVE).package


PUSHING = """[[account]]
name = "push"
user = 'CORP\\push'
secret = "env:PUSH"
"""
RUNNING = """[[account]]
name = "Installs"
user = 'CORP\\svc-install'
secret = "env:INSTALLS"
"""
AS_NAMED = MSI_TEXT.replace("[installer]", '[installer]\nrun_as = "installs"')


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUSH", "pushes")
    monkeypatch.setenv("INSTALLS", "planted-Qz7")


@pytest.mark.usefixtures("some_runner", "passwords")
@pytest.mark.parametrize(
    ("accounts", "tried"),
    [
        (PUSHING + RUNNING, ["push"]),
        (PUSHING + RUNNING + 'use = "run"\n', ["push"]),
        # What the account is for holds for running, too; as one that never signs in it takes nobody else's place.
        (PUSHING + RUNNING + 'use = "run"\npackages = ["labtool"]\n', ["push"]),
        (PUSHING + RUNNING + 'packages = ["labtool"]\n', ["Installs"]),
        (PUSHING + 'packages = ["lab*"]\n' + RUNNING, ["push"]),
        (RUNNING + "[fallback]\nenabled = true\n", []),
    ],
)
def test_whom_an_installer_is_run_as_signs_in_only_where_it_names_the_package(
    accounts: str, tried: list[str], tmp_path: Path
) -> None:
    for verb in (Verb.PUSH, Verb.REMOVE, Verb.CHECK):
        ready = plan(tmp_path, AS_NAMED, verb, accounts=accounts)
        assert [account.name for account in ready.accounts.accounts] == tried
        assert ready.run_account is not None and ready.run_account.user == "CORP\\svc-install"
        # A check has no use for its password.
        assert ("Installs" in ready.secrets) == (verb is not Verb.CHECK or tried == ["Installs"])
        assert "planted-Qz7" not in repr(vars(ready))
    without = plan(tmp_path, MSI_TEXT, accounts=PUSHING + RUNNING + 'use = "run"\n')
    assert without.run_account is None and list(without.secrets) == ["push"]


REFUSED = [
    (RUNNING.replace("Installs", "instals"), r"no account is called 'installs' \(did you mean instals\?\)"),
    (RUNNING + "domain_controllers = true\n", "is let on domain controllers"),
    (RUNNING + 'packages = ["other"]\n', "is for other packages than labtool"),
    (RUNNING.replace("svc-install", "svc-install$"), "has no password"),
    (RUNNING.replace("CORP\\svc-install", ".\\admin").replace("env:INSTALLS", "laps:")
     + '[directory]\ndomain = "corp.example"\nuser = "r@corp.example"\nsecret = "env:PUSH"\n',
     "has a laps: and no password"),
    (RUNNING.replace("env:INSTALLS", "keytab:package.toml") + 'realm = "CORP.EXAMPLE"\n',
     "has a keytab: and no password"),
]  # fmt: skip


@pytest.mark.usefixtures("some_runner", "passwords")
@pytest.mark.parametrize(("accounts", "why"), REFUSED, ids=[why for _, why in REFUSED])
def test_whom_an_installer_cannot_be_run_as(accounts: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=why) as refused:
        plan(tmp_path, AS_NAMED, accounts=PUSHING + accounts)
    line = AS_NAMED.splitlines().index('run_as = "installs"') + 1
    assert f"package.toml:{line}:" in str(refused.value)


@pytest.mark.usefixtures("some_runner", "passwords")
def test_an_account_for_running_only_signs_in_nowhere(tmp_path: Path) -> None:
    for text in (MSI_TEXT, AS_NAMED):
        with pytest.raises(BadInput, match="no account signs in"):
            plan(tmp_path, text, accounts=RUNNING + 'use = "run"\n')


@pytest.mark.usefixtures("some_runner")
def test_the_runner_is_known_by_its_hash() -> None:
    assert helper_exe.load().sha256 == hashlib.sha256(b"MZ").hexdigest()


@pytest.mark.lab
def test_the_runner_is_built_the_same_each_time_and_imports_nothing_that_could_be_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runner.c").write_bytes(helper_exe.SOURCE.read_bytes())
    monkeypatch.setattr(helper_exe, "_HERE", tmp_path)
    monkeypatch.setattr(helper_exe, "PROGRAM", tmp_path / "pusher-run.exe")
    first = helper_exe.build().read_bytes()
    assert helper_exe.build().read_bytes() == first
    names = {name for name in (b"ADVAPI32.dll", b"KERNEL32.dll", b"msvcrt.dll", b"USER32.dll") if name in first}
    assert names == {b"ADVAPI32.dll", b"KERNEL32.dll"} and first.lower().count(b".dll") == 2
