"""A removed file that another process has open is there until that closes it (MS-FSA 2.1.5.5: DELETE_PENDING)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from smbprotocol.exceptions import SMBResponseException
from smbprotocol.header import SMB2HeaderResponse

from pusher.problems import ProblemError
from pusher.remote.paths import RemotePath
from pusher.transports.smb.files import Files

PENDING, GONE = 0xC0000056, 0xC0000034
PATH = RemotePath(share="ADMIN$", path="labagent\\labagent.exe")


def refusal(status: int) -> SMBResponseException:
    header = SMB2HeaderResponse()
    header["status"] = status
    return SMBResponseException(header)


class Removing(Files):
    """On which every removal is accepted, and the next opens come to these statuses."""

    def __init__(self, *statuses: int) -> None:
        self.slept: list[float] = []
        super().__init__(None, self.slept.append)  # type: ignore[arg-type]
        self.statuses = list(statuses)

    def _delete(self, path: RemotePath, kind: int) -> None:
        """Done."""

    @contextmanager
    def _opened(self, path: RemotePath, access: int, **_: Any) -> Iterator[Any]:
        raise refusal(self.statuses.pop(0))
        yield


@pytest.mark.parametrize("looks", [0, 1, 4])
def test_it_is_removed_when_it_is_gone(looks: int) -> None:
    for remove in (Files.remove, Files.remove_folder):
        files = Removing(*[PENDING] * looks, GONE)
        assert remove(files, PATH) is True
        assert (len(files.slept), files.statuses) == (looks, [])


def test_what_stays_is_said() -> None:
    files = Removing(*[PENDING] * 50)
    with pytest.raises(ProblemError) as caught:
        files.remove(PATH)
    assert caught.value.problem.code == "file-in-use"
    assert str(PATH) in caught.value.problem.message
    assert 2 <= sum(files.slept) <= 3
