"""The adapter to DPAPI-NG: a secret that is protected for a group of the domain, decrypted with the domain's key.

Here lives how a domain controller is asked for the key (MS-GKDI 3.1.4.1 GetKey, by RPC, sealed), and what of the blob
and of its answer is believed. What must not live here: LAPS. Over ``dpapi_ng``, loaded when it is first needed
(the extra ``laps``).

The blob is whatever its machine has written into the directory, so it never says whom to ask: ``[directory]`` does.
The sign-in is by the reader's ticket, of the one guarded AS-REQ that ``Tickets`` makes; NTLM is never used, and
no password reaches the library. One key serves all machines of a ten hours' span whose blobs name the same group.

The steps of ``dpapi_ng.async_ncrypt_unprotect_secret`` are taken one by one, below its public names: in one call its
refusals all are ValueErrors, and it believes three numbers that would keep it busy for hours or fill the memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from types import ModuleType
from typing import Any

from pusher.clock import Now
from pusher.credentials.kerberos.library import in_a_thread
from pusher.credentials.kerberos.tickets import Ticket
from pusher.directory.locate import Locate
from pusher.directory.port import DirectoryAccount
from pusher.problems import Code, Problem, ProblemError, Stage, problem
from pusher.problems.kerberos import kerberos_number

_DEADLINE = 30.0
_HOLD_OFF = timedelta(minutes=1)
"""For how long a domain controller that did not answer is left alone: each of many machines would wait for it."""
_MAX_INDEX = 31
"""MS-GKDI 3.1.4.1: an L1 and an L2 index is 0 to 31. The library counts down to it, whatever it is."""
_SILENT = Code.DIRECTORY_UNREACHABLE


class DpapiNg:
    """A ``laps.Unprotect``, signing in as the reader of ``[directory]``.

    ``ticket`` brings the reader's; ``credential`` makes of a ticket's cache what the sign-in library takes. ``cache``
    is a ``dpapi_ng.KeyCache`` that has keys already, for tests.
    """

    def __init__(
        self,
        account: DirectoryAccount,
        ticket: Callable[[], Awaitable[Ticket]],
        credential: Callable[[str], object],
        locate: Locate,
        now: Now,
        *,
        deadline: float = _DEADLINE,
        cache: Any = None,
    ) -> None:
        self._account, self._ticket, self._credential, self._locate = account, ticket, credential, locate
        self._now, self._deadline, self._cache = now, deadline, cache
        self._asking = asyncio.Lock()
        self._silent: tuple[datetime, Problem] | None = None

    async def __call__(self, blob: bytes, whose: str) -> bytes:
        client = _loaded(whose)
        try:
            request = client.DPAPINGBlob.unpack(blob)
            sd = request.protection_descriptor.get_target_sd()
            believed = _is_in_bounds(request.key_identifier)
        except Exception as error:  # a parser over what a machine wrote: it fails in every way there is
            raise _refused(Code.LAPS_UNREADABLE, whose) from error
        if not believed:
            raise _refused(Code.LAPS_UNREADABLE, whose)
        # One at a time: most of the machines that wait need the key that the first one brings.
        async with self._asking:
            key = await self._key(client, sd, request.key_identifier, whose)
        if key.is_public_key:
            # What GetKey gives to those who may only encrypt.
            user = self._account.user
            raise _refused(Code.LAPS_ENCRYPTED, f"{whose}: {user} is not among those for whom it was encrypted")
        try:
            return bytes(client._decrypt_blob(request, key))
        except Exception as error:
            raise _refused(Code.LAPS_UNREADABLE, whose) from error

    async def _key(self, client: ModuleType, sd: bytes, wanted: Any, whose: str) -> Any:
        if self._cache is None:
            self._cache = client.KeyCache()
        place = (wanted.root_key_identifier, wanted.l0, wanted.l1, wanted.l2)
        key = self._cache._get_key(sd, *place)
        if key is not None:
            return key
        self._spare_the_silent()
        key = await self._asked(client, sd, place, whose)
        if not _answers(key, wanted):
            raise _refused(Code.LAPS_ENCRYPTED, f"{whose}: the domain controller gave a key that was not asked for")
        if not key.is_public_key:
            self._cache._store_key(sd, key)
        return key

    async def _asked(self, client: ModuleType, sd: bytes, place: tuple[Any, ...], whose: str) -> Any:
        """GetKey at the first domain controller that can be reached; the next is not asked what one refused."""
        try:
            ticket = await self._ticket()
        except ProblemError as error:
            # The reader's trouble, and no verdict on the account that LAPS is for.
            raise _refused(
                Code.LAPS_ENCRYPTED, f"{whose}: its key was not asked for: {error.problem.message}"
            ) from error
        try:
            async with asyncio.timeout(self._deadline):
                return await self._first_answer(client, sd, place, ticket, whose)
        except ProblemError as error:
            if error.problem.code == _SILENT:
                self._silent = (self._now() + _HOLD_OFF, error.problem)
            raise
        except TimeoutError as error:
            self._silent = (self._now() + _HOLD_OFF, problem(_SILENT, Stage.SIGN_IN, "no key within its deadline"))
            raise ProblemError(self._silent[1]) from error

    async def _first_answer(
        self, client: ModuleType, sd: bytes, place: tuple[Any, ...], ticket: Ticket, whose: str
    ) -> Any:
        found = [self._account.server] if self._account.server else await self._locate(self._account.domain)
        names, credential = [name.partition(":")[0] for name in found], self._credential(ticket.ccache)
        unreached: OSError | None = None
        for server in names:
            try:
                return await self._ask(client, server, sd, place, credential)
            except OSError as error:
                unreached = error
            except Exception as error:  # the library's own ValueErrors, and whatever Kerberos raises
                number = kerberos_number(error)
                seen = f"Kerberos error {number}" if number is not None else type(error).__name__
                raise _refused(Code.LAPS_ENCRYPTED, f"{whose}: {server} gave no key ({seen})") from error
        seen = f"for the key that decrypts, by RPC: {', '.join(names) or 'the domain names no server'}"
        raise _refused(_SILENT, seen) from unreached

    async def _ask(self, client: ModuleType, server: str, sd: bytes, place: tuple[Any, ...], credential: object) -> Any:
        """In a thread with a loop of its own: making a Kerberos context blocks, and asks the KDC."""

        async def exchange() -> Any:
            asked = client._async_get_key(server, sd, *place, username=credential, auth_protocol="kerberos")
            return await asyncio.wait_for(asked, self._deadline)

        return await asyncio.wrap_future(in_a_thread(lambda: asyncio.run(exchange())))

    def _spare_the_silent(self) -> None:
        if self._silent is not None and self._now() < self._silent[0]:
            raise ProblemError(self._silent[1])


def _is_in_bounds(key: Any) -> bool:
    """Whether the numbers of a key's name are such that the library may be let loose on them."""
    indexes: bool = 0 <= key.l0 < 1 << 31 and key.l1 <= _MAX_INDEX and key.l2 <= _MAX_INDEX
    if not key.is_public_key:
        return indexes
    # FFC DH key and ECDH key (MS-GKDI 2.2.3): the length of each number in it, which the library makes room for.
    fits: bool = int.from_bytes(key.key_info[4:8], "little") <= len(key.key_info)
    return indexes and fits


def _answers(key: Any, wanted: Any) -> bool:
    """Whether a key is the one asked for, or one that it can be counted down from."""
    if key.is_public_key:
        return True
    named: bool = (key.root_key_identifier, key.l0) == (wanted.root_key_identifier, wanted.l0)
    within: bool = 0 <= key.l1 <= _MAX_INDEX and 0 <= key.l2 <= _MAX_INDEX
    reaches: bool = (key.l1, key.l2) >= (wanted.l1, wanted.l2)
    return named and within and reaches


def _loaded(whose: str) -> ModuleType:
    try:
        from dpapi_ng import _client
    except ImportError as error:
        raise _refused(Code.LAPS_ENCRYPTED, whose) from error
    found: ModuleType = _client
    return found


def _refused(code: Code, detail: str) -> ProblemError:
    return ProblemError(problem(code, Stage.SIGN_IN, detail))
