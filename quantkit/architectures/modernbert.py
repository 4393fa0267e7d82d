"""ModernBERT: rotated queries and keys, layers that attend to a window, GeGLU, layer norms in front, no biases."""

from quantkit.architectures.architecture import (
    ATTENTION,
    EMBED_LAYER_NORM,
    ERF_GELU,
    GELU,
    QUESTION_ANSWERING,
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
    """A layer has one attention, two turned projections (query and key) and two layer norms behind a residual sum.

    The first layer has no norm in front of its attention, and one norm follows the last. A layer that attends to a
    window gives its mask to the attention as `attention_bias`. GELU has no bias in front: each is one Gelu, also in the
    head, which all tasks have. Words are normalized without being summed with anything, which is no
    EmbedLayerNormalization; the gate's product stays a Mul.
    """
    del head
    layers = config.layers("num_hidden_layers")
    gelus = layers if config.text("hidden_activation", "gelu") in ERF_GELU else 0
    gelus += config.text("classifier_activation", "gelu") in ERF_GELU
    return {
        ATTENTION: layers,
        ROTARY: 2 * layers,
        SKIP_LAYER_NORM: 2 * layers,
        GELU: gelus,
        EMBED_LAYER_NORM: 0,
    }


ARCHITECTURE = Architecture(
    model_type="modernbert",
    read_inputs=takes("input_ids", "attention_mask"),
    encoder="model",
    heads={
        QUESTION_ANSWERING: ("classifier.weight",),
        SEQUENCE_CLASSIFICATION: ("classifier.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=uniform_shape,
    expected_fusions=expected_fusions,
)
