"""Inventories without structure: CSV with a header, and a plain list of names.

Here live both readers. What must not live here: expansion, selection.
CSV: columns ``name`` (needed), ``address``, ``machine``, ``site``, ``port``, ``groups`` (separated by spaces or ``|``),
``transports`` (likewise), ``domain_controller`` and ``var:NAME``; separated by comma, semicolon or tab as the header
is. A plain list: one name or range a line; ``#`` begins a comment.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from pusher.config import Wrong, hint, listed, shown
from pusher.models import Source
from pusher.problems import BadInput
from pusher.targets import drafts
from pusher.targets.drafts import Draft, GroupDraft, HostDraft, Settings
from pusher.targets.ranges import parse_host_address

T = TypeVar("T")

COLUMNS = ("name", "address", "machine", "site", "port", "groups", "transports", "domain_controller")
_VARIABLE = "var:"
_SEPARATORS = (",", ";", "\t")
_SEVERAL = re.compile(r"[\s|;]+")
_WORD = re.compile(r"\S+")
_COMMENT = re.compile(r"(?:^|\s)#.*$")


def read_list(lines: list[str], file: str) -> Draft:
    """The draft of a plain list."""
    hosts: list[HostDraft] = []
    for number, line in enumerate(lines, start=1):
        words = list(_WORD.finditer(_COMMENT.sub("", line)))
        if not words:
            continue
        source = Source(file=file, line=number, column=words[0].start() + 1)
        if len(words) > 1 or "," in line:
            raise BadInput(source, f"{shown(line.strip())} is more than one name", "one name or range a line")
        try:
            hosts.append(drafts.host_draft(words[0][0], source))
        except Wrong as exc:
            raise BadInput(source, exc.found, exc.expected) from exc
    return Draft(file=file, groups=(GroupDraft(name="", source=Source(file=file), hosts=tuple(hosts)),))


def read_csv(lines: list[str], file: str) -> Draft:
    """The draft of a CSV file."""
    return _CsvReader(lines, file).draft()


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
        self._columns = self._header(header)
        self._body = rows
        self._hosts: dict[str, list[HostDraft]] = {}
        self._sources: dict[str, Source] = {}

    def draft(self) -> Draft:
        for row in self._body:
            if len(row) != len(self._columns):
                found = f"the row has {len(row)} fields"
                raise BadInput(row[-1].source, found, f"{len(self._columns)}, as the header has")
            self._host(dict(zip(self._columns, row, strict=True)))
        return Draft(
            file=self._file,
            groups=tuple(
                GroupDraft(name=name, source=self._sources[name], hosts=tuple(hosts))
                for name, hosts in self._hosts.items()
            ),
        )

    def _rows(self, lines: list[str]) -> Iterator[list[_Cell]]:
        """Rows that hold something. A line is a row: a name has no line ends, so a quote over lines is a slip."""
        separator = ""
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):  # PowerShell's Export-Csv begins with "#TYPE"
                continue
            separator = separator or separator_of(line)
            try:
                texts = next(csv.reader([line], delimiter=separator, strict=True))
            except csv.Error as exc:
                source = Source(file=self._file, line=number, column=line.rfind('"') + 1)
                raise BadInput(source, f"the row cannot be read ({exc})", "every quotation mark closed") from exc
            if any(text.strip() for text in texts):
                starts = _starts(line, separator)
                yield [
                    _Cell(text.strip(), Source(file=self._file, line=number, column=start))
                    for text, start in zip(texts, starts, strict=True)
                ]

    def _header(self, cells: list[_Cell]) -> list[str]:
        columns: list[str] = []
        for cell in cells:
            name = cell.text.lower() if cell.text.lower() in COLUMNS else cell.text
            if name.lower().startswith(_VARIABLE):
                name = _VARIABLE + name[len(_VARIABLE) :]
                self._checked(cell, lambda text: drafts.variable_name(text[len(_VARIABLE) :]))
            elif name not in COLUMNS:
                found = f"{shown(name)} is not a known column{hint(name, COLUMNS)}"
                raise BadInput(cell.source, found, listed((*COLUMNS, "var:NAME")))
            if name in columns:
                raise BadInput(cell.source, f"the column {name} is there twice", "every column once")
            columns.append(name)
        if "name" not in columns:
            raise BadInput(cells[0].source, "the column name is missing", f"a header such as {','.join(COLUMNS[:5])}")
        return columns

    def _host(self, row: dict[str, _Cell]) -> None:
        name = row["name"]
        if not name.text:
            raise BadInput(name.source, "the row has no name", "a name or range in the column name")
        settings = self._settings(row)
        host = self._checked(name, lambda text: drafts.host_draft(text, name.source, settings))
        for group in self._groups(row.get("groups")):
            self._hosts.setdefault(group, []).append(host)
            self._sources.setdefault(group, name.source)

    def _groups(self, cell: _Cell | None) -> list[str]:
        if cell is None or not cell.text:
            return [""]
        return self._checked(cell, lambda text: [drafts.label(word, "group") for word in _words(text)])

    def _settings(self, row: dict[str, _Cell]) -> Settings:
        site = self._read(row.get("site"), drafts.site_label)
        return Settings(
            address=self._read(row.get("address"), parse_host_address),
            machine=self._read(row.get("machine"), drafts.machine_name),
            site=site,
            site_source=row["site"].source if site is not None else None,
            port=self._read(row.get("port"), drafts.port),
            transports=self._read(row.get("transports"), lambda text: drafts.transports(_words(text.lower()))),
            domain_controller_allowed=self._read(row.get("domain_controller"), drafts.domain_controller),
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
