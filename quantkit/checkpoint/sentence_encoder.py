"""An encoder and what makes one embedding of its tokens, as one PyTorch model: what the exported graph holds."""

from dataclasses import dataclass
from typing import Any

import torch

from quantkit.checkpoint.sentence_files import Pooling

_NO_TOKEN = 1e-9  # what sentence-transformers divides by where a mask is empty


@dataclass(frozen=True, kw_only=True, slots=True)
class SentenceOutput:
    """What the model gives: `sentence_embedding` float32 [batch, hidden]."""

    sentence_embedding: torch.Tensor


class PoolTokens(torch.nn.Module):  # type: ignore[misc]  # torch is followed by no type checker here
    """Tokens [batch, sequence, hidden] and a mask [batch, sequence] to embeddings [batch, hidden].

    What stands at a padded position counts for nothing.
    """

    def __init__(self, pooling: Pooling) -> None:
        super().__init__()
        self._pooling = pooling

    def forward(self, tokens: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Return the embeddings."""
        if self._pooling.mode == "cls":
            pooled = tokens[:, 0]
        else:
            mask = attention_mask.unsqueeze(-1).to(tokens.dtype)
            pooled = (tokens * mask).sum(1) / mask.sum(1).clamp(min=_NO_TOKEN)
        return torch.nn.functional.normalize(pooled, dim=-1) if self._pooling.normalize else pooled


class SentenceEncoder(torch.nn.Module):  # type: ignore[misc]  # torch is followed by no type checker here
    """An encoder under the name that it has beside heads of its family, and the pooling behind it."""

    def __init__(self, encoder: torch.nn.Module, name: str, pooling: Pooling) -> None:
        super().__init__()
        self._name = name
        setattr(self, name, encoder)
        self.pooling = PoolTokens(pooling)
        self.config = encoder.config

    def forward(self, attention_mask: torch.Tensor, **values: Any) -> SentenceOutput:
        """Return the embeddings of rows of tokens."""
        tokens = getattr(self, self._name)(attention_mask=attention_mask, **values).last_hidden_state
        return SentenceOutput(sentence_embedding=self.pooling(tokens, attention_mask))
