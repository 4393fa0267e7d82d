"""DistilBERT: BERT without token types and pooler, with names of its own in config.json."""

from quantkit.architectures.architecture import (
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Architecture,
    Config,
    EncoderShape,
    LayerShape,
    post_norm_fusions,
    takes,
)


def read_shape(config: Config) -> EncoderShape:
    """Return the shape from `dim`, `n_heads`, `hidden_dim` and `n_layers`."""
    width, heads = config.count("dim"), config.count("n_heads")
    layer = LayerShape(
        hidden=width,
        heads=heads,
        head_size=config.head_size(width, heads),
        feed_forward=config.count("hidden_dim"),
    )
    return EncoderShape(layers=(layer,) * config.layers("n_layers"))


def expected_fusions(config: Config, head: str) -> dict[str, int]:
    """As BERT; EmbedLayerNormalization takes no segment ids here, which it allows.

    The same for both heads: the classifier's inner layer ends in ReLU.
    """
    del head
    return post_norm_fusions(config.text("activation", "gelu"), config.layers("n_layers"))


ARCHITECTURE = Architecture(
    model_type="distilbert",
    read_inputs=takes("input_ids", "attention_mask"),
    encoder="distilbert",
    heads={
        QUESTION_ANSWERING: ("qa_outputs.weight",),
        SEQUENCE_CLASSIFICATION: ("classifier.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=read_shape,
    expected_fusions=expected_fusions,
)
