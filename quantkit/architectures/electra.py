"""ELECTRA: BERT's encoder, with embeddings that may be narrower and a classifier head with an activation."""

from quantkit.architectures.architecture import (
    ATTENTION,
    BIAS_GELU,
    CLASSIFICATION,
    EMBED_LAYER_NORM,
    SKIP_LAYER_NORM,
    SQUAD,
    Architecture,
    Config,
    activation_fusions,
    uniform_shape,
)


def expected_fusions(config: Config, task: str) -> dict[str, int]:
    """As BERT; the embeddings are normalized before they are projected to the hidden width, so they fuse too.

    The classifier's inner layer ends in GELU whatever `hidden_act` says: one more BiasGelu.
    """
    layers = config.count("num_hidden_layers")
    activations = activation_fusions(config.text("hidden_act", "gelu"), layers)
    if task == CLASSIFICATION:
        activations[BIAS_GELU] += 1
    return {
        ATTENTION: layers,
        SKIP_LAYER_NORM: 2 * layers,
        **activations,
        EMBED_LAYER_NORM: 1,
    }


ARCHITECTURE = Architecture(
    model_type="electra",
    inputs=("input_ids", "attention_mask", "token_type_ids"),
    encoder="electra",
    heads={SQUAD: ("qa_outputs.weight",), CLASSIFICATION: ("classifier.out_proj.weight",)},
    read_shape=uniform_shape,
    expected_fusions=expected_fusions,
)
