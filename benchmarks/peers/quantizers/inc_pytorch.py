"""neural-compressor 3.10: static PT2E quantization of the PyTorch model, then torch's own ONNX export.

`static` is StaticQuantConfig() as it comes. `dynamic` and `smooth` are here to show where they end: torch cannot
export what DynamicQuantConfig() makes, and SmoothQuantConfig() imports intel_extension_for_pytorch, which is not there.
"""

from typing import Any

import neural_compressor.torch.quantization as inc
import torch
from measured import INPUTS, Row, Work, read_work, reporting
from neural_compressor.torch.export import export
from torch.export import Dim
from transformers import AutoModelForQuestionAnswering

CONFIGS = {"static": "StaticQuantConfig", "dynamic": "DynamicQuantConfig", "smooth": "SmoothQuantConfig"}
Tensors = tuple[torch.Tensor, ...]


class Spans(torch.nn.Module):  # type: ignore[misc]  # not read by mypy
    """The model with tensors in and tensors out."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> Tensors:
        """Return start and end logits, [rows, tokens] each."""
        found = self.model(input_ids=ids, attention_mask=mask, token_type_ids=types)
        return found.start_logits, found.end_logits


def tensors(row: Row) -> Tensors:
    """Return a row's inputs in the model's order."""
    return tuple(torch.from_numpy(row[name]) for name in INPUTS)


def quantize(work: Work) -> None:
    """Quantize and export, rows and tokens dynamic."""
    model = AutoModelForQuestionAnswering.from_pretrained(work.checkpoint, attn_implementation="eager")
    model = Spans(model.float().eval()).eval()
    # Two rows: torch takes a dimension of one for a constant.
    example = tuple(torch.cat([tensor, tensor]) for tensor in tensors(work.rows[0]))
    shapes = ({0: Dim("rows", min=1, max=512), 1: Dim("tokens", min=8, max=512)},) * len(INPUTS)
    config = getattr(inc, CONFIGS[work.artifact])()
    if work.artifact == "smooth":
        prepared = inc.prepare(model, config, example_inputs=example)
    else:
        prepared = inc.prepare(export(model, example, dynamic_shapes=shapes), config)
    with torch.no_grad():
        for row in work.rows:
            prepared(*tensors(row))
    torch.onnx.export(
        inc.convert(prepared),
        example,
        str(work.output),
        dynamo=True,
        external_data=False,
        input_names=list(INPUTS),
        output_names=["start_logits", "end_logits"],
        dynamic_shapes=shapes,
    )


if __name__ == "__main__":
    todo = read_work(__doc__, ("static", "dynamic", "smooth"))
    with reporting():
        quantize(todo)
