"""Ansible's YAML inventory: groups with ``hosts``, ``children`` and ``vars``, nested.

Here lives the walk over the document. What must not live here: what the variables mean (``ansible``).
"""

from __future__ import annotations

from typing import Any

from pusher.config import Document, Path, hint, listed, shown
from pusher.problems import BadInput
from pusher.targets.ansible import Collector
from pusher.targets.ansible_variables import Variables
from pusher.targets.drafts import Draft

KEYS = ("hosts", "children", "vars")


def read_ansible_yaml(document: Document) -> Draft:
    """The draft of a document whose scalars are as written."""
    return _Walk(document).draft()


class _Walk:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._collector = Collector(document.file)

    def draft(self) -> Draft:
        data = self._document.data
        assert isinstance(data, dict)
        if "plugin" in data:
            raise BadInput(
                self._document.source(("plugin",), key=True),
                "this configures a plugin of Ansible's and lists no hosts",
                "what it gives: ansible-inventory --list --yaml --output FILE",
            )
        for name, group in data.items():
            self._group(name, group, (name,))
        return self._collector.draft()

    def _group(self, name: str, group: Any, path: Path) -> None:
        self._collector.group(name, self._document.source(path, key=True))
        for key, value in self._table(group, path, "a group: a table with hosts, children or vars").items():
            here = (*path, key)
            if key == "hosts":
                for host, variables in self._table(value, here, "a table of hosts, each name with a colon").items():
                    place = (*here, host) if isinstance(value, dict) else here
                    source = self._document.source(place, key=isinstance(value, dict))
                    self._collector.host(name, host, self._variables(variables, place), source)
            elif key == "children":
                for child, inner in self._table(value, here, "a table of groups, each name with a colon").items():
                    place = (*here, child) if isinstance(value, dict) else here
                    self._collector.child(name, child, self._document.source(place, key=isinstance(value, dict)))
                    if isinstance(value, dict):
                        self._group(child, inner, place)
            elif key == "vars":
                self._collector.variables(name, self._variables(value, here))
            else:
                found = f"{shown(key)} is not a key of a group{hint(key, KEYS)}"
                raise BadInput(self._document.source(here, key=True), found, listed(KEYS))

    def _variables(self, value: Any, path: Path) -> Variables:
        table = self._table(value, path, "a table of variables")
        return {
            name: (text if isinstance(text, str) else None, self._document.source((*path, name)))
            for name, text in table.items()
        }

    def _table(self, value: Any, path: Path, expected: str) -> dict[str, Any]:
        """The value as a table; nothing is an empty one, and a single word is a name (Ansible takes both)."""
        if value is None:
            return {}
        if isinstance(value, dict):
            return value
        if isinstance(value, str) and path and path[-1] in {"hosts", "children"}:
            return {value: None}
        raise BadInput(self._document.source(path), f"{shown(str(path[-1]))} is no table", expected)
