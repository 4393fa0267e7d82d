"""Materialise: a candidate as a DeciBERT checkpoint: config, weights, tokenizer, and whose units it has."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from quantkit.artifact.artifact import COMPANIONS
from quantkit.checkpoint import Checkpoint
from quantkit.checkpoint.files import SAFETENSORS
from quantkit.checkpoint.student import SHAPE_RECORD
from quantkit.checkpoint.tensors import Weights, write_weights
from quantkit.files import write_json
from quantkit.records.student import LayerUnits, Student
from quantkit.shapes.blocks import Block
from quantkit.shapes.order import Narrowed

ENCODER = "decibert"
_DROPPED = (
    "num_attention_heads",
    "intermediate_size",
    "position_embedding_type",
    "transformers_version",
    "use_cache",
    "_name_or_path",
    "dtype",
    "torch_dtype",
    "gradient_checkpointing",
    "is_decoder",
    "add_cross_attention",
)
# RoBERTa's classifier computes what BERT's pooler and classifier do, under other names.
_RENAMED = {
    "classifier.dense.": f"{ENCODER}.pooler.dense.",
    "classifier.out_proj.": "classifier.",
}


def materialise(
    checkpoint: Checkpoint, blocks: Sequence[Block], parts: Mapping[Block, Narrowed], out: Path
) -> None:
    """Write a candidate as a checkpoint.

    Args:
        checkpoint: the teacher.
        blocks: all its blocks.
        parts: those that are narrowed, or whose projection was solved again; others are as in the teacher.
        out: a folder that is there.

    Raises:
        CheckpointError: the teacher's weights are pickles.
        OutputError: `out` cannot be written.
    """
    write_weights(out / SAFETENSORS, _weights(checkpoint, blocks, parts))
    write_json(out / "config.json", _config(checkpoint, blocks, parts))
    for name in COMPANIONS:
        source = checkpoint.folder / name
        if name != "config.json" and source.is_file():
            shutil.copyfile(source, out / name)
    write_json(out / SHAPE_RECORD, student(checkpoint, blocks, parts).as_json())


def student(checkpoint: Checkpoint, blocks: Sequence[Block], parts: Mapping[Block, Narrowed]) -> Student:
    """Return the record of whose units a candidate has."""
    kept = {
        (block.layer, block.kind): tuple(
            (parts[block].units if block in parts else np.arange(block.units)).tolist()
        )
        for block in blocks
    }
    return Student(
        teacher=checkpoint.digest,
        layers=tuple(
            LayerUnits(
                layer=number,
                heads=kept.get((number, "attention"), ()),
                neurons=kept.get((number, "feed_forward"), ()),
            )
            for number in range(checkpoint.shape.layer_count)
        ),
    )


def _config(
    checkpoint: Checkpoint, blocks: Sequence[Block], parts: Mapping[Block, Narrowed]
) -> dict[str, Any]:
    values = {key: value for key, value in checkpoint.config.items() if key not in _DROPPED}
    counts = {
        (block.layer, block.kind): len(parts[block].units) if block in parts else block.units
        for block in blocks
    }
    layers = range(checkpoint.shape.layer_count)
    first = checkpoint.shape.layers[0]
    classes = [
        f"DeciBert{name[name.index('For') :]}" for name in values.get("architectures") or () if "For" in name
    ]
    offset = values.get("position_offset", 0)
    if checkpoint.architecture.encoder == "roberta":  # XLM-RoBERTa's and CamemBERT's too
        offset = int(values.get("pad_token_id", 1)) + 1
    return {
        **values,
        "model_type": ENCODER,
        **({"architectures": classes} if classes else {}),
        "hidden_size": first.hidden,
        "attention_head_size": next(layer.head_size for layer in checkpoint.shape.layers if layer.head_size),
        "num_hidden_layers": len(layers),
        "heads_per_layer": [counts.get((number, "attention"), 0) for number in layers],
        "feed_forward_per_layer": [counts.get((number, "feed_forward"), 0) for number in layers],
        "position_offset": offset,
    }


def _weights(
    checkpoint: Checkpoint, blocks: Sequence[Block], parts: Mapping[Block, Narrowed]
) -> dict[str, np.ndarray]:
    """Return every weight by its new name."""
    theirs = Weights(checkpoint.weights)
    found = {name: theirs[name] for name in theirs if not name.endswith("position_ids")}
    for block in blocks:
        if block in parts:
            found |= dict(_cut(found, block, parts[block]))
            if not len(parts[block].units):
                for name in (*block.readers, block.projection):
                    found.pop(f"{name}.weight", None)
                    if name != block.projection:
                        found.pop(f"{name}.bias", None)
    family = checkpoint.architecture.encoder
    return {_renamed(name, family): array for name, array in found.items()}


def _cut(weights: Mapping[str, np.ndarray], block: Block, part: Narrowed) -> Iterator[tuple[str, np.ndarray]]:
    columns = block.columns(part.units)
    for name in block.readers:
        yield f"{name}.weight", weights[f"{name}.weight"][columns]
        yield f"{name}.bias", weights[f"{name}.bias"][columns]
    yield f"{block.projection}.weight", part.matrix.T.astype(np.float32)
    yield f"{block.projection}.bias", part.bias.astype(np.float32)


def _renamed(name: str, encoder: str) -> str:
    if name.startswith(f"{encoder}."):
        return f"{ENCODER}{name.removeprefix(encoder)}"
    for before, after in _RENAMED.items():
        if name.startswith(before):
            return after + name.removeprefix(before)
    return name
