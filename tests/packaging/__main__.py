"""The wheel as a user gets it: in an empty environment, from the lock, it pushes files and an MSI onto lab hosts.

    python -m tests.packaging WHEEL      exit status 0 where all went as it should

Not among the tests: it installs packages, and `make test` must pass where there is no network.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from lab import SCENARIOS, HostSpec, Lab
from tests.system.command import Ended, Pusher
from tests.system.installers import TOOL, Kit
from tests.system.site import Site, free_network

ROOT = Path(__file__).resolve().parents[2]


def main(wheel: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="pusher-wheel-") as name:
        folder = Path(name)
        command = install(wheel, folder)
        look_around(command, folder)
        lab = Lab(folder / "state", free_network(), folder / "inventory", progress=print)
        try:
            lab.up([HostSpec(name=host, scenario=SCENARIOS["healthy"]) for host in ("files", "msi")])
            push(Site(lab=lab, files=folder / "inventory"), command, folder)
        finally:
            lab.down()
    print(f"{wheel.name}: installed from the lock; pushed files and an MSI over SMB and WinRM")


def install(wheel: Path, folder: Path) -> Path:
    """The command in an environment that holds nothing but the lock's packages and the wheel."""
    print("installing the wheel into an empty environment, from locks/plain.txt")
    environment = folder / "environment"
    ours = folder / "wheel.txt"
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    ours.write_text(f"push-installer @ {wheel.resolve().as_uri()} --hash=sha256:{sha256}\n")
    subprocess.run([sys.executable, "-m", "venv", str(environment)], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    from_wheels = ["--no-index", "--find-links", str(ROOT / "wheels")] if (ROOT / "wheels").is_dir() else []
    for lock, where in ((ROOT / "locks" / "plain.txt", from_wheels), (ours, ["--no-index"])):
        subprocess.run(
            [*pip, "install", "--no-deps", "--require-hashes", "--only-binary", ":all:", *where, "-r", str(lock)],
            check=True,
        )
    subprocess.run([*pip, "check"], check=True)
    return environment / "bin" / "pusher"


def look_around(command: Path, folder: Path) -> None:
    """What the command says outside of any checkout."""
    pusher = Pusher(folder=folder / "away", command=(str(command),))
    version = succeeded(pusher.start("--version").wait())
    assert version.stdout.startswith("pusher "), version.everything_said()
    told = succeeded(pusher.start("explain", "kerberos-unavailable", "--json").wait()).lines[0]["remedy"]
    expected = f"{command.with_name('python')} -m pip install 'push-installer[kerberos] @ file://"
    assert expected in told, told


def push(site: Site, command: Path, folder: Path) -> None:
    """Files over both transports, then an MSI over both: each installs, and is unchanged the second time."""
    kit = Kit(folder=folder / "kit")
    files, msi = site.host("files"), site.host("msi")
    packages = (
        (files, site.package_of(folder / "package"), "smb"),
        (msi, kit.msi_package("tool", "1.0"), "smb"),
        (msi, kit.msi_package("tool2", "1.1"), "winrm"),
    )
    for number, (host, package, transport) in enumerate(packages):
        place = folder / f"push{number}"
        inventory = site.inventory_of(place, [host], transports=transport)
        pusher = replace(site.pusher(place, package), command=(str(command),))
        for expected in ("installed" if number < 2 else "upgraded", "unchanged"):
            ended = succeeded(pusher.starting("push", inventory).wait())
            assert ended.verdict == (expected, None), ended.everything_said()
            print(f"{package.name} over {transport}: {expected}")
    assert (msi.admin_share.parent / TOOL).is_file()
    assert (files.admin_share / "labagent" / "labagent.exe").read_bytes() == site.agent


def succeeded(ended: Ended) -> Ended:
    assert ended.status == 0, ended.everything_said()
    return ended


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m tests.packaging WHEEL")
    main(Path(sys.argv[1]))
