"""Fusion: our own passes over the graph, in a literal table.

onnxruntime's optimizer is not used for it: it says how many patterns it fused, not where and why one did not
match, and its default mask format holds for right-padded masks only. Here a pass is a file whose docstring is
its specification; it returns how often it matched and, for every anchor that did not, the node where it
stopped and the reason. `contract` compares the counts with what the model's config promises.
"""

from quantkit.graph.fusion.bias_gelu import BiasGelu
from quantkit.graph.fusion.clean_up import CleanUp
from quantkit.graph.fusion.embed_layer_norm import EmbedLayerNormalization
from quantkit.graph.fusion.fast_gelu import FastGelu
from quantkit.graph.fusion.gelu import Gelu
from quantkit.graph.fusion.multi_head_attention import MultiHeadAttention
from quantkit.graph.fusion.passes import FusionPass, Miss, PassResult
from quantkit.graph.fusion.rotary_embedding import RotaryEmbedding
from quantkit.graph.fusion.skip_layer_norm import SkipLayerNormalization

# In this order: the embeddings' Add must be gone before residual Adds are looked for, queries and keys are turned
# before attention reads them, a bias Add belongs to
# the activation before the plain Gelu takes what is left, and cleaning comes last.
PASSES: tuple[type[FusionPass] | type[CleanUp], ...] = (
    EmbedLayerNormalization,
    RotaryEmbedding,
    MultiHeadAttention,
    SkipLayerNormalization,
    BiasGelu,
    FastGelu,
    Gelu,
    CleanUp,
)

__all__ = ["PASSES", "FusionPass", "Miss", "PassResult"]
