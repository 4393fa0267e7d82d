"""MobileBERT: narrow layers between bottlenecks, several feed-forward networks in each, NoNorm and ReLU."""

from quantkit.architectures.architecture import (
    ATTENTION,
    EMBED_LAYER_NORM,
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFICATION,
    SKIP_LAYER_NORM,
    TOKEN_CLASSIFICATION,
    Architecture,
    Config,
    EncoderShape,
    LayerShape,
    activation_fusions,
    takes,
)


def read_shape(config: Config) -> EncoderShape:
    """Return the shape: attention and feed-forward networks work at the bottleneck's width if any."""
    hidden, heads = config.count("hidden_size", 512), config.count("num_attention_heads", 4)
    bottleneck = config.flag("use_bottleneck", default=True)
    inner = config.count("intra_bottleneck_size", 128) if bottleneck else hidden
    layer = LayerShape(
        hidden=hidden,
        heads=heads,
        head_size=config.head_size(inner, heads),
        feed_forward=config.count("intermediate_size", 512),
        feed_forwards=config.count("num_feedforward_networks", 4),
        bottleneck=inner,
    )
    return EncoderShape(layers=(layer,) * config.layers("num_hidden_layers", 24))


def expected_fusions(config: Config, head: str) -> dict[str, int]:
    """Attention only, as published: NoNorm is a product and a sum without statistics, the activation ReLU.

    A checkpoint with `normalization_type: layer_norm` has a residual layer norm after the attention, after
    each feed-forward network and after the output bottleneck. The embeddings pass a linear layer before they
    are summed, which EmbedLayerNormalization has no place for.
    """
    del head
    layers = config.layers("num_hidden_layers", 24)
    networks = config.count("num_feedforward_networks", 4)
    normalized = config.text("normalization_type", "no_norm") == "layer_norm"
    norms = 1 + networks + (1 if config.flag("use_bottleneck", default=True) else 0)
    return {
        ATTENTION: layers,
        SKIP_LAYER_NORM: norms * layers if normalized else 0,
        **activation_fusions(config.text("hidden_act", "relu"), networks * layers),
        EMBED_LAYER_NORM: 0,
    }


ARCHITECTURE = Architecture(
    model_type="mobilebert",
    read_inputs=takes("input_ids", "attention_mask", "token_type_ids"),
    encoder="mobilebert",
    heads={
        QUESTION_ANSWERING: ("qa_outputs.weight",),
        SEQUENCE_CLASSIFICATION: ("classifier.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=read_shape,
    expected_fusions=expected_fusions,
)
