"""DeciBERT: BERT's or RoBERTa's encoder, with heads and feed-forward width of each layer's own.

A layer may have no attention, or no feed-forward network. What is left of a missing one is its bias and its layer
normalization: `LayerNorm(x + bias)`, which is what a teacher computes whose attention gives nothing but a constant.

`position_offset` says whose positions: 0 is BERT's, which count from 0 in every row; `pad_token_id + 1` is RoBERTa's,
which count the tokens that are not padding. With one token type (`type_vocab_size` 1) its ids are no input.
"""

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
)
from quantkit.errors import CheckpointError

_WIDEST = 1 << 20  # of a layer's feed-forward network, and more heads than any has


def read_shape(config: Config) -> EncoderShape:
    """Return the shape, layer by layer.

    Raises:
        CheckpointError: a key is missing or of another kind, the lists are not as long as there are layers, nothing
            is left in any layer, or the positions are nobody's.
    """
    hidden, head_size = config.count("hidden_size"), config.count("attention_head_size", most=_WIDEST)
    heads = config.counts("heads_per_layer", most=_WIDEST)
    widths = config.counts("feed_forward_per_layer", most=_WIDEST)
    layers = config.layers("num_hidden_layers", len(heads) or None)
    for key, found in (("heads_per_layer", heads), ("feed_forward_per_layer", widths)):
        if len(found) != layers:
            raise CheckpointError(
                f"{config.where}: {key} has {len(found)} numbers for {layers} layers (num_hidden_layers); "
                "give one for each"
            )
        if not any(found):
            raise CheckpointError(
                f"{config.where}: {key} is 0 in every layer; leave it out of some layers only"
            )
    embedding_size(config)
    _check_positions(config)
    return EncoderShape(
        layers=tuple(
            LayerShape(hidden=hidden, heads=count, head_size=head_size, feed_forward=width)
            for count, width in zip(heads, widths, strict=True)
        )
    )


def embedding_size(config: Config) -> int:
    """Return the width of the word embeddings: narrower than `hidden_size` means that a projection widens them.

    Raises:
        CheckpointError: it is wider than that.
    """
    hidden = config.count("hidden_size")
    size = config.count("embedding_size", hidden)
    if size > hidden:
        raise CheckpointError(
            f"{config.where}: embedding_size is {size}, which is wider than hidden_size {hidden}; "
            "make it smaller, or leave it out"
        )
    return size


def read_inputs(config: Config) -> tuple[str, ...]:
    """Return the graph inputs: ids of token types only where there are two of them.

    Raises:
        CheckpointError: `type_vocab_size` is no count.
    """
    kinds = () if config.count("type_vocab_size", 2) == 1 else ("token_type_ids",)
    return ("input_ids", "attention_mask", *kinds)


def expected_fusions(config: Config, head: str) -> dict[str, int]:
    """One attention for each layer that has one, one activation for each feed-forward network.

    Each of them ends in a residual layer norm. A missing one adds a constant to the residual, and that addition and
    its layer normalization stay as they are. Embeddings are one node unless they are factorised: the words then pass
    a linear layer before they are summed, which EmbedLayerNormalization has no place for.
    """
    del head
    layers = read_shape(config).layers
    attentions = sum(layer.heads > 0 for layer in layers)
    networks = sum(layer.feed_forward > 0 for layer in layers)
    return {
        ATTENTION: attentions,
        SKIP_LAYER_NORM: attentions + networks,
        **activation_fusions(config.text("hidden_act", "gelu"), networks),
        EMBED_LAYER_NORM: int(embedding_size(config) == config.count("hidden_size")),
    }


def _check_positions(config: Config) -> None:
    offset = config.values.get("position_offset", 0)
    pad = config.values.get("pad_token_id", 0)
    if isinstance(offset, bool) or (offset != 0 and (not isinstance(pad, int) or offset != pad + 1)):
        raise CheckpointError(
            f"{config.where}: position_offset is {offset!r}; it is 0 for BERT's positions, and "
            f"pad_token_id + 1 for RoBERTa's (pad_token_id is {pad!r})"
        )


ARCHITECTURE = Architecture(
    model_type="decibert",
    read_inputs=read_inputs,
    encoder="decibert",
    heads={
        QUESTION_ANSWERING: ("qa_outputs.weight",),
        SEQUENCE_CLASSIFICATION: ("classifier.weight",),
        TOKEN_CLASSIFICATION: ("classifier.weight",),
    },
    read_shape=read_shape,
    expected_fusions=expected_fusions,
)
