"""[installer] and [detect]: what they may be, what an MSI says for itself, and every refusal in its sentence."""

# ruff: noqa: E501 - a golden sentence is as long as it is

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pusher.install.package import load_package
from pusher.models import Detect, DetectBy, InstallerKind, Package
from pusher.problems import BadInput

SAMPLE = (Path(__file__).parent / "samples" / "labtool.msi").read_bytes()
CODE = "{6D3B3E0A-5C11-4A53-8E0B-000000000200}"
EXE = b"MZ setup"


def _file(name: str, data: bytes) -> str:
    return f'[[file]]\nsource = "{name}"\nsha256 = "{hashlib.sha256(data).hexdigest()}"\n'


MSI_TEXT = f'name = "labtool"\nversion = "2.0.0"\n{_file("labtool.msi", SAMPLE)}[installer]\nfile = "labtool.msi"\n'
EXE_TEXT = f'name = "labtool"\nversion = "2.0.0"\n{_file("setup.exe", EXE)}[installer]\nfile = "setup.exe"\n'
SILENT = 'arguments = "/S"\nsuccess = [0]\n'
RULE = "[detect]\nfile = '%ProgramFiles%\\LabTool\\labtool.exe'\n"


def load(folder: Path, text: str) -> Package:
    (folder / "labtool.msi").write_bytes(SAMPLE)
    (folder / "setup.exe").write_bytes(EXE)
    (folder / "other.txt").write_bytes(b"x")
    (folder / "package.toml").write_text(text, encoding="utf-8")
    return load_package(folder)


def sentence(folder: Path, text: str) -> str:
    with pytest.raises(BadInput) as caught:
        load(folder, text)
    return caught.value.sentence.replace(str(folder / "package.toml"), "F")


def test_an_msi_needs_no_more_than_its_file(tmp_path: Path) -> None:
    package = load(tmp_path, MSI_TEXT)
    installer = package.installer
    assert package.service is None and installer is not None
    assert (installer.kind, installer.product_code, installer.arguments) == (InstallerKind.MSI, CODE, "")
    assert (set(installer.success), installer.timeout, installer.log) == ({0, 1641, 3010}, 900, None)
    assert package.files == (installer.file,) and installer.file.dest == "pusher\\labtool\\labtool.msi"
    assert package.detect == Detect(by=DetectBy.PRODUCT_CODE, what=CODE, version="2.0.0")
    assert (package.key, package.lock) == ("labtool.installer", "installer")


@pytest.mark.parametrize("name", ["system", "account", "installs", "svc.install@corp"])
def test_whom_it_runs_as(name: str, tmp_path: Path) -> None:
    installer = load(tmp_path, MSI_TEXT + f'run_as = "{name}"\n').installer
    assert installer is not None and installer.run_as == name
    assert installer.runs_as_named == (name not in ("system", "account"))
    assert installer.run_as_written is not None and installer.run_as_written.line == 8


@pytest.mark.parametrize("name", ["", "System", "ACCOUNT", "CORP\\\\svc", "two words"])
def test_nobody_that_it_could_run_as(name: str, tmp_path: Path) -> None:
    said = sentence(tmp_path, MSI_TEXT + f'run_as = "{name}"\n')
    assert said.startswith("F:8:10: installer.run_as: ") and said.endswith(
        "; expected system (the machine itself), account (the one that signs in) or the name of an account of the "
        "accounts file"
    )


def test_a_whole_exe(tmp_path: Path) -> None:
    text = EXE_TEXT + (
        'arguments = \'/S INSTALLDIR="%ProgramFiles%\\Lab & Co"\'\nsuccess = [0, 3010]\ntimeout = "5m"\n'
        "log = '%SystemRoot%\\Temp\\labtool.log'\nuninstall = '\"%ProgramFiles%\\LabTool\\uninst.exe\" /S'\n"
    )
    package = load(tmp_path, text + RULE + 'version = "1.9"\n')
    installer = package.installer
    assert installer is not None and installer.kind is InstallerKind.EXE
    assert installer.arguments == '/S INSTALLDIR="%ProgramFiles%\\Lab & Co"'
    assert (set(installer.success), installer.timeout, installer.log) == ({0, 3010}, 300, "Temp\\labtool.log")
    assert installer.uninstall == '"%ProgramFiles%\\LabTool\\uninst.exe" /S'
    assert package.detect == Detect(by=DetectBy.FILE, what="%ProgramFiles%\\LabTool\\labtool.exe", version="1.9")


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ('service = "LabTool"', Detect(by=DetectBy.SERVICE, what="LabTool")),
        ("file = '%SystemRoot%/System32\\lab.dll'", Detect(by=DetectBy.FILE, what="System32\\lab.dll", version="2.0.0")),
        ("file = '%programfiles(x86)%\\Lab\\a.exe'", Detect(by=DetectBy.FILE, what="%ProgramFiles(x86)%\\Lab\\a.exe", version="2.0.0")),
        ("registry = 'HKEY_LOCAL_MACHINE\\SOFTWARE\\Lab'\nvalue = 'Version'", Detect(by=DetectBy.REGISTRY, what="HKLM\\SOFTWARE\\Lab", value="Version", equals="2.0.0")),
        ("registry = 'HKLM\\SOFTWARE\\Lab'\nvalue = 'Edition'\nequals = 'full'", Detect(by=DetectBy.REGISTRY, what="HKLM\\SOFTWARE\\Lab", value="Edition", equals="full")),
        (f"product_code = '{CODE.lower()}'", Detect(by=DetectBy.PRODUCT_CODE, what=CODE, version="2.0.0")),
    ],
)  # fmt: skip
def test_rules(tmp_path: Path, rule: str, expected: Detect) -> None:
    assert load(tmp_path, MSI_TEXT + f"[detect]\n{rule}\n").detect == expected


def test_all_files_are_staged_in_one_folder(tmp_path: Path) -> None:
    text = MSI_TEXT.replace(
        "[installer]", _file("other.txt", b"x") + "dest = 'Pusher\\labtool\\sub\\other.txt'\n[installer]"
    )
    assert [file.dest for file in load(tmp_path, text).files] == [
        "pusher\\labtool\\labtool.msi", "Pusher\\labtool\\sub\\other.txt",
    ]  # fmt: skip


ONE = "exactly one of service, file, registry or product_code"
REFUSED = [
    (EXE_TEXT + "success = [0]\n" + RULE, "F:6:1: installer.arguments is missing, and an installer without them may wait for a click for ever; expected the arguments that make it silent"),
    (EXE_TEXT + "arguments = ''\nsuccess = [0]\n" + RULE, "F:8:13: installer.arguments is missing, and an installer without them may wait for a click for ever; expected the arguments that make it silent"),
    (EXE_TEXT + "arguments = '/S'\n" + RULE, "F:6:1: installer.success is missing, and every maker's exit codes mean something else; expected a list of exit codes such as [0, 3010]"),
    (EXE_TEXT + "arguments = '/S'\nsuccess = []\n" + RULE, "F:9:11: installer.success is empty; expected a list of exit codes such as [0, 3010]"),
    (EXE_TEXT + "arguments = '/S'\nsuccess = [-1]\n" + RULE, "F:9:12: installer.success[1] is -1; expected at least 0"),
    (EXE_TEXT + "arguments = '/S'\nsuccess = ['0']\n" + RULE, "F:9:12: installer.success[1] is text; expected a whole number"),
    (EXE_TEXT + SILENT, "F:6:1: detect is missing, and nothing would tell whether it is installed; expected a [detect] table with one of service, file, registry or product_code"),
    (MSI_TEXT.replace('file = "lab', 'file = "lob'), "F:7:8: 'lobtool.msi' is no file of the package (did you mean labtool.msi?); expected labtool.msi"),
    (EXE_TEXT.replace("setup.exe", "other.txt").replace(hashlib.sha256(EXE).hexdigest(), hashlib.sha256(b"x").hexdigest()), "F:7:8: 'other.txt' is no kind of installer that is known; expected a file in .msi or .exe"),
    (MSI_TEXT.replace('version = "2.0.0"', 'version = "2.0.1"'), "F:2:11: version is 2.0.1, and 'labtool.msi' installs '2.0.0'; expected the product's own version"),
    (MSI_TEXT + "log = 'Temp\\x.log'\n", "F:8:7: installer.log is for an .exe; of an .msi pusher keeps Windows Installer's own; expected no log"),
    (MSI_TEXT + "uninstall = '\"a.exe\" /S'\n", "F:8:13: installer.uninstall is for an .exe; of an .msi its product code removes it; expected no uninstall"),
    (MSI_TEXT + "arguments = 'A=1 & calc'\n", "F:8:13: installer.arguments has a & outside quotation marks, which no shell is there to understand; expected no shell signs"),
    (MSI_TEXT + "arguments = 'A=\"1'\n", "F:8:13: installer.arguments has a quotation mark without its partner; expected arguments with quotation marks in pairs"),
    (MSI_TEXT + "arguments = 'A=%TEMP%'\n", "F:8:13: installer.arguments names %TEMP%, which is not known; expected %SystemRoot%, %ProgramFiles%, %ProgramFiles(x86)%, %ProgramData% or %SystemDrive%"),
    (MSI_TEXT + "arguments = 'SITE={site} X={01234567-89AB-CDEF-0123-456789ABCDEF}'\n", "F:8:13: installer.arguments has the placeholder {site}, and an installer is run alike on every target; expected no placeholder"),
    (MSI_TEXT + "arguments = '100%'\n", "F:8:13: installer.arguments has a percent sign without its partner; expected a folder such as %ProgramFiles%"),
    (MSI_TEXT + "arguments = 'A=1\tB=2'\n", "F:8:13: installer.arguments has control characters or spaces around it; expected one line of arguments"),
    (EXE_TEXT + SILENT + "uninstall = 'C:\\a b.exe /S'\n" + RULE, "F:10:13: installer.uninstall: 'C:\\a b.exe /S' does not begin with a quoted program; expected \"%ProgramFiles%\\LabTool\\uninst.exe\" /S"),
    (MSI_TEXT + 'timeout = "0s"\n', "F:8:11: installer.timeout is '0s'; expected a duration from \"1s\" to \"6h\""),
    (MSI_TEXT + "silent = true\n", "F:8:1: installer.silent is not a known key (did you mean file?); expected file, arguments, success, run_as, timeout, log or uninstall"),
    (MSI_TEXT + "[detect]\n", f"F:8:1: detect has no rule; expected {ONE}"),
    (MSI_TEXT + "[detect]\nservice = 'A'\nfile = 'x\\a.exe'\n", f"F:10:8: detect has service and file; expected {ONE}"),
    (MSI_TEXT + "[detect]\nservice = 'A'\nversion = '1.0'\n", "F:10:11: detect.version says nothing beside service; expected version beside file or product_code"),
    (MSI_TEXT + "[detect]\nfile = 'x\\a.exe'\nvalue = 'A'\n", "F:10:9: detect.value says nothing beside file; expected value beside registry"),
    (MSI_TEXT + "[detect]\nfile = 'x\\a.exe'\nversion = 'two'\n", "F:10:11: detect.version: 'two' is not a version; expected one to four numbers with dots, such as 1.4.2"),
    (MSI_TEXT + "[detect]\nfile = 'x\\a.exe'\nversion = '2.0.0.1'\n", "F:10:11: detect.version is newer than the package, so the rule can never match; expected 2.0.0 or older"),
    (MSI_TEXT + "[detect]\nregistry = 'HKLM\\SOFTWARE\\Lab'\nvalue = 'V'\nequals = '3.0'\n", "F:11:10: detect.equals is newer than the package, so the rule can never match; expected 2.0.0 or older"),
    (MSI_TEXT + "[detect]\nfile = 'D:\\lab\\a.exe'\n", "F:9:8: detect.file: 'D:\\lab\\a.exe' is absolute; expected a path that starts with %SystemRoot%, %ProgramFiles%, %ProgramFiles(x86)%, %ProgramData% or %SystemDrive%"),
    (MSI_TEXT + "[detect]\nfile = '%APPDATA%\\lab\\a.exe'\n", "F:9:8: detect.file: '%APPDATA%\\lab\\a.exe' starts with a folder that is not known (did you mean %ProgramData%?); expected a path that starts with %SystemRoot%, %ProgramFiles%, %ProgramFiles(x86)%, %ProgramData% or %SystemDrive%"),
    (MSI_TEXT + "[detect]\nfile = 'pusher\\labtool\\a.exe'\n", "F:9:8: 'pusher\\labtool\\a.exe' is in the installer's own folder, which is taken away; expected a file that stays"),
    (MSI_TEXT + "[detect]\nregistry = 'HKXX\\SOFTWARE\\Lab'\nvalue = 'V'\n", "F:9:12: detect.registry: 'HKXX\\SOFTWARE\\Lab' is not a registry key; expected a key such as HKLM\\SOFTWARE\\LabAgent"),
    (MSI_TEXT + "[detect]\nregistry = 'HKLM\\SOFTWARE\\Lab'\n", "F:9:12: detect.value is missing, and a key alone tells no version; expected the name of a value"),
    (MSI_TEXT + "[detect]\nproduct_code = 'LabTool'\n", "F:9:16: detect.product_code: 'LabTool' is not a product code; expected a GUID in braces"),
    (MSI_TEXT + f"[detect]\nproduct_code = '{CODE[:-2]}9}}'\n", f"F:9:16: {CODE[:-2]}9}} is not the product code of 'labtool.msi'; expected {CODE}"),
    (EXE_TEXT + SILENT + f"[detect]\nproduct_code = '{CODE}'\n", "F:11:16: detect.product_code is for an .msi; expected one of service, file or registry"),
    (MSI_TEXT + "[service]\nname = 'A'\ncommand = 'B'\n", "F:8:1: service stands beside an installer, which brings what it brings by itself; expected [service] or [installer]"),
    (MSI_TEXT + "[verify]\nstay_running = '1s'\n", "F:8:1: verify stands beside an installer, which brings what it brings by itself; expected [verify] or [installer]"),
    (MSI_TEXT.replace("[installer]", "dest = 'labtool\\labtool.msi'\n[installer]"), "F:6:8: dest 'labtool\\labtool.msi' is not in the installer's own folder, from which all is taken away afterwards; expected a path below pusher\\labtool, or no dest"),
    (MSI_TEXT.partition("[installer]")[0], "F:1:1: service is missing; expected a [service] table"),
    (MSI_TEXT.partition("[installer]")[0] + "[service]\nname = 'A'\ncommand = 'B'\n[detect]\nservice = 'A'\n", "F:9:1: detect has no installer to look for; expected an [installer] table"),
    (MSI_TEXT.partition("[installer]")[0] + "[service]\nname = 'A'\ncommand = 'B'\n", "F:3:1: file[1].dest is missing; expected a path such as labagent\\labagent.exe (below ADMIN$), or one that starts with %ProgramFiles%, %ProgramFiles(x86)%, %ProgramData% or %SystemDrive%"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), REFUSED)
def test_what_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert sentence(tmp_path, text) == expected


def test_what_is_no_msi(tmp_path: Path) -> None:
    text = MSI_TEXT.replace(hashlib.sha256(SAMPLE).hexdigest(), hashlib.sha256(EXE).hexdigest())
    (tmp_path / "package.toml").write_text(text)
    (tmp_path / "labtool.msi").write_bytes(EXE)
    with pytest.raises(BadInput, match=r"'labtool\.msi' is not a Windows Installer package: it is no compound file"):
        load_package(tmp_path)


def test_a_part_that_no_files_version_can_have(tmp_path: Path) -> None:
    text = (EXE_TEXT + SILENT + RULE).replace('version = "2.0.0"', 'version = "2.0.70000"')
    assert "2.0.70000 can be no file's version; expected parts up to 65535" in sentence(tmp_path, text)


SAMPLE_TEXT = (Path(__file__).parents[3] / "inventory" / "example-installer" / "package.toml.sample").read_text(
    encoding="utf-8"
)


def test_the_sample(tmp_path: Path) -> None:
    (tmp_path / "labtool-setup.exe").write_bytes(EXE)
    package = load(tmp_path, SAMPLE_TEXT.replace("0" * 64, hashlib.sha256(EXE).hexdigest()))
    assert package.installer is not None and package.installer.log == "Temp\\labtool.log"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.sampled_from([SAMPLE_TEXT, MSI_TEXT + RULE, EXE_TEXT + SILENT + RULE]),
    at=st.integers(0, 3000),
    cut=st.integers(0, 40),
    put=st.sampled_from(
        ['"', "'", "[[", "\\", "%", "{", "\n", "=", "\u2028", "99999999999999999999", "-1", "true", ""]
    ),
)
def test_whatever_is_written_ends_in_one_sentence(tmp_path: Path, text: str, at: int, cut: int, put: str) -> None:
    changed = text[: at % len(text)] + put + text[at % len(text) + cut :]
    try:
        load(tmp_path, changed)
    except BadInput as error:
        assert "\n" not in error.sentence and error.sentence.isprintable()
        assert error.source is not None and error.source.file == str(tmp_path / "package.toml")
