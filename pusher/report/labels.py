"""What each address calls itself, as lines to be pasted into an inventory of any format.

What must not live here: asking. The names come from whoever answers, unproven: only what is a host name is made a line,
and where a name server gave the address the line is a comment, since a stale record looks the same as an alias.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pusher.targets.parsed import Form
from pusher.targets.ranges import is_host_name, parse_address


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What a target's address said. ``machine``: its own name; ``fits``: it is the one that the inventory means.

    ``label``: how the inventory calls the target; ``given``: the inventory gives the address, no name server does.
    ``code``: why there is no answer.
    """

    label: str
    machine: str | None = None
    fits: bool = False
    given: bool = False
    code: str | None = None


def paste(address: str | None, asked: Asked, form: Form, port: int | None = None) -> str | None:
    """The line that says what the machine at ``address`` calls itself; None where nothing is to be said."""
    machine, label = asked.machine, asked.label
    named = parse_address(label) is None
    if machine is None or address is None or not is_host_name(machine) or asked.fits:
        return None
    if form is Form.OWN:
        parts = [f"name: {json.dumps(label)}", *([f"address: {json.dumps(address)}"] if named else [])]
        parts += [f"port: {port}"] if port is not None else []
        return f"- {{{', '.join([*parts, f'machine: {json.dumps(machine)}'])}}}"
    if form is Form.ANSIBLE_INI:
        name = label if label.isascii() and not set(label) & set(" \t#;'\"") else json.dumps(label)
        return f"{name}{f' ansible_host={address}' if named else ''} pusher_machine={machine}"
    if form in (Form.ANSIBLE_YAML, Form.ANSIBLE_JSON):
        variables = {**({"ansible_host": address} if named else {}), "pusher_machine": machine}
        return f"{json.dumps(label)}: {json.dumps(variables)}"
    return f"{label},{address if named else ''},{machine}"


def paste_page(lines: Iterable[tuple[str, bool]], form: Form) -> Iterator[str]:
    """The lines under a heading. A line whose address a name server gave is commented out."""
    every = list(lines)
    given = [line for line, is_given in every if is_given]
    looked_up = [line for line, is_given in every if not is_given]
    head = ["name,address,machine"] if form in (Form.CSV, Form.LIST) else []
    if given:
        yield "# What the machines call themselves, unproven. Once you have read it, paste it over their entries:"
        yield from (*head, *given)
    if looked_up:
        yield "# Another machine answers where the name leads. Correct the name server's stale record; only where the"
        yield "# name is known to you as another one of that machine, its entry is:"
        yield from (f"# {line}" for line in looked_up)
