"""Inventories without structure: CSV with a header, and a plain list of names.

Here live both readers. What must not live here: expansion, selection, and what a line of another tool's is
(``other_tools``).
CSV: columns ``name`` (needed), ``address``, ``machine``, ``site``, ``port``, ``groups`` (separated by spaces or ``|``),
``transports`` (likewise), ``domain_controller`` and ``var:NAME``; separated by comma, semicolon or tab as the header
is, or by what Excel's first line ``sep=;`` says. An export of computers from Active Directory (Export-Csv, csvde) is
known by its columns: what it says of names, disabled accounts and domain controllers is read, the rest passed over.
A plain list: one name or range a line; ``#`` begins a comment.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from pusher.config.wording import Wrong, hint, listed, shown
from pusher.models import Source
from pusher.problems import BadInput
from pusher.targets import parsed
from pusher.targets.computers import READ, finding_in, is_export, name_column
from pusher.targets.other_tools import HEADINGS, is_heading, why_no_name
from pusher.targets.parsed import NO_FINDING, Finding, Form, ParsedGroup, ParsedHost, ParsedInventory, Settings
from pusher.targets.ranges import parse_host_address
from pusher.targets.spelling import trimmed

T = TypeVar("T")

COLUMNS = ("name", "address", "machine", "site", "port", "groups", "transports", "domain_controller")
_CALLED = {
    **dict.fromkeys((*HEADINGS, "computer", "host", "fqdn", "server", "devicename"), "name"),
    **dict.fromkeys(("ip", "ipaddress", "ipv4address", "ipv4", "address4"), "address"),
}
"""What other tables call our columns, in lower case without spaces."""
_VARIABLE = "var:"
_SEPARATORS = (",", ";", "\t")
_SEVERAL = re.compile(r"[\s|;]+")
_WORD = re.compile(r"\S+")
_SEPARATOR_LINE = re.compile(r'"?sep=([,;|\t])"?', re.IGNORECASE)
_COMMENT = re.compile(r"(?:^|\s)#.*$")


def read_list(lines: list[str], file: str) -> ParsedInventory:
    """The ``ParsedInventory`` of a plain list."""
    hosts: list[ParsedHost] = []
    headed = False
    for number, (line, following) in enumerate(pairwise([*lines, ""]), start=1):
        text = _COMMENT.sub("", line).rstrip()
        words = list(_WORD.finditer(text))
        if not words:
            continue
        source = Source(file=file, line=number, column=words[0].start() + 1)
        try:
            if len(words) > 1 or "," in text.removesuffix(","):
                raise why_no_name(text, following)
            word = words[0][0]
            if not hosts and not headed and is_heading(word, following):
                headed = True
                continue
            if not hosts and headed and not word.strip("-"):
                continue
            if not hosts:
                _refuse_heading(word)
            hosts.append(parsed.parsed_host(word, source))
        except Wrong as exc:
            raise BadInput(source, exc.found, exc.expected) from exc
    group = ParsedGroup(name="", source=Source(file=file), hosts=tuple(hosts))
    return ParsedInventory(file=file, form=Form.LIST, groups=(group,))


def _refuse_heading(word: str) -> None:
    if word.strip("\"'").lower() in HEADINGS:
        found = f"{shown(word)} heads a column, and would be a machine here"
        raise Wrong(found, "the line taken out, or an ending of .csv")


def read_csv(lines: list[str], file: str) -> ParsedInventory:
    """The ``ParsedInventory`` of a CSV file."""
    return _CsvReader(lines, file).parsed()


def is_header(line: str) -> bool:
    """Whether a line is the header of a table that ``read_csv`` reads, and cannot be much else."""
    columns = [column.strip().strip('"').lower() for column in line.split(separator_of(line))]
    ours = "name" in columns and len(set(columns) & set(COLUMNS)) > 1
    return len(columns) > 1 and (ours or is_export(columns))


def separator_line(line: str) -> str | None:
    """The separator that Excel's own first line gives (``sep=;``); None: the line is another."""
    found = _SEPARATOR_LINE.fullmatch(line.strip(" "))
    return found[1] if found is not None else None


def separator_of(header: str) -> str:
    """The separator that a header line uses."""
    return max(_SEPARATORS, key=header.count)


@dataclass(frozen=True, slots=True)
class _Cell:
    text: str
    source: Source


class _CsvReader:
    def __init__(self, lines: list[str], file: str) -> None:
        self._file = file
        rows = self._rows(lines)
        header = next(rows, None)
        if header is None:
            raise BadInput(
                Source(file=file), "the file is empty", f"a header with the columns {listed(COLUMNS, 'and')}"
            )
        self._is_export = is_export([cell.text.lower() for cell in header])
        self._passed_over: list[str] = []
        self._columns = self._header(header)
        self._body = rows
        self._hosts: dict[str, list[ParsedHost]] = {}
        self._sources: dict[str, Source] = {}

    def parsed(self) -> ParsedInventory:
        for row in self._body:
            self._refuse_misfit(row)
            self._host({column: cell for column, cell in zip(self._columns, row, strict=False) if column})
        notes: tuple[str, ...] = ()
        if self._passed_over:
            names = listed(self._passed_over, last="and")
            notes = (f"{self._file}: columns that say nothing to pusher are passed over: {names}",)
        return ParsedInventory(
            file=self._file,
            form=Form.CSV,
            groups=tuple(
                ParsedGroup(name=name, source=self._sources[name], hosts=tuple(hosts))
                for name, hosts in self._hosts.items()
            ),
            notes=notes,
        )

    def _refuse_misfit(self, row: list[_Cell]) -> None:
        """A row longer than the header is one only where something stands there: spreadsheets leave columns behind."""
        count = len(self._columns)
        if len(row) < count or any(cell.text for cell in row[count:]):
            found = f"the row has {len(row)} field{'' if len(row) == 1 else 's'}"
            raise BadInput(row[-1].source, found, f"{count}, as the header has")
        for number, (column, cell) in enumerate(zip(self._columns, row, strict=False), start=1):
            if column == "" and cell.text:
                found = f"column {number} has a value here, and no name in the header"
                raise BadInput(cell.source, found, "a name for the column, or an empty column")

    def _rows(self, lines: list[str]) -> Iterator[list[_Cell]]:
        """Rows that hold something. A line is a row: a name has no line ends, so a quote over lines is a slip."""
        separator = ""
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):  # PowerShell's Export-Csv begins with "#TYPE"
                continue
            if not separator and (said := separator_line(line)) is not None:
                separator = said
                continue
            separator = separator or separator_of(line)
            try:
                texts = next(csv.reader([line], delimiter=separator, strict=True))
            except csv.Error as exc:
                source = Source(file=self._file, line=number, column=line.rfind('"') + 1)
                raise BadInput(source, f"the row cannot be read ({exc})", "every quotation mark closed") from exc
            if any(trimmed(text) for text in texts):
                starts = _starts(line, separator)
                yield [
                    _Cell(trimmed(text), Source(file=self._file, line=number, column=start))
                    for text, start in zip(texts, starts, strict=True)
                ]

    def _header(self, cells: list[_Cell]) -> list[str | None]:
        """The columns' names; None for one that is passed over, empty for one without a name."""
        columns: list[str | None] = []
        for cell in cells:
            name = self._column(cell)
            if name and name in columns:
                raise BadInput(cell.source, f"the column {name} is there twice", "every column once")
            columns.append(name)
        if "name" not in columns and not self._is_export:
            raise BadInput(cells[0].source, "the column name is missing", f"a header such as {','.join(COLUMNS[:5])}")
        return columns

    def _column(self, cell: _Cell) -> str | None:
        name, plain = cell.text, cell.text.lower()
        if plain in COLUMNS or (self._is_export and plain in READ):
            return plain
        if plain.startswith(_VARIABLE):
            return _VARIABLE + self._checked(cell, lambda text: parsed.variable_name(text[len(_VARIABLE) :]))
        if self._is_export and name:
            self._passed_over.append(name)
            return None
        if name:
            raise BadInput(cell.source, *self._unknown(name))
        return name

    @staticmethod
    def _unknown(name: str) -> tuple[str, str]:
        called = _CALLED.get(name.lower().replace(" ", "").replace("_", ""))
        if called is not None:
            return f"{shown(name)} is not a known column", f"{called}, which is what it is called here"
        return f"{shown(name)} is not a known column{hint(name, COLUMNS)}", listed((*COLUMNS, "var:NAME"))

    def _host(self, row: dict[str, _Cell]) -> None:
        name, finding = self._name(row)
        settings = self._settings(row)
        host = self._checked(name, lambda text: parsed.parsed_host(text, name.source, settings, finding))
        for group in self._groups(row.get("groups")):
            self._hosts.setdefault(group, []).append(host)
            self._sources.setdefault(group, name.source)

    def _name(self, row: dict[str, _Cell]) -> tuple[_Cell, Finding]:
        """The cell that names the machine, and what else an export says of it."""
        if not self._is_export:
            name = row["name"]
            if not name.text:
                raise BadInput(name.source, "the row has no name", "a name or range in the column name")
            return name, NO_FINDING
        texts = {column: cell.text for column, cell in row.items()}
        first = next(iter(row.values()))
        return row[self._checked(first, lambda _: name_column(texts))], finding_in(texts)

    def _groups(self, cell: _Cell | None) -> list[str]:
        if cell is None or not cell.text:
            return [""]
        return self._checked(cell, lambda text: [parsed.label(word, "group") for word in _words(text)])

    def _settings(self, row: dict[str, _Cell]) -> Settings:
        site = self._read(row.get("site"), parsed.site_label)
        return Settings(
            address=self._read(row.get("address"), parse_host_address),
            machine=self._read(row.get("machine"), parsed.machine_name),
            site=site,
            site_source=row["site"].source if site is not None else None,
            port=self._read(row.get("port"), parsed.port),
            transports=self._read(row.get("transports"), lambda text: parsed.transports(_words(text.lower()))),
            domain_controller_allowed=self._read(row.get("domain_controller"), parsed.domain_controller),
            variables={
                column[len(_VARIABLE) :]: cell.text
                for column, cell in row.items()
                if column.startswith(_VARIABLE) and cell.text
            },
        )

    def _read(self, cell: _Cell | None, convert: Callable[[str], T]) -> T | None:
        return None if cell is None or not cell.text else self._checked(cell, convert)

    @staticmethod
    def _checked(cell: _Cell, convert: Callable[[str], T]) -> T:
        try:
            return convert(cell.text)
        except Wrong as exc:
            raise BadInput(cell.source, exc.found, exc.expected) from exc


def _words(text: str) -> list[str]:
    return [word for word in _SEVERAL.split(text) if word]


def _starts(line: str, separator: str) -> list[int]:
    """The column, counted from 1, in which each field of a row begins."""
    starts, at, quoted = [1], 0, line.startswith('"')
    if quoted:
        at = 1
    while at < len(line):
        if quoted and line.startswith('""', at):
            at += 1
        elif quoted and line[at] == '"':
            quoted = False
        elif line[at] == separator and not quoted:
            starts.append(at + 2)
            quoted = line.startswith('"', at + 1)  # only at its beginning does a mark quote a field
            at += 1 if quoted else 0
        at += 1
    return starts
