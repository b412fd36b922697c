"""The accounts file: order, defaults, and one sentence for everything that is refused, without any secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from pusher.credentials.accounts.selection import OWN_IDENTITY
from pusher.credentials.accounts_file import AccountsFile, load_accounts
from pusher.models import Protocol
from pusher.problems import BadInput

ONE = '[[account]]\nname = "p"\nuser = "a@corp.example"\nsecret = "prompt"\n'
USER = "user@domain, DOMAIN\\user, or .\\user for a local account"
SECRET = (
    "env:NAME, file:PATH, keyring:SERVICE/USER, vault:PATH#FIELD, keytab:PATH, ccache:PATH, laps: (of a local account) "
    "or prompt"
)
SCOPE = "patterns such as site:paris, group:labs or *.corp.example"
PACKAGES = "names of packages such as labagent or lab*"
NEVER = "patterns such as group:domain-controllers, tier0 or *.dmz.example"
PLANTED = "hunter2!Pässword"


def load(folder: Path, text: str) -> AccountsFile:
    path = folder / "accounts.toml"
    path.write_text(text, encoding="utf-8")
    return load_accounts(path)


def sentence(folder: Path, text: str) -> str:
    with pytest.raises(BadInput) as caught:
        load(folder, text)
    return caught.value.sentence.replace(str(folder / "accounts.toml"), "F")


def with_user(user: str) -> str:
    return ONE.replace('"a@corp.example"', f"'{user}'")


def with_secret(secret: str) -> str:
    return ONE.replace("prompt", secret)


def test_the_order_of_the_file_is_kept(tmp_path: Path) -> None:
    names = ["c", "a", "b"]
    file = load(tmp_path, "".join(ONE.replace('"p"', f'"{name}"') for name in names))
    assert [account.name for account in file.accounts] == names
    assert [account.source.line for account in file.accounts if account.source] == [1, 5, 9]


@pytest.mark.parametrize(
    ("user", "protocol"),
    [
        ("svc@corp.example", Protocol.KERBEROS), ("svc@CORP", Protocol.KERBEROS), ("CORP\\svc", Protocol.NTLM),
        ("corp.example\\svc", Protocol.NTLM), (".\\administrator", Protocol.NTLM), ("CORP\\host$", Protocol.NTLM),
        ("über@corp.example", Protocol.KERBEROS), ("CORP\\svc push", Protocol.NTLM), (".\\Local Admin", Protocol.NTLM),
        ("svc push@corp.example", Protocol.KERBEROS), ("a+b@corp.example", Protocol.KERBEROS),
    ],
)  # fmt: skip
def test_the_protocol_that_a_user_implies(tmp_path: Path, user: str, protocol: Protocol) -> None:
    (account,) = load(tmp_path, with_user(user)).accounts
    assert (account.user, account.protocol) == (user, protocol)
    assert account.is_local == user.startswith(".\\")


def test_a_protocol_that_is_given(tmp_path: Path) -> None:
    (account,) = load(tmp_path, ONE + 'protocol = "ntlm"\nscope = ["site:x", "*.y"]\n').accounts
    assert account.protocol is Protocol.NTLM
    assert account.scope == ("site:x", "*.y")


@pytest.mark.parametrize(
    ("text", "enabled"),
    [
        ("", True), ("[lockout]\nreserve = 0\n", True), ("[fallback]\nenabled = true\n", True), (ONE, False),
        (ONE + "[fallback]\n", False), (ONE + "[fallback]\nenabled = true\n", True),
        (ONE + "[fallback]\nenabled = false\n", False),
    ],
)  # fmt: skip
def test_the_own_identity_is_tried_only_where_it_was_asked_for(tmp_path: Path, text: str, enabled: bool) -> None:
    assert (load(tmp_path, text).fallback is not None) is enabled


def test_lockout_numbers(tmp_path: Path) -> None:
    file = load(tmp_path, ONE)
    assert (file.reserve, file.assume_threshold) == (2, 3)
    file = load(tmp_path, ONE + "[lockout]\nreserve = 0\nassume_threshold = 1\n")
    assert (file.reserve, file.assume_threshold, file.local_threshold) == (0, 1, None)
    assert load(tmp_path, ONE + "[lockout]\nlocal_threshold = 10\n").local_threshold == 10
    own = AccountsFile.own_identity_only()
    assert (own.accounts, own.fallback, own.reserve, own.assume_threshold) == ((), OWN_IDENTITY, 2, 3)


@pytest.mark.parametrize("secret", ["env:PW", "file:pw.txt", "file:/run/pw", "keyring:pusher/p", "keyring:p", "prompt"])
def test_references_are_kept_as_written(tmp_path: Path, secret: str) -> None:
    assert load(tmp_path, with_secret(secret)).accounts[0].secret == secret


@pytest.mark.parametrize("secret", ["vault:secret/pusher/push#password", "vault:kv/a-b_c.d#The field"])
def test_a_reference_to_vault(tmp_path: Path, secret: str) -> None:
    assert load(tmp_path, with_secret(secret)).accounts[0].secret == secret


def test_laps_is_of_a_local_account(tmp_path: Path) -> None:
    text = with_user(".\\Administrator").replace("prompt", "laps:")
    directory = '[directory]\ndomain = "corp.example"\nuser = "reader@corp.example"\nsecret = "env:READER"\n'
    assert sentence(tmp_path, text) == (
        "F:4:10: account 'p': nothing says which directory holds its passwords; expected a [directory] table in this "
        "file"
    )
    (account,) = load(tmp_path, text + directory).accounts
    assert (account.secret, account.protocol) == ("laps:", Protocol.NTLM)


@pytest.mark.parametrize("scheme", ["keytab", "ccache"])
def test_a_path_counts_from_the_files_folder(tmp_path: Path, scheme: str) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "push").touch()
    (account,) = load(tmp_path, with_secret(f"{scheme}:keys/push")).accounts
    assert account.secret == f"{scheme}:{tmp_path}/keys/push"
    with_realm = with_user("CORP\\svc").replace("prompt", f"{scheme}:keys/push") + 'realm = "CORP.EXAMPLE"\n'
    (account,) = load(tmp_path, with_realm).accounts
    assert (account.protocol, account.realm) == (Protocol.KERBEROS, "CORP.EXAMPLE")
    assert sentence(tmp_path, with_secret(f"{scheme}:keys/push") + 'protocol = "ntlm"\n').startswith(
        f"F:4:10: account 'p': {scheme}: is for kerberos only; expected"
    )
    local = with_user(".\\a").replace("prompt", f"{scheme}:keys/push")
    assert sentence(tmp_path, local).startswith(f"F:4:10: account 'p': {scheme}: is for kerberos only; expected")


def test_what_an_account_must_not_be_sent_to(tmp_path: Path) -> None:
    text = ONE + 'never = ["group:domain-controllers", "tier0"]\n'
    text += '[fallback]\nenabled = true\nnever = ["tier0"]\ndomain_controllers = true\n'
    file = load(tmp_path, text)
    assert file.accounts[0].never == ("group:domain-controllers", "tier0")
    assert not file.accounts[0].domain_controllers
    assert file.fallback is not None
    assert (file.fallback.name, file.fallback.never) == ("own-identity", ("tier0",))
    assert file.fallback.domain_controllers
    assert load(tmp_path, ONE + "domain_controllers = true\n").accounts[0].domain_controllers


BAD = [
    ("[fallback]\nenabled=false\n", "F:2:9: no account is listed and the fallback is off, so nobody could sign in; "
                                    "expected an [[account]], or enabled = true"),
    (with_user("svc"), f"F:3:8: account 'p': 'svc' is not a user; expected {USER}"),
    (with_user("CORP\\"), f"F:3:8: account 'p': 'CORP\\' is not a user; expected {USER}"),
    (with_user("\\a"), f"F:3:8: account 'p': '\\a' is not a user; expected {USER}"),
    (with_user("a@"), f"F:3:8: account 'p': 'a@' is not a user; expected {USER}"),
    (with_user("a@b@c"), f"F:3:8: account 'p': 'a@b@c' is not a user; expected {USER}"),
    (with_user(" a@b"), f"F:3:8: account 'p': ' a@b' is not a user; expected {USER}"),
    (with_user("a@b\\c"), f"F:3:8: account 'p': 'a@b\\c' is not a user; expected {USER}"),
    (with_user("CO RP\\a"), f"F:3:8: account 'p': 'CO RP\\a' is not a user; expected {USER}"),
    (with_user("CORP/a"), f"F:3:8: account 'p': 'CORP/a' is not a user; expected {USER}"),
    *((with_user(user), f"F:3:8: account 'p': '{user}' is not a user; expected {USER}") for user in (
        "CORP\\ ", "CORP\\. .", "CORP\\...", "CORP\\a.", "CORP\\ a", ".\\a ", " @corp.example", "..@corp.example",
        *(f"CORP\\a{character}b" for character in '"/\\[]:;|=,+*?<>@'))),
    (with_user("CORP\\a\u202eb"), f"F:3:8: account 'p': 'CORP\\a\\u202eb' is not a user; expected {USER}"),
    (with_user("CORP\\a\u3164b"), f"F:3:8: account 'p': 'CORP\\a\\u3164b' is not a user; expected {USER}"),
    (with_user("CORP\\a\u00a0b"), f"F:3:8: account 'p': 'CORP\\a\\u00a0b' is not a user; expected {USER}"),
    (with_user(""), f"F:3:8: account 'p': '' is not a user; expected {USER}"),
    (with_secret(PLANTED), "F:4:10: account 'p': secret is no reference to a secret (a password is never written in "
                           f"this file); expected {SECRET}"),
    (with_secret("evn:" + PLANTED), "F:4:10: account 'p': secret is no reference to a secret (a password is never "
                                    f"written in this file); expected {SECRET}"),
    (with_secret("env:" + PLANTED), f"F:4:10: account 'p': what follows env: is not complete; expected {SECRET}"),
    (with_secret("file:"), f"F:4:10: account 'p': what follows file: is not complete; expected {SECRET}"),
    (with_secret("keyring:/b"), f"F:4:10: account 'p': what follows keyring: is not complete; expected {SECRET}"),
    (with_secret("vault:x"), f"F:4:10: account 'p': what follows vault: is not complete; expected {SECRET}"),
    (with_secret("vault:a/../b#c"), f"F:4:10: account 'p': what follows vault: is not complete; expected {SECRET}"),
    (with_secret("vault:/a#c"), f"F:4:10: account 'p': what follows vault: is not complete; expected {SECRET}"),
    (with_secret("laps:x"), f"F:4:10: account 'p': what follows laps: is not complete; expected {SECRET}"),
    (with_secret("laps:"), "F:4:10: account 'p': laps: is for a local account; expected user = '.\\Administrator', or "
                           "another secret"),
    (with_secret("keytab"), "F:4:10: account 'p': secret is no reference to a secret (a password is never written in "
                            f"this file); expected {SECRET}"),
    (with_secret("keytab:"), f"F:4:10: account 'p': what follows keytab: is not complete; expected {SECRET}"),
    (with_secret("keytab:/x/y"), "F:4:10: account 'p': there is no file /x/y; expected a keytab"),
    (with_secret("ccache:/x/y"), "F:4:10: account 'p': there is no file /x/y; expected a Kerberos ticket cache"),
    (ONE.replace('"prompt"', "5"), f"F:4:10: account[1].secret is a number; expected {SECRET}, in quotation marks"),
    (ONE.replace('"prompt"', PLANTED), "F:4:10: the TOML cannot be read: invalid value; expected 'text', a number, "
                                       "true or false"),
    (ONE + f'password = "{PLANTED}"\n', "F:5:1: account[1].password is not a known key; expected name, user, secret, "
                                        "scope, protocol, realm, never, packages, "
                                        "domain_controllers or use"),
    (ONE + 'protocol = "negotiate"\n', "F:5:12: account[1].protocol is 'negotiate'; expected kerberos or ntlm"),
    (with_user(".\\a") + 'protocol = "kerberos"\n', "F:5:12: account 'p': a local account cannot sign in with "
                                                    'kerberos; expected protocol = "ntlm"'),
    (ONE + "scope = []\n", f"F:5:9: account 'p': scope is an empty list; expected {SCOPE}, or no scope for every "
                           "target"),
    (ONE + 'scope = "x"\n', f"F:5:9: account[1].scope is text; expected a list of {SCOPE}"),
    (ONE + 'scope = ["sites:x"]\n', f"F:5:9: account 'p': 'sites:x' is not a pattern; expected {SCOPE}"),
    (ONE + "never = []\n", f"F:5:9: account 'p': never is an empty list; expected {NEVER}, or no never"),
    (ONE + 'never = "x"\n', f"F:5:9: account[1].never is text; expected a list of {NEVER}"),
    (ONE + 'never = ["groups:x"]\n', f"F:5:9: account 'p': 'groups:x' is not a pattern; expected {NEVER}"),
    (ONE + 'never = [" x"]\n', f"F:5:9: account 'p': ' x' is not a pattern; expected {NEVER}"),
    (ONE + "packages = []\n", f"F:5:12: account 'p': packages is an empty list; expected {PACKAGES}, or no packages "
                              "for every package"),
    (ONE + 'packages = ["lab agent"]\n', f"F:5:12: account 'p': 'lab agent' is not the name of a package; expected "
                                         f"{PACKAGES}"),
    (ONE + 'packages = "x"\n', f"F:5:12: account[1].packages is text; expected a list of {PACKAGES}"),
    (ONE + 'domain_controllers = "yes"\n', "F:5:22: account[1].domain_controllers is text; expected true or false: "
                                           "whether it may be sent to a domain controller"),
    (ONE + 'realm = "A B"\n', "F:5:9: account 'p': 'A B' is not a realm; expected a Kerberos realm such as "
                              "CORP.EXAMPLE"),
    (with_user(".\\a") + 'realm = "A"\n', "F:5:9: account 'p': a local account has no realm; expected no realm"),
    (with_user("CORP\\a") + 'protocol = "kerberos"\n', "F:3:8: account 'p': the Kerberos realm of 'CORP\\a' cannot be "
                                                       'told; expected user@domain, or realm = "CORP.EXAMPLE"'),
    (ONE + "[fallback]\nnever = []\n", f"F:6:9: never is an empty list; expected {NEVER}, or no never"),
    (ONE + ONE.replace('"p"', '"P"'), "F:6:8: the account 'P' is there twice (first in F:1); expected a name of its "
                                      "own for each"),
    (ONE.replace('"p"', '"\\u202e[2J"'), "F:2:8: account '\\u202e[2J': '\\u202e[2J' cannot be the name of an account; "
                                         "expected letters, digits, dots, hyphens"),
    ("[account]\nname = 'x'\n", "F:1:1: account is a table of keys; expected [[account]] tables"),
    ('[[account]]\nuser = "a@b"\n', "F:1:1: account[1].name is missing; expected the name that outcomes and logs show"),
    (ONE + "[lockout]\nreserve = 3\n", "F:6:11: a reserve of 3 leaves no sign-in of a threshold of 3; expected a "
                                       "reserve below 3"),
    (ONE + "[lockout]\nassume_threshold = 2\n", "F:6:20: a reserve of 2 leaves no sign-in of a threshold of 2; "
                                                "expected a reserve below 2"),
    (ONE + "[lockout]\nreserve = -1\n", "F:6:11: lockout.reserve is -1; expected a number of sign-ins from 0 to 998 "
                                        "that are never used"),
    (ONE + "[lockout]\nreserv = 1\n", "F:6:1: lockout.reserv is not a known key (did you mean reserve?); expected "
                                      "reserve, assume_threshold or local_threshold"),
    (ONE + "[lockout]\nlocal_threshold = 2\n", "F:6:19: a reserve of 2 leaves no sign-in of a threshold of 2; "
                                               "expected a reserve below 2"),
    (ONE + "[lockout]\nlocal_threshold = 3\nreserve = 3\nassume_threshold = 9\n",
     "F:7:11: a reserve of 3 leaves no sign-in of a threshold of 3; expected a reserve below 3"),
    (ONE + "[lockout]\nlocal_threshold = 0\n", "F:6:19: lockout.local_threshold is 0; expected a lockout threshold "
                                               "from 1 to 999"),
    (ONE + "[fallback]\nenabled = 'yes'\n", "F:6:11: fallback.enabled is text; expected true or false"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), BAD)
def test_what_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    found = sentence(tmp_path, text)
    assert found == expected
    assert "hunter2" not in found


@pytest.mark.parametrize("text", [with_secret(PLANTED), with_secret("vault:" + PLANTED), with_secret("env:" + PLANTED)])
def test_a_secret_in_the_wrong_place_is_in_no_traceback_either(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadInput) as caught:
        load(tmp_path, text)
    exc: BaseException | None = caught.value
    while exc is not None:
        assert "hunter2" not in f"{exc!r} {exc} {exc.args}"
        exc = exc.__cause__ or exc.__context__
