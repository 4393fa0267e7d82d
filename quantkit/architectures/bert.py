"""BERT: absolute positions, two token types, post-layer normalization."""

from quantkit.architectures.architecture import (
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFICATION,
    TOKEN_CLASSIFICATION,
    Architecture,
    Config,
    post_norm_fusions,
    takes,
    uniform_shape,
)


def expected_fusions(config: Config, head: str) -> dict[str, int]:
    """A layer has one attention, two residual layer norms and one activation; the embeddings are one node.

    The same for both heads: the pooler of a classifier ends in tanh, which nothing fuses.
    """
    del head
    return post_norm_fusions(config.text("hidden_act", "gelu"), config.layers("num_hidden_layers"))


ARCHITECTURE = Architecture(
    model_type="bert",
    read_inputs=takes("input_ids", "attention_mask", "token_type_ids"),
    encoder="bert",
    heads={
        QUESTION_ANSWERING: ("qa_outputs.weight",),
        SEQUENCE_CLASSIFICATION: ("classifier.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=uniform_shape,
    expected_fusions=expected_fusions,
)
