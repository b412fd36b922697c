"""How this pusher was installed, and so the command that adds an extra to it.

Here: what is read of the environment (``read``), and the decision (``command``), pure, for every way there is: pip,
pipx, uv; from an index, a file, a repository, a checkout. Not here: what an extra is for (``problems``, the adapters).

Sources: PEP 610 (direct_url.json), PEP 376 (INSTALLER); pipx keeps pipx_metadata.json and uv keeps uv-receipt.toml in
the environment of a tool.
"""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from pusher import __version__

DISTRIBUTION = "push-installer"
"""What it is called on an index. The command and the import package are ``pusher``, which is another project there."""


class Manager(StrEnum):
    """Who looks after the environment."""

    PIP = "pip"
    PIPX = "pipx"
    UV = "uv"
    UV_TOOL = "uv tool"


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """How pusher is installed. ``url`` is where it came from, if not from an index; ``checkout`` is a clone whose
    files are run as they are, with its locks; ``extras`` and ``beside`` are what a tool's environment was asked for."""

    manager: Manager
    python: str
    version: str
    environment: str = ""
    url: str | None = None
    checkout: str | None = None
    extras: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def command(how: Installation, extra: str) -> str:
    """The shell command that adds an extra, whatever the working directory is."""
    if how.manager is Manager.UV_TOOL:
        # The environment belongs to uv, which makes it anew from what it is asked for: all of that is said again.
        extras = ",".join(sorted({*how.extras, extra}))
        beside = [word for one in how.beside for word in ("--with", one)]
        if how.checkout is not None:
            return shlex.join(["uv", "tool", "install", *beside, "--editable", f"{how.checkout}[{extras}]"])
        return shlex.join(["uv", "tool", "install", *beside, _requirement(how, extras)])
    installer = {
        Manager.PIP: [how.python, "-m", "pip", "install"],
        Manager.PIPX: ["pipx", "runpip", how.environment, "install"],
        Manager.UV: ["uv", "pip", "install", "--python", how.python],
    }[how.manager]
    if how.checkout is not None:
        return shlex.join([*installer, "-r", f"{how.checkout}/locks/{extra}.txt"])
    return shlex.join([*installer, _requirement(how, extra)])


def _requirement(how: Installation, extras: str) -> str:
    """The very version that runs, from where it came: adding an extra is no upgrade."""
    if how.url is not None:
        return f"{DISTRIBUTION}[{extras}] @ {how.url}"
    return f"{DISTRIBUTION}[{extras}]=={how.version}"


@cache
def add(extra: str) -> str:
    """The command that adds an extra to the pusher that runs here."""
    return command(read(Path(sys.prefix), sys.executable, _installed(), _beside_the_package()), extra)


def read(prefix: Path, python: str, found: Distribution | None, source: Path) -> Installation:
    """What an environment says of its pusher; ``found`` is its distribution, ``source`` the folder of the package.

    What cannot be read is taken for the plain case: pip, from an index.
    """
    direct = _json((found and found.read_text("direct_url.json")) or "")
    url = _without_password(direct.get("url"))
    checkout = None
    if _editable(direct) or found is None:
        place = Path(unquote(urlsplit(url).path)) if url else source
        checkout = str(place) if (place / "locks").is_dir() else None
    commit = direct.get("vcs_info")
    if url is not None and isinstance(commit, dict):
        url = f"{commit.get('vcs', 'git')}+{url}@{commit.get('commit_id', '')}".removesuffix("@")
    extras, beside = _receipt(prefix / "uv-receipt.toml")
    by_uv = ((found and found.read_text("INSTALLER")) or "").strip() == "uv"
    if (prefix / "uv-receipt.toml").is_file():
        manager = Manager.UV_TOOL
    elif (prefix / "pipx_metadata.json").is_file():
        manager = Manager.PIPX
    else:
        manager = Manager.UV if by_uv else Manager.PIP
    return Installation(
        manager=manager,
        python=python,
        version=__version__,
        environment=prefix.name,
        url=url,
        checkout=checkout,
        extras=extras,
        beside=beside,
    )


def _installed() -> Distribution | None:
    try:
        return distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return None


def _beside_the_package() -> Path:
    return Path(__file__).resolve().parent.parent


def _json(text: str) -> dict[str, object]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _editable(direct: dict[str, object]) -> bool:
    folder = direct.get("dir_info")
    return isinstance(folder, dict) and folder.get("editable") is True


def _without_password(url: object) -> str | None:
    """The address is printed: a token in it is not."""
    if not isinstance(url, str):
        return None
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _receipt(file: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The extras that uv was asked for, and the other packages."""
    import tomllib  # rarely asked for, and this module is loaded by every command

    try:
        asked = tomllib.loads(file.read_text(encoding="utf-8"))["tool"]["requirements"]
        ours = [one for one in asked if one["name"] == DISTRIBUTION]
        others = [f"{one['name']}{one.get('specifier', '')}" for one in asked if one["name"] != DISTRIBUTION]
        return tuple(extra for one in ours for extra in one.get("extras", ())), tuple(others)
    except (OSError, ValueError, KeyError, TypeError):
        return (), ()
