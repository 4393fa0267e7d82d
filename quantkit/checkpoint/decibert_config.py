"""DeciBERT's config.json for transformers: `quantkit.architectures.decibert` says what may be in it.

Importing this module registers the config with AutoConfig. The first config that is made brings the models, which need
torch: `quantkit.checkpoint.decibert` and `decibert_heads`.
"""

import importlib
import importlib.util
from typing import Any

from transformers.configuration_utils import PreTrainedConfig
from transformers.models.auto.configuration_auto import AutoConfig

from quantkit.architectures import Config
from quantkit.architectures.decibert import embedding_size, read_shape

_MODELS = "quantkit.checkpoint.decibert_heads"


class DeciBertConfig(PreTrainedConfig):  # type: ignore[misc]  # transformers is followed by no type checker here
    """The shape of a DeciBERT, layer by layer. Without any argument it is BERT-Base.

    Attributes:
        hidden_size: width of the residual stream.
        attention_head_size: width of one head, in all layers.
        heads_per_layer: heads of each layer's attention; 0 where the attention is missing.
        feed_forward_per_layer: inner width of each layer's feed-forward network; 0 where it is missing.
        num_hidden_layers: how many layers there are; the length of both lists, and needed only without them.
        embedding_size: width of the word embeddings; less than `hidden_size` adds a projection without a bias.
        position_offset: 0 for BERT's positions, `pad_token_id` + 1 for RoBERTa's.
        tokenizer_class: for a tokenizer that does not name its own; BERT's or RoBERTa's, as the positions are.
        classifier_dropout: before a classifier; `hidden_dropout_prob` without it.

    Others as in transformers' `BertConfig`.

    Raises:
        CheckpointError: the numbers do not fit each other.
    """

    model_type = "decibert"

    vocab_size: int = 30522
    hidden_size: int = 768
    attention_head_size: int = 64
    heads_per_layer: list[int] | tuple[int, ...] | None = None
    feed_forward_per_layer: list[int] | tuple[int, ...] | None = None
    num_hidden_layers: int | None = None
    embedding_size: int | None = None
    position_offset: int = 0
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    classifier_dropout: float | int | None = None
    tokenizer_class: str | None = None
    tie_word_embeddings: bool = True

    @property
    def layer_shapes(self) -> list[tuple[int, int]]:
        """Heads and feed-forward width of each layer."""
        return list(zip(self.heads_per_layer or (), self.feed_forward_per_layer or (), strict=True))

    def __post_init__(self, **others: Any) -> None:
        """Fill in what follows from other numbers, and check them all."""
        given = self.heads_per_layer if self.heads_per_layer is not None else self.feed_forward_per_layer
        if self.num_hidden_layers is None:
            self.num_hidden_layers = 12 if given is None else len(given)
        if self.heads_per_layer is None:
            heads = max(1, self.hidden_size // max(1, self.attention_head_size))
            self.heads_per_layer = [heads] * self.num_hidden_layers
        if self.feed_forward_per_layer is None:
            self.feed_forward_per_layer = [4 * self.hidden_size] * self.num_hidden_layers
        self.heads_per_layer = list(self.heads_per_layer)
        self.feed_forward_per_layer = list(self.feed_forward_per_layer)
        values = Config(
            values={key: value for key, value in vars(self).items() if value is not None},
            where=type(self).__name__,
        )
        read_shape(values)
        self.embedding_size = embedding_size(values)
        self.tokenizer_class = self.tokenizer_class or (
            "RobertaTokenizer" if self.position_offset else "BertTokenizer"
        )
        super().__post_init__(**others)
        if importlib.util.find_spec("torch") is not None:
            importlib.import_module(_MODELS)


AutoConfig.register(DeciBertConfig.model_type, DeciBertConfig, exist_ok=True)
