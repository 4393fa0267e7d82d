"""ALBERT: BERT's layer, one for all, or one for each group of layers; word embeddings are narrower than the layers.

The graph holds a weight once, however many layers use it.
"""

from quantkit.architectures.architecture import (
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Architecture,
    Config,
    EncoderShape,
    post_norm_fusions,
    takes,
    uniform_shape,
)


def read_shape(config: Config) -> EncoderShape:
    """Return the shape of the layers that are computed: `inner_group_num` of them for each of `num_hidden_layers`."""
    layers = uniform_shape(config).layers
    return EncoderShape(layers=layers * config.count("inner_group_num", 1, most=1000))


def expected_fusions(config: Config, head: str) -> dict[str, int]:
    """As BERT; the embeddings are normalized before they are widened to the hidden width, so they fuse too."""
    del head
    return post_norm_fusions(config.text("hidden_act", "gelu_new"), read_shape(config).layer_count)


ARCHITECTURE = Architecture(
    model_type="albert",
    read_inputs=takes("input_ids", "attention_mask", "token_type_ids"),
    encoder="albert",
    heads={
        QUESTION_ANSWERING: ("qa_outputs.weight",),
        SEQUENCE_CLASSIFICATION: ("classifier.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=read_shape,
    expected_fusions=expected_fusions,
)
