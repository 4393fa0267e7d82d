"""From a PyTorch model to an ONNX graph with stable names, and the proof that both compute the same. Needs torch."""

from quantkit.tracing.parity import compare
from quantkit.tracing.trace import IR_VERSION, Signature, trace_model

__all__ = ["IR_VERSION", "Signature", "compare", "trace_model"]
