"""What quantkit must know about a model family: inputs, shape, head, and what fuses in its graph."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from quantkit.errors import CheckpointError

ATTENTION = "MultiHeadAttention"
SKIP_LAYER_NORM = "SkipLayerNormalization"
BIAS_GELU = "BiasGelu"
FAST_GELU = "FastGelu"
GELU = "Gelu"
ROTARY = "RotaryEmbedding"
EMBED_LAYER_NORM = "EmbedLayerNormalization"

# Heads, called as transformers' classes end: several tasks may have the same one.
QUESTION_ANSWERING = "ForQuestionAnswering"
SEQUENCE_CLASSIFICATION = "ForSequenceClassification"
# An encoder alone: every family has it, with no weight of its own beside the encoder's.
ENCODER = "Model"
TOKEN_CLASSIFICATION = "ForTokenClassification"  # noqa: S105  (no password)

# Values of hidden_act that compute GELU by erf, and those that compute it by tanh.
ERF_GELU = ("gelu", "gelu_python", "gelu_10")
_TANH_GELU = ("gelu_new", "gelu_fast", "gelu_pytorch_tanh")


@dataclass(frozen=True, kw_only=True, slots=True)
class Config:
    """A checkpoint's `config.json`, read key by key with an error that names the key.

    Attributes:
        values: the JSON object.
        where: the file, for error messages.
    """

    values: Mapping[str, Any]
    where: str

    def count(self, key: str, default: int | None = None, *, most: int = 1 << 31) -> int:
        """Return a whole number of 1 or more, and no more than any model has: something is done for each.

        Raises:
            CheckpointError: the key is missing and has no default, or its value is something else.
        """
        value = self.values.get(key, default)
        if value is None:
            raise CheckpointError(f"{self.where}: has no {key}; copy the model's own config.json")
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise CheckpointError(f"{self.where}: {key} is {value!r}; it must be a whole number of 1 or more")
        if value > most:
            raise CheckpointError(f"{self.where}: {key} is {value}, and no model has more than {most:,}")
        return value

    def counts(self, key: str, *, most: int) -> tuple[int, ...]:
        """Return a list of whole numbers of 0 or more, one for each layer.

        Raises:
            CheckpointError: the key is missing, or its value is something else.
        """
        value = self.values.get(key)
        if value is None:
            raise CheckpointError(f"{self.where}: has no {key}; copy the model's own config.json")
        if not isinstance(value, list | tuple) or not value:
            raise CheckpointError(
                f"{self.where}: {key} is {value!r}; it must list one whole number for each layer"
            )
        for number, entry in enumerate(value):
            if isinstance(entry, bool) or not isinstance(entry, int) or not 0 <= entry <= most:
                raise CheckpointError(
                    f"{self.where}: {key} is {entry!r} for layer {number}; it must be a whole number from 0 (left out) "
                    f"to {most:,}"
                )
        return tuple(value)

    def layers(self, key: str, default: int | None = None) -> int:
        """Return how many layers there are.

        Raises:
            CheckpointError: as `count`.
        """
        return self.count(key, default, most=1000)

    def text(self, key: str, default: str) -> str:
        """Return a string.

        Raises:
            CheckpointError: the value is something else.
        """
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise CheckpointError(f"{self.where}: {key} is {value!r}; it must be a string")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false.

        Raises:
            CheckpointError: the value is something else.
        """
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise CheckpointError(f"{self.where}: {key} is {value!r}; it must be true or false")
        return value

    def head_size(self, width: int, heads: int) -> int:
        """Return the width of one attention head.

        Raises:
            CheckpointError: the heads do not share the width evenly.
        """
        if width % heads:
            raise CheckpointError(f"{self.where}: {heads} heads do not divide a width of {width}; mend it")
        return width // heads


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerShape:
    """One encoder layer.

    Attributes:
        hidden: width of the residual stream.
        heads: attention heads; 0 where the layer has no attention.
        head_size: width of one head; `heads * head_size` is the width of queries, keys and values.
        feed_forward: inner width of the feed-forward network; 0 where the layer has none.
        feed_forwards: feed-forward networks in the layer (MobileBERT has several).
        bottleneck: width that attention and feed-forward networks read and write, where it is not `hidden`.
    """

    hidden: int
    heads: int
    head_size: int
    feed_forward: int
    feed_forwards: int = 1
    bottleneck: int | None = None

    @property
    def linear_weights(self) -> int:
        """How many weights, biases left out, the linear layers of attention and feed-forward networks have at least."""
        inner = 4 * self.heads * self.head_size + 2 * self.feed_forward * self.feed_forwards
        return (self.bottleneck or self.hidden) * inner


@dataclass(frozen=True, kw_only=True, slots=True)
class EncoderShape:
    """The encoder, layer by layer: layers may differ from each other."""

    layers: tuple[LayerShape, ...]

    @property
    def layer_count(self) -> int:
        """How many layers there are."""
        return len(self.layers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A model family.

    Attributes:
        model_type: its name in `config.json`.
        read_inputs: the graph inputs, in order, from `config.json`.
        encoder: the name of the encoder's module, which the heads' modules stand beside.
        heads: head -> the weights that only a checkpoint with this head has.
        read_shape: the encoder's shape from `config.json`.
        expected_fusions: how often each fused operator must be in the graph after fusing, from `config.json`
            and the head. A zero says that the graph has no place for the operator.
    """

    model_type: str
    read_inputs: Callable[[Config], tuple[str, ...]]
    encoder: str
    heads: Mapping[str, tuple[str, ...]]
    read_shape: Callable[[Config], EncoderShape]
    expected_fusions: Callable[[Config, str], dict[str, int]]


def takes(*names: str) -> Callable[[Config], tuple[str, ...]]:
    """Return the `read_inputs` of a family whose graphs all take these inputs."""
    return lambda _: names


def uniform_shape(config: Config) -> EncoderShape:
    """Return the shape of an encoder of equal layers, from the keys that BERT, RoBERTa and ELECTRA share."""
    hidden, heads = config.count("hidden_size"), config.count("num_attention_heads")
    layer = LayerShape(
        hidden=hidden,
        heads=heads,
        head_size=config.head_size(hidden, heads),
        feed_forward=config.count("intermediate_size"),
    )
    return EncoderShape(layers=(layer,) * config.layers("num_hidden_layers"))


def post_norm_fusions(activation: str, layers: int) -> dict[str, int]:
    """Return what BERT's kind of encoder fuses to.

    The embeddings are one node; a layer has one attention, two residual layer norms and one activation.
    """
    return {
        ATTENTION: layers,
        SKIP_LAYER_NORM: 2 * layers,
        **activation_fusions(activation, layers),
        EMBED_LAYER_NORM: 1,
    }


def activation_fusions(activation: str, count: int) -> dict[str, int]:
    """Return what `count` activations, each after a biased linear layer, fuse to.

    BiasGelu computes the erf form of GELU, FastGelu the tanh form; ReLU and others stay as they are.

    Args:
        activation: the value of `hidden_act`.
        count: how many there are.
    """
    if activation in _TANH_GELU:
        return {BIAS_GELU: 0, FAST_GELU: count}
    return {BIAS_GELU: count if activation in ERF_GELU else 0}
