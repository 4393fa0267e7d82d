"""export: a trained checkpoint becomes an FP32 artifact whose graph computes what the checkpoint computes.

The graph (the other stages rely on this):

* inputs `input_ids`, `attention_mask` and, where the family has token types, `token_type_ids`: int64
  [batch, sequence], both dimensions dynamic; outputs `start_logits` and `end_logits` [batch, sequence],
  `logits` [batch, labels], or `sentence_embedding` [batch, hidden]: float32;
* opset as asked (17 by default), IR version 10, weights float32 whatever the checkpoint holds;
* each linear layer is MatMul, named by its torch module path, with the weight `<path>.weight` [inputs,
  outputs], then Add of `<path>.bias`; every other parameter has its torch name;
* nothing in it tells of the machine, and the same checkpoint gives the same bytes.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from quantkit.artifact import Artifact, new_artifact
from quantkit.artifact.ingredients import UNKNOWN, Ingredients
from quantkit.artifact.measure import measuring, tool_versions
from quantkit.checkpoint import Checkpoint, checkpoint_digest, read_checkpoint, require_torch
from quantkit.checkpoint.same_ids import read_as_transformers_do
from quantkit.checkpoint.student import teacher_of
from quantkit.checkpoint.weight_names import modules_of
from quantkit.errors import ExportError
from quantkit.files import require_free
from quantkit.graph.model import PROTOBUF_LIMIT, save_model, weight_bytes
from quantkit.graph.parity import TokenRanges
from quantkit.progress import Phase, phases
from quantkit.recipe.marks import in_key
from quantkit.recipe.settings import ExportSettings
from quantkit.tasks import task as task_named
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.lengths import fit, said
from quantkit.tasks.tokenizer import Tokenizer

__all__ = ["Source", "checkpoint_digest", "export", "ingredients"]

_LOG = logging.getLogger(__name__)
_PADDING = 128  # rows that a table may be longer to please kernels
_TOOLS = ("torch", "transformers", "onnxscript", "onnx", "onnx-ir", "onnxruntime", "numpy")
_READ, _IMPORT, _IDS = "read the checkpoint", "import torch and transformers", "compare token ids"
_WEIGHTS, _TRACE, _WRITE, _COMPARE = "read weights", "trace", "write and check the graph", "compare"
# Seconds that each takes of a small model on two slow cores.
_PHASES = {_READ: 1, _IMPORT: 12, _IDS: 5, _WEIGHTS: 5, _TRACE: 4, _WRITE: 3, _COMPARE: 15}
_EXTERNAL = {"auto": None, "yes": True, "no": False}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What is exported: a checkpoint (a folder, or a Hugging Face id), and the task it was trained for."""

    checkpoint: str
    task: str


def ingredients(source: Source, settings: ExportSettings, data: DataPlaces) -> Ingredients:
    """Return all that decides what `export` makes: checkpoint files, task, settings, tools.

    Offline, what a checkpoint that is no folder here holds is not known.

    Raises:
        CheckpointError: there is no such checkpoint, or its weights are missing.
    """
    if data.offline and not Path(source.checkpoint).expanduser().is_dir():
        digest = UNKNOWN
    else:
        digest = checkpoint_digest(
            source.checkpoint, revision=settings.revision, allow_pickle=settings.allow_pickle
        )
    return _made_of(digest, source.task, settings)


def _made_of(digest: str, task: str, settings: ExportSettings) -> Ingredients:
    return Ingredients(
        inputs={"checkpoint": digest},
        settings={"task": task, **in_key(settings)},
        tools=tool_versions(*_TOOLS),
    )


def export(
    checkpoint: str, out: Path, *, task: str, settings: ExportSettings, force: bool = False
) -> Artifact:
    """Export a checkpoint.

    Args:
        checkpoint: a local folder or a Hugging Face id.
        out: the artifact's folder.
        task: the name of the task the checkpoint was trained for.
        settings: opset, tolerance, external data, pickles, revision.
        force: replace what is at `out`.

    Raises:
        CheckpointError: the checkpoint is missing, damaged, unsafe, not supported or made for something else.
        ExportError: the graph does not compute what the checkpoint computes, or does not fit into one file.
        OutputError: `out` cannot be written.
        UsageError: torch or transformers is not installed, or a length does not fit the model.
    """
    with measuring() as watch, phases("export", _PHASES) as phase:
        require_free(out, force=force)
        with phase(_READ):
            source = read_checkpoint(
                checkpoint,
                task=task,
                revision=settings.revision,
                allow_pickle=settings.allow_pickle,
                pooling=settings.pooling,
            )
            of_task = task_named(task)
            lengths = fit(of_task, Tokenizer.load(source.folder), settings.asked())
        with phase(_IMPORT):
            require_torch()
        with new_artifact(out, force=force) as draft:
            draft.take_companions(source.folder)
            with phase(_IDS):
                ids = read_as_transformers_do(
                    source.folder,
                    draft.path,
                    name=source.name,
                    vocab_size=source.vocab_size,
                    # A model of one type takes only type 0, whatever the tokenizer says.
                    token_types="token_type_ids" in source.inputs and source.token_types > 1,
                )
            facts = {
                **_origin(source.folder),
                "ids": ids,
                **_write_graph(source, draft.model_path, settings, phase),
                **said(of_task, lengths),
            }
            record = watch.record(
                "export",
                ingredients=_made_of(source.digest, task, settings),
                settings={**settings.as_json(), "task": task},
                facts=facts,
            )
            draft.record(
                task=task,
                architecture=source.architecture.model_type,
                precision="fp32",
                stages=(record,),
                parent=None,
            )
    return Artifact.open(out, check=False)


def _origin(folder: Path) -> dict[str, Any]:
    """Return the fact of whose student a checkpoint says it is; of one that says nothing, none."""
    teacher = teacher_of(folder)
    return {} if teacher is None else {"teacher_digest": teacher}


def _write_graph(source: Checkpoint, path: Path, settings: ExportSettings, phase: Phase) -> dict[str, Any]:
    """Load, trace, write and compare; return the facts of the stage record."""
    from quantkit.checkpoint.load import load_model
    from quantkit.tracing import IR_VERSION, Signature, compare, trace_model

    with phase(_WEIGHTS):
        model, unused = load_model(source)
    idle = source.vocab_size - source.tokens
    if idle >= _PADDING:
        _LOG.warning(
            "%s: %d rows of the word embedding belong to no token; check that the tokenizer is the model's own",
            source.name,
            idle,
        )
    if unused:
        _LOG.warning(
            "%s: %d weights have no place in the model for %s and are left out (%s); if it was trained with them, it "
            "computes something else",
            source.name,
            len(unused),
            source.task,
            modules_of(unused),
        )
    of_task = task_named(source.task)
    signature = Signature(
        inputs=source.inputs,
        outputs=of_task.outputs,
        per_token=of_task.per_token,
        per_label=of_task.per_label,
    )
    with phase(_TRACE):
        graph = trace_model(model, signature, opset=settings.opset, max_positions=source.max_positions)
    if settings.external_data == "no" and weight_bytes(graph) > PROTOBUF_LIMIT:
        raise ExportError(
            f"{source.name}: {weight_bytes(graph)} bytes of weights do not fit into one ONNX file of 2 GB; "
            "allow external data with --external-data auto"
        )
    with phase(_WRITE):
        save_model(graph, path, external=_EXTERNAL[settings.external_data])
        try:
            onnx.checker.check_model(path, full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ExportError(f"{source.name}: the exported graph is not valid ONNX: {error}") from error
    ranges = TokenRanges(
        tokens=source.vocab_size, types=source.token_types, length=source.max_positions, padding=source.pad_id
    )
    with phase(_COMPARE):
        found = compare(model, path, signature, ranges, atol=settings.atol)
    return {
        # Of a local folder only its name: where it stood is this machine's business.
        "checkpoint": source.folder.resolve().name if Path(source.name).is_dir() else source.name,
        "checkpoint_digest": source.digest,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "unused_weights": list(unused),
        "layers": source.shape.layer_count,
        "opset": settings.opset,
        "ir_version": IR_VERSION,
        "external_data": (path.parent / f"{path.name}.data").is_file(),
        **({} if source.pooling is None else source.pooling.as_json()),
        "parity": {"atol": settings.atol, "max_abs_diff": {one.case: one.max_abs_diff for one in found}},
    }
