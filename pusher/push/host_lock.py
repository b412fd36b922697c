"""The host's lock: the target itself arbitrates between two pushers, by a file that goes with its connection.

Here lives how it is taken and for how long one that another holds is waited for. What must not live here: where the
file lies (``install.names``), how a transport holds one open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from pusher.install.names import STAGING, lock_path
from pusher.models import Package, Stage, TransportKind
from pusher.problems import Code, ProblemError
from pusher.push.recorder import Recorder
from pusher.remote.paths import RemotePath
from pusher.transports.port import Hold, Session

REOPENED = 45
"""Seconds that a target may need to notice that a first connection, and the lock with it, are gone."""
_LASTING = frozenset({TransportKind.WINRM})
"""Transports whose lock outlives a pusher that was killed, until the target ends its idle shell."""
_ORPHANED = 90
"""Seconds for which such a lock is waited for: whether somebody lives who holds it cannot be seen."""
_AGAIN = 2.0
"""Seconds between two tries."""
_TRIES = 3


def patience(transport: TransportKind, journal_left_open: bool) -> int:
    """Seconds for which a lock held by another is waited for.

    One killed over WinRM may have left its lock, before or after it had a journal, also for one over SMB.
    """
    return _ORPHANED if transport in _LASTING or journal_left_open else 0


@dataclass(slots=True)
class HostLock:
    """``is_cut_off``: its connection was lost before it was let go of, and its empty folder may be there still."""

    is_cut_off: bool = False


@asynccontextmanager
async def host_lock(
    session: Session, package: Package, recorder: Recorder, patience: int = 0
) -> AsyncIterator[HostLock]:
    """Held within; ProblemError where another holds it still after ``patience`` seconds."""
    hold, lock = await _taken(session, lock_path(package.lock), recorder, patience), HostLock()
    try:
        yield lock
    finally:
        await hold.close()
        try:
            await session.remove_folder(STAGING)
        except ProblemError as error:  # else another pusher's lock is in it
            lock.is_cut_off = error.problem.row.session_gone


async def _taken(session: Session, path: RemotePath, recorder: Recorder, patience: int) -> Hold:
    """By hand: tenacity leaves a cycle of what each host has, the recorder among it."""
    clock = asyncio.get_running_loop().time
    until, tries = clock() + patience, 0
    while True:
        tries += 1
        try:
            return await recorder.timed("lock", _take(session, path, recorder))
        except ProblemError as error:
            if not _may_come(error.problem.code, tries, until - clock()):
                raise
        if patience and tries == 1:
            said = f"waiting up to {patience} s: one that was killed may hold it for a minute"
            recorder.happened("lock-held", said)
        await asyncio.sleep(_AGAIN if patience else 0)


async def _take(session: Session, path: RemotePath, recorder: Recorder) -> Hold:
    recorder.stage(Stage.LOCK)  # a run that is cancelled does not wait on
    await session.make_folder(STAGING)
    return await session.hold(path)


def _may_come(code: Code, tries: int, left: float) -> bool:
    if code == Code.PUSH_IN_PROGRESS:
        return left > 0
    # Another pusher may remove the empty folder between our two calls; that alone is always worth another try.
    return code == Code.PATH_NOT_FOUND and tries < _TRIES
