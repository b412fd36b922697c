"""From a document to a pydantic model, or to ONE sentence that says what is wrong and where.

Here live the base of every format's model and the translation of pydantic's errors into ``BadInput``.
What must not live here: any particular format. A value is never repeated in a sentence unless a format's own
validator put it there (``Wrong``), because the value may be a secret in the wrong place.
"""

from __future__ import annotations

import datetime
import types
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic.fields import FieldInfo

from pusher.config.document import Document, Path, dotted
from pusher.config.wording import Wrong, about, hint, kind, listed, shown
from pusher.problems import BadInput


class FormatModel(BaseModel):
    """A table of a file format: unknown keys are refused, nothing is converted silently, values are frozen.

    A field's ``description`` is the end of the sentence "expected …".
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


M = TypeVar("M", bound=FormatModel)

_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a table of keys",
    "mapping_type": "a table of keys",
    "model_type": "a table of keys",
    "model_attributes_type": "a table of keys",
    "is_instance_of": "another kind of value",
}

_WITHOUT_QUOTES = (bool, int, float, datetime.date, datetime.time)
"""What YAML and TOML make of text without quotation marks: 1.0 is a number, not a version."""
_BOUNDS = frozenset({"greater_than", "greater_than_equal", "less_than", "less_than_equal"})
_LENGTHS = {
    ("too_short", 1): "empty",
    ("string_too_short", 1): "empty",
    ("too_long", None): "too long",
    ("string_too_long", None): "too long",
}


def validate(model: type[M], document: Document, within: Path = ()) -> M:
    """The document (or the part ``within``) as ``model``; the first thing wrong in it raises BadInput."""
    part: Any = document.data
    for step in within:
        part = part[step]
    try:
        return model.model_validate(part)
    except ValidationError as exc:
        errors = exc.errors(include_url=False)
    raise min((_Finding(error, model, document, within, part) for error in errors), key=lambda f: f.rank).bad_input


class _Finding:
    """One of pydantic's errors with its place in the document."""

    def __init__(self, error: Any, model: type[FormatModel], document: Document, within: Path, part: Any) -> None:
        self._error, self._model = error, model
        known, self._missing, self._value, is_key = _follow(part, error["loc"])
        self._inner = known
        self._path: Path = (*within, *known)
        self._kind: str = error["type"]
        self._source = document.source(self._path, key=is_key or self._kind == "extra_forbidden")

    @property
    def rank(self) -> tuple[bool, int, int]:
        """The first in the file; but a key misspelled before the key it was meant to be."""
        return self._kind == "missing", self._source.line, self._source.column

    @property
    def bad_input(self) -> BadInput:
        found, expected = self._words()
        return BadInput(self._source, found, expected)

    def _words(self) -> tuple[str, str]:
        name = dotted(self._path) or "the file"
        description = _description(self._model, self._inner)
        context = self._error.get("ctx", {})
        if self._kind == "extra_forbidden":
            owner = _model_at(self._model, self._inner[:-1])
            known = list(_fields(owner)) if owner is not None else []
            return f"{name} is not a known key{hint(str(self._path[-1]), known)}", listed(known)
        if self._kind == "missing":
            missing = (*self._path, *self._missing)
            expected = _description(self._model, (*self._inner, *self._missing))
            return f"{dotted(missing)} is missing", expected or "a value for it"
        if self._kind == "value_error" and isinstance(context.get("error"), Wrong):
            wrong: Wrong = context["error"]
            return about(name, wrong), wrong.expected
        if self._kind in _TYPES:
            expected = description or _TYPES[self._kind]
            if self._kind == "string_type" and isinstance(self._value, _WITHOUT_QUOTES):
                expected += ", in quotation marks"
            return f"{name} is {kind(self._value)}", expected
        return f"{name} is {self._seen(context)}", description or _expected(context)

    def _seen(self, context: dict[str, Any]) -> str:
        if self._kind == "literal_error" and isinstance(self._value, str):
            return shown(self._value)  # a choice among words is no place for a secret
        if self._kind in _BOUNDS:  # a number, or a duration
            return shown(self._value) if isinstance(self._value, str) else str(self._value)
        return _LENGTHS.get((self._kind, context.get("min_length"))) or kind(self._value)


def _expected(context: dict[str, Any]) -> str:
    if "expected" in context:
        return str(context["expected"]).replace("'", "")
    for key, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most"), ("lt", "less than")):
        if key in context:
            return f"{words} {context[key]}"
    if "min_length" in context:
        return f"at least {context['min_length']}"
    if "max_length" in context:
        return f"at most {context['max_length']}"
    return "another value"


def _follow(data: Any, loc: tuple[Any, ...]) -> tuple[Path, Path, Any, bool]:
    """The part of ``loc`` that exists in ``data``, what is left of it, the value there, and whether a key is meant.

    pydantic puts tags of unions and ``[key]`` between the steps; what the data does not have is not a step.
    """
    path: Path = ()
    here = data
    is_key = False
    rest: Path = ()
    for step in loc:
        in_table = isinstance(here, dict) and step in here
        in_list = isinstance(here, list) and isinstance(step, int) and 0 <= step < len(here)
        if in_table or in_list:
            path, here, rest = (*path, step), here[step], ()
        elif step == "[key]":
            is_key = True
        elif not (isinstance(step, str) and step.startswith("(")):  # "(host)": a tag of a union
            rest = (*rest, step)
    return path, rest, here, is_key


# -- the model's own words for a path ---------------------------------------------------------------------


def _description(model: type[BaseModel], path: Path) -> str:
    described = ""
    annotation: Any = model
    for step in path:
        field = _field(annotation, step)
        if field is not None:
            described = field.description or ""
            annotation = field.annotation
            continue
        described = ""
        annotation = _item(annotation, step)
        if get_origin(annotation) is Annotated:
            described = next((m.description for m in get_args(annotation) if isinstance(m, FieldInfo)), "") or ""
    return described


def _model_at(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    annotation: Any = model
    for step in path:
        field = _field(annotation, step)
        annotation = field.annotation if field is not None else _item(annotation, step)
    return next(_models(annotation), None)


def _field(annotation: Any, step: str | int) -> FieldInfo | None:
    for model in _models(annotation):
        if isinstance(step, str) and (field := _fields(model).get(step)) is not None:
            return field
    return None


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """By their names in the file: a key that is a word of Python's has an alias."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for arm in _arms(annotation):
        if isinstance(arm, type) and issubclass(arm, BaseModel):
            yield arm


def _item(annotation: Any, step: str | int) -> Any:
    """What an item of a list, or a value of a mapping, is declared as."""
    for arm in _arms(annotation):
        origin, arguments = get_origin(arm), get_args(arm)
        if isinstance(step, int) and origin in {list, tuple} and arguments:
            return arguments[0]
        if isinstance(step, str) and origin is dict and len(arguments) == 2:
            return arguments[1]
    return None


def _arms(annotation: Any) -> Iterator[Any]:
    """The annotation without ``Annotated`` and with unions taken apart."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _arms(get_args(annotation)[0])
    elif origin in {Union, types.UnionType}:
        for arm in get_args(annotation):
            yield from _arms(arm)
    else:
        yield annotation
