"""The disk of a host, on disk: a Wine prefix made from the template, as an overlay or as a copy.

Not here: where it appears inside the host (boot.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from lab.host_client import LabError


def overlay_works(probe: Path) -> bool:
    """Whether a prefix can be an overlay on the template; in a user namespace smbd does not get along with it.

    Tried in the folder `probe`, which does not exist before and afterwards.
    """
    if os.geteuid() != 0:
        return False
    for name in ("lower", "upper", "work", "merged"):
        (probe / name).mkdir(parents=True)
    # Relative names: a path of ours could hold what means something in mount's options.
    options = "lowerdir=lower,upperdir=upper,workdir=work"
    command = ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, "merged"]
    done = subprocess.run(command, cwd=probe, capture_output=True, check=False)
    shutil.rmtree(probe)
    return done.returncode == 0


def make(folder: Path, template: Path | None) -> None:
    """A new disk: empty layers for an overlay, or a copy of the template made of hard links where it can be."""
    if template is None:
        for name in ("upper", "work"):
            (folder / name).mkdir()
        return
    for how in ("--link", "--reflink=auto"):
        done = subprocess.run(["cp", "-a", how, template, folder / "prefix"], capture_output=True, check=False)
        if done.returncode == 0:
            return
        shutil.rmtree(folder / "prefix", ignore_errors=True)
    raise LabError(f"no copy of {template} could be made in {folder}: {done.stderr.decode(errors='replace')}")
