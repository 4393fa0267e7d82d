"""quantkit import: what another tool made becomes an artifact."""

from pathlib import Path

import click

from quantkit.cli import options, show


@click.command("import")
@click.argument("folder", type=options.FOLDER)
@options.settings("Recipe", only=("task",))
@options.settings("ImportSettings")
@options.output_options
def command(*, folder: Path, given: options.Given, output: options.Output) -> None:
    """Make an artifact of a model that another tool made.

    FOLDER is what optimum, Olive, onnxruntime or NNCF left: an ONNX file under any name, with config and tokenizer
    beside it or in the folder above. The model's bytes stay as they are; what was found is in the manifest.
    """
    from quantkit.recipe.import_settings import ImportSettings
    from quantkit.recipe.settings import Recipe
    from quantkit.stages.importing import import_folder

    task, settings = given.one(Recipe, "task"), given.build(ImportSettings)
    with show.working():
        artifact = import_folder(folder, output.path, task=task, settings=settings, force=output.force)
    show.print_artifact(artifact, as_json=output.as_json)
