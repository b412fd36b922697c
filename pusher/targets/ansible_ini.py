"""Ansible's INI inventory: hosts, ``[group]`` (or ``[group:hosts]``), ``[group:children]`` and ``[group:vars]``.

Here lives the reading of its lines. What must not live here: what the variables mean (``ansible``).
"""

from __future__ import annotations

import re
import shlex

from pusher.config.wording import hint, listed, plain
from pusher.models import Source
from pusher.problems import BadInput
from pusher.targets.ansible import Collector
from pusher.targets.parsed import Form, ParsedInventory

SECTION = re.compile(r"^\s*\[([^\]]*)\]\s*(?:[#;].*)?$")
_KINDS = ("hosts", "children", "vars")
_HOST_LINE = "NAME key=value …"


def read_ansible_ini(lines: list[str], file: str) -> ParsedInventory:
    """The ``ParsedInventory`` of an Ansible INI inventory."""
    return _IniReader(lines, file).parsed()


class _IniReader:
    def __init__(self, lines: list[str], file: str) -> None:
        self._file, self._lines = file, lines
        self._collector = Collector(file, Form.ANSIBLE_INI)

    def parsed(self) -> ParsedInventory:
        self._collector.group("ungrouped", Source(file=self._file))
        group, kind = "ungrouped", ""
        vars_of: dict[str, Source] = {}
        waiting: list[tuple[str, str, Source]] = []  # a group's variables may stand before the group
        for number, line in enumerate(self._lines, start=1):
            text = line.strip()
            if not text or text[0] in "#;":
                continue
            source = Source(file=self._file, line=number, column=len(line) - len(line.lstrip()) + 1)
            header = SECTION.match(line)
            if header is not None:
                group, kind = self._section(header[1], source)
                if kind == "vars":
                    vars_of.setdefault(group, source)
                else:
                    self._collector.group(group, source)
            elif kind == "children":
                self._collector.child(group, self._words(text, source)[0], source)
            elif kind == "vars":
                if "=" not in text:
                    raise BadInput(source, "a line that is no key=value", "key=value")
                waiting.append((group, text, source))
            else:
                self._host(group, text, line, source)
        for name, source in vars_of.items():
            self._refuse_unknown(name, source)
        for name, text, source in waiting:
            key, _, value = text.partition("=")
            self._collector.variables(name, {key.strip(): (_unquoted(value.strip()), source)})
        return self._collector.parsed()

    def _section(self, inside: str, source: Source) -> tuple[str, str]:
        group, colon, kind = inside.strip().partition(":")
        if not group or (colon and kind not in _KINDS):
            found = f"[{plain(inside)}] is not a section{hint(kind, _KINDS)}"
            raise BadInput(source, found, "[group], [group:children] or [group:vars]")
        return group, kind

    def _host(self, group: str, text: str, line: str, source: Source) -> None:
        host, *pairs = self._words(text, source)
        variables: dict[str, tuple[str | None, Source]] = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            column = line.find(key, source.column - 1 + len(host)) + 1
            place = Source(file=self._file, line=source.line, column=column or source.column)
            if not equals or not key:
                # The word is not repeated: it may be half of a password with a space in it.
                raise BadInput(place, "a word that is no key=value", _HOST_LINE)
            variables[key] = (value, place)
        self._collector.host(group, host, variables, source)

    def _words(self, text: str, source: Source) -> list[str]:
        try:
            words = shlex.split(text, comments=True)
        except ValueError as exc:
            raise BadInput(source, "a quotation mark without its partner", _HOST_LINE) from exc
        if not words or not words[0]:
            raise BadInput(source, "a line without a name", _HOST_LINE)
        return words

    def _refuse_unknown(self, group: str, source: Source) -> None:
        known = self._collector.group_names
        if group == "all":
            self._collector.group("all", source)
        elif group not in known:
            found = f"[{plain(group)}:vars] belongs to no group{hint(group, known)}"
            raise BadInput(source, found, listed(dict.fromkeys((*known, "all"))))


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return value[1:-1]
    return value
