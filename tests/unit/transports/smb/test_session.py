"""A call on a server that falls silent ends at its deadline, or when it is cancelled, and so does its clean-up."""

from __future__ import annotations

import asyncio

import pytest

from pusher.problems import ProblemError
from pusher.transports.port import Limits, PeerIdentity
from pusher.transports.smb.session import SignedIn, SmbSession
from pusher.transports.smb.trees import Trees
from tests.unit.transports.smb.peer import Peer, peer
from tests.unit.transports.smb.test_pipe import Server


def session_on(made: Peer, seconds: float) -> SmbSession:
    """The pipe opens and is bound; the first call on it is never answered."""
    server = Server()
    made.serve(lambda request: [] if len(server.sent) else server.answer(request))
    signed_in = SignedIn(
        wire=made.wire, trees=Trees(made.wire, "ws01", {"IPC$": 6}), key=None, most_read=1, most_written=1
    )
    return SmbSession(signed_in, PeerIdentity(), Limits(call=seconds))


async def test_a_deadline_ends_what_cleans_up_too() -> None:
    async with peer(encrypts=True) as made, asyncio.timeout(20):
        with pytest.raises(ProblemError) as caught:
            await session_on(made, 0.2).registry_access("HKLM\\SOFTWARE")
    assert caught.value.problem.code == "timed-out"


async def test_cancelling_ends_what_cleans_up_too() -> None:
    async with peer(encrypts=True) as made, asyncio.timeout(20):
        task = asyncio.ensure_future(session_on(made, 600).registry_access("HKLM\\SOFTWARE"))
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
