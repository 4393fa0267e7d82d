"""quantkit schema: the JSON schema of recipes."""

import click

from quantkit.cli import options, show


@click.command("schema")
@options.json_option
def command(*, as_json: bool) -> None:
    """Print the JSON schema of recipes.

    Editors complete and check recipes with it. It is JSON with or without --json.
    """
    del as_json
    from quantkit.recipe.load import recipe_schema

    show.print_json(recipe_schema())
