"""Puts the helper program into the wheel: compiled anew, and of the known SHA-256, or there is no wheel.

hatchling runs this (pyproject.toml). An editable install takes the one that ``python -m pusher.helper_exe`` builds.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_PLACE = "pusher/helper_exe/pusher-run.exe"


class HelperProgram(BuildHookInterface):
    """Compiles ``pusher-run.exe`` for a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises where the compiler is missing, fails, or makes another program than the known one."""
        if version == "editable":
            return
        runner = _runner(Path(self.root))
        self._made = tempfile.TemporaryDirectory(prefix="pusher-build-")
        program = runner.build(Path(self._made.name) / "pusher-run.exe")
        runner.verify(program)
        build_data["force_include"][str(program)] = _PLACE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel is written."""
        if version != "editable":
            self._made.cleanup()


def _runner(root: Path) -> Any:
    """The module that builds it, by its file: ``pusher`` itself wants libraries that a build has not."""
    spec = importlib.util.spec_from_file_location("_pusher_runner", root / "pusher" / "helper_exe" / "__init__.py")
    if spec is None or spec.loader is None:
        raise RuntimeError(f"pusher/helper_exe is not in {root}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
