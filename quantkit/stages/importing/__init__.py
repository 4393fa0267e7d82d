"""import: a folder that another tool left becomes an artifact, with what was found written down.

The model's bytes stay as they are. Only where they cannot, the file is written anew, and the record says why: inputs
or outputs get the names that `rename` says, and external data becomes `model.onnx.data`.

Nothing that a foreign folder says of itself is proof. What the record says is what was found: files and their digests,
who the model names as its producer, its inputs and outputs, which kernels a run executed. The rest is for `gate`.
"""

import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from quantkit.architectures import Architecture, Config, architecture
from quantkit.artifact import Artifact, Draft, new_artifact
from quantkit.artifact.artifact import EXTERNAL_DATA
from quantkit.artifact.ingredients import Ingredients
from quantkit.artifact.manifest import FileRecord
from quantkit.artifact.measure import measuring, tool_versions
from quantkit.checkpoint.checkpoint import require_scored, require_task
from quantkit.checkpoint.same_ids import not_compared, read_as_transformers_do
from quantkit.errors import ArtifactError
from quantkit.files import digest_of, naming, naming_output_errors, require_free, sha256_file
from quantkit.graph.kernels import Execution, trace_execution
from quantkit.graph.model import load_model
from quantkit.progress import phases
from quantkit.recipe.import_settings import ImportSettings
from quantkit.recipe.marks import in_key
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.model_files import read_graph, stored_tensors
from quantkit.runtime.session import (
    ATTENTION_MASK,
    INPUT_IDS,
    ONNXRUNTIME_ERRORS,
    TOKEN_TYPE_IDS,
    Session,
    first_line,
)
from quantkit.stages.importing import precision
from quantkit.stages.importing.signature import Signature, read_signature, require_encoder
from quantkit.stages.importing.source import CONFIG, Source, find_source
from quantkit.tasks import Task
from quantkit.tasks import task as task_named
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.heads import unfit_head
from quantkit.tasks.lengths import fit, said
from quantkit.tasks.tokenizer import Tokenizer
from quantkit.tasks.tokenizer_files import read_json

STAGE = "import"
# Seconds that each takes of a small model on two slow cores.
_PHASES = {"copy the model": 1, "compare token ids": 12, "run batches": 4}
_TOOLS = ("onnx", "onnx-ir", "onnxruntime", "numpy", "torch", "transformers")
_TRIED = ((2, 7), (1, 3))
"""Batches that a model must take, as [rows, tokens]: traced graphs may have a length baked in."""
_SHORT = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """What is imported: a folder, and the task its model was trained for."""

    path: Path
    task: str


def ingredients(folder: Folder, settings: ImportSettings, data: DataPlaces) -> Ingredients:
    """Return all that decides what `import_folder` makes: the files' bytes, task, settings, tools, kernels.

    Raises:
        ArtifactError: the folder holds nothing to import.
        UsageError: there are several models and none was named.
    """
    del data
    return _made_of(
        find_source(folder.path, settings.model_file, settings.companions).files(), folder.task, settings
    )


def _made_of(files: dict[str, FileRecord], task: str, settings: ImportSettings) -> Ingredients:
    return Ingredients(
        inputs={
            "files": digest_of({name: record.sha256 for name, record in files.items()}),
            "cpu": cpu_facts().kernels,
        },
        settings={"task": task, **in_key(settings)},
        tools=tool_versions(*_TOOLS),
    )


def import_folder(
    folder: Path, out: Path, *, task: str, settings: ImportSettings, force: bool = False
) -> Artifact:
    """Make an artifact of what another tool left.

    The record's facts: `provenance`, `files` (path from the folder → sha256 and size), `model`, `producer`, `opset`,
    `inputs` and `outputs` (our name → name there, type, shape), `rewritten` (why, empty when the bytes are theirs),
    `ids` (how they compare with transformers', or that they were not compared),
    `precision`, `linear_kernels`, `int8_coverage`, `static_ranges`.

    Args:
        folder: what the tool left.
        out: the artifact's folder.
        task: the name of the task the model was trained for.
        settings: which model, its precision, names to change.
        force: replace what is at `out`.

    Raises:
        ArtifactError: there is nothing to import, the model cannot be run, or it is not one for the task.
        CheckpointError: config or tokenizer is broken, not supported, or of another task.
        EvaluationError: an output of a run is NaN or infinite.
        UsageError: a setting contradicts what was found, or one is needed.
        OutputError: `out` cannot be written.
    """
    require_free(out, force=force)
    with measuring() as watch, phases("import", _PHASES) as phase:
        source = find_source(folder, settings.model_file, settings.companions)
        where = str(source.model)
        files = source.files()
        config = read_json(source.companions[CONFIG])
        family = _family(source, config, task)
        model = read_graph(source.model)
        signature = read_signature(model, settings.rename, where)
        require_encoder(signature, task_named(task), where)
        with new_artifact(out, force=force) as draft:
            with phase("copy the model"):
                rewritten = _write_model(source, signature, draft)
                _copy_companions(source, draft, files)
            with phase("compare token ids"), naming(draft.path, source.folder):
                ids = _compare_ids(draft, family, Config(values=config, where=where), source.folder.name)
                lengths = fit(task_named(task), Tokenizer.load(draft.path), settings.asked())
            with phase("run batches"):
                _try_batches(draft.model_path, task_named(task), where)
                execution = trace_execution(
                    draft.model_path, outputs=task_named(task).outputs, config=config, name=where
                )
            _require_whole(execution, family, Config(values=config, where=where), where)
            found = precision.look(execution, stored_tensors(model.graph))
            decided = precision.decide(found, settings.precision, where)
            facts: dict[str, Any] = {
                "provenance": f"imported: declared by {_producer(model) or 'nobody'}",
                "model": source.called(source.model),
                "files": {name: record.model_dump() for name, record in files.items()},
                "producer": _producer(model),
                "ir_version": model.ir_version,
                "opset": {entry.domain or "ai.onnx": entry.version for entry in model.opset_import},
                "inputs": {value.ours: value.as_json() for value in signature.inputs},
                "outputs": {value.ours: value.as_json() for value in signature.outputs},
                "rewritten": rewritten,
                "ids": ids,
                **precision.facts(found, decided, settings.precision, execution),
                **said(task_named(task), lengths),
                "static_ranges": any(node.op_type == "QuantizeLinear" for node in model.graph.node),
            }
            if source.former:
                facts["former_manifest"] = _plain(source.former)
            record = watch.record(
                STAGE,
                ingredients=_made_of(files, task, settings),
                settings={**settings.as_json(), "task": task},
                facts=facts,
                cpu=cpu_facts().as_json(),
            )
            draft.record(
                task=task, architecture=family.model_type, precision=decided, stages=(record,), parent=None
            )
    return Artifact.open(out, check=False)


def _family(source: Source, config: dict[str, Any], task: str) -> Architecture:
    where = source.companions[CONFIG]
    family = architecture(config, str(where))
    require_task(where, config, family, task, verb="import")
    require_scored(where, config, task)
    return family


def _write_model(source: Source, signature: Signature, draft: Draft) -> list[str]:
    """Copy the model, or write it anew; return why it had to be written anew."""
    why = [f"renamed {theirs} to {ours}" for theirs, ours in signature.renamed.items()]
    if source.weights and [path.name for path in source.weights] != [EXTERNAL_DATA]:
        names = ", ".join(source.called(path) for path in source.weights)
        why.append(f"external data of {names} is in {EXTERNAL_DATA}")
    model = load_model(source.model)  # also checks that external data is whole and inside the folder
    with naming_output_errors(draft.model_path):
        if not why:
            shutil.copyfile(source.model, draft.model_path)
            for path in source.weights:
                shutil.copyfile(path, draft.path / path.name)
            return why
        for value in (*model.graph.inputs, *model.graph.outputs):
            value.name = signature.renamed.get(value.name or "", value.name)
        ir.save(model, draft.model_path, external_data=EXTERNAL_DATA if source.weights else None)
    return why


def _copy_companions(source: Source, draft: Draft, files: dict[str, FileRecord]) -> None:
    """Copy config and tokenizer, and see that they are the bytes whose digests were taken."""
    for name, path in source.companions.items():
        with naming_output_errors(draft.path / name, within=draft.path):
            shutil.copyfile(path, draft.path / name)
        if sha256_file(draft.path / name) != files[source.called(path)].sha256:
            raise ArtifactError(f"{path}: changed while it was read; import again when nobody writes there")


def _compare_ids(draft: Draft, family: Architecture, config: Config, name: str) -> dict[str, Any]:
    """Check the vocabulary and, where transformers is at hand, that texts are read as there; return the fact."""
    rows = config.count("vocab_size")
    Tokenizer.load(draft.path).check_vocabulary(rows)
    two_types = TOKEN_TYPE_IDS in family.read_inputs(config) and config.count("type_vocab_size", 2) > 1
    return not_compared() or read_as_transformers_do(
        draft.path, draft.path, name=name, vocab_size=rows, token_types=two_types
    )


def _try_batches(path: Path, task: Task, where: str) -> None:
    """Run batches of several sizes.

    Raises:
        ArtifactError: one fails, or an output has another shape than the task reads.
    """
    session = Session(path, outputs=task.outputs, name=where)
    labels: dict[str, int] = {}
    for name, by_position in zip(task.outputs, session.by_position, strict=True):
        if by_position and not task.per_token:
            raise ArtifactError(
                f"{where}: how many labels its output {name} has does not follow from the graph; "
                "export it with batch and sequence as the only dynamic axes"
            )
    for shape in _TRIED:
        ids = np.ones(shape, np.int64)
        feeds = {INPUT_IDS: ids, ATTENTION_MASK: ids, TOKEN_TYPE_IDS: np.zeros_like(ids)}
        said = f"{shape[0]} rows of {shape[1]} tokens"
        try:
            outputs = session.run(feeds)
        except ONNXRUNTIME_ERRORS as error:
            raise ArtifactError(
                f"{where}: does not run on {said} ({first_line(error)}); export it with dynamic axes"
            ) from error
        for name, array in zip(task.outputs, outputs, strict=True):
            width = shape[1] if task.per_token else labels.setdefault(name, array.shape[-1])
            unfit = None if task.per_token else unfit_head({}, task, rows=width)
            if unfit is not None:
                raise ArtifactError(f"{where}: by its output {name}, {unfit}")
            wanted: tuple[int, ...] = (shape[0], width)
            if task.per_token and task.per_label:
                wanted = (*wanted, labels.setdefault(name, array.shape[-1]))
            if array.shape != wanted:
                raise ArtifactError(
                    f"{where}: {name} of {said} has the shape {list(array.shape)}, not {list(wanted)}; "
                    "export it with dynamic axes"
                )


def _require_whole(execution: Execution, family: Architecture, config: Config, where: str) -> None:
    """Refuse a model of which fewer linear layers were seen than its config promises.

    A layer that is computed by an operator that is not counted as linear (a convolution, an Einsum, a loop) would be
    missing in the share of integer kernels.

    Raises:
        ArtifactError: it is.
    """
    promised = sum(layer.linear_weights for layer in family.read_shape(config).layers)
    seen = sum(math.prod(layer.shape) for layer in execution.layers)
    if seen < promised:
        raise ArtifactError(
            f"{where}: its linear layers hold {seen:,} weights, and by its config.json at least {promised:,}; "
            "give the model's own config.json, or export it with linear layers as MatMul or Gemm"
        )


def _producer(model: onnx.ModelProto) -> str:
    """Return who wrote the model, as it says itself; empty when it does not."""
    return _plain(f"{model.producer_name} {model.producer_version}".strip())


def _plain(text: str) -> str:
    """Return a foreign text for a record: short, and without what could move a cursor."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:_SHORT]
