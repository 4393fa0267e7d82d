"""The checks of embeddings: computed from both sides' embeddings, which their answers hold (`sentence-similarity`).

A rank correlation of cosines does not see everything. Channels in another order give every text another embedding and
every pair the same cosine, so an index made by the other model finds nothing: `cosine` fails then. Embeddings that have
lost detail keep their direction, and the nearest texts are others: `nearest texts` fails then.
"""

from collections.abc import Sequence

import numpy as np

from quantkit.errors import ArtifactError
from quantkit.metrics.embeddings import (
    NEAREST,
    Floats,
    first_changed,
    mean_cosine,
    nearest,
    overlap,
    unpacked,
)
from quantkit.recipe.settings import GateSettings
from quantkit.records import Check, QuestionScore
from quantkit.report.digits import cut
from quantkit.verdict.evidence import GateEvidence

SIMILARITY = "sentence-similarity"
_ROUNDED = 0.05  # of a cosine: two embeddings in 8 bits a number


def check_embeddings(evidence: GateEvidence, settings: GateSettings) -> tuple[Check, ...]:
    """Return the checks of a model that makes embeddings; none for other tasks.

    Raises:
        ArtifactError: a side's answers hold no embeddings, or other ones than the other side's.
    """
    if evidence.candidate.task != SIMILARITY:
        return ()
    order = [score.id for score in evidence.candidate_evaluation.scores]
    by_id = {score.id: score for score in evidence.baseline_evaluation.scores}
    found = _embeddings(evidence.candidate_evaluation.scores)
    reference = _embeddings([by_id[name] for name in order])
    if found.shape != reference.shape:
        raise ArtifactError(
            f"{evidence.candidate.path}: has {found.shape[0]} embeddings of {found.shape[1]} numbers, the baseline "
            f"{reference.shape[0]} of {reference.shape[1]}; evaluate both again"
        )
    turned = mean_cosine(reference, found)
    theirs, ours = nearest(reference), nearest(found)
    shared = overlap(theirs, ours) if theirs.size else 1.0
    changed = first_changed(theirs, ours) if theirs.size else 0.0
    return (
        Check(
            name="cosine",
            required=f">= {settings.min_cosine} to the baseline's embeddings, on average",
            observed=f"{cut(turned)} over {len(found)} texts",
            verdict="pass" if turned >= settings.min_cosine else "fail",
        ),
        Check(
            name="nearest texts",
            required=f">= {settings.min_overlap} of the {NEAREST} nearest of each text are the baseline's",
            observed=f"{cut(shared)}; the nearest is another for {cut(changed)}",
            verdict="pass" if shared >= settings.min_overlap else "fail",
        ),
    )


def _embeddings(scores: Sequence[QuestionScore]) -> Floats:
    """Return the embeddings of all texts, [texts, hidden], in the order of the questions and their texts."""
    rows = []
    for score in scores:
        try:
            pair = [unpacked(word) for word in score.answer.split()]
        except ValueError as error:
            raise ArtifactError(
                f"evaluation: the answer to {score.id} holds no embedding ({error}); evaluate again"
            ) from None
        if len(pair) == 2 and score.measures and abs(float(pair[0] @ pair[1]) - score.measures[0]) > _ROUNDED:
            raise ArtifactError(
                f"evaluation: the cosine of {score.id} is not that of its embeddings; evaluate again"
            )
        rows += pair
    if not rows or len({row.size for row in rows}) != 1:
        raise ArtifactError("evaluation: its embeddings are not of one size; evaluate again")
    return np.stack(rows)
