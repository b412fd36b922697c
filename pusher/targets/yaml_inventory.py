"""Our own inventory format: YAML with ``version: 1``.

Here live its pydantic models and their translation to a ``ParsedInventory``. What must not live here: expansion,
selection, and what several groups mean together.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, NoReturn

from pydantic import AfterValidator, Discriminator, Field, Tag

from pusher.config.document import Document, Path, dotted
from pusher.config.durations import Duration
from pusher.config.validate import FormatModel, validate
from pusher.config.wording import Wrong, about
from pusher.directory import filters, names
from pusher.models import Source, WinrmSettings
from pusher.problems import BadInput
from pusher.targets import parsed
from pusher.targets.parsed import DirectoryQuery, Form, Named, ParsedGroup, ParsedHost, ParsedInventory, Settings
from pusher.targets.ranges import parse_host_address
from pusher.targets.sites import Subnet, parse_subnet

_HOSTS = "a list of host names"
_SITE = "the name of a site"
_VARS = "a table of texts, numbers in quotes"
_GROUP = "the distinguished name of a group, such as CN=Kiosks,OU=Groups,DC=corp,DC=example"
MIN_STALE = 15 * 86_400.0
"""Seconds. Below, machines in daily use look stale: lastLogonTimestamp lags by 14 days (msDS-LogonTimeSyncInterval)."""
_STALE = 'a duration of 15 days or more, such as "90d"'
_WINRM = "a table with port, scheme and fingerprint"

Site = Annotated[str, AfterValidator(parsed.site_label)]
Port = Annotated[int, Field(ge=1, le=65535, description=parsed.PORT)]
Transports = Annotated[list[Annotated[str, Field(description="smb or winrm")]], Field(description=parsed.TRANSPORTS)]
Variables = dict[
    Annotated[str, AfterValidator(parsed.variable_name)],
    Annotated[str, Field(description="text")],
]
DomainController = Annotated[Literal["allow", "refuse"], Field(description="allow or refuse")]


class _Winrm(FormatModel):
    port: Port | None = Field(default=None, description=parsed.PORT)
    scheme: Annotated[Literal["https", "http"], Field(description=parsed.SCHEME)] | None = Field(
        default=None, description=parsed.SCHEME
    )
    fingerprint: Annotated[str, AfterValidator(parsed.fingerprint)] | None = Field(
        default=None, description=parsed.FINGERPRINT
    )


class _DefaultWinrm(_Winrm):
    ca: str | None = Field(default=None, min_length=1, description="the file of a certificate authority, in PEM")


class _Settings(FormatModel):
    site: Annotated[Site | None, Field(description=_SITE)] = None
    port: Port | None = Field(default=None, description=parsed.PORT)
    transports: Transports | None = Field(default=None, description=parsed.TRANSPORTS)
    winrm: _Winrm | None = Field(default=None, description=_WINRM)
    vars: Variables | None = Field(default=None, description=_VARS)


class _Defaults(_Settings):
    winrm: _DefaultWinrm | None = Field(default=None, description=_WINRM)
    nameservers: (
        list[Annotated[str, AfterValidator(parsed.nameserver), Field(description="the address of a name server")]]
        | None
    ) = Field(default=None, description="a list of the addresses of name servers")


class _Host(_Settings):
    name: str = Field(description="a host name")
    address: str | None = Field(default=None, description="an IP address")
    machine: Annotated[str, AfterValidator(parsed.machine_name)] | None = Field(
        default=None, description=parsed.MACHINE
    )
    domain_controller: DomainController | None = Field(default=None, description="allow or refuse")


class _Directory(FormatModel):
    base: str = Field(description=names.EXPECTED)
    filter: str | None = Field(default=None, description=filters.EXPECTED)
    group: str | None = Field(default=None, description=_GROUP)
    one_level: bool | None = Field(default=None, description="true or false")
    stale_after: Duration | None = Field(default=None, ge=MIN_STALE, description=_STALE)


def _host_kind(value: Any) -> str | None:
    if isinstance(value, str):
        return "(name)"
    return "(host)" if isinstance(value, dict | _Host) else None


_HostItem = Annotated[
    Annotated[str, Tag("(name)")] | Annotated[_Host, Tag("(host)")],
    Discriminator(_host_kind),
    Field(description="a host name in quotes, or a table with name and address"),
]


class _Group(_Settings):
    hosts: list[_HostItem] | None = Field(default=None, description=_HOSTS)
    ranges: list[Annotated[str, Field(description="a block or range of addresses")]] | None = Field(
        default=None, description="a list of blocks such as 10.9.0.0/26"
    )
    children: list[Annotated[str, Field(description="the name of a group")]] | None = Field(
        default=None, description="a list of group names"
    )
    exclude: list[Annotated[str, Field(min_length=1, description="a pattern such as ws013.*")]] | None = Field(
        default=None, description="a list of patterns such as ws013.*"
    )
    directory: _Directory | None = Field(default=None, description="a table with base, and filter or group")
    domain_controller: DomainController | None = Field(default=None, description="allow or refuse")


class _Inventory(FormatModel):
    version: Annotated[int, Field(ge=1, le=1, description="version: 1")]
    defaults: _Defaults | None = Field(default=None, description="a table of settings")
    groups: dict[str, _Group | None] = Field(description="a table of groups")
    sites: (
        dict[
            Annotated[str, AfterValidator(parsed.site_label)],
            Annotated[
                list[Annotated[str, Field(description="a subnet such as 10.1.0.0/16")]],
                Field(description="a list of subnets such as 10.1.0.0/16"),
            ],
        ]
        | None
    ) = Field(default=None, description="a table of sites, each with a list of subnets")


OWN_KEYS = frozenset(_Inventory.model_fields)


def read_own_yaml(document: Document) -> ParsedInventory:
    """The ``ParsedInventory`` of an inventory in our own format."""
    return _Reader(document).parsed()


class _Reader:
    """Walks the validated model beside the document, to give every part its place."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._model = validate(_Inventory, document)

    def parsed(self) -> ParsedInventory:
        model = self._model
        defaults = model.defaults or _Defaults()
        return ParsedInventory(
            file=self._document.file,
            form=Form.OWN,
            groups=tuple(self._group(name, group or _Group()) for name, group in model.groups.items()),
            defaults=self._settings(defaults, ("defaults",)),
            nameservers=tuple(defaults.nameservers or ()),
            certificate_authority=self._certificate_authority(defaults),
            subnets=self._subnets(),
        )

    def _group(self, name: str, group: _Group) -> ParsedGroup:
        path: Path = ("groups", name)
        try:
            parsed.label(name, "group")
        except Wrong as exc:
            raise BadInput(self._document.source(path, key=True), exc.found, exc.expected) from exc
        return ParsedGroup(
            name=name,
            source=self._document.source(path, key=True),
            hosts=(*self._hosts(group.hosts or [], (*path, "hosts")),
                   *self._hosts(group.ranges or [], (*path, "ranges"))),
            children=self._named(group.children, (*path, "children")),
            excludes=self._named(group.exclude, (*path, "exclude")),
            settings=self._settings(group, path, group.domain_controller),
            directory=self._directory(group.directory, (*path, "directory")),
        )  # fmt: skip

    def _directory(self, query: _Directory | None, path: Path) -> DirectoryQuery | None:
        if query is None:
            return None
        return DirectoryQuery(
            base=self._dn(query.base, (*path, "base")),
            filter=self._filter(query.filter, (*path, "filter")) if query.filter is not None else None,
            group=self._dn(query.group, (*path, "group"), _GROUP) if query.group is not None else None,
            one_level=bool(query.one_level),
            stale_after=query.stale_after,
            source=self._document.source(path, key=True),
        )

    def _dn(self, text: str, path: Path, expected: str = names.EXPECTED) -> Named:
        try:
            if not names.parse_dn(text):
                raise Wrong("is empty", expected)
        except Wrong as exc:
            self._refuse(path, Wrong(exc.found, expected))
        return Named(text=text, source=self._document.source(path))

    def _filter(self, text: str, path: Path) -> Named:
        try:
            filters.parse_filter(text)
        except Wrong as exc:
            self._refuse(path, exc)
        return Named(text=text.strip(), source=self._document.source(path))

    def _hosts(self, items: list[Any], path: Path) -> tuple[ParsedHost, ...]:
        return tuple(self._host(item, (*path, number)) for number, item in enumerate(items))

    def _host(self, item: str | _Host, path: Path) -> ParsedHost:
        source = self._document.source(path)
        if isinstance(item, str):
            try:
                return parsed.parsed_host(item, source)
            except Wrong as exc:
                self._refuse(path, exc)
        settings = dataclasses.replace(self._settings(item, path, item.domain_controller), machine=item.machine)
        if item.address is not None:
            try:
                settings = dataclasses.replace(settings, address=parse_host_address(item.address))
            except Wrong as exc:
                self._refuse((*path, "address"), exc)
        try:
            return parsed.parsed_host(item.name, source, settings)
        except Wrong as exc:
            self._refuse((*path, "name"), exc)

    def _settings(self, model: _Settings, path: Path, domain_controller: str | None = None) -> Settings:
        site_source: Source | None = None
        if model.site is not None:
            site_source = self._document.source((*path, "site"))
        try:
            transports = None if model.transports is None else parsed.transports(model.transports)
        except Wrong as exc:
            self._refuse((*path, "transports"), exc)
        return Settings(
            site=model.site,
            site_source=site_source,
            port=model.port,
            transports=transports,
            winrm=self._winrm(model.winrm, path),
            variables=dict(model.vars or {}),
            domain_controller_allowed=None if domain_controller is None else domain_controller == "allow",
        )

    def _certificate_authority(self, defaults: _Defaults) -> Named | None:
        if defaults.winrm is None or defaults.winrm.ca is None:
            return None
        return Named(text=defaults.winrm.ca, source=self._document.source(("defaults", "winrm", "ca")))

    def _winrm(self, model: _Winrm | None, path: Path) -> WinrmSettings | None:
        if model is None:
            return None
        if model.fingerprint is not None and model.scheme == "http":
            found = f"{dotted((*path, 'winrm', 'fingerprint'))} pins a certificate, and http has none"
            raise BadInput(self._document.source((*path, "winrm", "fingerprint")), found, "scheme: https")
        scheme = "https" if model.fingerprint is not None else model.scheme
        return WinrmSettings(port=model.port, scheme=scheme, fingerprint=model.fingerprint)

    def _named(self, items: list[str] | None, path: Path) -> tuple[Named, ...]:
        return tuple(
            Named(text=item, source=self._document.source((*path, number))) for number, item in enumerate(items or [])
        )

    def _subnets(self) -> tuple[Subnet, ...]:
        subnets: list[Subnet] = []
        for site, texts in (self._model.sites or {}).items():
            for number, text in enumerate(texts):
                path: Path = ("sites", site, number)
                try:
                    network = parse_subnet(text)
                except Wrong as exc:
                    self._refuse(path, exc)
                subnets.append(Subnet(network=network, site=site, source=self._document.source(path)))
        return tuple(subnets)

    def _refuse(self, path: Path, exc: Wrong) -> NoReturn:
        raise BadInput(self._document.source(path), about(dotted(path), exc), exc.expected) from exc
