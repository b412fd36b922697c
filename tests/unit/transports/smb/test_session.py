"""A call on a server that falls silent ends at its deadline, or when it is cancelled, and so does its clean-up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from pusher.problems import ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.port import Limits, PeerIdentity
from pusher.transports.smb.session import SignedIn, SmbSession
from pusher.transports.smb.trees import Trees
from tests.unit.transports.smb.peer import Peer, Reply, Seen, peer
from tests.unit.transports.smb.test_files import CHUNK, File
from tests.unit.transports.smb.test_pipe import Server, response


def session_on(made: Peer, seconds: float) -> SmbSession:
    """The pipe opens and is bound; the first call on it is never answered."""
    server = Server()
    made.serve(lambda request: [] if len(server.sent) else server.answer(request))
    return SmbSession(signed_in(made), PeerIdentity(), Limits(call=seconds))


def signed_in(made: Peer) -> SignedIn:
    return SignedIn(wire=made.wire, trees=Trees(made.wire, "ws01", {"IPC$": 6}), key=None, most_read=1, most_written=1)


async def test_a_deadline_ends_what_cleans_up_too() -> None:
    async with peer(encrypts=True) as made, asyncio.timeout(20):
        with pytest.raises(ProblemError) as caught:
            await session_on(made, 0.2).registry_access("HKLM\\SOFTWARE")
    assert caught.value.problem.code == "timed-out"


async def test_all_that_wait_when_a_deadline_ends_the_connection_are_told_of_it() -> None:
    """And not that the connection was lost, which another account or attempt would be tried for."""
    async with peer(encrypts=True) as made, asyncio.timeout(20):
        session = session_on(made, 0.4)
        first = asyncio.ensure_future(session.registry_access("HKLM\\SOFTWARE"))
        await asyncio.sleep(0.2)
        answers = await asyncio.gather(first, session.registry_access("HKLM\\SYSTEM"), return_exceptions=True)
    assert [answer.problem.code for answer in answers if isinstance(answer, ProblemError)] == ["timed-out"] * 2


async def test_the_time_of_a_call_begins_when_the_service_manager_is_free() -> None:
    missing = [response(bytes(20) + (1060).to_bytes(4, "little"), call=call) for call in (3, 4, 5)]
    server, asked = Server(response(bytes(24)), *missing), list[int]()

    class Timed(SmbSession):
        async def _within(self, *args: Any, **kwargs: Any) -> Any:
            asked.append(len(server.sent))
            return await super()._within(*args, **kwargs)

    async with peer(encrypts=True) as made, asyncio.timeout(20):
        made.serve(server.answer)
        session = Timed(signed_in(made), PeerIdentity(), Limits())
        await session.may_create_services()
        assert await asyncio.gather(*(session.service_status("Agent") for _ in range(3))) == [None] * 3
    assert asked == [0, 2, 3, 4], "the bind and the manager first, then one call after the other"


@pytest.mark.parametrize("reads", [False, True])
async def test_who_waits_behind_others_is_not_late_while_these_are_answered(reads: bool) -> None:
    """Of a slow link, where the last of many calls waits longer than its deadline for those before it."""
    paths = [RemotePath(share="ADMIN$", path=f"labagent\\{number}.dll") for number in range(20)]
    file, limits = File(b"x" * 100), Limits(call=1, stall=1)

    def slowly(request: Seen) -> list[Reply]:
        time.sleep(0.04)
        return file.answer(request)

    async with peer(encrypts=True) as made, asyncio.timeout(20):
        made.serve(slowly)
        trees = Trees(made.wire, "ws01", {"ADMIN$": 5, "IPC$": 6})
        session = SmbSession(replace(signed_in(made), trees=trees, most_read=CHUNK), PeerIdentity(), limits)
        if reads:
            found = await session.digest_all(dict.fromkeys(paths, 1000))
            assert {digest.size for digest in found.values() if digest is not None} == {100} and len(found) == 20
        else:
            known = await asyncio.gather(*map(session.stat, paths))
            assert [info.size for info in known if info is not None] == [100] * 20


async def test_cancelling_ends_what_cleans_up_too() -> None:
    async with peer(encrypts=True) as made, asyncio.timeout(20):
        task = asyncio.ensure_future(session_on(made, 600).registry_access("HKLM\\SOFTWARE"))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
