"""How long the rows of a model are: settings that export and import take, and that the artifact then says."""

from typing import Any

from pydantic import Field

from quantkit.recipe.fields import Section


class LengthSettings(Section):
    """Lengths of rows and answers, None for what fits the task and the model (`quantkit.tasks.lengths`)."""

    max_length: int | None = Field(
        default=None,
        ge=1,
        description="most tokens of a row; default: 384, or what the model and its tokenizer take",
    )
    doc_stride: int | None = Field(
        default=None,
        ge=1,
        description="squad: tokens of the text by which a window advances; default: 128, a third of shorter rows",
    )
    max_query_length: int | None = Field(
        default=None,
        ge=1,
        description="squad: most tokens of a question; default: 64, at most a third of a row",
    )
    max_answer_length: int | None = Field(
        default=None, ge=1, description="squad: most tokens of an answer; default: 30"
    )
    n_best: int | None = Field(
        default=None,
        ge=1,
        description="squad: starts and ends of a window that are considered; default: 20",
    )

    null_score_diff_threshold: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="squad: by how much (logits) no answer must be above the best one to be given, where the data has "
        "questions without an answer (SQuAD 2.0); choose it on other data than the gate's; default: 0",
    )

    def asked(self) -> dict[str, Any]:
        """Return the lengths that somebody asked for, by name."""
        found = {name: getattr(self, name) for name in LengthSettings.model_fields}
        return {name: value for name, value in found.items() if value is not None}
