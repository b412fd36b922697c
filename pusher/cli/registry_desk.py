"""What the commands on the registry share: the store, who asks, and how what was done is told.

Commands are not subject to roles, since whoever has the store's file has everything; what they change is audited.
What must not live here: a command.
"""

from __future__ import annotations

import os
import pwd
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType

from pusher.clock import utc_now
from pusher.registry.change import Actor, Done, Draft, Edit, Registrar
from pusher.report.record import write_line
from pusher.report.style import console_for
from pusher.report.text import visible
from pusher.settings import audit_key, open_default_store
from pusher.store import Store


@dataclass(frozen=True, kw_only=True)
class Desk:
    store: Store
    registrar: Registrar


@contextmanager
def desk(store: str | None) -> Iterator[Desk]:
    """BadInput where the store cannot be opened."""
    with closing(open_default_store(store)) as opened:
        yield Desk(store=opened, registrar=actor_s_registrar(opened))


def actor_s_registrar(store: Store) -> Registrar:
    """Changes an open store's registry for whoever runs this process."""
    return Registrar(store, audit_key(), this_actor(), utc_now)


def this_actor(environ: Mapping[str, str] = os.environ) -> Actor:
    """Whose process this is; what the environment adds (sudo, ssh) is said beside it, since anybody may set it."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    host = socket.gethostname()
    more = []
    if by := environ.get("SUDO_USER"):
        more.append(f"sudo by {by}")
    if ssh := environ.get("SSH_CONNECTION", "").split():
        more.append(f"ssh from {ssh[0]}")
    return Actor(name=f"{user}@{host}", via="command", origin=", ".join([host, *more]))


def told(done: Done, sentence: str, record: Mapping[str, Any], as_json: bool, nothing: str) -> None:
    """What was done; notes go to standard error. ``nothing``: what is said where there was nothing to change."""
    if as_json:
        write_line({"changed": done.edit is not None, **record, "notes": list(done.notes)}, sys.stdout)
    else:
        print(visible(sentence if done.edit is not None else nothing))
    for note in done.notes:
        print(visible(f"note: {note}"), file=sys.stderr)


def changed(
    act: str,
    edit: Callable[[Draft], Edit | None],
    sentence: str,
    record: Mapping[str, Any],
    store: str | None,
    as_json: bool,
) -> None:
    """One change, made and told. BadInput, StoreError: nothing was changed."""
    with desk(store) as opened:
        done = opened.registrar.change(act, edit)
    record = {**record, "object": done.edit.object} if done.edit is not None else record
    told(done, sentence, record, as_json, "Nothing has changed: it is so already.")


def show(what: RenderableType) -> None:
    console_for(sys.stdout).print(what)
