"""Writes what is made from the settings' models: run it after a change of a setting, or of a table of names.

    make generate          or   python -m quantkit.cli.options.generate
    … --check              write nothing; exit code 1, and a line for each file that is not up to date

A test runs the check.
"""

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
COMMAND = "make generate"


def option_table() -> str:
    """Return quantkit/cli/options/table.py."""
    from quantkit.cli.options.from_models import table_text

    return table_text()


def keywords() -> str:
    """Return quantkit/api/keywords.py."""
    from quantkit.cli.options.keywords import keywords_text

    return keywords_text()


def schema() -> str:
    """Return docs/recipe.schema.json, as `quantkit schema` prints it."""
    from quantkit.files import pretty_json
    from quantkit.recipe.load import recipe_schema

    return pretty_json(recipe_schema())


def document() -> str:
    """Return docs/cli.md with fresh tables; the commands read table.py, so that comes first."""
    from quantkit.cli.options.docs import with_tables

    return with_tables((ROOT / "docs" / "cli.md").read_text(encoding="utf-8"))


FILES: dict[str, Callable[[], str]] = {
    "quantkit/cli/options/table.py": option_table,
    "quantkit/api/keywords.py": keywords,
    "docs/recipe.schema.json": schema,
    "docs/cli.md": document,
}
"""File of the repository → what it should hold."""


def stale() -> list[str]:
    """Return the files that are not what the models say."""
    return [name for name, made in FILES.items() if made() != (ROOT / name).read_text(encoding="utf-8")]


def main() -> None:
    """Write the files, or check them."""
    if sys.argv[1:] == ["--check"]:
        found = stale()
        for name in found:
            print(f"{name}: is not up to date; run {COMMAND}", file=sys.stderr)
        sys.exit(1 if found else 0)
    for name, made in FILES.items():
        (ROOT / name).write_text(made(), encoding="utf-8")


if __name__ == "__main__":
    main()
