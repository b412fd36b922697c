"""The options of a run on the command line, made from their definitions in ``pusher.settings``.

``with_options`` gives a command those that it names besides its own; the command receives them ready-made, as one
``Options`` value. ``with_options_of_a_run`` gives it all of them without their defaults: what is not given is as it was
in the run that it is made from. An option that is not given is taken from its environment variable. What must not live
here: an option's type, bounds, help or default.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Annotated, Any, Literal, get_origin

import typer

from pusher.problems import BadInput
from pusher.settings import OPTIONS, Options, bounds, checked, from_environment, is_recorded

AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object a line on standard output; notes go to standard error.")
]
Quiet = Annotated[
    bool, typer.Option("--quiet", help="Print nothing where all ends well; else the notes and the closing summary.")
]

_NOT_GIVEN = frozenset({"DEFAULT", "DEFAULT_MAP"})
_MANY = get_origin(Sequence[str])


def flag(name: str, *, help: str | None = None, kept: bool = False) -> Any:
    """The option as typer has it, for the annotation of a command's parameter; ``help``: this command's own words.

    ``kept``: what an earlier run was told holds where it is not given, and neither a default nor the environment.
    """
    asked, (least, most) = OPTIONS[name], bounds(name)
    if asked.positional:
        return typer.Argument(help=asked.help)
    otherwise = f" [default: {asked.otherwise}]" if asked.otherwise and not kept else ""
    return typer.Option(
        spelled(name),
        help=help or asked.help + otherwise,
        min=least,
        max=most,
        callback=_callback(name, in_environment=not kept),
    )


def _annotation(name: str, *, kept: bool = False) -> Any:
    kind: Any = Options.model_fields[name].annotation
    if get_origin(kind) is _MANY:
        kind = list[str] | None  # one flag again and again
    elif get_origin(kind) is Literal:
        kind = str
    return Annotated[kind | None if kept else kind, flag(name, kept=kept)]


def _callback(name: str, *, in_environment: bool) -> Callable[..., Any]:
    """What is given goes through the option's definition; for what is not, the environment is looked at."""

    def given(context: typer.Context, value: Any) -> Any:
        source = context.get_parameter_source(name)
        if source is None or source.name in _NOT_GIVEN:
            found = from_environment(name) if in_environment else None
            return value if found is None else found
        return checked(name, value, spelled(name))

    return given


def spelled(name: str) -> str:
    """As a command line has the option."""
    return "--" + name.replace("_", "-")


StoreUrl = Annotated[str | None, flag("store")]


BAD_INPUT = 2
"""Exit status: nothing was done, since what was asked cannot be."""


def somebody_to_ask(before: str) -> None:
    """BadInput where nobody is there to say yes."""
    if not sys.stdin.isatty():
        raise BadInput(None, f"there is nobody to ask before {before}", "--yes")


def confirmed(question: str) -> None:
    """Ends the command where the answer is no."""
    if not typer.confirm(question):
        raise typer.Exit(BAD_INPUT)


def group_of_commands(help: str) -> typer.Typer:
    """An app of commands that stands under a word of its own."""
    return typer.Typer(
        no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None, help=help
    )


def with_options(*names: str, required: Sequence[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """``command(options, …own)`` becomes a command with the options of these names spelled out, in this order.

    A parameter of the command's own that is among the names stands there, and the others after all of them.
    """
    shared = {name: (_annotation(name), _default(name, required)) for name in names if name in OPTIONS}
    return _spelled_out(names, shared, lambda taken: {"options": Options(**_given(taken))})


def with_run_options(*required: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """``with_options`` of all that there are; ``required``: those that this command wants besides the inventory."""
    return with_options(*OPTIONS, required=required)


def with_options_of_a_run(command: Callable[..., None]) -> Callable[..., None]:
    """``command(given, …own)`` becomes a command with all options but the inventory; ``given``: those given."""
    recorded = {name: is_recorded(Options.model_fields[name]) for name, one in OPTIONS.items() if not one.positional}
    names = sorted(recorded, key=recorded.__getitem__)  # first what the run's record does not say
    shared = {name: (_annotation(name, kept=recorded[name]), None) for name in names}
    return _spelled_out(names, shared, lambda taken: {"given": _given(taken)})(command)


def _default(name: str, required: Sequence[str]) -> Any:
    field = Options.model_fields[name]
    if name in required or field.is_required():
        return inspect.Parameter.empty
    return field.default or None if get_origin(field.annotation) is _MANY else field.default


def _given(taken: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in taken.items() if value not in (None, [])}


def _spelled_out(
    names: Sequence[str], shared: Mapping[str, tuple[Any, Any]], made: Callable[[dict[str, Any]], dict[str, Any]]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A decorator that adds ``shared`` (annotation, default) to a command, which is handed what is ``made`` of them."""

    def spell_out(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = {name: one for name, one in signature.parameters.items() if name not in ("options", "given")}
        added = {
            name: inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=kind)
            for name, (kind, value) in shared.items()
        }

        @wraps(command)
        def spelled_out(**given: Any) -> None:
            taken = {name: given.pop(name) for name in shared}
            command(**made(taken), **given)

        # Arguments are taken in the order in which they stand.
        first = [name for name, one in own.items() if one.default is inspect.Parameter.empty]
        order = dict.fromkeys([*first, *names, *own])
        parameters = [(own | added)[name].replace(kind=inspect.Parameter.KEYWORD_ONLY) for name in order]
        spelled_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        spelled_out.__annotations__ = {p.name: p.annotation for p in parameters}
        return spelled_out

    return spell_out
