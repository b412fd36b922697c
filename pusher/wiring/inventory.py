"""The inventory with the computers of its directory groups read out, and who resolves its names.

Not here: its format and selection (``targets``), which directory that is (``directory``).
"""

from __future__ import annotations

import asyncio

from pusher.clock import utc_now
from pusher.credentials.accounts_file import AccountsFile
from pusher.directory.locate import Announced
from pusher.directory.port import Directory
from pusher.models import Secret
from pusher.settings import Options
from pusher.targets.directory_query import expand
from pusher.targets.dns_resolver import DnsResolver
from pusher.targets.enrichment import Enrichment
from pusher.targets.inventory import Inventory, load_inventory
from pusher.targets.resolver import Resolver
from pusher.targets.system_resolver import SystemResolver
from pusher.wiring.accounts import accounts_of
from pusher.wiring.directory import directory_account, directory_of, directory_secret
from pusher.wiring.engine import Engine
from pusher.wiring.lockout import run_id


def inventory_of(options: Options, engine: Engine) -> Inventory:
    """The inventory alone, with the computers of its directory groups."""
    inventory = load_inventory(options.inventory)
    if not inventory.directory_groups:
        return inventory
    accounts = accounts_of(options)
    return read_out(inventory, accounts, directory_secret(accounts), engine)


def read_out(inventory: Inventory, accounts: AccountsFile, secret: Secret | None, engine: Engine) -> Inventory:
    """With the computers of its directory groups. The reader's own sign-in is within the lockout budget too."""
    directory_account(accounts, inventory)  # before a store is made
    guard = engine.guard(accounts, f"read-{run_id(utc_now())}")
    return asyncio.run(expanded(inventory, directory_of(accounts, inventory, guard, secret)))


async def expanded(inventory: Inventory, directory: Directory) -> Inventory:
    """With the computers that the directory tells; it is closed then."""
    try:
        return await expand(inventory, directory)
    finally:
        await directory.close()


def resolver_for(inventory: Inventory) -> Resolver:
    """The inventory's own name servers, or what this machine itself asks."""
    return DnsResolver(inventory.nameservers) if inventory.nameservers else SystemResolver()


def enrichment_for(inventory: Inventory) -> Enrichment:
    """Asks the same name servers as ``resolver_for``."""
    return Enrichment(inventory.sites, Announced(inventory.nameservers))
