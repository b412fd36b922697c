"""Placing: what else is known of a target once its address is: its site, and whether it is a domain controller.

What must not live here: how an address is found (``resolver``), what follows from either.
"""

from __future__ import annotations

from dataclasses import replace

from pusher.directory.locate import Announced
from pusher.models import DOMAIN_CONTROLLERS, Target
from pusher.targets.sites import SiteTable


class Enrichment:
    """``sites`` by the subnet of the address; ``announced`` by the name, asked of the name servers once a domain.

    An inventory that gives an address asks no name server for that target, and it is not asked here either.
    """

    def __init__(self, sites: SiteTable, announced: Announced) -> None:
        self._sites, self._announced = sites, announced

    async def __call__(self, target: Target, address: str | None) -> Target:
        """The target with its site, and in the group of domain controllers where its domain announces it as one."""
        if address is not None:
            target = self._sites.placed(target, address)
        asks = target.address is None and DOMAIN_CONTROLLERS not in target.groups
        if asks and any([await self._announced.has(name) for name in {target.name, target.own_name}]):
            target = replace(target, groups=(*target.groups, DOMAIN_CONTROLLERS))
        return target
