"""Tree connects: the two that every push needs in one round trip, each refused for itself."""

from __future__ import annotations

import asyncio

import pytest

from pusher.problems import ProblemError
from pusher.transports.smb.messages import Command
from pusher.transports.smb.trees import Trees
from tests.unit.transports.smb.peer import Peer, Reply, Seen, peer

REFUSED = 0xC0000022
IDS = {"ADMIN$": 3, "IPC$": 4, "C$": 5, "D$": 6}


def name(request: Seen) -> str:
    assert request.command == Command.TREE_CONNECT
    server, _, share = request.body[8:].decode("utf-16-le").rstrip("\0").rpartition("\\")
    assert server == "\\\\ws01"
    return share


def trees(made: Peer, *, refuses: str = "", drive: str = "C$", known: dict[str, int] | None = None) -> Trees:
    def answer(request: Seen) -> list[Reply]:
        share = name(request)
        return [Reply(status=REFUSED if share == refuses else 0, tree=IDS[share])]

    async def system_drive() -> str:
        return drive

    made.serve(answer)
    return Trees(made.wire, "ws01", known, system_drive)


async def test_both_are_asked_for_at_once_and_once() -> None:
    async with peer(encrypts=True) as made:
        shares = trees(made)
        found = await asyncio.gather(*(shares.tree(share) for share in ("ADMIN$", "IPC$", "admin$", "ipc$")))
        assert found == [3, 4, 3, 4]
        assert await shares.tree("IPC$") == 4
    assert sorted(name(request) for (request,) in made.flights) == ["ADMIN$", "IPC$"]


async def test_one_that_is_connected_already_is_not_asked_for_again() -> None:
    async with peer(encrypts=True) as made:
        shares = trees(made, known={"IPC$": 9})
        assert (await shares.tree("IPC$"), await shares.tree("ADMIN$")) == (9, 3)
    assert len(made.flights) == 1


@pytest.mark.parametrize(
    ("share", "other", "code"), [("ADMIN$", "IPC$", "not-administrator"), ("IPC$", "ADMIN$", "access-denied")]
)
async def test_each_is_refused_when_it_is_wanted(share: str, other: str, code: str) -> None:
    async with peer(encrypts=True) as made:
        shares = trees(made, refuses=share)
        assert await shares.tree(other) == IDS[other]
        with pytest.raises(ProblemError) as caught:
            await shares.tree(share)
    assert caught.value.problem.code == code


@pytest.mark.parametrize("drive", ["C$", "D$"])
async def test_the_system_drive_is_where_windows_is(drive: str) -> None:
    async with peer(encrypts=True) as made:
        assert await trees(made, drive=drive).tree("C$") == IDS[drive]


async def test_one_that_was_refused_may_be_asked_for_again() -> None:
    refusals = ["ADMIN$", "ADMIN$"]

    def answer(request: Seen) -> list[Reply]:
        share = name(request)
        is_refused = share in refusals
        if is_refused:
            refusals.remove(share)
        return [Reply(status=REFUSED if is_refused else 0, tree=IDS[share])]

    async with peer(encrypts=True) as made:
        made.serve(answer)
        shares = Trees(made.wire, "ws01")
        for _ in range(2):
            with pytest.raises(ProblemError):
                await shares.tree("ADMIN$")
        assert (await shares.tree("ADMIN$"), await shares.tree("IPC$")) == (3, 4)
    assert sorted(name(request) for (request,) in made.flights) == ["ADMIN$"] * 3 + ["IPC$"]
