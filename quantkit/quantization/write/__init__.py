"""Write: how choices become operators of the graph.

`apply` writes an assignment: every layer by the rewrite of its scheme (`SCHEMES`: static, dynamic, blockwise).
Embedding tables, and queries and keys, are written beside it.
"""

from quantkit.quantization.write.apply import apply
from quantkit.quantization.write.attention import (
    ScoreInput,
    calibrate_scores,
    quantize_scores,
    score_inputs,
)
from quantkit.quantization.write.embeddings import open_embed_layer_norm, quantize_tables
from quantkit.quantization.write.schemes import SCHEMES, Parts

__all__ = [
    "SCHEMES",
    "Parts",
    "ScoreInput",
    "apply",
    "calibrate_scores",
    "open_embed_layer_norm",
    "quantize_scores",
    "quantize_tables",
    "score_inputs",
]
