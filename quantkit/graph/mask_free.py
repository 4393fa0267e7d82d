"""The variant of a model for batches of equal lengths: attention without a mask.

Rows of one length need no mask, and onnxruntime computes attention without one in blocks that stay in the cache, where
a mask makes it write all scores to memory: a quarter less time in the attention of MiniLM at 170 tokens. The variant
keeps the input `attention_mask`, so it takes the same batches. Only what stands behind every attention still reads it,
such as the mean over the tokens of a text. **It is right only when every
token of a batch is one to be read**; whoever runs it sees to that.
"""

import os
import shutil
from pathlib import Path

import onnx

from quantkit.errors import ArtifactError
from quantkit.files import naming_output_errors, write_bytes
from quantkit.graph import CONTRIB
from quantkit.graph.added_masks import cut_added_masks
from quantkit.runtime.model_files import external_files, read_graph
from quantkit.runtime.session import ATTENTION_MASK

_ATTENTION = "MultiHeadAttention"
_MASK = 4  # key_padding_mask among its inputs
_PASSES_ON = ("Cast", "Identity")
_ADVICE = "fuse the model with `quantkit fuse`, or do not ask for equal lengths"


def write_mask_free(path: Path, folder: Path) -> Path:
    """Write the variant of a model into a folder, and return its path.

    External weights are linked when the file system can (same disk), and copied when not.

    Args:
        path: the ONNX file; it is not changed.
        folder: another folder than the model's; made when it is not there.

    Raises:
        ArtifactError: it is not an ONNX model, or the encoder uses the mask for more than hiding keys from attention.
        OutputError: the folder cannot be written.
    """
    model = read_graph(path)
    cut_masks(model, path.parent, str(path))
    out = folder / path.name
    write_bytes(out, model.SerializeToString())
    for name in sorted(external_files(model)):
        with naming_output_errors(folder / name):
            _link(path.parent / name, folder / name)
    return out


def cut_masks(model: onnx.ModelProto, folder: Path, name: str) -> int:
    """Take the mask from every attention, in place; the graph input stays.

    Args:
        model: fused, or with masks that are added to scores (`added_masks`); without its external weights.
        folder: where these are.
        name: what messages call the model.

    Returns:
        How many attentions no longer read it: at least 1.

    Raises:
        ArtifactError: no attention reads the mask, or something else before an attention does too. The model is
            unchanged then.
    """
    graph = model.graph
    if not any(node.op_type == _ATTENTION and node.domain == CONTRIB for node in graph.node):
        added = cut_added_masks(model, folder, name)
        if added:
            return added
    passed_on = {ATTENTION_MASK}
    before = _before_attention(graph)
    passing: list[onnx.NodeProto] = []
    attentions: list[onnx.NodeProto] = []
    # Nodes of a valid graph are in order: what passes the mask on comes before its readers.
    for node in graph.node:
        reads = {index for index, value in enumerate(node.input) if value in passed_on}
        if not reads:
            continue
        if node.op_type in _PASSES_ON and node.domain == "":
            passed_on |= set(node.output)
            passing.append(node)
        elif node.op_type == _ATTENTION and node.domain == CONTRIB and reads == {_MASK}:
            attentions.append(node)
        elif before.intersection(node.output):
            raise ArtifactError(
                f"{name}: cannot do without {ATTENTION_MASK}: {node.op_type} {node.name} reads it too; {_ADVICE}"
            )
    given_out = next((entry.name for entry in graph.output if entry.name in passed_on), None)
    if given_out is not None:
        raise ArtifactError(
            f"{name}: cannot do without {ATTENTION_MASK}: output {given_out} is made of it; {_ADVICE}"
        )
    if not attentions:
        raise ArtifactError(f"{name}: no attention reads {ATTENTION_MASK}; {_ADVICE}")
    for node in attentions:
        node.input[_MASK] = ""
        while not node.input[-1]:
            node.input.pop()
    _drop_unread(graph, passing)
    return len(attentions)


def _drop_unread(graph: onnx.GraphProto, passing: list[onnx.NodeProto]) -> None:
    """Remove what only passed the mask on to attentions."""
    read = {value for node in graph.node if node not in passing for value in node.input}
    for node in reversed(passing):
        if read.intersection(node.output):
            read.update(node.input)
        else:
            graph.node.remove(node)


def _before_attention(graph: onnx.GraphProto) -> set[str]:
    """Return the values that an attention is computed from."""
    found: set[str] = set()
    for node in reversed(graph.node):
        attends = node.op_type == _ATTENTION and node.domain == CONTRIB
        if attends or found.intersection(node.output):
            found.update(value for value in node.input if value)
    return found


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
