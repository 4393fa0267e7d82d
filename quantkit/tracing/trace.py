"""PyTorch model -> ONNX graph, without its weights: those join by name afterwards.

The TorchScript exporter is used because its graph keeps one node per layer normalization and plain GELU and
attention patterns, and says nothing of the machine it was made on. It is asked to leave the weights out: that
keeps the model in memory once, has no 2 GB limit, and lets every weight keep its own name, where the exporter
would join equal ones.
"""

import io
from dataclasses import dataclass

import onnx
import onnx_ir as ir
import torch

from quantkit.checkpoint.load import quiet_transformers
from quantkit.tracing.naming import SCOPE, name_graph
from quantkit.tracing.steady_rotary import steady

# The newest version that onnxruntime 1.18 reads; opset 17 alone would need only 8.
IR_VERSION = 10
# Sequences of the trace; whatever the trace would bake in shows in the parity check, which uses other shapes.
TRACE_SHAPE = (2, 16)
_LAST = {"sentence_embedding": "hidden"}  # what the last dimension of an output is called, where not "labels"


@dataclass(frozen=True, kw_only=True, slots=True)
class Signature:
    """What a graph takes and gives.

    Attributes:
        inputs: names of the graph inputs, int64 [batch, sequence] each.
        outputs: names of the graph outputs.
        per_token: an output is [batch, sequence]; else [batch, labels].
        per_label: with `per_token`, an output is [batch, sequence, labels].
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    per_token: bool
    per_label: bool = False


class _Traced(torch.nn.Module):  # type: ignore[misc]  # torch is followed by no type checker here
    """The model with positional inputs and a tuple of outputs; its attribute is the scope to strip."""

    def __init__(self, model: torch.nn.Module, signature: Signature) -> None:
        super().__init__()
        setattr(self, SCOPE, model)
        self._signature = signature

    def forward(self, *values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        given = dict(zip(self._signature.inputs, values, strict=True))
        return run(getattr(self, SCOPE), given, self._signature.outputs)


def run(
    model: torch.nn.Module, values: dict[str, torch.Tensor], outputs: tuple[str, ...]
) -> tuple[torch.Tensor, ...]:
    """Run a transformers model and return the named outputs.

    Where the family has one token type only, zeros are given for it, so that the graph need not look them up.
    """
    if "token_type_ids" not in values and (hasattr(model, "roberta") or hasattr(model, "decibert")):
        values = {**values, "token_type_ids": torch.zeros_like(values["input_ids"])}
    result = model(**values)
    return tuple(getattr(result, name) for name in outputs)


def trace_model(model: torch.nn.Module, signature: Signature, *, opset: int, max_positions: int) -> ir.Model:
    """Return the model as an ONNX graph with dynamic batch and sequence, weights and names attached.

    Args:
        model: in float32, in evaluation mode.
        signature: what the graph is to take and give.
        opset: version of the ONNX operator set.
        max_positions: the longest row the model takes.
    """
    batch, sequence = TRACE_SHAPE[0], min(TRACE_SHAPE[1], max_positions)
    mask = torch.ones((batch, sequence), dtype=torch.int64)
    mask[-1, sequence // 2 :] = 0
    # Id 0 is in every vocabulary; a trace only follows shapes.
    examples = {
        name: mask if name == "attention_mask" else torch.zeros_like(mask) for name in signature.inputs
    }
    steady(model)
    # The exporter puts the wrapper's mode back into the whole model: without eval() dropout would be on.
    traced = _Traced(model, signature).eval()
    buffer = io.BytesIO()
    with torch.no_grad(), quiet_transformers():
        torch.onnx.export(
            traced,
            tuple(examples.values()),
            buffer,
            dynamo=False,
            opset_version=opset,
            export_params=False,
            do_constant_folding=False,
            input_names=list(signature.inputs),
            output_names=list(signature.outputs),
            dynamic_axes={name: {0: "batch", 1: "sequence"} for name in signature.inputs},
        )
    graph = ir.serde.deserialize_model(onnx.load_model_from_string(buffer.getvalue()))
    name_graph(graph, model)
    _declare(graph, signature)
    return graph


def _declare(model: ir.Model, signature: Signature) -> None:
    """State the outputs' types, the format's version and the maker; drop what describes the tracing."""
    for value in model.graph.outputs:
        sizes = ["sequence"] if signature.per_token else [_LAST.get(value.name or "", "labels")]
        if signature.per_token and signature.per_label:
            sizes.append("labels")
        value.shape = ir.Shape(["batch", *sizes])
        value.dtype = ir.DataType.FLOAT
    model.ir_version = IR_VERSION
    model.producer_name = "quantkit"
    model.producer_version = None
    model.graph.name = "encoder"
    ir.passes.common.ClearMetadataAndDocStringPass()(model)
