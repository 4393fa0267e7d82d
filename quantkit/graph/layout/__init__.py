"""Layout: the same numbers from the operators that a runtime computes fastest.

Fusion says what a model is made of, and its contract is counted in fused operators. Which of them are fast is another
matter, and depends on the runtime: `SkipLayerNormalization` in onnxruntime 1.32 takes several times as long on a CPU as
the Add and LayerNormalization it stands for. So the layout comes last, behind quantization, and never changes what is
computed, but for the order of float additions, and the form of Gelu where a name says so. A pass is one function here,
with the signature (model) -> how many it rewrote, and one line in `LAYOUTS`.
"""

from collections.abc import Callable, Mapping

import onnx_ir as ir

from quantkit.graph.layout.fold_biases import fold_biases
from quantkit.graph.layout.fold_copies import fold_copies
from quantkit.graph.layout.integer_products import integer_products
from quantkit.graph.layout.narrow_pooled import narrow_pooled
from quantkit.graph.layout.open_gelus import open_gelus, tanh_gelus
from quantkit.graph.layout.open_norms import open_norms
from quantkit.graph.layout.slice_outliers import slice_outliers

Pass = Callable[[ir.Model], int]

LAYOUTS: dict[str, tuple[Pass, ...]] = {
    "onnxruntime": (
        open_norms,
        slice_outliers,
        fold_copies,
        integer_products,
        open_gelus,
        fold_biases,
        narrow_pooled,
    ),
    "onnxruntime-avx2": (
        open_norms,
        slice_outliers,
        fold_copies,
        integer_products,
        tanh_gelus,
        fold_biases,
        narrow_pooled,
    ),
    "portable": (open_norms, slice_outliers, fold_copies, narrow_pooled),
    "fused": (),
}
"""Name → passes, in order.

`onnxruntime-avx2` is for CPUs without AVX-512; `portable` writes no operator of a runtime's own; `fused` leaves the
graph as it is.
"""


REPLACED: dict[str, tuple[str, str]] = {
    "open_norms": ("SkipLayerNormalization", "LayerNormalization"),
    "open_gelus": ("BiasGelu", "Gelu"),
    "tanh_gelus": ("BiasGelu", "FastGelu"),
}
"""Pass → the fused operator it takes away, and the operator that is there in its place."""


def lay_out(model: ir.Model, layout: str) -> dict[str, int]:
    """Run the passes of a layout over `model`, in place.

    Returns:
        Pass → how many places it rewrote.

    Raises:
        QuantizationError: a layer does not fit the kernel it should have.
    """
    return {make.__name__: make(model) for make in LAYOUTS[layout]}


def expected_after(expected: Mapping[str, int], laid_out: Mapping[str, int]) -> dict[str, int]:
    """Return which operators must be executed, given those of the graph before and what `lay_out` returned."""
    found = dict(expected)
    for name, count in laid_out.items():
        if name in REPLACED and count:
            gone, come = REPLACED[name]
            found[gone] = max(0, found.get(gone, 0) - count)
            found[come] = found.get(come, 0) + count
    return found
