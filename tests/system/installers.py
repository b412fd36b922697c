"""Real installers: MSI packages built with wixl, and an .exe of ours; and package folders around them.

An MSI of ours brings one program and two registry values, its version and who has run it, and replaces older versions
of itself (a major upgrade).
"""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SOURCES = Path(__file__).parent / "c"
TOOL = "Program Files/LabTool/labtool.exe"
SETUP = "Program Files/LabSetup/labsetup.exe"
"""What the MSI and the .exe install, below the system drive."""

TOOL_RULE = "file = '%ProgramFiles%\\LabTool\\labtool.exe'"
SETUP_RULE = "file = '%ProgramFiles%\\LabSetup\\labsetup.exe'"
_UPGRADE_CODE = "6D3B3E0A-5C11-4A53-8E0B-0D5E6A7C9001"
_PRODUCT = """<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="{code}" Name="Lab Tool" Language="1033" Version="{version}" Manufacturer="Lab"
           UpgradeCode="{upgrade}">
    <Package InstallerVersion="500" Compressed="yes" InstallScope="perMachine"/>
    <MajorUpgrade DowngradeErrorMessage="A newer version is installed."/>
    {condition}
    <Media Id="1" Cabinet="tool.cab" EmbedCab="yes"/>
    <Directory Id="TARGETDIR" Name="SourceDir">
      <Directory Id="ProgramFiles64Folder">
        <Directory Id="INSTALLDIR" Name="LabTool">
          <Component Id="Main" Guid="6D3B3E0A-5C11-4A53-8E0B-0D5E6A7C9002" Win64="yes">
            <File Id="Exe" Source="labtool.exe" Name="labtool.exe" KeyPath="yes"/>
            <RegistryValue Root="HKLM" Key="SOFTWARE\\LabTool" Name="Version" Type="string" Value="{version}"/>
            <RegistryValue Root="HKLM" Key="SOFTWARE\\LabTool" Name="RunBy" Type="string" Value="[LogonUser]"/>
          </Component>
        </Directory>
      </Directory>
    </Directory>
    <Feature Id="All" Level="1"><ComponentRef Id="Main"/></Feature>
  </Product>
</Wix>
"""
_REFUSES = '<Condition Message="This machine is refused by the package.">0</Condition>'


@dataclass(frozen=True, kw_only=True)
class Kit:
    """Builds installers and their packages below ``folder``."""

    folder: Path

    def program(self, version: str) -> Path:
        """The setup program, which is also what everything here installs."""
        folder = self.folder / f"program-{version}"
        if not (folder / "labsetup.exe").exists():
            folder.mkdir(parents=True)
            numbers = ",".join((version + ".0.0.0").split(".")[:4])
            (folder / "version.rc").write_text(
                f'#define VERSION_TEXT "{version}"\n#define VERSION_NUMBERS {numbers}\n'
                + (_SOURCES / "version.rc").read_text()
            )
            _run(folder, "x86_64-w64-mingw32-windres", "version.rc", "-o", "version.o")
            compiler = ("x86_64-w64-mingw32-gcc", "-O1", "-municode", "-static", "-s")
            _run(folder, *compiler, str(_SOURCES / "setup.c"), "version.o", "-o", "labsetup.exe")
        return folder / "labsetup.exe"

    def msi(self, version: str, refuses: bool = False) -> tuple[Path, str]:
        """The package file, and its product code."""
        code = "{6D3B3E0A-5C11-4A53-8E0B-" + f"{int(version.replace('.', '')):012d}" + "}"
        folder = self.folder / f"msi-{version}{'-refuses' if refuses else ''}"
        if not (folder / "labtool.msi").exists():
            folder.mkdir(parents=True)
            (folder / "labtool.exe").write_bytes(self.program(version).read_bytes())
            condition = _REFUSES if refuses else ""
            text = _PRODUCT.format(code=code, version=version, upgrade=_UPGRADE_CODE, condition=condition)
            (folder / "labtool.wxs").write_text(text)
            _run(folder, "wixl", "--arch", "x64", "-o", "labtool.msi", "labtool.wxs")
        return folder / "labtool.msi", code

    def msi_package(
        self,
        name: str,
        version: str,
        *,
        detect: str = f"[detect]\n{TOOL_RULE}\n",
        more: str = "",
        refuses: bool = False,
    ) -> Path:
        """A package folder of the MSI."""
        file, _ = self.msi(version, refuses)
        return self._package(name, "labtool", version, file, f"{more}\n{detect}")

    def exe_package(
        self, name: str, version: str, arguments: str, *, more: str = "", success: str = "[0, 3010]"
    ) -> Path:
        """A package folder of the setup program, run with ``/S`` and these arguments."""
        text = (
            f"arguments = '{f'/S {arguments}'.strip()}'\nsuccess = {success}\n"
            "uninstall = '\"%ProgramFiles%\\LabSetup\\labsetup.exe\" /S /U'\n"
            f"log = 'Temp\\labsetup.log'\n{more}\n[detect]\n{SETUP_RULE}\n"
        )
        return self._package(name, "labsetup", version, self.program(version), text)

    def _package(self, name: str, product: str, version: str, file: Path, text: str) -> Path:
        folder = self.folder / "packages" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / file.name).write_bytes(file.read_bytes())
        (folder / "package.toml").write_text(
            f'name = "{product}"\nversion = "{version}"\n[[file]]\nsource = "{file.name}"\n'
            f'sha256 = "{hashlib.sha256(file.read_bytes()).hexdigest()}"\n'
            f'[installer]\nfile = "{file.name}"\n{text}'
        )
        return folder


def _run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
