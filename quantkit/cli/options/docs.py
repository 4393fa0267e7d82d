"""The tables of options in docs/cli.md, one below each command, from the commands themselves."""

import importlib
import re

import click

from quantkit.cli.main import COMMANDS

BEGIN = "<!-- options: made by `make generate` -->"
END = "<!-- end of options -->"
_SHARED = ("model", "models", "data_dir", "as_json")
_VALUES = {"integer": "N", "float": "X", "file": "FILE", "path": "DIR", "directory": "DIR"}


def with_tables(document: str) -> str:
    """Return docs/cli.md with the table below each command as its options are today.

    Raises:
        ValueError: a command has no section, or a section no place for its table.
    """
    for name, (module, _) in COMMANDS.items():
        command = importlib.import_module(f"quantkit.cli.{module}").command
        section = re.compile(
            rf"(\n## quantkit {name}\n(?:(?!\n## ).)*?{re.escape(BEGIN)}\n).*?({re.escape(END)}\n)", re.DOTALL
        )
        if not section.search(document):
            raise ValueError(f"docs/cli.md: no `## quantkit {name}` with {BEGIN} and {END} in it")
        table = option_table(command).replace("\\", r"\\")
        document = section.sub(rf"\g<1>{table}\g<2>", document, count=1)
    return document


def option_table(command: click.Command) -> str:
    """Return a Markdown table of a command's options; those that commands share are told once, above them all."""
    options = [
        parameter
        for parameter in command.params
        if isinstance(parameter, click.Option) and not parameter.hidden
    ]
    rows = [
        f"| {_spelled(option)} | {_escaped(option.help or '')} |\n"
        for option in options
        if option.name not in _SHARED
    ]
    shared = ", ".join(f"`{option.opts[-1]}`" for option in options if option.name in _SHARED)
    rows.append(f"| {shared} | see [what all commands share](#what-all-commands-share) |\n")
    return "| option | meaning |\n|---|---|\n" + "".join(rows)


def _spelled(option: click.Option) -> str:
    names = [*option.opts, *option.secondary_opts]
    value = _value(option)
    if value:
        names[-1] = f"{names[-1]} {value}"
    return ", ".join(f"`{_escaped(name)}`" for name in names) + (" (required)" if option.required else "")


def _value(option: click.Option) -> str:
    if option.is_flag:
        return ""
    if option.metavar:
        return option.metavar
    if isinstance(option.type, click.Choice):
        return "|".join(str(choice) for choice in option.type.choices)
    return _VALUES.get(option.type.name, option.type.name.upper())


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
