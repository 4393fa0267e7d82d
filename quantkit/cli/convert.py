"""quantkit convert: an artifact becomes a folder of another tool."""

import click

from quantkit.cli import options, show


@click.command("convert")
@options.argument("ARTIFACT")
@options.output_options
def command(*, artifact: str, output: options.Output) -> None:
    """Write an artifact as a folder that sentence-transformers loads.

    The folder has the tokenizer, modules.json, 1_Pooling, 2_Normalize, and the graph as
    onnx/model_qint8_….onnx: give that name as file_name to SentenceTransformer(folder, backend="onnx").
    sentence-transformers pools itself, so the graph ends before the pooling.
    """
    from quantkit.artifact import Artifact
    from quantkit.stages.sentence_folder import write_sentence_folder

    with show.working():
        model = write_sentence_folder(Artifact.open(artifact), output.path, force=output.force)
    if output.as_json:
        show.print_json({"schema": "quantkit/conversion/1", "folder": str(output.path), "model": str(model)})
        return
    show.print_facts("", [("folder", str(output.path)), ("model", str(model))])
