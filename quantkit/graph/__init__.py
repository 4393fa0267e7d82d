"""ONNX graphs: read and written, searched for layers, rewritten, and what onnxruntime makes of them.

    model                       reading and writing, external weights included
    linear · channels           linear layers by name, and the channels between them
    pattern · constants         the vocabulary of rewrites: operands, replacing a value, adding a constant
    fusion/                     operators of a checkpoint's graph → fused ones, under a contract
    layout/                     the same numbers from the operators that a runtime computes fastest
    mask_free · added_masks     the variant for rows of one length, without a mask
    parity                      cases that two forms of one model are compared on
    kernels · blockwise_probe   which kernels are executed

Nothing of it is imported here: who opens an engine needs `mask_free`, and should not wait for onnx_ir.
"""

CONTRIB = "com.microsoft"
"""The domain of onnxruntime's own operators."""

__all__ = ["CONTRIB"]
