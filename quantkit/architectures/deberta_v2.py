"""DeBERTa-v2 and v3: attention whose scores are three products, of contents and of relative positions."""

from quantkit.architectures.architecture import (
    ATTENTION,
    EMBED_LAYER_NORM,
    QUESTION_ANSWERING,
    SEQUENCE_CLASSIFICATION,
    SKIP_LAYER_NORM,
    TOKEN_CLASSIFICATION,
    Architecture,
    Config,
    activation_fusions,
    uniform_shape,
)


def read_inputs(config: Config) -> tuple[str, ...]:
    """Return the graph inputs: v3 has no token types (`type_vocab_size` 0), and some have several."""
    kinds = config.values.get("type_vocab_size", 0)
    several = not isinstance(kinds, bool) and isinstance(kinds, int) and kinds > 1
    return ("input_ids", "attention_mask", *(("token_type_ids",) if several else ()))


def expected_fusions(config: Config, head: str) -> dict[str, int]:
    """As BERT, less the attention and the embeddings.

    A score is the sum of the product of contents and of two products with embeddings of distances, gathered by
    distance: no operator of ONNX Runtime computes that on a CPU, so the attention stays written out. The embeddings are
    multiplied by the mask, and v3 has no absolute positions. A classifier's pooler ends in a GELU of its own.
    """
    layers = config.layers("num_hidden_layers")
    found = {
        ATTENTION: 0,
        SKIP_LAYER_NORM: 2 * layers,
        **activation_fusions(config.text("hidden_act", "gelu"), layers),
        EMBED_LAYER_NORM: 0,
    }
    if head == SEQUENCE_CLASSIFICATION:
        for name, count in activation_fusions(config.text("pooler_hidden_act", "gelu"), 1).items():
            found[name] = found.get(name, 0) + count
    return found


ARCHITECTURE = Architecture(
    model_type="deberta-v2",
    read_inputs=read_inputs,
    encoder="deberta",
    heads={
        QUESTION_ANSWERING: ("qa_outputs.weight",),
        SEQUENCE_CLASSIFICATION: ("classifier.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=uniform_shape,
    expected_fusions=expected_fusions,
)
