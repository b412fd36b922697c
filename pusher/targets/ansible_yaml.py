"""Ansible's YAML inventory, and the JSON of ``ansible-inventory --list`` and of inventory scripts.

Here lives the walk over the document: groups with ``hosts``, ``children`` and ``vars``. In YAML they are tables,
nested; in JSON lists of names, and the hosts' variables stand apart, in ``_meta``. What must not live here: what the
variables mean (``ansible_variables``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pusher.config.document import Document, Path
from pusher.config.wording import hint, listed, shown
from pusher.models import Source
from pusher.problems import BadInput
from pusher.targets.ansible import Collector
from pusher.targets.ansible_variables import Variables
from pusher.targets.parsed import Form, ParsedInventory

KEYS = ("hosts", "children", "vars")
META = "_meta"
_HOSTVARS = "hostvars"


def read_ansible_yaml(document: Document) -> ParsedInventory:
    """The ``ParsedInventory`` of a document whose scalars are as written."""
    return _Walk(document, Form.ANSIBLE_YAML).parsed()


def read_ansible_json(document: Document) -> ParsedInventory:
    """The ``ParsedInventory`` of what ``ansible-inventory --list`` prints; its scalars as written too."""
    return _JsonWalk(document, Form.ANSIBLE_JSON).parsed()


class _Walk:
    def __init__(self, document: Document, form: Form) -> None:
        self._document = document
        self._collector = Collector(document.file, form)

    def parsed(self) -> ParsedInventory:
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
        return self._collector.parsed()

    def _group(self, name: str, group: Any, path: Path) -> None:
        self._collector.group(name, self._document.source(path, key=True))
        for key, value in self._table(group, path, "a group: a table with hosts, children or vars").items():
            here = (*path, key)
            if key == "hosts":
                for host, variables, source in self._hosts(value, here):
                    self._collector.host(name, host, variables, source)
            elif key == "children":
                self._children(name, value, here)
            elif key == "vars":
                self._collector.variables(name, self._variables(value, here))
            else:
                found = f"{shown(key)} is not a key of a group{hint(key, KEYS)}"
                raise BadInput(self._document.source(here, key=True), found, listed(KEYS))

    def _hosts(self, value: Any, path: Path) -> Iterator[tuple[str, Variables, Source]]:
        for host, variables in self._table(value, path, "a table of hosts, each name with a colon").items():
            place = (*path, host) if isinstance(value, dict) else path
            source = self._document.source(place, key=isinstance(value, dict))
            yield host, self._variables(variables, place), source

    def _children(self, name: str, value: Any, path: Path) -> None:
        for child, inner in self._table(value, path, "a table of groups, each name with a colon").items():
            place = (*path, child) if isinstance(value, dict) else path
            self._collector.child(name, child, self._document.source(place, key=isinstance(value, dict)))
            if isinstance(value, dict):
                self._group(child, inner, place)

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


class _JsonWalk(_Walk):
    def parsed(self) -> ParsedInventory:
        data = self._document.data
        assert isinstance(data, dict)
        for name, group in data.items():
            if name != META:
                # Scripts of old give a group as the list of its hosts.
                self._group(name, {"hosts": group} if isinstance(group, list) else group, (name,))
        path: Path = (META, _HOSTVARS)
        meta = self._table(data.get(META), (META,), "a table with hostvars")
        for host, variables in self._table(meta.get(_HOSTVARS), path, "a table of hosts").items():
            self._collector.host_variables(host, self._variables(variables, (*path, host)))
        return self._collector.parsed()

    def _hosts(self, value: Any, path: Path) -> Iterator[tuple[str, Variables, Source]]:
        if not isinstance(value, list):
            yield from super()._hosts(value, path)
            return
        for host, source in self._names(value, path, "a list of hosts"):
            yield host, {}, source

    def _children(self, name: str, value: Any, path: Path) -> None:
        if not isinstance(value, list):
            super()._children(name, value, path)
            return
        for child, source in self._names(value, path, "a list of groups"):
            if name != "all":  # below which every group is
                self._collector.child(name, child, source)
            self._collector.group(child, source)

    def _names(self, items: list[Any], path: Path, expected: str) -> Iterator[tuple[str, Source]]:
        whole = self._document.source((path[0],)) if len(path) == 1 else None
        for number, item in enumerate(items):
            source = whole or self._document.source((*path, number))
            if not isinstance(item, str) or not item:
                raise BadInput(source, f"{shown(str(path[-1]))} holds something that is no name", expected)
            yield item, source
