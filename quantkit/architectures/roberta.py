"""RoBERTa: one token type, positions counted from the padding id + 1 over the tokens that are not padding."""

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
    """As BERT, but EmbedLayerNormalization needs its optional `position_ids` input.

    Without it the operator counts positions 0, 1, 2, ... in every row, which is wrong here: RoBERTa's
    positions depend on which tokens are padding, and stay computed by the graph.
    """
    del head
    return post_norm_fusions(config.text("hidden_act", "gelu"), config.layers("num_hidden_layers"))


ARCHITECTURE = Architecture(
    model_type="roberta",
    # There is one token type only, so its ids are no input: the graph makes the zeros itself.
    read_inputs=takes("input_ids", "attention_mask"),
    encoder="roberta",
    heads={
        QUESTION_ANSWERING: ("qa_outputs.weight",),
        SEQUENCE_CLASSIFICATION: ("classifier.out_proj.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=uniform_shape,
    expected_fusions=expected_fusions,
)
