"""One of several pushers on one store, whose every sign-in goes wrong. Run as a process of its own.

It says on standard output, before each: that it is about to sign in. What the domain would have counted is what was
said, whatever becomes of the process.
"""

from __future__ import annotations

import asyncio
import sys

from pusher.credentials.lockout.broker import Pace
from pusher.credentials.lockout.budget import AccountKey, LockoutPolicy, Result
from pusher.credentials.lockout.guard import LockoutGuard
from pusher.problems import ProblemError
from pusher.store import open_store

TASKS = 40


async def work(url: str, run: str, limit: int, ends: str) -> None:
    store = open_store(url)
    policy, pace = LockoutPolicy(threshold=limit + 1, reserve=1), Pace(first=0.01, most=0.05)
    guard = LockoutGuard(policy, store.ledger, run=run, pace=pace)

    async def task(number: int) -> None:
        try:
            async with guard.lease(AccountKey(entry="svc", domain="corp")) as lease:
                print("sign-in", flush=True)
                if ends == "hangs":
                    await asyncio.sleep(3600)
                await asyncio.sleep(0.01)
                lease.settle(Result.FAILED if number % 2 else Result.UNKNOWN)
        except ProblemError as error:
            print(error.problem.code, flush=True)

    await asyncio.gather(*(task(number) for number in range(TASKS)))
    store.close()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
