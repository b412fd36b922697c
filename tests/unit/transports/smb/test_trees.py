"""Tree connects: the two that every push needs in one round trip, each refused for itself."""

from __future__ import annotations

import pytest

from pusher.problems import ProblemError
from pusher.transports.smb.messages import Command
from pusher.transports.smb.trees import Trees
from tests.unit.transports.smb.peer import Peer, Reply, Seen

REFUSED = 0xC0000022
IDS = {"ADMIN$": 3, "IPC$": 4, "C$": 5, "D$": 6}


def name(request: Seen) -> str:
    assert request.command == Command.TREE_CONNECT
    server, _, share = request.body[8:].decode("utf-16-le").rstrip("\0").rpartition("\\")
    assert server == "\\\\ws01"
    return share


def trees(peer: Peer, *, refuses: str = "", drive: str = "C$", known: dict[str, int] | None = None) -> Trees:
    def answer(request: Seen) -> list[Reply]:
        share = name(request)
        return [Reply(status=REFUSED if share == refuses else 0, tree=IDS[share])]

    peer.serve(answer)
    return Trees(peer.wire, "ws01", known, lambda: drive)


@pytest.fixture
def peer() -> Peer:
    return Peer(encrypts=True)


def test_both_in_one_round_trip(peer: Peer) -> None:
    made = trees(peer)
    assert [made.tree(share) for share in ("ADMIN$", "IPC$", "admin$", "ipc$")] == [3, 4, 3, 4]
    assert peer.wire.round_trips == 1
    peer.close()


def test_one_that_is_connected_already_is_not_asked_for_again(peer: Peer) -> None:
    made = trees(peer, known={"IPC$": 9})
    assert (made.tree("IPC$"), made.tree("ADMIN$")) == (9, 3)
    assert len(peer.flights) == 1
    peer.close()


@pytest.mark.parametrize(
    ("share", "other", "code"), [("ADMIN$", "IPC$", "not-administrator"), ("IPC$", "ADMIN$", "access-denied")]
)
def test_each_is_refused_when_it_is_wanted(peer: Peer, share: str, other: str, code: str) -> None:
    made = trees(peer, refuses=share)
    assert made.tree(other) == IDS[other]
    with pytest.raises(ProblemError) as caught:
        made.tree(share)
    assert caught.value.problem.code == code
    peer.close()


@pytest.mark.parametrize("drive", ["C$", "D$"])
def test_the_system_drive_is_where_windows_is(peer: Peer, drive: str) -> None:
    made = trees(peer, drive=drive)
    assert made.tree("C$") == IDS[drive]
    peer.close()
