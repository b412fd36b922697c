"""The folders ``group_vars`` and ``host_vars`` beside an Ansible inventory: not read, and said where that matters.

Here lives the search for what would decide where a host is or whether it is one of ours. What must not live here:
reading such a file's values. An address that stands there is refused, since the bare alias would be looked up instead;
a connection is told of.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from pusher.config.wording import plain
from pusher.models import Source
from pusher.problems import BadInput
from pusher.targets.parsed import ParsedInventory
from pusher.targets.ranges import NamePattern, canonical_name

_FILES, _BYTES = 500, 65_536
_SAYS = re.compile(
    r"^[ \t]*[\"']?(ansible_(?:(?:ssh_|winrm_|psrp_)?host|connection))[\"']?"  # the key
    r"[ \t]*:[ \t]*[\"']?([^\s\"'#]*)",  # the value's first word
    re.MULTILINE,
)
_BY_WINRM = frozenset({"winrm", "psrp"})


def notes_on_folders(path: Path, parsed: ParsedInventory) -> tuple[str, ...]:
    """What to tell of the folders beside ``path``; raises BadInput where they give a host its address."""
    told: list[str] = []
    for file, variable, value, place in _facts(path.parent, parsed):
        if variable != "ansible_connection":
            found = f"{variable} stands in a file that is not read"
            raise BadInput(place, found, f"all in one: ansible-inventory -i {path.name} --list > inventory.json")
        if value.rpartition(".")[2] not in _BY_WINRM:
            told.append(plain(str(file.relative_to(path.parent))))
    if not told:
        return ()
    return (
        f"{parsed.file}: files that say ansible_connection are not read: {', '.join(dict.fromkeys(told))} "
        f"(ansible-inventory -i {path.name} --list > inventory.json reads them)",
    )


def _facts(folder: Path, parsed: ParsedInventory) -> Iterator[tuple[Path, str, str, Source]]:
    groups = {"all", "ungrouped", *(group.name for group in parsed.groups)}
    for kind in ("group_vars", "host_vars"):
        for file in itertools.islice(_files(folder / kind), _FILES):
            owner = file.relative_to(folder / kind).parts[0].removesuffix(file.suffix if file.suffix else "\0")
            if owner not in groups if kind == "group_vars" else not _is_host(owner, parsed):
                continue
            text = _beginning(file)
            for match in _SAYS.finditer(text):
                before = text[: match.start(1)]
                line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
                yield file, match[1], match[2], Source(file=str(file), line=line, column=column)


def _files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return iter(())
    return (file for file in sorted(folder.glob("*")) + sorted(folder.glob("*/*")) if file.is_file())


def _beginning(file: Path) -> str:
    """What can be read of it, no more than is needed; a file that cannot be read says nothing."""
    try:
        with file.open("rb") as stream:
            return stream.read(_BYTES).decode("utf-8", errors="replace")
    except OSError:
        return ""


def _is_host(name: str, parsed: ParsedInventory) -> bool:
    key = canonical_name(name)
    for group in parsed.groups:
        for host in group.hosts:
            if name in host.settings.aliases or key == canonical_name(host.pattern.text):
                return True
            if isinstance(host.pattern, NamePattern) and host.pattern.contains(key):
                return True
    return False
