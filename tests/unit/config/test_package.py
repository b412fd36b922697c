"""package.toml: what a package may be, and the command that one target gets."""

# ruff: noqa: E501 - a golden sentence is as long as it is

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pusher.install.package import load_package, placeholders, render_command
from pusher.install.plan import service_of
from pusher.models import Package, ServiceSpec, Source, Target
from pusher.problems import BadInput

AGENT = b"MZ agent"
SHA = hashlib.sha256(AGENT).hexdigest()
COMMAND = '"%SystemRoot%\\lab\\agent.exe" --site {site}'
TEXT = f"""name = "labagent"
version = "1.4.2"
[[file]]
source = "agent.exe"
dest = 'lab\\agent.exe'
sha256 = "{SHA}"
[service]
name = "LabAgent"
command = '{COMMAND}'
"""
DEST = (
    "a path such as labagent\\labagent.exe (below ADMIN$), or one that starts with %ProgramFiles%, "
    "%ProgramFiles(x86)%, %ProgramData% or %SystemDrive%"
)
ACCOUNT = (
    "LocalSystem, LocalService, NetworkService, a group managed service account DOMAIN\\name$, or an ordinary account "
    "with its secret"
)
PASSWORDS = "env:NAME, file:PATH, keyring:SERVICE/USER, vault:PATH#FIELD or prompt"
EMPTY = hashlib.sha256(b"").hexdigest()
QUOTED = '"%SystemRoot%\\lab\\agent.exe"'
SECOND = "[[file]]\nsource = 'agent.exe'\ndest = '{}'\nsha256 = '" + SHA + "'\n[service]"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "agent.exe").write_bytes(AGENT)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "empty.exe").write_bytes(b"")
    (tmp_path / "sub").mkdir()
    (tmp_path / "out").symlink_to("/etc/passwd")
    (tmp_path / "circle").symlink_to("circle")
    return tmp_path


def load(folder: Path, *changes: tuple[str, str], extra: str = "", verify: bool = True) -> Package:
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "package.toml").write_text(text + extra, encoding="utf-8")
    return load_package(folder, verify)


def sentence(folder: Path, *changes: tuple[str, str], extra: str = "") -> str:
    with pytest.raises(BadInput) as caught:
        load(folder, *changes, extra=extra)
    return caught.value.sentence.replace(str(folder / "package.toml"), "F")


def test_a_whole_package(folder: Path) -> None:
    extra = """description = "d"
start = "delayed"
account = "localservice"
[verify]
stay_running = "1m30s"
start_timeout = "2m"
stop_timeout = "45s"
[needs]
registry = ['hkey_local_machine\\SOFTWARE\\Lab']
rights = ["SeServiceLogonRight"]
architectures = ["x64", "arm64"]
[remove]
leftovers = ['lab\\state.json']
"""
    package = load(folder, extra=extra)
    (file,) = package.files
    assert (file.source, file.dest, file.sha256, file.size) == (folder / "agent.exe", "lab\\agent.exe", SHA, len(AGENT))
    assert package.service == ServiceSpec(
        name="LabAgent",
        display_name="LabAgent",
        command=COMMAND,
        start="delayed",
        account="NT AUTHORITY\\LocalService",
        description="d",
    )
    assert (package.stay_running, package.start_timeout, package.stop_timeout) == (90, 120, 45)
    assert package.registry_keys == ("HKLM\\SOFTWARE\\Lab",)
    assert (package.rights, package.architectures) == (("SeServiceLogonRight",), ("x64", "arm64"))
    assert package.leftovers == ("lab\\state.json",)
    assert package.source == Source(file=str(folder / "package.toml"), line=9, column=11)


def test_defaults(folder: Path) -> None:
    package = load(folder)
    assert (package.stay_running, package.start_timeout, package.stop_timeout) == (5, 60, 30)
    service = service_of(package)
    assert (service.start, service.account) == ("auto", "LocalSystem")


def test_hashes_may_be_left_for_later_but_files_must_be_there(folder: Path) -> None:
    assert load(folder, (SHA, "A" * 64), verify=False).files[0].sha256 == "a" * 64
    with pytest.raises(BadInput, match="does not exist"):
        load(folder, ('"agent.exe"', '"none"'), verify=False)


@pytest.mark.parametrize(
    ("dest", "kept"),
    [
        ("lab/agent.exe", "lab\\agent.exe"),
        ("%programdata%\\lab\\a.cfg", "%ProgramData%\\lab\\a.cfg"),
        ("%SystemDrive%/lab\\a.cfg", "%SystemDrive%\\lab\\a.cfg"),
        ("lab\\console.exe", "lab\\console.exe"),
        ("lab\\com10.txt", "lab\\com10.txt"),
        ("%programfiles(X86)%\\lab\\x", "%ProgramFiles(x86)%\\lab\\x"),
        ("lab\\$x", "lab\\$x"),
        ("lab\\~1.txt.old", "lab\\~1.txt.old"),
        ("lab\\longer~name~1.txt", "lab\\longer~name~1.txt"),
        ("lab\\backup~", "lab\\backup~"),
        ("pusher2\\x", "pusher2\\x"),
        ("lab\\pusher\\x", "lab\\pusher\\x"),
    ],
)
def test_destinations_that_are_taken(folder: Path, dest: str, kept: str) -> None:
    package = load(
        folder, ("[service]", SECOND.format(dest)) if dest != "lab/agent.exe" else ("lab\\agent.exe'\n", dest + "'\n")
    )
    assert package.files[-1].dest == kept


BAD_DESTS = [
    ("C:\\x", "is absolute"), ("\\x", "is absolute"), ("/x", "is absolute"), ("\\\\srv\\share", "is absolute"),
    ("%ProgramFiles%\\\\x", "is absolute"), ("%ProgramFiles%\\C:\\x", "is absolute"),
    ("..\\x", "has the part '..', which is not allowed"), ("a\\..\\x", "has the part '..', which is not allowed"),
    ("a/../x", "has the part '..', which is not allowed"), ("a\\\\x", "has the part '', which is not allowed"),
    ("a\\", "has the part '', which is not allowed"), ("", "has the part '', which is not allowed"),
    ("%ProgramFiles%", "has the part '', which is not allowed"), ("a\\x*", "has the part 'x*', which is not allowed"),
    ("a\\x:stream", "has the part 'x:stream', which is not allowed"), ("a\\%x%", "has the part '%x%', which is not allowed"),
    ("CON\\x", "has the part 'CON', which Windows reserves for a device"),
    ("a\\con.txt", "has the part 'con.txt', which Windows reserves for a device"),
    ("a\\LPT1 .x", "has the part 'LPT1 .x', which Windows reserves for a device"),
    ("a\\COM¹", "has the part 'COM¹', which Windows reserves for a device"),
    ("a\\conin$", "has the part 'conin$', which Windows reserves for a device"),
    ("a.\\x", "has the part 'a.', whose dot or space Windows drops"),
    ("a \\x", "has the part 'a ', whose dot or space Windows drops"),
    (" a\\x", "has the part ' a', whose dot or space Windows drops"),
    ("%ProgramFile%\\x", "starts with a folder that is not known (did you mean %ProgramFiles%?)"),
    ("%ProgramFiles(86)%\\x", "starts with a folder that is not known (did you mean %ProgramFiles(x86)%?)"),
    ("CLOCK$", "has the part 'CLOCK$', which Windows reserves for a device"),
    ("a\\clock$.txt", "has the part 'clock$.txt', which Windows reserves for a device"),
    ("a\\CONOUT$\\b", "has the part 'CONOUT$', which Windows reserves for a device"),
    ("$Extend\\x", "has the part '$Extend', which NTFS keeps for itself"),
    ("%SystemDrive%\\$MFT", "has the part '$MFT', which NTFS keeps for itself"),
    ("a\\x\u200b", "has the part 'x\\u200b', which is not allowed"),
    ("a\\\u202egnp.exe", "has the part '\\u202egnp.exe', which is not allowed"),
    ("a\\x\u3164", "has the part 'x\\u3164', which is not allowed"),
    ("a\\x\u00a0", "has the part 'x\\u00a0', which is not allowed"),
    ("%TEMP%\\x", "starts with a folder that is not known"),
]  # fmt: skip


@pytest.mark.parametrize(("dest", "found"), BAD_DESTS)
def test_destinations_that_are_refused(folder: Path, dest: str, found: str) -> None:
    seen = "".join(c if c.isprintable() and c != "\u3164" else f"\\u{ord(c):04x}" for c in dest)
    expected = f"F:5:8: file[1].dest: '{seen}' {found}; expected {DEST}"
    assert sentence(folder, ("lab\\agent.exe'\n", dest + "'\n")) == expected


@pytest.mark.parametrize("part", ["PROGRA~1", "longna~1.txt", "A~1", "~1", "PR5E8F~2.EX", "LAB~1.EXE"])
def test_a_short_name_may_be_any_files(folder: Path, part: str) -> None:
    dest = f"%SystemDrive%\\{part}\\x"
    expected = f"F:5:8: file[1].dest: '{dest}' has the part '{part}', which may be the short name of another file; expected the long name"
    assert sentence(folder, ("lab\\agent.exe'\n", dest + "'\n")) == expected


@pytest.mark.parametrize("dest", ["pusher", "PUSHER\\x.lock", "%SystemDrive%\\windows\\pusher\\x", "pu\u017fher\\x"])
def test_pushers_own_folder_is_no_packages(folder: Path, dest: str) -> None:
    own = f"'{dest}' is in the folder in which pusher keeps a host's locks; expected another folder"
    assert sentence(folder, ("[service]", SECOND.format(dest))) == f"F:9:8: {own}"
    assert sentence(folder, extra=f"[remove]\nleftovers = ['lab\\x', '{dest}']\n") == f"F:11:23: {own}"


PAIRS = [
    ("Ä.txt", "ä.txt"), ("é", "e\u0301"), ("Straße", "STRASSE"), ("\u017f.txt", "S.txt"), ("İ", "i"), ("ı", "I"),
    ("k", "\u212a"), ("ﬁ", "fi"), ("σ", "ς"), ("a", "ａ"),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_names_that_may_meet_are_no_two_destinations(folder: Path, one: str, other: str) -> None:
    second = SECOND.format(f"lab\\{one}").replace("[service]", "") + SECOND.format(f"LAB\\{other}")
    found = sentence(folder, ("[service]", second))
    assert found.startswith(f"F:13:8: 'LAB\\{other}' ")
    assert found.endswith("; expected a destination of its own for each file")
    assert "9" in found
    below = SECOND.format(f"lab\\{one}").replace("[service]", "") + SECOND.format(f"LAB\\{other}\\x")
    assert sentence(folder, ("[service]", below)).startswith(
        f"F:13:8: 'LAB\\{other}\\x' is below the file 'lab\\{one}'"
    )


def test_folders_of_the_system_are_told_by_every_name(folder: Path) -> None:
    for one, other in (
        ("%ProgramFiles%", "%SystemDrive%\\Program Files"), ("%ProgramData%", "%SystemDrive%\\PROGRAMDATA"),
        ("%ProgramFiles(x86)%", "%SystemDrive%\\program files (X86)"),
    ):  # fmt: skip
        second = SECOND.format(f"{one}\\x").replace("[service]", "") + SECOND.format(f"{other}\\X")
        assert "is the destination of two files (the other is in line 9)" in sentence(folder, ("[service]", second))


@pytest.mark.parametrize(
    ("leftover", "found"),
    [
        ("LAB\\agent.exe", "is the destination of two files (the other is in line 5)"),
        ("%SystemDrive%\\Windows\\lab\\agent.exe", "is the destination of two files (the other is in line 5)"),
        ("lab\\agent.exe\\b", "is below the file 'lab\\agent.exe'"),
        ("lab\\LOG", "is the destination of two files (the other is in line 11)"),
    ],
)
def test_a_leftover_is_none_of_the_packages_own_files(folder: Path, leftover: str, found: str) -> None:
    extra = f"[remove]\nleftovers = ['lab\\log', '{leftover}']\n"
    assert sentence(folder, extra=extra).startswith(f"F:11:25: '{leftover}' {found}")


def test_a_leftover_is_no_folder_of_the_package(folder: Path) -> None:
    assert sentence(folder, extra="[remove]\nleftovers = ['Lab']\n").startswith(
        "F:5:8: 'lab\\agent.exe' is below the file 'Lab'"
    )


def test_an_empty_file_is_a_file(folder: Path) -> None:
    file = f"[[file]]\nsource = 'empty'\ndest = 'lab\\py.typed'\nsha256 = '{EMPTY}'\n[service]"
    assert [(one.size, one.sha256) for one in load(folder, ("[service]", file)).files] == [
        (len(AGENT), SHA),
        (0, EMPTY),
    ]


@pytest.mark.parametrize("source", ["sub\\b.txt", "sub/b.txt", ".\\sub\\b.txt"])
def test_a_source_takes_both_slashes(folder: Path, source: str) -> None:
    (folder / "sub" / "b.txt").write_bytes(AGENT)
    file = SECOND.format("lab\\b").replace("'agent.exe'", f"'{source}'")
    assert load(folder, ("[service]", file)).files[1].source == folder / "sub" / "b.txt"


@pytest.mark.parametrize(
    ("written", "account"),
    [
        ("SYSTEM", "LocalSystem"), ("NT AUTHORITY\\SYSTEM", "LocalSystem"), (".\\LocalSystem", "LocalSystem"),
        ("NT Authority\\Local Service", "NT AUTHORITY\\LocalService"), ("LOCAL SERVICE", "NT AUTHORITY\\LocalService"),
        ("NT AUTHORITY\\NETWORK SERVICE", "NT AUTHORITY\\NetworkService"), ("CORP\\agent$", "CORP\\agent$"),
    ],
)  # fmt: skip
def test_built_in_accounts_by_all_their_names(folder: Path, written: str, account: str) -> None:
    assert service_of(load(folder, extra=f"account = '{written}'\n")).account == account


@pytest.mark.parametrize(
    "name", [".", "..", "...", "con", "CON.x", "NUL", "CLOCK$", "x\u202e", "x\u200b", "x\u3164", "PUSHERRUN"]
)
def test_names_that_no_service_has(folder: Path, name: str) -> None:
    assert sentence(folder, (NAME, f"name = '{name}'\n")).startswith("F:8:8: service.name: '")


COMMANDS = [
    ("%SystemRoot%\\lab\\agent.exe -x", None), ("%windir%\\LAB\\agent.exe", None), (QUOTED, None),
    ('"%SystemDrive%\\Windows\\lab\\agent.exe" x', None), (QUOTED + ' --a "{x} {y}"', None),
    ("", f"is empty; expected {QUOTED} and arguments"),
    ("C:\\Windows\\lab\\agent.exe", f"starts 'C:\\Windows\\lab\\agent.exe', which is no file of this package; expected {QUOTED}"),
    ("agent.exe", f"starts 'agent.exe', which is no file of this package; expected {QUOTED}"),
    (f"cmd.exe /c {QUOTED}", f"starts 'cmd.exe', which is no file of this package; expected {QUOTED}"),
    ('"{site}\\agent.exe"', f"starts '{{site}}\\agent.exe', which is no file of this package; expected {QUOTED}"),
    (QUOTED[:-1], f"has a quotation mark without its partner; expected {QUOTED} and arguments"),
    (QUOTED + "x", f"has text right behind the quoted program; expected {QUOTED} and arguments"),
    (QUOTED + ' "a\\" {x}"', 'has an escaped quotation mark (\\" or ""); expected arguments without quotation marks inside'),
    (QUOTED + ' "a""b"', 'has an escaped quotation mark (\\" or ""); expected arguments without quotation marks inside'),
    (QUOTED + ' --x "" --y=""', None),
    (QUOTED + " {a b}", "has a brace that is no placeholder; expected placeholders such as {site}"),
    (QUOTED + " {}", "has a brace that is no placeholder; expected placeholders such as {site}"),
    (QUOTED + " {{a}}", "has a brace that is no placeholder; expected placeholders such as {site}"),
    (QUOTED + " --x=a\u3164", f"has control characters or spaces around it; expected {QUOTED} and arguments"),
    (QUOTED + " --x=a\u202e", f"has control characters or spaces around it; expected {QUOTED} and arguments"),
    (" " + QUOTED, f"has control characters or spaces around it; expected {QUOTED} and arguments"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "found"), COMMANDS)
def test_commands(folder: Path, command: str, found: str | None) -> None:
    if found is None:
        assert service_of(load(folder, (COMMAND, command))).command == command
    else:
        assert sentence(folder, (COMMAND, command)) == f"F:9:11: service.command {found}"


UNQUOTED = (
    "F:9:11: service.command starts a program in a path with spaces without quotation marks, so that anyone who may "
    "write C:\\Program.exe could run as the service; expected "
)


@pytest.mark.parametrize(
    ("dest", "path"),
    [
        ("Lab Agent\\agent.exe", "%SystemRoot%\\Lab Agent\\agent.exe"),
        # The variable itself hides a space.
        ("%ProgramFiles%\\lab\\agent.exe", "%ProgramFiles%\\lab\\agent.exe"),
        ("%ProgramFiles(x86)%\\lab\\agent.exe", "%ProgramFiles(x86)%\\lab\\agent.exe"),
    ],
)
def test_an_unquoted_program_in_a_path_with_spaces_is_refused(folder: Path, dest: str, path: str) -> None:
    changes = ("lab\\agent.exe'\n", dest + "'\n"), (COMMAND, f"{path} --x")
    assert sentence(folder, *changes) == f'{UNQUOTED}"{path}" --x'
    assert service_of(load(folder, changes[0], (COMMAND, f'"{path}" --x'))).command == f'"{path}" --x'


NAME = 'name = "LabAgent"\n'
BAD: list[tuple[tuple[str, str], str, str]] = [
    ((SHA, "0" * 64), "", f"F:6:10: 'agent.exe' has the SHA-256 {SHA}, not {'0' * 64} (package-hash-mismatch); expected the file's own hash"),
    ((SHA, "xyz"), "", "F:6:10: file[1].sha256: 'xyz' is not a SHA-256; expected 64 hexadecimal digits"),
    (('"agent.exe"', '"none"'), "", "F:4:10: 'none' does not exist in the package's folder; expected a file"),
    (('"agent.exe"', '"empty.exe"'), "", "F:4:10: 'empty.exe' is empty; expected a program"),
    (('"agent.exe"', '"agent.exe/"'), "", "F:4:10: 'agent.exe/' is not a file; expected a file"),
    (('"agent.exe"', "'..\\x'"), "", "F:4:10: '..\\x' leads out of the package's folder; expected a path inside it"),
    (('"agent.exe"', "'C:\\x'"), "", "F:4:10: 'C:\\x' leads out of the package's folder; expected a path inside it"),
    (('"agent.exe"', "'\\\\srv\\x'"), "", "F:4:10: '\\\\srv\\x' leads out of the package's folder; expected a path inside it"),
    ((NAME, NAME + "account = 'NT SERVICE\\Lab'\n"), "", f"F:9:11: service.account: 'NT SERVICE\\Lab' is a virtual account, which is not supported; expected {ACCOUNT}"),
    (('"agent.exe"', '"sub"'), "", "F:4:10: 'sub' is not a file; expected a file"),
    (('"agent.exe"', '"out"'), "", "F:4:10: 'out' is a link that leads out of the package's folder; expected a file inside it"),
    (('"agent.exe"', '"circle"'), "", "F:4:10: 'circle' cannot be read (a link in a circle); expected a readable file"),
    (('"agent.exe"', '"../x"'), "", "F:4:10: '../x' leads out of the package's folder; expected a path inside it"),
    (('"agent.exe"', '"/etc/passwd"'), "", "F:4:10: '/etc/passwd' leads out of the package's folder; expected a path inside it"),
    (('"agent.exe"', '"a\\u0000b"'), "", "F:4:12: the escape \\u0000 makes a control character; expected '…' around text with backslashes, or each backslash twice"),
    (("lab\\agent.exe'\n", "%SystemRoot%\\x'\n"), "", "F:5:8: file[1].dest: '%SystemRoot%\\x' names the Windows folder, below which dest is anyway; expected 'x'"),
    (("lab\\agent.exe'\n", "a.pusher-NEW'\n"), "", "F:5:8: file[1].dest: 'a.pusher-NEW' has an ending that pusher uses for itself; expected no .pusher-new or .pusher-old"),
    (("[service]", SECOND.format("LAB\\Agent.exe")), "", "F:9:8: 'LAB\\Agent.exe' is the destination of two files (the other is in line 5); expected a destination of its own for each file"),
    (("[service]", SECOND.format("%SystemDrive%\\Windows\\lab\\agent.exe")), "", "F:9:8: '%SystemDrive%\\Windows\\lab\\agent.exe' is the destination of two files (the other is in line 5); expected a destination of its own for each file"),
    (("[service]", SECOND.format("lab\\agent.exe\\x")), "", "F:9:8: 'lab\\agent.exe\\x' is below the file 'lab\\agent.exe'; expected a folder that is not also a file"),
    ((NAME, 'name = "a/b"\n'), "", "F:8:8: service.name: 'a/b' is not a service name; expected 1 to 250 characters without / \\ : * ? \" < > |"),
    ((NAME, "name = 'a\\b'\n"), "", "F:8:8: service.name: 'a\\b' is not a service name; expected 1 to 250 characters without / \\ : * ? \" < > |"),
    ((NAME, NAME + "start = 'boot'\n"), "", "F:9:9: service.start is 'boot'; expected auto, delayed, demand or disabled"),
    ((NAME, NAME + "account = 'CORP\\svc'\n"), "", f"F:9:11: service.account 'CORP\\svc' wants a password, and there is no secret; expected a secret: {PASSWORDS}"),
    ((NAME, NAME + "account = 'CORP\\svc'\nsecret = 'hunter2'\n"), "", f"F:10:10: service.secret is no reference to a secret (a password is never written in this file); expected {PASSWORDS}"),
    ((NAME, NAME + "account = 'CORP\\svc'\nsecret = 'laps:'\n"), "", f"F:10:10: service.secret is a laps:, and a service logs on with a password; expected {PASSWORDS}"),
    ((NAME, NAME + "secret = 'env:X'\n"), "", "F:9:10: service.secret is given, and LocalSystem has no password; expected no secret"),
    ((NAME, NAME + "account = 'CORP\\a$'\nsecret = 'env:X'\n"), "", "F:10:10: service.secret is given, and CORP\\a$ has no password; expected no secret"),
    ((NAME, NAME + "account = 'a b'\nsecret = 'env:X'\n"), "", f"F:9:11: service.account: 'a b' is not a user; expected {ACCOUNT}"),
    ((NAME, NAME + "grant_logon_right = true\n"), "", "F:9:21: service.grant_logon_right says nothing beside LocalSystem, which may log on everywhere; expected no grant_logon_right"),
    ((NAME, NAME + "password = 'x'\n"), "", "F:9:1: service.password is not a known key; expected name, display_name, description, command, start, account, secret or grant_logon_right"),
    (('"1.4.2"', '"1.4-beta"'), "", "F:2:11: version: '1.4-beta' is not a version; expected one to four numbers with dots, such as 1.4.2"),
    (('"1.4.2"', "1.4"), "", "F:2:11: version is a number; expected one to four numbers with dots, such as 1.4.2, in quotation marks"),
    (("", ""), "[verify]\nstay_running = 5\n", 'F:11:16: verify.stay_running is a number; expected a duration such as "5s", "2m" or "500ms"'),
    (("", ""), "[verify]\nstart_timeout = '2h'\n", "F:11:17: verify.start_timeout is '2h'; expected a duration from \"1s\" to \"1h\""),
    (("", ""), "[needs]\nregistry = ['HKLM']\n", "F:11:13: needs.registry[1]: 'HKLM' is not a registry key; expected a key such as HKLM\\SOFTWARE\\LabAgent"),
    (("", ""), "[needs]\nrights = ['x', 'SeFoo']\n", "F:11:11: needs.rights[1]: 'x' is not a right; expected a right such as SeServiceLogonRight"),
    (("", ""), "[needs]\narchitectures = ['amd64']\n", "F:11:18: needs.architectures[1] is 'amd64'; expected x64, x86 or arm64"),
    (("[service]", "[servic]"), "", "F:7:1: servic is not a known key (did you mean service?); expected name, version, file, service, installer, detect, verify, needs or remove"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "extra", "expected"), BAD)
def test_what_is_refused(folder: Path, change: tuple[str, str], extra: str, expected: str) -> None:
    assert sentence(folder, *([change] if change[0] else []), extra=extra) == expected


# -- rendering --------------------------------------------------------------------------------------------

PLACE = Source(file="package.toml", line=9, column=11)


def service(command: str) -> ServiceSpec:
    return ServiceSpec(name="x", display_name="x", command=command)


def target(**variables: str) -> Target:
    return Target(name="ws1.x", site="paris", variables=variables, source=Source(file="i.yaml", line=4))


def arguments(command: str) -> list[str]:
    """A command line taken apart by Windows' rules (CommandLineToArgvW)."""
    found: list[str] = []
    text, inside, any_, at = "", False, False, 0
    while at < len(command):
        character = command[at]
        if character == "\\":
            run = len(command[at:]) - len(command[at:].lstrip("\\"))
            at += run
            if command[at : at + 1] == '"':
                text += "\\" * (run // 2)
                if run % 2:
                    text, at = text + '"', at + 1
            else:
                text += "\\" * run
            any_ = True
            continue
        if character == '"':
            inside, any_ = not inside, True
        elif character in " \t" and not inside:
            if any_:
                found.append(text)
            text, any_ = "", False
        else:
            text, any_ = text + character, True
        at += 1
    return [*found, text] if any_ else found


def test_placeholders_are_filled() -> None:
    spec = service('"a.exe" --site {site} --n "{name}" {site}{ch}')
    assert placeholders(spec) == ("site", "name", "ch")
    assert render_command(spec, target(ch="-x"), PLACE) == '"a.exe" --site paris --n "ws1.x" paris-x'


@pytest.mark.parametrize(
    ("command", "value", "found"),
    [
        ("a {v}", None, "the command asks for {v}, which ws1.x (i.yaml:4) does not have; expected a variable v in the inventory"),
        ("a {v}", 'x" y', "the value 'x\" y' of {v} for ws1.x (i.yaml:4) has a quotation mark or a percent sign; expected a value without them"),
        ("a {v}", "%PATH%", "the value '%PATH%' of {v} for ws1.x (i.yaml:4) has a quotation mark or a percent sign; expected a value without them"),
        ("a {v}", "x\ty", "the value 'x\\u0009y' of {v} for ws1.x (i.yaml:4) has characters that do not print; expected printable characters"),
        ("a {v}", "x\u3164", "the value 'x\\u3164' of {v} for ws1.x (i.yaml:4) has characters that do not print; expected printable characters"),
        ("a {v}", "x y", "the value 'x y' of {v} for ws1.x (i.yaml:4) has a space, and its placeholder stands outside quotation marks; expected quotation marks around it"),
        ("a {v}", "", "the value '' of {v} for ws1.x (i.yaml:4) is empty, and its placeholder stands outside quotation marks; expected a value, or quotation marks"),
        ('a "{v}"', "x\\", "the value 'x\\' of {v} for ws1.x (i.yaml:4) leaves a backslash at the end; expected a value that ends in something else"),
        ("a {v}", "--x", "the value '--x' of {v} for ws1.x (i.yaml:4) would be read as an option; expected a value that does not start with - or /"),
        ('a "{v}"', "/x", "the value '/x' of {v} for ws1.x (i.yaml:4) would be read as an option; expected a value that does not start with - or /"),
    ],
)  # fmt: skip
def test_values_that_are_refused(command: str, value: str | None, found: str) -> None:
    with pytest.raises(BadInput) as caught:
        render_command(service(command), target(**({} if value is None else {"v": value})), PLACE)
    assert caught.value.sentence == f"package.toml:9:11: {found}"


def test_a_site_that_is_missing() -> None:
    with pytest.raises(BadInput, match=r"^the command asks for \{site\}, which x does not have; expected a site in"):
        render_command(service("a {site}"), Target(name="x"))


def test_a_command_that_becomes_too_long() -> None:
    with pytest.raises(BadInput, match="40,004 characters"):
        render_command(service("a {v}{v}"), target(v="x" * 20_001), PLACE)


SHAPES = ["{v}{w}", "{v}", '"{v}"', "--v={v}", 'pre{v}"post"', '"a {v} b"', '"{v}{w}"', "{v}\\{w}", '"\\\\{v}\\{w}"']


@given(st.sampled_from(SHAPES), *[st.text(alphabet="ab\\ -/{}'&|^\"\t%;é\u202e", max_size=6)] * 2)
def test_a_value_stays_inside_its_argument(shape: str, v: str, w: str) -> None:
    """Whatever a value holds: it is refused, or every other argument stays what it was."""
    command = f'"p.exe" first {shape} "last one"'
    try:
        rendered = render_command(service(command), target(v=v, w=w))
    except BadInput:
        return
    plain = arguments(command.replace("{v}", "V").replace("{w}", "W"))
    given_ = arguments(rendered)
    assert len(given_) == len(plain) == 4
    assert (given_[0], given_[1], given_[3]) == (plain[0], plain[1], plain[3])
    assert given_[2] == plain[2].replace("V", v).replace("W", w)


@given(st.text(alphabet="ab.-_0", min_size=1, max_size=8))
def test_plain_values_are_never_refused(value: str) -> None:
    assume(not value.startswith("-"))
    assert render_command(service("a {v}"), target(v=value)) == f"a {value}"
