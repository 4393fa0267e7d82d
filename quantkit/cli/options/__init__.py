"""Options: those of the settings, which are made from their models, and those that several commands share.

A command function gets few values: its artifact, what was `Given` of its settings, its `Output`, and flags of its own.
Type, default, choices and help of a setting stand at the field of its model alone; `make generate`
(`python -m quantkit.cli.options.generate`) brings `table.py`, docs/cli.md and docs/recipe.schema.json up to date.
"""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from quantkit.cli.options.given import Given
from quantkit.cli.options.places import ARTIFACT, CHECKPOINT, FILE, FOLDER, RECIPE
from quantkit.errors import UsageError

__all__ = [
    "ARTIFACT",
    "CHECKPOINT",
    "FILE",
    "FOLDER",
    "RECIPE",
    "Given",
    "Known",
    "Output",
    "allow_code_option",
    "argument",
    "arguments",
    "chosen",
    "data_dir_option",
    "force_option",
    "grouped",
    "json_option",
    "known_options",
    "output_options",
    "settings",
]

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

json_option: Decorator = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object to stdout, and nothing else there."
)
force_option: Decorator = click.option(
    "--force", is_flag=True, help="Replace the output folder if it is not empty."
)
allow_code_option: Decorator = click.option(
    "--allow-code",
    is_flag=True,
    help="Run the Python function that metric names; without it nothing is imported.",
)
data_dir_option: Decorator = click.option(
    "--data-dir", type=FOLDER, help="Where datasets are looked for first, before $QUANTKIT_DATA."
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """Where a new artifact goes, and how that is told.

    Attributes:
        path: its folder.
        force: what is there is replaced.
        as_json: what was made is printed as JSON.
    """

    path: Path
    force: bool
    as_json: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Known:
    """Where data is looked for first, and whether what was seen before is believed.

    Attributes:
        data_dir: a folder of datasets.
        no_cache: the cache is neither read nor written.
    """

    data_dir: Path | None
    no_cache: bool


def grouped(into: str, record: type[Any], *parameters: Decorator) -> Decorator:
    """Give a command function the values of some parameters as one record.

    Args:
        into: the function's parameter that takes the record.
        record: a dataclass whose fields are called as the parameters are.
        parameters: what adds the options.
    """
    names = [field.name for field in dataclasses.fields(record)]

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            values[into] = record(**{name: values.pop(name) for name in names})
            return function(**values)

        return _with(command, parameters)

    return decorate


def settings(section: str, *, only: tuple[str, ...] = ()) -> Decorator:
    """Add the options of a section; what is given of it reaches the function as `given`.

    Args:
        section: the name of its model.
        only: fields, when it is not all of them.
    """
    from quantkit.cli.options.table import OPTIONS  # not above: the table is made with this package

    options = [option for option in OPTIONS[section] if not only or option.path[0] in only]

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            collected = {option: option.take(values) for option in options}
            given: Given = values.pop("given", Given())
            return function(given=given.with_section(section, collected), **values)

        return _with(command, [option.decorate for option in options])

    return decorate


def argument(what: str, *, kind: Any = ARTIFACT, required: bool = True) -> Decorator:
    """Add what a command works on, as an argument or with -m as optimum and olive spell it.

    Args:
        what: its name in messages and help; the function's parameter is the same in small letters.
        kind: a type of click.
        required: False when the command can do without; it then gets None.
    """
    name = what.lower()

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            said, model = values.pop(name), values.pop("model")
            if required or said is not None or model is not None:
                said = chosen(said, model, what)
            return function(**{name: said}, **values)

        model = click.option(
            "-m",
            "--model",
            "model",
            type=kind,
            help="The same as the argument, as optimum and olive spell it.",
        )
        return _with(command, [click.argument(name, required=False, type=kind), model])

    return decorate


def arguments(metavar: str | None = None) -> Decorator:
    """Add the artifacts a command works on, as arguments or with -m; the function's parameter is `artifacts`."""

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(**values: Any) -> Any:
            artifacts = (*values.pop("artifacts"), *values.pop("models"))
            return function(artifacts=artifacts, **values)

        said = click.argument("artifacts", nargs=-1, metavar=metavar, type=ARTIFACT)
        model = click.option(
            "-m",
            "--model",
            "models",
            multiple=True,
            type=ARTIFACT,
            help="The same as an argument (repeatable).",
        )
        return _with(command, [said, model])

    return decorate


def chosen(argument: str | None, option: str | None, what: str) -> str:
    """Return what was given, as the argument or with -m.

    Raises:
        UsageError: neither was given, or both.
    """
    if argument is not None and option is not None:
        raise UsageError(f"--model: {what} is given twice, as {argument} and as {option}; keep one")
    given = argument if argument is not None else option
    if not given:
        raise UsageError(f"{what}: is missing; name it, as the argument or with -m")
    return given


def _with(command: Command, parameters: Any) -> Command:
    """Add parameters to a command function, in the order that help lists them."""
    for parameter in reversed(parameters):
        command = parameter(command)
    return command


output_options = grouped(
    "output",
    Output,
    click.option("-o", "--output", "path", type=FOLDER, required=True, help="Folder of the new artifact."),
    force_option,
    json_option,
)
"""Adds -o, --force and --json; the function gets an `Output` as `output`."""

KNOWN: tuple[Decorator, ...] = (
    click.option(
        "--no-cache", is_flag=True, help="Neither believe what was seen before nor keep what is seen now."
    ),
    data_dir_option,
)
known_options = grouped("known", Known, *KNOWN)
"""Adds --no-cache and --data-dir; the function gets a `Known` as `known`."""
