"""The options that push, check, remove and retry share, against the model that they fill."""

from __future__ import annotations

from dataclasses import MISSING, fields

from typer.testing import CliRunner

from pusher.cli.app import app
from pusher.cli.options import _RUN_OPTIONS
from pusher.settings import Options

GIVEN_OTHERWISE = {"inventory", "package", "limit", "exclude"}
"""Arguments, and what is a list on the command line."""


def test_every_option_has_the_default_of_the_model() -> None:
    model = {field.name: field.default for field in fields(Options) if field.default is not MISSING}
    assert len(_RUN_OPTIONS) > 12
    wrong = {
        name: default
        for name, (_, default) in _RUN_OPTIONS.items()
        if name not in GIVEN_OTHERWISE and name in model and default != model[name]
    }
    assert wrong == {}


def test_what_the_readme_promises_is_there() -> None:
    said = CliRunner().invoke(app, ["push", "--help"], env={"COLUMNS": "200"}).output
    for option in (
        *("--accounts", "--limit", "--exclude", "--store", "--concurrency", "--per-site", "--per-subnet"),
        *("--transport", "--ca", "--content-port", "--deadline", "--attempts", "--max-failures", "--json", "--quiet"),
    ):
        assert option in said, option
