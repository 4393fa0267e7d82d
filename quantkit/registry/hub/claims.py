"""What a model card and `.eval_results` may say of the evaluation: what the evidence says, and nothing else.

The digest does not cover these files, people edit them, and leaderboards believe them. So `verify` computes what they
may claim, in the two forms that the Hub reads, and refuses anything else there.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.artifact.hub_files import CARD, LARGEST, RESULTS, hub_files
from quantkit.errors import RecipeError, RegistryError
from quantkit.pinned import DATASETS
from quantkit.recipe.strict_yaml import parse_yaml
from quantkit.registry.evidence import Evidence
from quantkit.report.digits import cut
from quantkit.strict_json import read_limited

_INDEX = "model-index"
# The block of metadata as huggingface_hub finds it.
_BLOCK = re.compile(r"^\s*---[\r\n]+(.*?)[\r\n]+---(?:\r\n|\n|$)", re.DOTALL)
# Our task → the Hub's, and the metrics that its scores are.
_TASKS = {
    "squad": ("question-answering", (("f1", "F1"), ("exact_match", "Exact match"))),
    "text-classification": ("text-classification", (("accuracy", "Accuracy"),)),
    "multi-label-classification": ("text-classification", (("f1", "Micro F1"),)),
    "text-regression": ("text-classification", (("spearmanr", "Spearman"),)),
    "reranking": ("text-ranking", (("ndcg_at_10", "NDCG@10"),)),
    "sentence-similarity": ("sentence-similarity", (("spearman_cosine", "Spearman"),)),
    "token-classification": ("token-classification", (("f1", "Entity F1"),)),
}


_WORD = re.compile(r"[^A-Za-z0-9]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class HubDataset:
    """A dataset of the Hub with the questions of one that quantkit pins: its id, configuration and split."""

    id: str
    config: str
    split: str


_ON_THE_HUB = {
    "squad": HubDataset(id="rajpurkar/squad", config="plain_text", split="validation"),
    "squad-train": HubDataset(id="rajpurkar/squad", config="plain_text", split="train"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """An evaluation in the Hub's words.

    Attributes:
        task: the Hub's name of it.
        metrics: (type, name, value in percent), unrounded.
        dataset_name: as the gate's report has it.
        on_the_hub: the same dataset there, known by its digest; None for any other.
        args: the digest of the dataset's bytes, and how many questions were asked.
        date: when it was evaluated; empty: unknown.
        notes: the whole in one line.
    """

    task: str
    metrics: tuple[tuple[str, str, float], ...]
    dataset_name: str
    on_the_hub: HubDataset | None
    args: dict[str, Any]
    date: str
    notes: str

    @classmethod
    def of(cls, evidence: Evidence) -> "Claims":
        """Return what evidence, judged again, lets a card say."""
        gate, evaluation = evidence.gate, evidence.evaluation
        task, kinds = _TASKS[evaluation.task]
        values = {"exact_match": evaluation.exact_match}
        known = next((name for name, one in DATASETS.items() if one.sha256 == gate.dataset), "")
        if not evaluation.by_task:  # by its own name, and never as the task's score
            kinds = ((_WORD.sub("_", evaluation.metric).lower(), evaluation.metric),)
        metrics = tuple((kind, name, values.get(kind, evaluation.f1)) for kind, name in kinds)
        said = ", ".join(f"{name} {cut(value, 4)}" for _, name, value in metrics)
        return cls(
            task=task,
            metrics=metrics,
            dataset_name=gate.dataset_name,
            on_the_hub=_ON_THE_HUB.get(known) if evaluation.by_task else None,
            args={"sha256": gate.dataset, "questions": gate.questions},
            date=evaluation.evaluated,
            notes=f"{said}; {gate.questions} questions, dataset sha256 {gate.dataset}, "
            f"artifact {gate.artifact}, ratio to the FP32 baseline {cut(gate.ratio)}",
        )

    def results(self) -> list[dict[str, Any]]:
        """Return `results` of the `model-index` in a card's metadata."""
        there = self.on_the_hub
        dataset: dict[str, Any] = {
            "name": self.dataset_name,
            "type": there.id if there else self.dataset_name,
            **({"config": there.config, "split": there.split} if there else {}),
            "args": self.args,
        }
        metrics = [{"type": kind, "value": value, "name": name} for kind, name, value in self.metrics]
        return [{"task": {"type": self.task}, "dataset": dataset, "metrics": metrics}]

    def eval_results(self) -> list[dict[str, Any]]:
        """Return the content of `.eval_results/quantkit.yaml`; empty for a dataset that the Hub does not have."""
        if self.on_the_hub is None:
            return []
        dataset = {"id": self.on_the_hub.id, "task_id": self.on_the_hub.config}
        date = {"date": self.date} if self.date else {}
        return [{"dataset": dataset, "value": self.metrics[0][2], **date, "notes": self.notes}]


def require_own_claims(folder: Path, evidence: Evidence) -> None:
    """Check that the Hub's files in a published folder claim what its evidence says, or nothing.

    Raises:
        RegistryError: they claim something else, or cannot be read.
    """
    there = hub_files(folder)
    if CARD in there:
        claimed = _metadata(folder / CARD)
        if _INDEX in claimed and _results_of(claimed[_INDEX]) != [Claims.of(evidence).results()]:
            raise _untrue(folder / CARD, f"its {_INDEX} is not what the evidence gives")
    if RESULTS in there and _read(folder / RESULTS, _text(folder / RESULTS)) != (
        Claims.of(evidence).eval_results() or None
    ):
        raise _untrue(folder / RESULTS, "is not what the evidence gives")


def _results_of(index: Any) -> list[Any]:
    """Return the results of a model-index; the model may be called anything there."""
    if not isinstance(index, list):
        return [index]
    plain = [isinstance(entry, dict) and set(entry) <= {"name", "results"} for entry in index]
    return [entry.get("results") for entry in index] if all(plain) else [index]


def _metadata(path: Path) -> dict[str, Any]:
    block = _BLOCK.match(_text(path).lstrip("\ufeff"))
    if block is None:
        return {}
    content = _read(path, block[1])
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise _untrue(path, "its metadata is no mapping")
    return content


def _text(path: Path) -> str:
    try:
        return read_limited(path, largest=LARGEST).decode("utf-8")
    except UnicodeDecodeError:
        raise _untrue(path, "is not UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise _untrue(path, f"cannot be read ({error})") from None


def _read(path: Path, text: str) -> Any:
    try:
        return parse_yaml(text, str(path)).value
    except RecipeError as error:
        raise RegistryError(f"{error} (metadata for the Hub); mend or remove the file") from None


def _untrue(path: Path, what: str) -> RegistryError:
    return RegistryError(f"{path}: {what}; mend or remove the file")
