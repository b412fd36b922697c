"""Which format an inventory file has, by its name's ending and its content.

Here lives that decision. What must not live here: the formats themselves. Where ending and content leave two
answers, the operator is told so instead of being guessed at.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from pusher.config.document import Document
from pusher.config.files import read_text, split_lines
from pusher.config.wording import shown
from pusher.config.yaml_source import parse_yaml
from pusher.models import Source
from pusher.problems import BadInput
from pusher.targets.ansible_folders import notes_on_folders
from pusher.targets.ansible_ini import SECTION, read_ansible_ini
from pusher.targets.ansible_yaml import KEYS, META, read_ansible_json, read_ansible_yaml
from pusher.targets.parsed import Form, ParsedInventory
from pusher.targets.spelling import is_ipv6
from pusher.targets.tables import is_header, read_csv, read_list, separator_line
from pusher.targets.yaml_inventory import OWN_KEYS, read_own_yaml

_YAML, _CSV, _LIST, _INI = "YAML", "CSV", "a plain list", "Ansible INI"
_BY_ENDING = {
    ".yaml": _YAML, ".yml": _YAML, ".json": _YAML, ".csv": _CSV, ".tsv": _CSV, ".txt": _LIST, ".lst": _LIST,
    ".list": _LIST, ".ini": _INI, ".cfg": _INI,
}  # fmt: skip
_ENDINGS = ".yaml, .csv, .txt (a plain list) or .ini (Ansible)"
_PROGRAMS = frozenset({".py", ".sh", ".ps1", ".rb", ".pl"})
_YAML_LINE = re.compile(r"^(?:---|%YAML|\{|(?:version|defaults|groups|sites|all)\s*:)")
_KEY_VALUE = re.compile(r"^\s*\S+\s+[A-Za-z_]\w*=")
_LIST_IT = "ansible-inventory -i {} --list > inventory.json"


def read_inventory(path: Path) -> ParsedInventory:
    """The ``ParsedInventory`` of an inventory file of any format; raises BadInput."""
    file = str(path)
    if path.is_dir():
        everything = f"a file; of a folder of Ansible's: {_LIST_IT.format(path.name or 'FOLDER')}"
        raise BadInput(Source(file=file), "this is a folder", everything)
    text = read_text(path)
    lines = split_lines(text)
    if not any(line.strip() for line in lines):
        raise BadInput(Source(file=file), "the file is empty", "an inventory")
    _refuse_what_is_none(path, lines)
    parsed = _read(_format(path.suffix.lower(), lines, file), text, lines, file)
    if parsed.form in (Form.ANSIBLE_INI, Form.ANSIBLE_YAML):
        parsed = replace(parsed, notes=(*parsed.notes, *notes_on_folders(path, parsed)))
    return parsed


def _read(form: str, text: str, lines: list[str], file: str) -> ParsedInventory:
    if form == _YAML:
        return _read_yaml(text, file)
    if form == _CSV:
        return read_csv(lines, file)
    return read_list(lines, file) if form == _LIST else read_ansible_ini(lines, file)


def _refuse_what_is_none(path: Path, lines: list[str]) -> None:
    """Files that lead to an inventory and are none; a program is never run."""
    ending, first = path.suffix.lower(), next(line for line in lines if line.strip())
    place = Source(file=str(path), line=1, column=1)
    if ending in _PROGRAMS or lines[0].startswith("#!"):
        found = "this is a program that prints an inventory, and it is not run"
        raise BadInput(place, found, f"what it prints: {_LIST_IT.format(path.name)}")
    if ending == ".toml":
        raise BadInput(place, "an inventory in TOML is not read", f"JSON: {_LIST_IT.format(path.name)}")
    if first.startswith("$ANSIBLE_VAULT;"):
        raise BadInput(place, "the file is encrypted by ansible-vault", f"JSON: {_LIST_IT.format(path.name)}")
    if first.lstrip().startswith("<"):
        found = "this is XML or HTML, and no inventory"
        raise BadInput(place, found, "a list with one name or address a line (of a scan: nmap -oG, and its addresses)")


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
            if separator_line(line) is not None or is_header(line):
                return {_CSV: number}
            first = False
        if _YAML_LINE.match(line):
            seen.setdefault(_YAML, number)
        elif (_is_section(line) or _KEY_VALUE.match(line)) and _YAML not in seen:
            seen.setdefault(_INI, number)
    return seen


def _is_section(line: str) -> bool:
    """``[2001:db8::6]`` is a machine, and no group."""
    found = SECTION.match(line)
    return found is not None and not is_ipv6(found[1])


def _read_yaml(text: str, file: str) -> ParsedInventory:
    document = parse_yaml(text, file)
    data = document.data
    if not isinstance(data, dict):
        raise BadInput(document.source(()), "the file holds no table of keys", "version: 1 and groups")
    own = next((key for key in ("version", "groups") if key in data), None)
    ansible = next((key for key in data if _is_ansible_group(key, data[key])), None)
    if own is not None and ansible is not None:
        raise _ambiguous(document, own, ansible)
    if own is None and (META in data or (ansible is not None and text.lstrip().startswith("{"))):
        return read_ansible_json(parse_yaml(text, file, as_written=True))
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
