"""Calibration sets: named, frozen selections of questions.

A set is a folder `calibration/<name>/` with a `selection.yaml`, which holds no question, only how to choose
them:

    dataset: squad            a known dataset, or a file beside selection.yaml
    task: squad
    count: 100                how many are chosen unless somebody asks for fewer or more
    choose: listed            the ids of a public list, in its order
            hashed            those with the smallest sha256 of seed and id
    ids: {folder, file, address, sha256, size}      with `listed`: the list, one id per line

A file that is no known set is sampled like `hashed`. Choosing by hash needs no order and no generator: the
same seed chooses the same questions from a shuffled file, and 100 are always the first 100 of 200.
"""

import difflib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import pydantic
import yaml

from quantkit.errors import DatasetError
from quantkit.files import digest_of, sha256_file
from quantkit.pinned import DATASETS, KnownFile
from quantkit.shipped import calibration_folder
from quantkit.tasks import datasets
from quantkit.tasks.datasets import find_known, load
from quantkit.tasks.reading import explain, read_file
from quantkit.tasks.task import Dataset

COUNT = 100
"""Questions chosen from a file unless somebody asks for another number, as MLPerf's list has."""

_SELECTION = "selection.yaml"


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationSet:
    """A named, frozen selection of questions.

    Attributes:
        name: the set's name, or the stem of the file.
        dataset: only the chosen questions, with a digest of its own.
        source_digest: sha256 of the file they were chosen from.
    """

    name: str
    dataset: Dataset
    source_digest: str

    @property
    def ids(self) -> tuple[str, ...]:
        """The chosen ids, in order."""
        return tuple(question.id for question in self.dataset.questions)


@dataclass(frozen=True, slots=True)
class _Count:
    """How many questions are asked for."""

    exactly: int | None
    at_most: int | None

    def of(self, available: int, *, usual: int) -> int:
        """Return the number to choose; too many is for `_choose` to tell."""
        if self.at_most is not None:
            return min(self.at_most, available)
        return usual if self.exactly is None else self.exactly


class _Selection(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    dataset: str
    task: str
    count: int = pydantic.Field(ge=1)
    choose: Literal["listed", "hashed"]
    ids: KnownFile | None = None

    @pydantic.model_validator(mode="after")
    def _check_list(self) -> Self:
        if (self.choose == "listed") != (self.ids is not None):
            raise ValueError("`choose: listed` and `ids` go together")
        return self


def names() -> list[str]:
    """Return the names of the sets that ship."""
    return sorted(path.parent.name for path in calibration_folder().glob(f"*/{_SELECTION}"))


def select(
    name_or_path: str,
    task: str,
    count: int | None = None,
    data_dir: Path | None = None,
    seed: int = 0,
    *,
    at_most: int | None = None,
) -> CalibrationSet:
    """Return the calibration set of this name, or a sample of a file.

    Args:
        name_or_path: a shipped set (`squad`, `squad-train`, `callcentre`), else the path of a file the task
            can read.
        task: the task the model does.
        count: how many questions; None for as many as the set says, and for a file `COUNT` or all it has.
        data_dir: where datasets are looked for first.
        seed: another seed chooses other questions; a public list is not chosen by seed.
        at_most: in place of `count`: so many, or all there are.

    Raises:
        DatasetError: no such set or file, `count` is below 1 or more than there are, or the set is of another
            task.
    """
    if count is not None and count < 1:
        raise DatasetError(f"{name_or_path}: cannot calibrate on {count} questions; give 1 or more")
    if name_or_path in names():
        return _select_named(name_or_path, task, _Count(count, at_most), data_dir, seed)
    _require_file(name_or_path)
    dataset = load(name_or_path, task, data_dir)
    ids = by_hash((question.id for question in dataset.questions), seed)
    wanted = _Count(count, at_most).of(len(ids), usual=min(COUNT, len(ids)))
    return _choose(dataset.name, dataset, ids, wanted)


def content_digest(name_or_path: str) -> str:
    """Return the digest of all that questions are chosen from: a file's sha256, or that of a shipped set's files.

    Raises:
        DatasetError: there is no such set or file.
    """
    if name_or_path not in names():
        _require_file(name_or_path)
        return datasets.content_digest(name_or_path)
    definition = _definition(name_or_path)
    selection = _read_selection(definition)
    return digest_of(
        {
            "selection": sha256_file(definition),
            "dataset": datasets.content_digest(_dataset_of(name_or_path, selection)),
            "ids": selection.ids.sha256 if selection.ids else None,
        }
    )


def is_listed(name: str) -> bool:
    """Tell whether a shipped set is a public list of ids, which has no more questions than those."""
    if name not in names():
        return False
    return _read_selection(_definition(name)).choose == "listed"


def by_hash(ids: Iterable[str], seed: int) -> list[str]:
    """Return ids in the order of the sha256 of `seed:id`, a shuffle that depends on nothing else."""
    return sorted(ids, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())


def _definition(name: str) -> Path:
    return calibration_folder() / name / _SELECTION


def _dataset_of(name: str, selection: _Selection) -> str:
    """Return the known dataset that a set chooses from, or the path of a file beside its definition."""
    return (
        selection.dataset
        if selection.dataset in DATASETS
        else str(_definition(name).parent / selection.dataset)
    )


def _require_file(name: str) -> None:
    path, _ = datasets.file_and_columns(name)
    if Path(path).is_file():
        return
    near = difflib.get_close_matches(path, names(), n=1)
    hint = (
        f"did you mean {near[0]!r}?" if near else f"give the path of a file, or one of {', '.join(names())}"
    )
    raise DatasetError(f"{path}: there is no such calibration set; {hint}")


def _select_named(name: str, task: str, count: "_Count", data_dir: Path | None, seed: int) -> CalibrationSet:
    selection = _read_selection(_definition(name))
    if selection.task != task:
        raise DatasetError(
            f"{name}: is a calibration set for {selection.task}, not for {task}; give the path of a file"
        )
    dataset = load(_dataset_of(name, selection), task, data_dir)
    if selection.ids is not None:
        ids = find_known(selection.ids, data_dir).read_text(encoding="ascii").split()
    else:
        ids = by_hash((question.id for question in dataset.questions), seed)
    return _choose(name, dataset, ids, count.of(len(ids), usual=selection.count))


def _choose(name: str, dataset: Dataset, ids: list[str], count: int) -> CalibrationSet:
    if count > len(ids):
        raise DatasetError(
            f"{name}: has {len(ids)} questions to calibrate on, not {count}; "
            f"ask for fewer: --calib-questions {len(ids)}, or calib_questions in the recipe"
        )
    return CalibrationSet(name=name, dataset=dataset.only(ids[:count]), source_digest=dataset.source)


def _read_selection(path: Path) -> _Selection:
    try:
        content: Any = yaml.safe_load(read_file(path))
        return _Selection.model_validate(content)
    except yaml.YAMLError as error:
        raise DatasetError(f"{path}: is not YAML; install quantkit again") from error
    except pydantic.ValidationError as error:
        raise DatasetError(f"{path}: {explain(error)}; mend the file or install quantkit again") from error
