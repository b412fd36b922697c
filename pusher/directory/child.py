"""The process that speaks LDAP: started by ``ldap`` as a program of its own, one for each connection.

Why a process: libldap and GSSAPI block with Python's interpreter lock held while a domain controller or a KDC does
not answer, so a stalled one would freeze every push; a process can be killed at its deadline, its memory is
bounded by the kernel whatever a server sends, and its environment is its own (LDAPSASL_NOCANON, the ticket cache).

Nothing of pusher is imported here. A request is a line of JSON on standard input, the answer one on standard
output; a failure is told by its kind and number, never by a message. Secrets arrive in the first request, never as
an argument or in the environment. bonsai and krb5 are loaded only here.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import resource
import signal
import socket
import ssl
import sys
from typing import Any

MEMORY = 768 * 1024 * 1024
_MAX_REQUEST = 1024 * 1024
_CONNECT = 5.0
_KRB5_BASE = -1765328384
_WANTS_A_KEY = (210, None)
"""How an AS-REQ without a key ends at a KDC that knows the account: KRB5_PREAUTH_FAILED, or EIO where it asks for no
pre-authentication and nobody can read its answer."""
_SIGNED_AND_SEALED = 56
"""The least strength of a SASL layer that encrypts (RFC 2222's count; 1 would be integrity alone)."""
_KERBEROS_POLICY = b"[libdefaults]\n    dns_canonicalize_hostname = false\n    rdns = false\n"


class Failure(Exception):
    """What the parent is told: a kind of ``ldap.py``'s table, and a number."""

    def __init__(self, kind: str, number: int | None = None) -> None:
        super().__init__(kind, number)
        self.kind, self.number = kind, number


class Child:
    """One connection and the searches that are open on it."""

    def __init__(self) -> None:
        self._connection: Any = None
        self._client: Any = None
        self._searches: dict[int, Any] = {}
        self._context: Any = None  # a ticket cache in memory lives as long as what made it

    def handle(self, request: dict[str, Any]) -> dict[str, Any]:
        # The default action of SIGALRM ends the process even inside a library that does not return.
        signal.alarm(int(request["seconds"]) + 2)
        try:
            work = {"open": self._open, "search": self._search, "next": self._next, "drop": self._drop}
            return work[request["do"]](request)
        except Failure as failure:
            return {"kind": failure.kind, "number": failure.number}
        except MemoryError:
            return {"kind": "ldap", "number": -10}
        except Exception as error:
            code = getattr(error, "code", None)
            if type(error).__module__.startswith("bonsai") and isinstance(code, int):
                return {"kind": "ldap", "number": code}
            return {"kind": "internal", "number": None, "type": type(error).__name__}
        finally:
            signal.alarm(0)

    # -- signing in -----------------------------------------------------------------------------------------

    def _open(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            import bonsai
            from bonsai.ldapdn import LDAPDN
        except ImportError as error:
            raise Failure("missing") from error
        # Its check of names refuses some that RFC 4514 allows, and a page with one of them would be lost.
        LDAPDN._LDAPDN__sanitize = staticmethod(lambda text, reverse=False: text)
        LDAPDN._dnregex = _Anything()
        server, port, ca, seconds = request["server"], request["port"], request["ca"], request["seconds"]
        self._reach(server, port, ca, seconds)
        client = bonsai.LDAPClient(f"{'ldaps' if ca else 'ldap'}://{server}:{port}")
        client.set_cert_policy("demand")
        client.set_server_chase_referrals(False)
        client.set_ignore_referrals(True)
        client.set_auto_page_acquire(False)
        if ca:
            client.set_ca_cert_dir(None)
            client.set_ca_cert(ca)
            client.set_credentials("SIMPLE", user=request["user"], password=request["secret"])
        else:
            self._ticket(request)
            client.set_sasl_security_properties(no_anonymous=True, no_plain=True, min_ssf=_SIGNED_AND_SEALED)
            client.set_credentials("GSSAPI")
        self._client = client
        self._connection = client.connect(timeout=seconds)
        request["secret"] = None
        return {}

    @staticmethod
    def _reach(server: str, port: int, ca: str | None, seconds: float) -> None:
        """Connect once before libldap does, which tells neither a name without address nor a bad certificate."""
        try:
            with socket.create_connection((server, port), timeout=min(_CONNECT, seconds / 2)) as plain:
                if ca:
                    context = ssl.create_default_context(cafile=ca)
                    with context.wrap_socket(plain, server_hostname=server):
                        pass
        except socket.gaierror as error:
            raise Failure("name") from error
        except ssl.SSLCertVerificationError as error:
            raise Failure("certificate", error.verify_code) from error
        except ssl.SSLError as error:
            raise Failure("tls") from error
        except TimeoutError as error:
            raise Failure("socket", 110) from error
        except OSError as error:
            raise Failure("socket", error.errno or 0) from error

    def _ticket(self, request: dict[str, Any]) -> None:
        """One AS-REQ into a cache in memory; or the ticket cache that the account names.

        Before it comes one without any key: the library does not tell when it uses the key, so whether a KDC is there
        and knows the account is asked without it.
        """
        if request["ccache"]:
            os.environ["KRB5CCNAME"] = request["ccache"]
            return
        try:
            import krb5
        except ImportError as error:
            raise Failure("missing") from error
        key_was_used = False
        try:
            context = self._context = krb5.init_context()
            name, _, domain = request["user"].rpartition("@")
            realm = request["domain"].upper()
            options = krb5.get_init_creds_opt_alloc(context)
            flags = krb5.PrincipalParseFlags(0)
            principal = f"{name}@{realm}"
            if domain.upper() != realm:  # a UPN suffix that is no realm
                flags = krb5.PrincipalParseFlags.enterprise
                principal = f"{name}\\@{domain}@{realm}"
                krb5.get_init_creds_opt_set_canonicalize(options, True)
            who = krb5.parse_name_flags(context, principal.encode(), flags)
            self._probe(krb5, context, who, options)
            key_was_used = True
            # Not get_init_creds_password: it asks the realm's primary KDC again after a wrong password.
            asking = krb5.init_creds_init(context, who, options)
            try:
                if request["keytab"]:
                    keytab = krb5.kt_resolve(context, request["keytab"].encode())  # the library does not keep it
                    krb5.init_creds_set_keytab(context, asking, keytab)
                else:
                    krb5.init_creds_set_password(context, asking, request["secret"].encode())
                krb5.init_creds_get(context, asking)
                credentials = krb5.init_creds_get_creds(context, asking)
            finally:
                del asking  # left in a traceback it would be freed by the cyclic garbage collector, which crashes
            cache = krb5.cc_new_unique(context, b"MEMORY")
            krb5.cc_initialize(context, cache, getattr(credentials, "client", None) or who)
            krb5.cc_store_cred(context, cache, credentials)
        except krb5.Krb5Error as error:
            number = _number_of(error)
            raise Failure("kerberos" if key_was_used else "kerberos-before", number) from None
        self._cache = cache
        os.environ["KRB5CCNAME"] = f"MEMORY:{(cache.name or b'').decode()}"

    @staticmethod
    def _probe(krb5: Any, context: Any, who: Any, options: Any) -> None:
        asking = krb5.init_creds_init(context, who, options)
        try:
            krb5.init_creds_get(context, asking)
        except krb5.Krb5Error as error:
            if _number_of(error) not in _WANTS_A_KEY:
                raise
        finally:
            del asking

    # -- searching ------------------------------------------------------------------------------------------

    def _search(self, request: dict[str, Any]) -> dict[str, Any]:
        # Only what is listed here stays bytes; the rest would be guessed at.
        self._client.set_raw_attributes(request["attributes"])
        found = self._connection.paged_search(
            request["base"],
            request["scope"],
            request["filter"],
            request["attributes"],
            timeout=request["seconds"],
            page_size=request["page"],
        )
        self._searches[request["id"]] = found
        return self._page(request["id"], found)

    def _next(self, request: dict[str, Any]) -> dict[str, Any]:
        found = self._searches[request["id"]]
        message = found.acquire_next_page()
        if message is None:
            del self._searches[request["id"]]
            return {"entries": [], "more": False}
        return self._page(request["id"], self._connection.get_result(message, request["seconds"]))

    def _drop(self, request: dict[str, Any]) -> dict[str, Any]:
        self._searches.pop(request["id"], None)
        return {}

    def _page(self, number: int, found: Any) -> dict[str, Any]:
        entries = [_written(entry) for entry in found]
        self._searches[number] = found
        return {"entries": entries, "more": True}


def _number_of(error: Any) -> int | None:
    """As MIT's library counts from its base; None for an error of another library."""
    number = error.err_code - _KRB5_BASE
    return number if 0 <= number < 256 else None


class _Anything:
    """Stands for a pattern that matches every text."""

    def match(self, text: str) -> bool:
        return True


def _written(entry: Any) -> list[Any]:
    attributes = {}
    for name, values in entry.items():
        if name.lower() != "dn":
            attributes[name] = [base64.b64encode(_bytes(value)).decode() for value in values]
    return [str(entry.dn), attributes]


def _bytes(value: Any) -> bytes:
    return bytes(value) if isinstance(value, bytes | bytearray) else str(value).encode()


def main() -> None:
    """Requests until the other side closes."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold the secret
    os.environ["LDAPSASL_NOCANON"] = "on"  # libldap reads it once: the name asked for is the name that must answer
    os.environ.pop("LDAPNOINIT", None)  # it would make libldap overlook that
    with contextlib.suppress(AttributeError, OSError):
        policy = os.memfd_create("krb5.conf", 0)
        os.write(policy, _KERBEROS_POLICY)
        theirs = os.environ.get("KRB5_CONFIG", "/etc/krb5.conf")
        os.environ["KRB5_CONFIG"] = f"/proc/self/fd/{policy}:{theirs}"
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is not an answer
    child = Child()
    while line := sys.stdin.buffer.readline(_MAX_REQUEST):
        answers.write(json.dumps(child.handle(json.loads(line))).encode() + b"\n")
        answers.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
