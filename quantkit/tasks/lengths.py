"""Lengths: how long the rows of a model are. Export and import settle them, the artifact's manifest says them.

Whoever reads text for an artifact afterwards takes them from there (`lengths_of`), so no two stages can disagree. An
artifact that says none was made when there was nothing to choose: it is read with the defaults.
"""

from collections.abc import Mapping
from typing import Any

from quantkit.artifact import Artifact
from quantkit.errors import UsageError
from quantkit.tasks.task import Task, WindowSettings
from quantkit.tasks.tokenizer import Tokenizer

_FACT = "lengths"
_CUTS_WINDOWS = "ForQuestionAnswering"
_ROW = "max_length"
_THRESHOLD = "null_score_diff_threshold"


def lengths_of(artifact: Artifact) -> WindowSettings:
    """Return how long the rows of an artifact's model are."""
    manifest = artifact.manifest
    return WindowSettings(**manifest.lengths, null_score_diff_threshold=manifest.null_score_diff_threshold)


def lengths_in_key(artifact: Artifact) -> dict[str, dict[str, Any]]:
    """Return what the key of something made of an artifact's rows holds beside its digest: nothing for the defaults.

    The digest does not tell: lengths are in the manifest, which it does not cover.
    """
    lengths = lengths_of(artifact)
    return {} if lengths == WindowSettings() else {"features": lengths.as_json()}


def said(task: Task, lengths: WindowSettings) -> dict[str, Any]:
    """Return the facts that the manifest says them with: what means something for the task, a threshold if not 0."""
    facts = lengths.as_json()
    threshold = {_THRESHOLD: facts.pop(_THRESHOLD)} if _THRESHOLD in facts else {}
    return {_FACT: {name: value for name, value in facts.items() if name == _ROW or _cuts(task)}, **threshold}


def fit(task: Task, tokenizer: Tokenizer, asked: Mapping[str, Any]) -> WindowSettings:
    """Return the lengths of a model: those that are asked for, else the task's usual ones, else what fits.

    Args:
        task: what the model does.
        tokenizer: the model's, which knows its positions and its usual longest row.
        asked: lengths by name, as far as somebody asks for some (`recipe.lengths.LengthSettings.asked`).

    Raises:
        UsageError: rows would be longer than the model's positions or leave no room for text, windows would not
            overlap, or a length means nothing for the task.
    """
    for name in asked:
        if name != _ROW and not _cuts(task):
            raise UsageError(f"{name}: {task.name} cuts no text into windows; leave it out")
    usual = WindowSettings().max_length
    limits = [limit for limit in (tokenizer.max_positions, tokenizer.usual_length) if limit is not None]
    if task.outcome != "direction":
        limits.append(usual)  # embeddings are of as much as the model reads, as sentence-transformers does
    longest = min(limits, default=usual)
    lengths = WindowSettings(**{**scaled(asked.get(_ROW, longest)).as_json(), **asked})
    tokenizer.check_length(lengths.max_length)
    _require_room(task, tokenizer, lengths)
    return lengths


def scaled(max_length: int) -> WindowSettings:
    """Return the lengths for rows of at most so many tokens: the defaults for 384 and more, shorter for less.

    A window advances by a third of a row, as 128 is of 384, and a question has at most a third of it; so windows
    still overlap.
    """
    usual, third = WindowSettings(), max(1, max_length // 3)
    return WindowSettings(
        max_length=max_length,
        doc_stride=min(usual.doc_stride, third),
        max_query_length=min(usual.max_query_length, third),
    )


def _require_room(task: Task, tokenizer: Tokenizer, lengths: WindowSettings) -> None:
    special = tokenizer.specials(2)
    if not _cuts(task):
        if lengths.max_length <= special:
            raise UsageError(f"max_length: {lengths.max_length} leaves no room for text; raise it")
        return
    room = lengths.max_length - special - lengths.max_query_length
    if room < 1:
        raise UsageError(
            f"max_length: {lengths.max_length} leaves no room for the text beside a question of "
            f"{lengths.max_query_length} tokens and {special} special ones; raise max_length or lower max_query_length"
        )
    if lengths.doc_stride >= room:
        raise UsageError(
            f"doc_stride: is {lengths.doc_stride}, but a window has {room} tokens of the text beside a question of "
            f"{lengths.max_query_length}, so two would not overlap; give at most {max(1, room - 1)}"
        )


def _cuts(task: Task) -> bool:
    """Tell whether the task cuts long texts into windows and looks for answers in them."""
    return task.head == _CUTS_WINDOWS
