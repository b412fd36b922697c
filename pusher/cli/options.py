"""The options that push, check, remove and retry share, written once.

``with_run_options`` gives a command the options of ``_RUN_OPTIONS`` besides its own; the command receives them
ready-made, as one ``Options`` value. ``with_options_of_a_run`` gives it the same without their defaults: what is not
given is as it was in the run that it is made from.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from pusher.problems import BadInput
from pusher.settings import Options, is_recorded

_ATTEMPTS = (
    "Whole tries a machine, each with its own time limits, for what may pass by itself: the network, a file that is "
    "held. A failed sign-in and a service that does not stop are never tried again."
)

Inventory = Annotated[Path, typer.Argument(help="The machines: YAML, CSV, a plain list, or an Ansible inventory.")]
Limit = Annotated[
    list[str] | None, typer.Option("--limit", help="Only these: a glob, group:NAME, site:NAME, ~REGEX; repeatable.")
]
Exclude = Annotated[list[str] | None, typer.Option("--exclude", help="Not these; as --limit.")]
Accounts = Annotated[
    Path | None,
    typer.Option("--accounts", help="The push accounts. [default: accounts.toml beside the inventory]"),
]
StoreUrl = Annotated[
    str | None,
    typer.Option("--store", help="Where outcomes are recorded: a file or a URL. [default: your data folder]"),
]
Log = Annotated[Path | None, typer.Option("--log", help="The JSON log. [default: your data folder]")]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on standard output; notes go to standard error.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Nothing where all ends well, else notes and the closing summary.")
]

Package = Annotated[Path, typer.Option("--package", help="The package's folder, with its package.toml.")]
MaybePackage = Annotated[Path | None, typer.Option("--package", help="The package's folder, with its package.toml.")]

Identify = Annotated[
    bool,
    typer.Option(
        "--identify",
        help="Ask each address what it calls itself, with no account, and print it as lines for the inventory.",
    ),
]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, max=1000, help="Machines worked on at once.")]
TransportName = Annotated[str, typer.Option("--transport", help="smb, winrm, or auto: as the inventory says.")]
Authority = Annotated[
    Path | None,
    typer.Option("--ca", help="Who signs the certificates of WinRM, in PEM. [default: this system's list]"),
]
ConnectTimeout = Annotated[float, typer.Option("--connect-timeout", min=0.1, help="Seconds to wait for an answer.")]

_RUN_OPTIONS: dict[str, tuple[Any, Any]] = {
    "accounts": (Accounts, None),
    "limit": (Limit, None),
    "exclude": (Exclude, None),
    "store": (StoreUrl, None),
    "log": (Log, None),
    "concurrency": (Concurrency, 50),
    "per_site": (
        Annotated[int, typer.Option("--per-site", min=0, help="... of one site at most; 0: no limit.")],
        0,
    ),
    "per_subnet": (
        Annotated[int, typer.Option("--per-subnet", min=0, help="... of one /24 at most; 0: no limit.")],
        25,
    ),
    "transport": (TransportName, "auto"),
    "ca": (Authority, None),
    "content_port": (
        Annotated[
            int,
            typer.Option(
                "--content-port", min=0, max=65535, help="Where WinRM targets fetch files from us; 0: any free port."
            ),
        ],
        0,
    ),
    "attempts": (
        Annotated[int, typer.Option("--attempts", min=1, max=10, help=_ATTEMPTS)],
        2,
    ),
    "deadline": (
        Annotated[float, typer.Option("--deadline", min=1, help="Seconds allowed for one machine.")],
        900.0,
    ),
    "connect_timeout": (ConnectTimeout, 5.0),
    "max_failures": (
        Annotated[int, typer.Option("--max-failures", min=0, help="Stop the run at this many; 0: never.")],
        0,
    ),
}

_NEVER_KEPT = frozenset(one.name for one in fields(Options) if not is_recorded(one))
"""Options that are no part of a run's record."""


def with_run_options(package: Any, default: Any = ...) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """``command(options, …own)`` becomes a command with the shared options spelled out.

    ``package`` is the annotation of ``--package`` (required unless it has a ``default``).
    """
    required = inspect.Parameter.empty
    shared = {
        "inventory": (Inventory, required),
        "package": (package, required if default is ... else default),
        **_RUN_OPTIONS,
    }

    return _spelled_out(shared, lambda taken: {"options": _options(taken)})


def with_options_of_a_run(command: Callable[..., None]) -> Callable[..., None]:
    """``command(given, …own)`` becomes a command with the shared options; ``given`` holds those that were given."""
    shared = {name: (kind, None) for name, (kind, _) in _RUN_OPTIONS.items() if name in _NEVER_KEPT}
    kept = {"package": MaybePackage, **{name: kind for name, (kind, _) in _RUN_OPTIONS.items() if name not in shared}}
    shared |= {name: (_without_default(kind), None) for name, kind in kept.items()}

    def given(taken: dict[str, Any]) -> dict[str, Any]:
        return {"given": _checked({name: value for name, value in taken.items() if value not in (None, [])})}

    return _spelled_out(shared, given)(command)


def _spelled_out(
    shared: Mapping[str, tuple[Any, Any]], made: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that adds ``shared`` (annotation, default) to a command, which is handed what is ``made`` of them."""

    def spell_out(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [one for one in signature.parameters.values() if one.name not in ("options", "given")]

        @wraps(command)
        def spelled_out(**given: Any) -> None:
            taken = {name: given.pop(name) for name in shared}
            command(**made(taken), **given)

        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=kind)
            for name, (kind, value) in shared.items()
        ]
        # Arguments are taken in the order in which they stand.
        first = [one for one in own if one.default is inspect.Parameter.empty]
        parameters = [*first, *added, *(one for one in own if one not in first)]
        spelled_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        spelled_out.__annotations__ = {p.name: p.annotation for p in parameters}
        return spelled_out

    return spell_out


def _without_default(kind: Any) -> Any:
    """The same option, which says nothing of a default."""
    told, option = get_args(kind)
    option = copy(option)
    option.help = option.help.partition(" [default")[0]
    return Annotated[told | None, option]


def _options(taken: dict[str, Any]) -> Options:
    return Options(**_checked({**taken, "limit": taken["limit"] or (), "exclude": taken["exclude"] or ()}))


def refuse_unknown_transport(transport: str) -> None:
    if transport not in ("smb", "winrm", "auto"):
        raise BadInput(None, f"--transport {transport} is unknown", "smb, winrm or auto")


def _checked(taken: dict[str, Any]) -> dict[str, Any]:
    refuse_unknown_transport(taken.get("transport", "auto"))
    return taken
