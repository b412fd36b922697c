"""WS-Man's actions on CIM classes: Get, Enumerate, Pull and methods. DSP0227, MS-WSMV 2.2.4 and 3.1.4.

Here: which class is served by what, and the XML of instances. Each class's own meaning is in cim_facts.py,
cim_files.py, cim_registry.py and cim_services.py.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any, Protocol
from xml.sax.saxutils import escape

from lab.winrm import wql
from lab.winrm.envelope import (
    ENUMERATION,
    TRANSFER,
    WSMAN,
    Fault,
    Message,
    Reply,
    from_wmi,
    no_such_action,
    no_such_enumeration,
    no_such_resource,
)
from lab.winrm.wine import Helper

RESOURCE = "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
_DIALECT = "http://schemas.microsoft.com/wbem/wsman/1/WQL"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_CIM = "http://schemas.dmtf.org/wbem/wscim/1/common"
_INVALID_QUERY = 0x80041017  # WBEM_E_INVALID_QUERY
_INVALID_CLASS = 0x80041010  # WBEM_E_INVALID_CLASS
_INVALID_METHOD = 0x8004102E  # WBEM_E_INVALID_METHOD
_DATETIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)\.(\d{6})([+-])(\d{2,3})")
_MOST_ROWS = 50

Row = Mapping[str, Any]


class NoSuchMethod(Exception):
    """The class has no such method here."""


class Provider(Protocol):
    """One class."""

    async def get(self, keys: Mapping[str, str]) -> Row | None:
        """The one instance with these values; None where there is none."""

    async def rows(self, query: wql.Query) -> list[Row]:
        """Instances among which are all that the query asks for."""

    async def invoke(self, method: str, keys: Mapping[str, str], given: Mapping[str, str]) -> Row | None:
        """A method's results; None where the instance does not exist."""


class Cim:
    """Answers what is asked of a resource below `RESOURCE`."""

    def __init__(self, helper: Helper, providers: Mapping[str, Provider]) -> None:
        """`providers` by class name in lower case; other classes are Wine's own provider's business."""
        self._helper = helper
        self._providers = providers
        self._enumerations: dict[str, list[str]] = {}

    async def perform(self, message: Message) -> Reply:
        space, _, name = message.resource.removeprefix(RESOURCE).rpartition("/")
        match message.action:
            case action if action == f"{TRANSFER}/Get":
                return Reply(body=await self._get(space, name, message.selectors))
            case action if action == f"{ENUMERATION}/Enumerate":
                return Reply(body=await self._enumerate(space, name, message))
            case action if action == f"{ENUMERATION}/Pull":
                return Reply(body=self._pull(message))
            case action if action.startswith(f"{RESOURCE}{space}/{name}/"):
                return Reply(body=await self._invoke(space, name, action.rpartition("/")[2], message))
            case _:
                raise no_such_action()

    def _provider(self, space: str, name: str) -> Provider:
        return self._providers.get(name.lower()) or _FromWine(self._helper, space, name)

    async def _get(self, space: str, name: str, keys: Mapping[str, str]) -> str:
        row = await self._provider(space, name).get(keys)
        if row is None:
            raise no_such_resource()
        return instance(space, name, row)

    async def _enumerate(self, space: str, name: str, message: Message) -> str:
        asked = message.element(WSMAN, "Filter")
        text = f"SELECT * FROM {name}"  # noqa: S608 (WQL, of a class name)
        if asked is not None:
            if asked.get("Dialect") != _DIALECT:
                raise Fault(
                    code=2150858777,
                    reason="The filter dialect is not supported. ",
                    subcode="n:FilterDialectRequestedUnavailable",
                )
            text = asked.text or ""
        try:
            query = wql.parse(text)
        except wql.WqlError as exc:
            raise from_wmi(_INVALID_QUERY) from exc
        rows = [row for row in await self._provider(space, query.name).rows(query) if query.holds(row)]
        found = [
            fragment(space, query.name, row, query.columns) if query.columns else instance(space, query.name, row)
            for row in rows
        ]
        first = _first_page(message)
        if first is not None and len(found) <= first:
            items = f"<w:Items>{''.join(found)}</w:Items><w:EndOfSequence/>"
            return f"<n:EnumerateResponse><n:EnumerationContext/>{items}</n:EnumerateResponse>"
        context = str(uuid.uuid4()).upper()
        self._enumerations[context] = found
        return f"<n:EnumerateResponse><n:EnumerationContext>uuid:{context}</n:EnumerationContext></n:EnumerateResponse>"

    def _pull(self, message: Message) -> str:
        context = (message.text(ENUMERATION, "EnumerationContext") or "").removeprefix("uuid:")
        if context not in self._enumerations:
            raise no_such_enumeration()
        count = min(int(message.text(ENUMERATION, "MaxElements") or 1), _MOST_ROWS)
        rows = self._enumerations.pop(context)
        more, end = "", "<n:EndOfSequence/>"
        if rows[count:]:
            self._enumerations[context] = rows[count:]
            more, end = f"<n:EnumerationContext>uuid:{context}</n:EnumerationContext>", ""
        return f"<n:PullResponse>{more}<n:Items>{''.join(rows[:count])}</n:Items>{end}</n:PullResponse>"

    async def _invoke(self, space: str, name: str, method: str, message: Message) -> str:
        given = {part.tag.rpartition("}")[2]: part.text or "" for child in message.body for part in child}
        try:
            results = await self._provider(space, name).invoke(method, message.selectors, given)
        except NoSuchMethod as exc:
            raise from_wmi(_INVALID_METHOD) from exc
        if results is None:
            raise no_such_resource()
        return instance(space, name, results, tag=f"{method}_OUTPUT")


class _FromWine:
    """A class of Wine's own provider, read only."""

    def __init__(self, helper: Helper, space: str, name: str) -> None:
        self._helper = helper
        self._space = space.replace("/", "\\")
        self._name = name

    async def get(self, keys: Mapping[str, str]) -> Row | None:
        rows = await self.rows(wql.Query(name=self._name, columns=()))
        wanted = [wql.Condition(name=name, equal=True, value=value) for name, value in keys.items()]
        return next((row for row in rows if all(condition.holds(row) for condition in wanted)), None)

    async def rows(self, query: wql.Query) -> list[Row]:
        answer = await self._helper.ask("wmi-query", self._space, f"SELECT * FROM {self._name}")  # noqa: S608
        if answer["err"]:
            raise from_wmi(int(answer["err"]))
        rows: list[Row] = answer["items"]
        if not rows:
            raise from_wmi(_INVALID_CLASS)
        return rows

    async def invoke(self, method: str, keys: Mapping[str, str], given: Mapping[str, str]) -> Row | None:
        raise NoSuchMethod(method)


def _first_page(message: Message) -> int | None:
    """How many instances the answer to an Enumerate may have at once (DSP0226 8.2.3); None where it is not asked so."""
    if message.element(WSMAN, "OptimizeEnumeration") is None:
        return None
    return min(int(message.text(WSMAN, "MaxElements") or 1), _MOST_ROWS)


def instance(space: str, name: str, row: Row, tag: str = "") -> str:
    """A whole instance, or a method's results under `tag`."""
    tag = tag or name
    inner = "".join(_property(key, value) for key, value in row.items())
    spaces = f'xmlns:p="{RESOURCE}{space}/{name}" xmlns:cim="{_CIM}" xmlns:xsi="{_XSI}"'
    return f'<p:{tag} {spaces} xsi:type="p:{tag}_Type">{inner}</p:{tag}>'


def fragment(space: str, name: str, row: Row, columns: tuple[str, ...]) -> str:
    """What a query for some columns gives: the columns without an instance round them."""
    inner = "".join(
        _property(key, value) for key, value in row.items() if key.lower() in {column.lower() for column in columns}
    )
    spaces = f'xmlns:p="{RESOURCE}{space}/{name}" xmlns:cim="{_CIM}" xmlns:xsi="{_XSI}"'
    return f"<w:XmlFragment {spaces}>{inner}</w:XmlFragment>"


def _property(name: str, value: Any) -> str:
    match value:
        case None:
            return f'<p:{name} xsi:nil="true"/>'
        case list():
            return "".join(_property(name, item) for item in value)
        case bool():
            return f"<p:{name}>{str(value).lower()}</p:{name}>"
        case _:
            text = str(value)
            when = _DATETIME.fullmatch(text)
            return f"<p:{name}>{_datetime(when) if when else escape(text)}</p:{name}>"


def _datetime(found: re.Match[str]) -> str:
    year, month, day, hour, minute, second, fraction, sign, offset = found.groups()
    zone = f"{sign}{int(offset) // 60:02}:{int(offset) % 60:02}"
    return f"<cim:Datetime>{year}-{month}-{day}T{hour}:{minute}:{second}.{fraction}{zone}</cim:Datetime>"
