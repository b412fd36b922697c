"""The options that push, check and remove share, written once.

``with_run_options`` gives a command the options of ``_RUN_OPTIONS`` besides its own; the command receives them
ready-made, as one ``Options`` value.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from pusher.problems import BadInput
from pusher.settings import Options

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
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Only the closing summary.")]

Package = Annotated[Path, typer.Option("--package", help="The package's folder, with its package.toml.")]
MaybePackage = Annotated[Path | None, typer.Option("--package", help="The package's folder, with its package.toml.")]

_RUN_OPTIONS: dict[str, tuple[Any, Any]] = {
    "accounts": (Accounts, None),
    "limit": (Limit, None),
    "exclude": (Exclude, None),
    "store": (StoreUrl, None),
    "log": (Log, None),
    "concurrency": (
        Annotated[int, typer.Option("--concurrency", min=1, max=1000, help="Machines worked on at once.")],
        50,
    ),
    "per_site": (
        Annotated[int, typer.Option("--per-site", min=0, help="... of one site at most; 0: no limit.")],
        0,
    ),
    "per_subnet": (
        Annotated[int, typer.Option("--per-subnet", min=0, help="... of one /24 at most; 0: no limit.")],
        25,
    ),
    "transport": (
        Annotated[str, typer.Option("--transport", help="smb, winrm, or auto: as the inventory says.")],
        "auto",
    ),
    "ca": (
        Annotated[
            Path | None,
            typer.Option("--ca", help="Who signs the certificates of WinRM, in PEM. [default: this system's list]"),
        ],
        None,
    ),
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
        Annotated[int, typer.Option("--attempts", min=1, max=10, help="Tries a machine; network failures only.")],
        2,
    ),
    "deadline": (
        Annotated[float, typer.Option("--deadline", min=1, help="Seconds allowed for one machine.")],
        900.0,
    ),
    "connect_timeout": (
        Annotated[float, typer.Option("--connect-timeout", min=0.1, help="Seconds to wait for an answer.")],
        5.0,
    ),
    "max_failures": (
        Annotated[int, typer.Option("--max-failures", min=0, help="Stop the run at this many; 0: never.")],
        0,
    ),
}


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

    def spell_out(command: Callable[..., None]) -> Callable[..., None]:
        own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "options"]

        @wraps(command)
        def spelled_out(**given: Any) -> None:
            taken = {name: given.pop(name) for name in shared}
            command(options=_options(taken), **given)

        parameters = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=kind)
            for name, (kind, value) in shared.items()
        ] + own
        spelled_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        spelled_out.__annotations__ = {p.name: p.annotation for p in parameters}
        return spelled_out

    return spell_out


def _options(taken: dict[str, Any]) -> Options:
    options = Options(**{**taken, "limit": taken["limit"] or (), "exclude": taken["exclude"] or ()})
    if options.transport not in ("smb", "winrm", "auto"):
        raise BadInput(None, f"--transport {options.transport} is unknown", "smb, winrm or auto")
    return options
