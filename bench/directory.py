"""``python -m bench directory``: how long 10,000 computers of the lab's own directory take to become targets.

Also how long no other task of the event loop got its turn meanwhile, which is what a running push would notice.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from lab.domain import Domain
from pusher.directory.ldap import LdapDirectory
from pusher.directory.locate import SrvLocator
from pusher.directory.port import DirectoryAccount
from pusher.models import Secret
from pusher.targets.directory_query import expand
from pusher.targets.inventory import load_inventory

COMPUTERS = 10_000
ROUNDS = 3
ADDRESS = "127.0.61.252"


def main() -> None:
    print(f"making a directory of {COMPUTERS:,} computers (minutes, the first time)", flush=True)
    with tempfile.TemporaryDirectory(prefix="pusher-bench-") as name:
        folder = Path(name)
        with Domain(folder / "domain", ADDRESS, bulk=COMPUTERS) as domain:
            os.environ.update(domain.naming_environment)
            base = f"OU=Bulk,OU=Fleet,{domain.base_dn}"
            inventory = folder / "i.yaml"
            inventory.write_text(f"version: 1\ngroups:\n  all:\n    directory: {{base: '{base}'}}\n")
            for _ in range(ROUNDS):
                asyncio.run(_read(domain, inventory))


async def _read(domain: Domain, inventory: Path) -> None:
    user, reference = f"reader@{domain.domain}", "env:READER"
    account = DirectoryAccount(domain=domain.domain, user=user, secret=reference, server=domain.fqdn)
    directory = LdapDirectory(account, Secret(domain.password("reader")), locate=SrvLocator([domain.nameserver]))
    watch = asyncio.create_task(_longest_gap())
    began = time.monotonic()
    try:
        expanded = await expand(load_inventory(inventory), directory)
    finally:
        await directory.close()
        watch.cancel()
    took = time.monotonic() - began
    gap = await watch
    print(f"{expanded.count():,} targets: {took:.1f} s, longest gap of the event loop {gap * 1000:.0f} ms", flush=True)


async def _longest_gap() -> float:
    """Until it is cancelled."""
    longest, last = 0.0, time.monotonic()
    with suppress(asyncio.CancelledError):
        while True:
            await asyncio.sleep(0.001)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
    return longest
