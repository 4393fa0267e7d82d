"""MPNet: BERT's layer with a bias of relative positions, one table for all layers, and RoBERTa's absolute positions."""

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
    """As BERT; the bias of relative positions, computed once for all layers, is an input of each attention."""
    del head
    return post_norm_fusions(config.text("hidden_act", "gelu"), config.layers("num_hidden_layers"))


ARCHITECTURE = Architecture(
    model_type="mpnet",
    read_inputs=takes("input_ids", "attention_mask"),
    encoder="mpnet",
    heads={
        QUESTION_ANSWERING: ("qa_outputs.weight",),
        SEQUENCE_CLASSIFICATION: ("classifier.out_proj.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=uniform_shape,
    expected_fusions=expected_fusions,
)
