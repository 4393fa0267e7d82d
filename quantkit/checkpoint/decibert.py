"""DeciBERT for transformers: BERT's modules, with heads and feed-forward width of each layer's own.

Weights are named as BERT's, `decibert` in place of `bert`. Where a layer has no attention, `attention.output.dense` has
a bias only, which is what the attention gives for every token; where it has no feed-forward network, `output.dense`.
Their layer normalizations stay. With equal layers it computes what BERT, or RoBERTa, computes, bit by bit.

Importing this module registers the encoder with transformers' AutoModel; `decibert_heads` has the models for tasks.
"""

from typing import Any

import torch
from torch import nn
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, PreTrainedModel
from transformers.models.auto.modeling_auto import AutoModel
from transformers.models.bert.modeling_bert import eager_attention_forward
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from quantkit.checkpoint.decibert_config import DeciBertConfig

__all__ = ["DeciBertConfig", "DeciBertModel", "DeciBertPreTrainedModel"]


class DeciBertEmbeddings(nn.Module):  # type: ignore[misc]  # as all classes here: torch is followed by no type checker
    """LayerNorm(words + token types + positions); narrower words are widened by `projection`, which has no bias."""

    def __init__(self, config: DeciBertConfig) -> None:
        super().__init__()
        hidden, pad = config.hidden_size, config.pad_token_id
        narrow = config.embedding_size or hidden
        self.word_embeddings = nn.Embedding(config.vocab_size, narrow, padding_idx=pad)
        self.projection = nn.Linear(narrow, hidden, bias=False) if narrow < hidden else None
        self.position_offset = config.position_offset
        self.position_embeddings = nn.Embedding(
            config.max_position_embeddings, hidden, padding_idx=pad if self.position_offset else None
        )
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, hidden)
        self.LayerNorm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        positions = torch.arange(config.max_position_embeddings).expand((1, -1))
        self.position_ids = nn.Buffer(positions, persistent=False)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the embeddings [batch, sequence, hidden]; `inputs_embeds` are [batch, sequence, embedding]."""
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        batch, sequence = words.shape[:2] if input_ids is None else input_ids.shape
        if token_type_ids is None:
            token_type_ids = torch.zeros((batch, sequence), dtype=torch.long, device=words.device)
        if position_ids is None:
            position_ids = self._positions(input_ids, sequence)
        if self.projection is not None:
            words = self.projection(words)
        embeddings = words + self.token_type_embeddings(token_type_ids)
        embeddings = embeddings + self.position_embeddings(position_ids)
        return self.dropout(self.LayerNorm(embeddings))

    def _positions(self, input_ids: torch.Tensor | None, sequence: int) -> torch.Tensor:
        if not self.position_offset or input_ids is None:
            return self.position_ids[:, self.position_offset : self.position_offset + sequence]
        pad = self.position_offset - 1
        mask = input_ids.ne(pad).int()
        return (torch.cumsum(mask, dim=1).type_as(mask) * mask).long() + pad


class DeciBertConstant(nn.Module):  # type: ignore[misc]
    """What is left of a linear layer that has no inputs: its bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self) -> torch.Tensor:
        """Return the bias, [width]: the same for every token."""
        return self.bias


class DeciBertSelfAttention(nn.Module):  # type: ignore[misc]
    """Attention of so many heads."""

    def __init__(self, config: DeciBertConfig, heads: int) -> None:
        super().__init__()
        self.config = config
        self.num_attention_heads = heads
        self.attention_head_size = config.attention_head_size
        self.all_head_size = heads * self.attention_head_size
        self.scaling = self.attention_head_size**-0.5
        self.is_causal = False
        self.query = nn.Linear(config.hidden_size, self.all_head_size)
        self.key = nn.Linear(config.hidden_size, self.all_head_size)
        self.value = nn.Linear(config.hidden_size, self.all_head_size)
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **others: Any
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return the heads' outputs [batch, sequence, heads * head size], and the probabilities if asked for."""
        shape = (*hidden_states.shape[:-1], -1, self.attention_head_size)
        query, key, value = (
            linear(hidden_states).view(*shape).transpose(1, 2)
            for linear in (self.query, self.key, self.value)
        )
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        outputs, probabilities = attend(
            self,
            query,
            key,
            value,
            attention_mask,
            dropout=self.dropout.p if self.training else 0.0,
            scaling=self.scaling,
            **others,
        )
        return outputs.reshape(*hidden_states.shape[:-1], -1).contiguous(), probabilities


class DeciBertResidual(nn.Module):  # type: ignore[misc]
    """LayerNorm(residual + dense(x)); of a missing sub-layer, LayerNorm(residual + bias)."""

    def __init__(self, config: DeciBertConfig, inputs: int) -> None:
        super().__init__()
        self.dense = nn.Linear(inputs, config.hidden_size) if inputs else DeciBertConstant(config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, hidden_states: torch.Tensor | None, residual: torch.Tensor) -> torch.Tensor:
        """Return the sum, normalized; `hidden_states` is None where the sub-layer is missing."""
        if hidden_states is None:
            return self.LayerNorm(residual + self.dense())
        return self.LayerNorm(self.dropout(self.dense(hidden_states)) + residual)


class DeciBertAttention(nn.Module):  # type: ignore[misc]
    """Attention and its residual connection; `self` is not there where there are no heads."""

    def __init__(self, config: DeciBertConfig, heads: int) -> None:
        super().__init__()
        if heads:
            self.self = DeciBertSelfAttention(config, heads)
        self.heads = heads
        self.output = DeciBertResidual(config, heads * config.attention_head_size)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None, **others: Any
    ) -> torch.Tensor:
        """Return [batch, sequence, hidden]."""
        mixed = self.self(hidden_states, attention_mask, **others)[0] if self.heads else None
        return self.output(mixed, hidden_states)


class DeciBertIntermediate(nn.Module):  # type: ignore[misc]
    """The first half of a feed-forward network."""

    def __init__(self, config: DeciBertConfig, width: int) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, width)
        self.intermediate_act_fn = ACT2FN[config.hidden_act]

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return [batch, sequence, width]."""
        return self.intermediate_act_fn(self.dense(hidden_states))


class DeciBertLayer(GradientCheckpointingLayer):  # type: ignore[misc]
    """One layer; `intermediate` is not there where it has no feed-forward network."""

    def __init__(self, config: DeciBertConfig, heads: int, width: int) -> None:
        super().__init__()
        self.attention = DeciBertAttention(config, heads)
        if width:
            self.intermediate = DeciBertIntermediate(config, width)
        self.feed_forward = width
        self.output = DeciBertResidual(config, width)

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None = None, **others: Any
    ) -> torch.Tensor:
        """Return [batch, sequence, hidden]."""
        attended = self.attention(hidden_states, attention_mask, **others)
        return self.output(self.intermediate(attended) if self.feed_forward else None, attended)


class DeciBertEncoder(nn.Module):  # type: ignore[misc]
    """The layers."""

    def __init__(self, config: DeciBertConfig) -> None:
        super().__init__()
        self.layer = nn.ModuleList([DeciBertLayer(config, *shape) for shape in config.layer_shapes])

    def forward(
        self, hidden_states: torch.Tensor, attention_mask: torch.Tensor | None, **others: Any
    ) -> torch.Tensor:
        """Return [batch, sequence, hidden]."""
        for layer in self.layer:
            hidden_states = layer(hidden_states, attention_mask, **others)
        return hidden_states


class DeciBertPooler(nn.Module):  # type: ignore[misc]
    """tanh of a linear layer over the first token."""

    def __init__(self, config: DeciBertConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = nn.Tanh()

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Return [batch, hidden]."""
        return self.activation(self.dense(hidden_states[:, 0]))


class DeciBertPreTrainedModel(PreTrainedModel):  # type: ignore[misc]
    """What the models have in common."""

    config: DeciBertConfig
    config_class = DeciBertConfig
    base_model_prefix = "decibert"
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    # Probabilities come from the layers that have attention only.
    _can_record_outputs = {"hidden_states": DeciBertLayer, "attentions": DeciBertSelfAttention}

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, DeciBertConstant):
            init.zeros_(module.bias)
        elif isinstance(module, DeciBertEmbeddings):
            init.copy_(module.position_ids, torch.arange(module.position_ids.shape[-1]).expand((1, -1)))


class DeciBertModel(DeciBertPreTrainedModel):
    """The encoder, with or without a pooler."""

    _no_split_modules = ["DeciBertEmbeddings", "DeciBertLayer"]

    def __init__(self, config: DeciBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.gradient_checkpointing = False
        self.embeddings = DeciBertEmbeddings(config)
        self.encoder = DeciBertEncoder(config)
        self.pooler = DeciBertPooler(config) if add_pooling_layer else None
        self.post_init()

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the words' table."""
        return self.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Replace the words' table."""
        self.embeddings.word_embeddings = value

    @merge_with_config_defaults  # type: ignore[untyped-decorator]
    @capture_outputs  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **others: Any,
    ) -> BaseModelOutputWithPooling:
        """Return the last hidden states and what the pooler makes of them.

        Raises:
            ValueError: both or neither of `input_ids` and `inputs_embeds` are given.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        embeddings = self.embeddings(input_ids, token_type_ids, position_ids, inputs_embeds)
        mask = create_bidirectional_mask(
            config=self.config, inputs_embeds=embeddings, attention_mask=attention_mask
        )
        hidden = self.encoder(embeddings, mask, **others)
        pooled = self.pooler(hidden) if self.pooler is not None else None
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)


AutoModel.register(DeciBertConfig, DeciBertModel, exist_ok=True)
