"""A removed file that another process has open is there until that closes it (MS-FSA 2.1.5.5: DELETE_PENDING)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pusher.problems import ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.smb.errors import NtStatusError
from pusher.transports.smb.files import Files
from pusher.transports.smb.messages import Answer, Options, Request

PENDING, GONE, SHARING_VIOLATION, ACCESS_DENIED = 0xC0000056, 0xC0000034, 0xC0000043, 0xC0000022
PATH = RemotePath(share="ADMIN$", path="labagent\\labagent.exe")


class Removing(Files):
    """On which the removals after the ``refused`` are accepted, and the next opens come to these statuses."""

    def __init__(self, *statuses: int, refused: Sequence[int] = ()) -> None:
        self.refused = list(refused)
        self.slept: list[float] = []
        super().__init__(None, None, 65536, 65536, self._sleeping)  # type: ignore[arg-type]
        self.statuses = list(statuses)

    async def _sleeping(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def _delete(self, path: RemotePath, kind: Options) -> None:
        if self.refused:
            raise NtStatusError(self.refused.pop(0))

    async def _ask(self, path: RemotePath, *requests: Request) -> list[Answer]:
        return [Answer(self.statuses.pop(0), memoryview(b""), 0)] * len(requests)


@pytest.mark.parametrize("looks", [0, 1, 4])
async def test_it_is_removed_when_it_is_gone(looks: int) -> None:
    for remove in (Files.remove, Files.remove_folder):
        files = Removing(*[PENDING] * looks, GONE)
        assert await remove(files, PATH) is True
        assert (len(files.slept), files.statuses) == (looks, [])


async def test_what_stays_is_said() -> None:
    files = Removing(*[PENDING] * 50)
    with pytest.raises(ProblemError) as caught:
        await files.remove(PATH)
    assert caught.value.problem.code == "file-in-use"
    assert str(PATH) in caught.value.problem.message
    assert 2 <= sum(files.slept) <= 3


@pytest.mark.parametrize("times", [1, 3, 5])
async def test_a_folder_that_a_scanner_has_open_for_a_moment_is_removed(times: int) -> None:
    files = Removing(GONE, refused=[SHARING_VIOLATION] * times)
    assert await files.remove_folder(PATH) is True
    assert len(files.slept) == times


@pytest.mark.parametrize(("status", "times", "code"), [
    (SHARING_VIOLATION, 50, "file-in-use"),
    (ACCESS_DENIED, 1, "folder-denied"),
])  # fmt: skip
async def test_a_folder_that_stays_open_or_is_denied(status: int, times: int, code: str) -> None:
    files = Removing(refused=[status] * times)
    with pytest.raises(ProblemError) as caught:
        await files.remove_folder(PATH)
    assert caught.value.problem.code == code
    assert sum(files.slept) <= 3
