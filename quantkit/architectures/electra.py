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
    gelu_layers,
    uniform_shape,
)


def expected_fusions(config: Config, task: str) -> dict[str, int]:
    """As BERT; the embeddings are normalized before they are projected to the hidden width, so they fuse too.

    The classifier's inner layer ends in GELU whatever `hidden_act` says: one more BiasGelu.
    """
    layers = config.count("num_hidden_layers")
    return {
        ATTENTION: layers,
        SKIP_LAYER_NORM: 2 * layers,
        BIAS_GELU: gelu_layers(config, layers) + (1 if task == CLASSIFICATION else 0),
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
