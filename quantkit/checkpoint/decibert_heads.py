"""DeciBERT's models for tasks: an encoder, and the head of one task on it.

Importing this module registers them with transformers' Auto classes.
"""

from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import (
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
)
from transformers.models.auto.modeling_auto import (
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)
from transformers.utils.generic import can_return_tuple

from quantkit.checkpoint.decibert import DeciBertConfig, DeciBertModel, DeciBertPreTrainedModel


class DeciBertForQuestionAnswering(DeciBertPreTrainedModel):
    """Where an answer begins and ends."""

    def __init__(self, config: DeciBertConfig) -> None:
        super().__init__(config)
        self.decibert = DeciBertModel(config, add_pooling_layer=False)
        self.qa_outputs = nn.Linear(config.hidden_size, 2)
        self.post_init()

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        start_positions: torch.Tensor | None = None,
        end_positions: torch.Tensor | None = None,
        **others: Any,
    ) -> QuestionAnsweringModelOutput:
        """Return the logits of the first and the last token, [batch, sequence], and the loss of known ones.

        Args:
            input_ids: int64 [batch, sequence].
            attention_mask: 1 where a token is to be seen, [batch, sequence].
            start_positions: of known answers, [batch]; those outside of the row are left out of the loss.
            end_positions: as `start_positions`.
            others: as in `DeciBertModel`.
        """
        outputs = self.decibert(input_ids, attention_mask=attention_mask, **others)
        logits = self.qa_outputs(outputs.last_hidden_state)
        start, end = (part.squeeze(-1).contiguous() for part in logits.split(1, dim=-1))
        loss = None
        if start_positions is not None and end_positions is not None:
            outside = start.size(1)
            parts = [
                nn.functional.cross_entropy(part, known.view(-1).clamp(0, outside), ignore_index=outside)
                for part, known in ((start, start_positions), (end, end_positions))
            ]
            loss = (parts[0] + parts[1]) / 2
        return QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start,
            end_logits=end,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


class _Classifier(DeciBertPreTrainedModel):
    """An encoder with a linear layer that gives labels."""

    _pooled = True
    """Whether the head reads what the pooler makes of the first token."""

    def __init__(self, config: DeciBertConfig) -> None:
        super().__init__(config)
        self.num_labels = config.num_labels
        self.decibert = DeciBertModel(config, add_pooling_layer=self._pooled)
        dropout = (
            config.hidden_dropout_prob if config.classifier_dropout is None else config.classifier_dropout
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()


class DeciBertForSequenceClassification(_Classifier):
    """Which label a text has."""

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **others: Any,
    ) -> SequenceClassifierOutput:
        """Return the logits [batch, labels], and the loss of known labels.

        Which loss is as in transformers' own classes: by `problem_type` of the config, or squared error where there is
        one label, cross entropy where labels are integers, and binary cross entropy of each where they are not.

        Args:
            input_ids: int64 [batch, sequence].
            attention_mask: 1 where a token is to be seen, [batch, sequence].
            labels: known ones, [batch], or [batch, labels] of numbers and of many labels.
            others: as in `DeciBertModel`.
        """
        outputs = self.decibert(input_ids, attention_mask=attention_mask, **others)
        logits = self.classifier(self.dropout(outputs.pooler_output))
        loss = None if labels is None else self.loss_function(labels, logits, self.config)
        return SequenceClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


class DeciBertForTokenClassification(_Classifier):
    """Which label each token has."""

    _pooled = False

    @can_return_tuple  # type: ignore[untyped-decorator]
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **others: Any,
    ) -> TokenClassifierOutput:
        """Return the logits [batch, sequence, labels], and the cross entropy of known labels, -100 for none.

        Args:
            input_ids: int64 [batch, sequence].
            attention_mask: 1 where a token is to be seen, [batch, sequence].
            labels: known ones, [batch, sequence].
            others: as in `DeciBertModel`.
        """
        outputs = self.decibert(input_ids, attention_mask=attention_mask, **others)
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = None if labels is None else nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        return TokenClassifierOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )


AutoModelForQuestionAnswering.register(DeciBertConfig, DeciBertForQuestionAnswering, exist_ok=True)
AutoModelForSequenceClassification.register(DeciBertConfig, DeciBertForSequenceClassification, exist_ok=True)
AutoModelForTokenClassification.register(DeciBertConfig, DeciBertForTokenClassification, exist_ok=True)
