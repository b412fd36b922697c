"""What is asked of MIT's library (the ``krb5`` package): AS-REQs, keytabs and caches. Blocking, for any thread.

Each call has a library context of its own: one is for one thread at a time. A ticket is kept in a ``MEMORY:`` cache,
which all threads of the process share by its name. Raises Krb5Error as it comes, and ProblemError for what the
library has no number for.

An AS-REQ is made by ``krb5_init_creds_get``, not by ``krb5_get_init_creds_password``: that one asks the realm's
primary KDC once more after a wrong password, and each of the two counts. Before it comes one without any key
(RFC 4120 3.1.3: the KDC asks for pre-authentication): the library does not tell when it uses the key, so whatever can
be known without it is asked without it. The package's prompter, which would tell, is not used: it hands over memory
that is already free (krb5 0.10), and a right password then is a wrong one now and then.
"""

from __future__ import annotations

import contextlib
import itertools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import krb5

from pusher.models import Secret
from pusher.problems import Code, ProblemError, problem
from pusher.problems.kerberos import kerberos_number

if TYPE_CHECKING:
    from pusher.credentials.kerberos.library import SecretUse

_TGS = b"krbtgt"
_WANTS_A_KEY = (210, None)
"""How an AS-REQ without a key ends at a KDC that knows the account: KRB5_PREAUTH_FAILED, or EIO where it asks for no
pre-authentication and nobody can read its answer."""
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A ticket-granting ticket in the cache ``ccache``; ``seconds`` that it is still good for."""

    ccache: str
    principal: str
    seconds: int


class Calls:
    """The calls of one run, and the caches that they have made."""

    def __init__(self) -> None:
        self._caches: list[bytes] = []

    def by_password(self, principal: str, secret: Secret, use: SecretUse) -> Held:
        context = krb5.init_context()
        client = _principal(context, principal)
        self._probe(context, client)
        use.given = True
        return self._as_req(context, client, password=secret.reveal().encode("utf-8", errors="replace"))

    def by_keytab(self, principal: str, keytab: Path, use: SecretUse) -> Held:
        context = krb5.init_context()
        client = _key_of(context, principal, keytab)
        self._probe(context, client)
        use.given = True
        return self._as_req(context, client, keytab=krb5.kt_resolve(context, _file(keytab)))

    def from_cache(self, principal: str, path: Path) -> Held:
        context = krb5.init_context()
        cache = krb5.cc_resolve(context, _file(path))
        whose = _name_of(context, krb5.cc_get_principal(context, cache))
        if whose.casefold() != principal.casefold():
            raise ProblemError(problem(Code.TICKET_WRONG_PRINCIPAL, detail=f"{path} holds one of {whose}"))
        return self._copied(context, cache, str(path))

    def own(self) -> Held:
        """The default cache's."""
        context = krb5.init_context()
        cache, where = krb5.cc_default(context), krb5.cc_default_name(context).decode(errors="replace")
        krb5.cc_get_principal(context, cache)
        return self._copied(context, cache, where)

    def own_principal(self) -> str | None:
        """That of the first key in the client keytab, which is only read; None where there is none."""
        context = krb5.init_context()
        try:
            return next((_name_of(context, entry.principal) for entry in krb5.kt_client_default(context)), None)
        except krb5.Krb5Error:
            return None

    def by_own_keytab(self, principal: str, use: SecretUse) -> Held:
        context = krb5.init_context()
        client = _principal(context, principal)
        self._probe(context, client)
        use.given = True
        return self._as_req(context, client, keytab=krb5.kt_client_default(context))

    def forget(self) -> None:
        """Destroy every cache."""
        caches, self._caches = self._caches, []
        context = krb5.init_context()
        for name in caches:
            with contextlib.suppress(krb5.Krb5Error):
                krb5.cc_destroy(context, krb5.cc_resolve(context, name))

    def _probe(self, context: krb5.Context, client: krb5.Principal) -> None:
        """One AS-REQ without a key: is a KDC there, and does it know the account? Its refusals are raised."""
        try:
            self._as_req(context, client)
        except krb5.Krb5Error as error:
            if kerberos_number(error) not in _WANTS_A_KEY:
                raise

    def _as_req(
        self,
        context: krb5.Context,
        client: krb5.Principal,
        *,
        password: bytes | None = None,
        keytab: krb5.KeyTab | None = None,
    ) -> Held:
        """The AS exchange, with one of the two, or with no key at all."""
        options = krb5.get_init_creds_opt_alloc(context)
        krb5.get_init_creds_opt_set_canonicalize(options, True)
        krb5.get_init_creds_opt_set_forwardable(options, False)
        krb5.get_init_creds_opt_set_proxiable(options, False)
        asking = krb5.init_creds_init(context, client, options)
        try:
            if password is not None:
                krb5.init_creds_set_password(context, asking, password)
            if keytab is not None:
                krb5.init_creds_set_keytab(context, asking, keytab)
            krb5.init_creds_get(context, asking)
            ticket = krb5.init_creds_get_creds(context, asking)
        finally:
            # Left in a traceback, it would be freed by the cyclic garbage collector, which crashes (krb5 0.10).
            del asking, password
        return self._kept(context, [ticket])

    def _copied(self, context: krb5.Context, cache: krb5.CCache, where: str) -> Held:
        """The ticket-granting tickets of ``cache`` in one of our own: the other is only read."""
        tickets = [creds for creds in cache if creds.server.components[:1] == [_TGS]]
        clock = krb5.timeofday(context)
        good = [creds for creds in tickets if creds.times.endtime > clock]
        if not good:
            raise ProblemError(problem(Code.TICKET_EXPIRED if tickets else Code.TICKET_MISSING, detail=f"in {where}"))
        return self._kept(context, good)

    def _kept(self, context: krb5.Context, tickets: list[krb5.Creds]) -> Held:
        name = b"MEMORY:pusher-%d-%d" % (os.getpid(), next(_numbers))
        cache, client = krb5.cc_resolve(context, name), tickets[0].client
        self._caches.append(name)
        krb5.cc_initialize(context, cache, client)
        for ticket in tickets:
            krb5.cc_store_cred(context, cache, ticket)
        return Held(
            ccache=name.decode(),
            principal=_name_of(context, client),
            # By the library's clock, which follows the KDC's.
            seconds=min(ticket.times.endtime for ticket in tickets) - krb5.timeofday(context),
        )


def _file(path: Path) -> bytes:
    return b"FILE:" + os.fsencode(path)


def _principal(context: krb5.Context, name: str) -> krb5.Principal:
    principal = krb5.parse_name_flags(context, name.encode())
    if "\\@" in name:
        principal.type = krb5.NameType.enterprise_principal
    return principal


def _name_of(context: krb5.Context, principal: krb5.Principal) -> str:
    return krb5.unparse_name_flags(context, principal).decode(errors="replace")


def _key_of(context: krb5.Context, principal: str, keytab: Path) -> krb5.Principal:
    """The keytab's own spelling of the principal: to Windows case makes no difference, to a keytab it does."""
    try:
        held = sorted({_name_of(context, entry.principal) for entry in krb5.kt_resolve(context, _file(keytab))})
    except krb5.Krb5Error as error:
        seen = f"{keytab} (Kerberos error {kerberos_number(error)})"
        raise ProblemError(problem(Code.KEYTAB_UNREADABLE, detail=seen)) from error
    for name in held:
        if name.casefold() == principal.casefold():
            return _principal(context, name)
    realm = principal.rpartition("@")[2]
    realms = {name.rpartition("@")[2] for name in held}
    if held and realm.casefold() not in {one.casefold() for one in realms}:
        seen = f"{keytab} is of {', '.join(sorted(realms))}, the account of {realm}"
        raise ProblemError(problem(Code.KEYTAB_WRONG_REALM, detail=seen))
    raise ProblemError(problem(Code.KEYTAB_NO_PRINCIPAL, detail=f"{keytab} has none of {principal}"))
