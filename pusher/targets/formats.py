"""Which format an inventory file has, by its name's ending and its content.

Here lives that decision. What must not live here: the formats themselves. Where ending and content leave two
answers, the operator is told so instead of being guessed at.
"""

from __future__ import annotations

import re
from pathlib import Path

from pusher.config import Document, parse_yaml, read_text, shown, split_lines
from pusher.models import Source
from pusher.problems import BadInput
from pusher.targets.ansible_ini import SECTION, read_ansible_ini
from pusher.targets.ansible_yaml import KEYS, read_ansible_yaml
from pusher.targets.drafts import Draft
from pusher.targets.tables import COLUMNS, read_csv, read_list, separator_of
from pusher.targets.yaml_inventory import OWN_KEYS, read_own_yaml

_YAML, _CSV, _LIST, _INI = "YAML", "CSV", "a plain list", "Ansible INI"
_BY_ENDING = {
    ".yaml": _YAML, ".yml": _YAML, ".csv": _CSV, ".tsv": _CSV, ".txt": _LIST, ".lst": _LIST, ".list": _LIST,
    ".ini": _INI, ".cfg": _INI,
}  # fmt: skip
_ENDINGS = ".yaml, .csv, .txt (a plain list) or .ini (Ansible)"
_YAML_LINE = re.compile(r"^(?:---|%YAML|\{|(?:version|defaults|groups|sites|all)\s*:)")
_KEY_VALUE = re.compile(r"^\s*\S+\s+[A-Za-z_]\w*=")


def read_draft(path: Path) -> Draft:
    """The draft of an inventory file of any format; raises BadInput."""
    text, file = read_text(path), str(path)
    lines = split_lines(text)
    if not any(line.strip() for line in lines):
        raise BadInput(Source(file=file), "the file is empty", "an inventory")
    form = _format(path.suffix.lower(), lines, file)
    if form == _YAML:
        return _read_yaml(text, file)
    if form == _CSV:
        return read_csv(lines, file)
    return read_list(lines, file) if form == _LIST else read_ansible_ini(lines, file)


def _format(ending: str, lines: list[str], file: str) -> str:
    named = _BY_ENDING.get(ending)
    seen = _looks(lines)
    if named == _LIST and _INI in seen:
        source = Source(file=file, line=seen[_INI], column=1)
        found = f"a plain list by its ending {ending}, but this line is Ansible's INI"
        raise BadInput(source, found, "one name or range a line, or an ending of .ini")
    if named is not None:
        return named
    if len(seen) > 1:
        (first, line), (second, other) = sorted(seen.items(), key=lambda item: item[1])[:2]
        source = Source(file=file, line=other, column=1)
        found = f"the file could be {first} (line {line}) or {second} (this line)"
        raise BadInput(source, found, f"a name that ends in {_ENDINGS}")
    return next(iter(seen), _LIST)


def _looks(lines: list[str]) -> dict[str, int]:
    """The formats that the content speaks for, each with the line that does; none: it is a plain list."""
    seen: dict[str, int] = {}
    first = True
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip()[0] in "#;":
            continue
        if first:
            columns = [column.strip().strip('"').lower() for column in line.split(separator_of(line))]
            if len(columns) > 1 and "name" in columns and len(set(columns) & set(COLUMNS)) > 1:
                return {_CSV: number}
            first = False
        if _YAML_LINE.match(line):
            seen.setdefault(_YAML, number)
        elif (SECTION.match(line) or _KEY_VALUE.match(line)) and _YAML not in seen:
            seen.setdefault(_INI, number)
    return seen


def _read_yaml(text: str, file: str) -> Draft:
    document = parse_yaml(text, file)
    data = document.data
    if not isinstance(data, dict):
        raise BadInput(document.source(()), "the file holds no table of keys", "version: 1 and groups")
    own = next((key for key in ("version", "groups") if key in data), None)
    ansible = next((key for key in data if _is_ansible_group(key, data[key])), None)
    if own is not None and ansible is not None:
        raise _ambiguous(document, own, ansible)
    if ansible is not None or ("plugin" in data and own is None):
        return read_ansible_yaml(parse_yaml(text, file, as_written=True))
    return read_own_yaml(document)


def _is_ansible_group(key: str, value: object) -> bool:
    if key == "all":
        return True
    return key not in OWN_KEYS and isinstance(value, dict) and any(known in value for known in KEYS)


def _ambiguous(document: Document, own: str, ansible: str) -> BadInput:
    found = f"{shown(own)} says pusher's own format, and {shown(ansible)} is a group of an Ansible inventory"
    return BadInput(document.source((ansible,), key=True), found, "one of the two; groups stand under groups:")
