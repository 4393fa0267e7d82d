"""Accuracy: LoadGen's log of every answer becomes F1 and exact match, and what a submission shows of it.

The log is JSON: for each sample its index and the bytes of the answer in hexadecimal, here float32 [tokens, 2] start
and end logits. Scoring is that of the task `squad`, the same as everywhere in this package.
"""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from quantkit.errors import EvaluationError
from quantkit.files import sha256_bytes
from quantkit.mlperf.rules import MAX_ACCURACY_LOG
from quantkit.strict_json import parse_json
from quantkit.tasks.prepared import Prepared
from quantkit.tasks.task import Outputs

RESULT = "accuracy.txt"
_SHOWN = 4096
_LARGEST_LOG = 1 << 30  # 10,833 samples of 384 tokens are 67 MB
_DOTS = b"\n\n...\n\n"
_F1_LINE = re.compile(r"^{[\"']exact_match[\"']:\s*([\d.]+),\s*[\"']f1[\"']:\s*([\d.]+)}", re.MULTILINE)
_HASH_LINE = re.compile(r"^hash=(\w+)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """F1 and exact match in percent, unrounded."""

    f1: float
    exact_match: float


def read_answers(content: bytes, tokens: Sequence[int], *, name: str) -> list[Outputs]:
    """Return the logits of every sample, in the order of the samples.

    Args:
        content: of mlperf_log_accuracy.json, whole.
        tokens: how many tokens each sample has.
        name: what errors call the log.

    Raises:
        EvaluationError: it is not such a log, or a sample was answered twice, or not at all, or in another length.
    """
    found: list[Outputs | None] = [None] * len(tokens)
    for entry in _entries(content, name):
        try:
            index, data = int(entry["qsl_idx"]), bytes.fromhex(entry["data"])
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(f"{name}: is not a log of answers ({error}); run it again") from None
        if not 0 <= index < len(found):
            raise EvaluationError(f"{name}: answers sample {index}, which there is not; run it again")
        if found[index] is not None:
            raise EvaluationError(f"{name}: answers sample {index} twice; run it again")
        if len(data) != 8 * tokens[index]:
            raise EvaluationError(
                f"{name}: sample {index} was answered with {len(data)} bytes for {tokens[index]} tokens; run it again"
            )
        logits = np.frombuffer(data, "<f4").reshape(-1, 2)
        found[index] = (logits[:, 0], logits[:, 1])
    answered = [outputs for outputs in found if outputs is not None]
    if len(answered) != len(found):
        raise EvaluationError(f"{name}: sample {found.index(None)} was never answered; run it again")
    return answered


def _entries(content: bytes, name: str) -> list[dict[str, Any]]:
    try:
        entries = parse_json(content, largest=_LARGEST_LOG)
    except ValueError as error:
        raise EvaluationError(f"{name}: is not JSON, or was cut short ({error}); run it again") from None
    if not isinstance(entries, list):
        raise EvaluationError(f"{name}: is not a log of answers; run it again")
    return entries


def score(prepared: Prepared, answers: Sequence[Outputs]) -> Score:
    """Return F1 and exact match over all questions.

    Raises:
        EvaluationError: logits are NaN or infinite; it names the question.
    """
    predictions = prepared.predict(answers)
    return Score(
        f1=100.0 * math.fsum(prediction.f1 for prediction in predictions) / len(predictions),
        exact_match=100.0
        * math.fsum(prediction.exact_match for prediction in predictions)
        / len(predictions),
    )


def accuracy_text(result: Score, log: bytes) -> str:
    """Return accuracy.txt: the scores, and the sha256 of the whole log of answers."""
    scores = json.dumps({"exact_match": result.exact_match, "f1": result.f1})
    return f"{scores}\nhash={sha256_bytes(log)}\n"


def parse_accuracy_text(text: str) -> tuple[Score | None, str | None]:
    """Return the scores and the hash that accuracy.txt holds, None for what it lacks."""
    scores, digest = _F1_LINE.search(text), _HASH_LINE.search(text)
    try:
        found = Score(exact_match=float(scores[1]), f1=float(scores[2])) if scores else None
    except ValueError:  # such as 1.2.3
        found = None
    return found, digest[1] if digest else None


def shorten(log: bytes) -> bytes:
    """Return the first and last 4 KiB of a log of answers, which is all that a submission holds of it."""
    if len(log) <= MAX_ACCURACY_LOG:
        return log
    return log[:_SHOWN] + _DOTS + log[-_SHOWN:]
