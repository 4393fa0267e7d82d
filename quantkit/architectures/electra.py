"""ELECTRA: BERT's encoder, with embeddings that may be narrower and a classifier head with an activation."""

from quantkit.architectures.architecture import (
    BIAS_GELU,
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
    """As BERT; the embeddings are normalized before they are projected to the hidden width, so they fuse too.

    The classifier's inner layer ends in GELU whatever `hidden_act` says: one more BiasGelu.
    """
    expected = post_norm_fusions(config.text("hidden_act", "gelu"), config.layers("num_hidden_layers"))
    if head == SEQUENCE_CLASSIFICATION:
        expected[BIAS_GELU] += 1
    return expected


ARCHITECTURE = Architecture(
    model_type="electra",
    read_inputs=takes("input_ids", "attention_mask", "token_type_ids"),
    encoder="electra",
    heads={
        QUESTION_ANSWERING: ("qa_outputs.weight",),
        SEQUENCE_CLASSIFICATION: ("classifier.out_proj.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=uniform_shape,
    expected_fusions=expected_fusions,
)
