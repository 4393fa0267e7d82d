"""NomicBERT: BERT's embeddings without positions, rotated queries and keys, a gated feed-forward network, no biases."""

from quantkit.architectures.architecture import (
    ATTENTION,
    EMBED_LAYER_NORM,
    ROTARY,
    SEQUENCE_CLASSIFICATION,
    SKIP_LAYER_NORM,
    TOKEN_CLASSIFICATION,
    Architecture,
    Config,
    takes,
    uniform_shape,
)


def expected_fusions(config: Config, head: str) -> dict[str, int]:
    """A layer has one attention, two turned projections (query and key) and two residual layer norms.

    The gate's activation (SiLU) and its product stay as they are. The embeddings are one node: words, and token types
    in the place of positions.
    """
    del head
    layers = config.layers("num_hidden_layers")
    return {ATTENTION: layers, ROTARY: 2 * layers, SKIP_LAYER_NORM: 2 * layers, EMBED_LAYER_NORM: 1}


ARCHITECTURE = Architecture(
    model_type="nomic_bert",
    read_inputs=takes("input_ids", "attention_mask", "token_type_ids"),
    encoder="nomic_bert",
    heads={
        SEQUENCE_CLASSIFICATION: ("classifier.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=uniform_shape,
    expected_fusions=expected_fusions,
)
