"""A worker's settings (TOML): which sites it serves, what it may push for whom, and where its accounts are.

Without them it serves every site, pushes whatever is in the queue, and has the accounts that it is started with. What
must not live here: how a run is opened (``queued_run``), which work is claimed (the store).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field

from pusher.config.document import Document
from pusher.config.toml_source import read_toml
from pusher.config.validate import FormatModel, validate
from pusher.config.wording import Wrong, hint, listed, shown
from pusher.credentials.accounts.profile import DEFAULT
from pusher.credentials.accounts_file import load_accounts
from pusher.install.fields import SHA256, matching
from pusher.models import Run, RunNeeds, Source
from pusher.problems import BadInput, Code, ProblemError, problem
from pusher.targets.parsed import site_label

_SITES = "a list of sites such as paris"
_DIGESTS = "a list of digests as pusher packages list --json prints them"
_REQUESTERS = "a list of who may submit, such as alice@console or *@console"
_PROFILES = "a table of profiles, each with the path of an accounts file"


class _Model(FormatModel):
    sites: list[str] | None = Field(default=None, min_length=1, description=_SITES)
    packages: list[Annotated[str, matching("[0-9A-Fa-f]{64}", "is not a digest", SHA256)]] | None = Field(
        default=None, min_length=1, description=_DIGESTS
    )
    requesters: list[str] | None = Field(default=None, min_length=1, description=_REQUESTERS)
    profiles: dict[str, str] | None = Field(default=None, min_length=1, description=_PROFILES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """A site that a worker serves, and where that is written."""

    name: str
    source: Source


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettingsFile:
    """``sites`` none: every one, and machines without a site. ``packages`` (digests) and ``requesters`` (globs), None:
    any. ``profiles``: accounts files by the profile's name; None: the accounts are those that the worker was given."""

    sites: tuple[Site, ...] = ()
    packages: frozenset[str] | None = None
    requesters: tuple[str, ...] | None = None
    profiles: Mapping[str, Path] | None = None

    @property
    def site_names(self) -> tuple[str, ...]:
        return tuple(site.name for site in self.sites)

    def accounts_of(self, run: Run, needs: RunNeeds) -> Path | None:
        """The file of the run's accounts; None: as the worker was given. ProblemError where it does not push the run,
        by a code that says why."""
        if self.requesters is not None and not any(fnmatchcase(run.operator, who) for who in self.requesters):
            raise ProblemError(problem(Code.REQUESTER_NOT_ALLOWED, detail=run.operator))
        if self.packages is not None and needs.package is not None and needs.package not in self.packages:
            what = f"{run.package} {run.version} ({needs.package})"
            raise ProblemError(problem(Code.PACKAGE_NOT_ALLOWED, detail=what))
        if self.profiles is None:
            return None
        profile = needs.profile or DEFAULT
        if profile not in self.profiles:
            raise ProblemError(problem(Code.PROFILE_UNKNOWN, detail=profile))
        return self.profiles[profile]

    def refuse_unknown_sites(self, known: list[str]) -> None:
        """BadInput for a site that no machine of any recorded run is in; where there is none yet, any may come."""
        for site in self.sites:
            if known and site.name not in known:
                found = f"no machine of any run is in the site {shown(site.name)}{hint(site.name, known)}"
                raise BadInput(site.source, found, f"one of the sites {listed(known)}")


def load_worker_settings(path: Path) -> WorkerSettingsFile:
    """BadInput, also where one of its accounts files cannot be read."""
    document = read_toml(path)
    model = validate(_Model, document)
    profiles = None
    if model.profiles is not None:
        profiles = {name: path.parent / file for name, file in model.profiles.items()}
        for file in profiles.values():
            load_accounts(file)
    return WorkerSettingsFile(
        sites=tuple(_site(document, number, name) for number, name in enumerate(model.sites or ())),
        packages=frozenset(one.lower() for one in model.packages) if model.packages is not None else None,
        requesters=tuple(model.requesters) if model.requesters is not None else None,
        profiles=profiles,
    )


def _site(document: Document, number: int, name: str) -> Site:
    source = document.source(("sites", number))
    try:
        return Site(name=site_label(name), source=source)
    except Wrong as error:
        raise BadInput(source, error.found, error.expected) from error
