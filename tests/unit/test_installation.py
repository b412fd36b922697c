"""What to type to add an extra, for every way that pusher can be installed; and who else may be in the environment."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest

import push_installer
from pusher import __version__, installation
from pusher.installation import Installation, Manager, command, read
from pusher.problems import CATALOGUE

WHEEL = "file:///media/usb/push_installer-0.1.0-py3-none-any.whl"
CHECKOUT = "/home/ann/my pusher"


def how(manager: Manager, **known: object) -> Installation:
    given = {"manager": manager, "python": "/opt/p/bin/python", "version": "0.1.0", "environment": "p", **known}
    return Installation(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "typed"),
    [
        (how(Manager.PIP), "/opt/p/bin/python -m pip install 'push-installer[vault]==0.1.0'"),
        (how(Manager.PIP, url=WHEEL), f"/opt/p/bin/python -m pip install 'push-installer[vault] @ {WHEEL}'"),
        (how(Manager.PIP, url="git+https://git.corp.example/pusher@0a1b"),
         "/opt/p/bin/python -m pip install 'push-installer[vault] @ git+https://git.corp.example/pusher@0a1b'"),
        (how(Manager.PIP, url=f"file://{CHECKOUT}", checkout=CHECKOUT),
         "/opt/p/bin/python -m pip install -r '/home/ann/my pusher/locks/vault.txt'"),
        (how(Manager.PIPX), "pipx runpip p install 'push-installer[vault]==0.1.0'"),
        (how(Manager.PIPX, url=WHEEL), f"pipx runpip p install 'push-installer[vault] @ {WHEEL}'"),
        (how(Manager.PIPX, checkout="/src/pusher"), "pipx runpip p install -r /src/pusher/locks/vault.txt"),
        (how(Manager.UV), "uv pip install --python /opt/p/bin/python 'push-installer[vault]==0.1.0'"),
        (how(Manager.UV, url=WHEEL), f"uv pip install --python /opt/p/bin/python 'push-installer[vault] @ {WHEEL}'"),
        (how(Manager.UV, checkout="/src/pusher"),
         "uv pip install --python /opt/p/bin/python -r /src/pusher/locks/vault.txt"),
        (how(Manager.UV_TOOL), "uv tool install 'push-installer[vault]==0.1.0'"),
        (how(Manager.UV_TOOL, url=WHEEL, extras=("laps", "kerberos")),
         f"uv tool install 'push-installer[kerberos,laps,vault] @ {WHEEL}'"),
        (how(Manager.UV_TOOL, extras=("vault",), beside=("keyrings.alt>=5",)),
         "uv tool install --with 'keyrings.alt>=5' 'push-installer[vault]==0.1.0'"),
        (how(Manager.UV_TOOL, checkout="/src/pusher"), "uv tool install --editable '/src/pusher[vault]'"),
    ],
)  # fmt: skip
def test_what_to_type(found: Installation, typed: str) -> None:
    assert command(found, "vault") == typed


def environment(
    folder: Path, *, direct: object = None, installer: str = "pip", files: dict[str, str] | None = None
) -> tuple[Path, Distribution]:
    """An environment with our distribution, as installers write it."""
    info = folder / "lib" / "push_installer-0.1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: push-installer\nVersion: 0.1.0\n")
    (info / "INSTALLER").write_text(installer + "\n")
    if direct is not None:
        (info / "direct_url.json").write_text(direct if isinstance(direct, str) else json.dumps(direct))
    for name, text in (files or {}).items():
        (folder / name).write_text(text)
    return folder, PathDistribution(info)


RECEIPT = """[tool]
requirements = [
    { name = "push-installer", extras = ["laps"], path = "/media/usb/push_installer-0.1.0-py3-none-any.whl" },
    { name = "keyrings-alt", specifier = ">=5" },
]
entrypoints = [{ name = "pusher", install-path = "/root/.local/bin/pusher", from = "push-installer" }]
"""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"manager": Manager.PIP}),
        ({"direct": {"url": WHEEL, "archive_info": {}}}, {"manager": Manager.PIP, "url": WHEEL}),
        ({"direct": {"url": "https://u:token@git.example/p", "vcs_info": {"vcs": "git", "commit_id": "0a1b"}}},
         {"manager": Manager.PIP, "url": "git+https://git.example/p@0a1b"}),
        ({"direct": "not JSON"}, {"manager": Manager.PIP}),
        ({"direct": [1]}, {"manager": Manager.PIP}),
        ({"installer": "uv"}, {"manager": Manager.UV}),
        ({"files": {"pipx_metadata.json": "{}"}}, {"manager": Manager.PIPX}),
        ({"files": {"uv-receipt.toml": RECEIPT}, "installer": "uv"},
         {"manager": Manager.UV_TOOL, "extras": ("laps",), "beside": ("keyrings-alt>=5",)}),
        ({"files": {"uv-receipt.toml": "[tool]\nrequirements = 7"}}, {"manager": Manager.UV_TOOL}),
        ({"files": {"uv-receipt.toml": "= no TOML"}}, {"manager": Manager.UV_TOOL}),
    ],
)  # fmt: skip
def test_what_is_read(tmp_path: Path, given: dict[str, object], expected: dict[str, object]) -> None:
    prefix, found = environment(tmp_path / "venv", **given)  # type: ignore[arg-type]
    wanted = {"python": "/py", "version": __version__, "environment": "venv", **expected}
    assert read(prefix, "/py", found, tmp_path) == Installation(**wanted)  # type: ignore[arg-type]


def test_a_checkout_is_told_by_its_locks(tmp_path: Path) -> None:
    """Whether it is installed as editable, or run from its folder by whatever Python is at hand."""
    checkout = tmp_path / "my clone"
    (checkout / "locks").mkdir(parents=True)
    direct = {"url": checkout.as_uri(), "dir_info": {"editable": True}}
    prefix, found = environment(tmp_path / "venv", direct=direct)
    assert read(prefix, "/py", found, tmp_path).checkout == str(checkout)
    assert read(prefix, "/py", None, checkout).checkout == str(checkout)
    assert read(prefix, "/py", None, tmp_path / "elsewhere").checkout is None


def test_the_catalogue_prints_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "add", lambda extra: f"<adds {extra}>")
    remedies = {code: row.remedy for code, row in CATALOGUE.items()}
    assert {code for code, remedy in remedies.items() if "<adds " in remedy} == {
        "kerberos-unavailable", "laps-encrypted", "directory-unavailable",
    }  # fmt: skip
    assert not [code for code, remedy in remedies.items() if "{install" in remedy or "pip install" in remedy]


def test_no_message_names_the_other_project() -> None:
    """Nobody is told to install ``pusher`` or an extra of it."""
    root = Path(installation.__file__).parent
    told = [file for file in root.rglob("*.py") if "pusher[" in file.read_text(encoding="utf-8")]
    assert told == []


# -- somebody else's distribution of the name ----------------------------------------------------------------


def stranger(folder: Path, entry: str = "") -> Path:
    """What another project's ``pusher`` leaves in an environment."""
    info = folder / "pusher-3.3.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pusher\nVersion: 3.3.2\n")
    if entry:
        (info / "entry_points.txt").write_text(f"[console_scripts]\npusher = {entry}\n")
    return info


def test_only_another_project_is_refused(tmp_path: Path) -> None:
    assert push_installer.refused(None) is None
    assert push_installer.refused(PathDistribution(stranger(tmp_path / "ours", "pusher.__main__:main"))) is None
    said = push_installer.refused(PathDistribution(stranger(tmp_path / "theirs")))
    assert said is not None
    assert "'pusher' 3.3.2" in said
    assert push_installer.refused(PathDistribution(stranger(tmp_path / "other", "pusher.cli:go"))) is not None


@pytest.mark.parametrize("started", [["-m", "push_installer"], ["-m", "pusher"]])
def test_beside_it_nothing_is_done(tmp_path: Path, started: list[str]) -> None:
    """One sentence and exit status 2, before anything of the package is loaded."""
    stranger(tmp_path)
    root = Path(installation.__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, *started, "push", "hosts.yaml"],
        env={"PYTHONPATH": f"{root}:{tmp_path}", "PATH": "/usr/bin"},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.startswith("this environment also holds 'pusher' 3.3.2, another project")
    assert ended.stderr.count("\n") == 1


def test_their_package_in_our_place_is_not_loaded(tmp_path: Path) -> None:
    stranger(tmp_path)
    (tmp_path / "pusher").mkdir()
    (tmp_path / "pusher" / "__init__.py").write_text("print('a stranger runs')\n")
    root = Path(installation.__file__).parents[1]
    ended = subprocess.run(
        [sys.executable, "-c", "import push_installer; push_installer.main()"],
        env={"PYTHONPATH": f"{tmp_path}:{root}", "PATH": "/usr/bin"},
        cwd="/", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stdout) == (2, "")
