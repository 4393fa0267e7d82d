"""Sensitivity: how much the answers suffer when one group alone is quantized, measured by running it.

Noise at a layer's output says little about the answers: the same noise hurts in one place and is forgotten in another.
So each group is quantized alone (static, smoothed, GPTQ), the model answers the questions, and the divergence from
FP32's answers is the group's damage. Damages of different groups add up, and of one group grow with the power of the
noise, as long as they are small; that is what the search predicts with, and every candidate is measured as a whole.

When the budget is too short for every group, neighbouring encoder layers' groups of one kind are quantized together,
and share the damage by their noise.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from quantkit.allocation.journal import Journal
from quantkit.errors import UsageError
from quantkit.exam.exam import Exam, Sitting
from quantkit.exam.marks import Marks
from quantkit.mixed_precision.groups import Group
from quantkit.mixed_precision.options import Rated
from quantkit.mixed_precision.workbench import Workbench
from quantkit.progress import phases, step
from quantkit.records import GroupSensitivity
from quantkit.tasks import Dataset
from quantkit.tasks.calibration_set import CalibrationSet

# Damage is measured on at most so many of the calibration questions, and on no fewer than this when time is short.
MOST_QUESTIONS, _LEAST_QUESTIONS = 100, 8
Remembered = Callable[[tuple[str, ...], Callable[[], Marks]], tuple[Marks, float]]
"""Returns what is known of these groups, or measures it; and the seconds that took."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """What one group's reference choice does to the answers.

    Attributes:
        divergence: nats.
        changed: share of the questions with another score.
        together: the groups that were measured together with it.
    """

    divergence: float
    changed: float
    together: tuple[str, ...]


def damages_of(
    workbench: Workbench,
    reference: Mapping[str, Rated],
    calibration_set: CalibrationSet,
    journal: Journal,
    *,
    seconds: float,
    budget: float,
    most_questions: int = MOST_QUESTIONS,
) -> tuple[dict[str, Damage], int]:
    """Return every group's damage on calibration questions, and how many of these it was measured on.

    Fewer questions are taken when the time would not do for each group alone; with the fewest, groups are measured
    together.

    Args:
        workbench: groups and observations.
        reference: what each group is quantized to.
        calibration_set: the questions.
        journal: what was measured before.
        seconds: how long it may take.
        budget: that of the whole; one that goes on under the same budget takes as many questions as before, whatever
            time is left now, as damages on other questions would all have to be measured again.
        most_questions: no more than so many.

    Raises:
        UsageError: the time is not enough for one pass over each kind of layer.
    """
    with phases("damages", {"try": 6, "groups": 94}) as phase:
        with phase("try", works=4):
            exam, remembered = _exam(
                workbench, reference, calibration_set.dataset, journal, _Time(seconds, budget, most_questions)
            )
        with phase("groups", works=1 + len(workbench.groups)):
            found = _measure(workbench, reference, exam, seconds=seconds, remembered=remembered)
    return found, len(exam.dataset.questions)


class _Time(NamedTuple):
    """What `damages_of` was told of time and questions."""

    seconds: float
    budget: float
    most_questions: int


def _exam(
    workbench: Workbench,
    reference: Mapping[str, Rated],
    questions: Dataset,
    journal: Journal,
    time: _Time,
) -> tuple[Exam, Remembered]:
    """Return an exam of as many questions as can be afforded, and what remembers what was found by it."""
    few = Exam(
        workbench.artifact,
        questions.limit(_LEAST_QUESTIONS),
        Sitting(label="answer", judged=False),
        confidence=0.8,
    )
    largest = max(workbench.groups, key=lambda group: group.macs)

    def one_pass() -> Marks:
        with workbench.built({largest.name: reference[largest.name].choice}) as path:
            return few.sit(few.open(path))

    _, pass_seconds = _remembered(journal, {"pass": _LEAST_QUESTIONS}, one_pass)
    # Each group alone, and one pass before them that tells how long they take.
    room = time.seconds / (len(workbench.groups) + 1) / max(pass_seconds, 1e-3)
    wanted = min(time.most_questions, len(questions.questions))

    def affordable() -> dict[str, int]:
        return {"questions": max(min(_LEAST_QUESTIONS, wanted), min(wanted, int(_LEAST_QUESTIONS * room)))}

    count = journal.remembered({"budget": time.budget, "most": wanted}, affordable)["questions"]
    exam = (
        few
        if count == len(few.dataset.questions)
        else Exam(
            workbench.artifact, questions.limit(count), Sitting(label="answer", judged=False), confidence=0.8
        )
    )

    def remembered(names: tuple[str, ...], measure: Callable[[], Marks]) -> tuple[Marks, float]:
        of = {
            "alone": list(names),
            "choices": [repr(reference[name].choice) for name in names],
            "questions": count,
        }
        return _remembered(journal, of, measure)

    return exam, remembered


def _remembered(journal: Journal, of: dict[str, Any], measure: Callable[[], Marks]) -> tuple[Marks, float]:
    """Return the marks that are known of `of`, or measure them, and the seconds that measuring took."""
    found = journal.timed(of, lambda: {"marks": measure().as_json()})
    return Marks.from_json(found["marks"]), found["seconds"]


def _measure(
    workbench: Workbench,
    reference: Mapping[str, Rated],
    exam: Exam,
    *,
    seconds: float,
    remembered: Remembered,
) -> dict[str, Damage]:
    """Return group name → damage of its reference.

    Args:
        workbench: groups and observations.
        reference: what each group is quantized to.
        exam: the questions.
        seconds: how long it may take; the first pass decides how many groups are measured together.
        remembered: measures, or returns what an interrupted search measured before.

    Raises:
        UsageError: the time is not enough for one pass over each kind of layer.
    """

    def measure(together: Sequence[Group]) -> tuple[Marks, float]:
        names = tuple(group.name for group in together)

        def run() -> Marks:
            chosen = {group.name: reference[group.name].choice for group in together}
            with workbench.built(chosen) as path:
                return exam.sit(exam.open(path))

        return remembered(names, run)

    # The largest group: no pass takes longer.
    with step("the largest", works=2):
        _, pass_seconds = measure([max(workbench.groups, key=lambda group: group.macs)])
    bundles = bundled(workbench.groups, most=int((seconds - pass_seconds) / max(pass_seconds, 1e-3)))
    if bundles is None:
        kinds = len({group.kind for group in workbench.groups})
        needed = math.ceil((kinds + 1) * pass_seconds)
        raise UsageError(
            f"--budget: {max(0, seconds):.0f} s of it are left for sensitivity, and one pass over each kind of layer "
            f"takes {needed} s; raise it in proportion, or take fewer questions"
        )
    found: dict[str, Damage] = {}
    for number, bundle in enumerate(bundles, 1):
        with step(f"{number} of {len(bundles)}", works=2):
            marks, _ = measure(bundle)
        found |= _shared(bundle, marks, reference)
    return {group.name: found[group.name] for group in workbench.groups}


def bundled(groups: Iterable[Group], *, most: int) -> list[list[Group]] | None:
    """Return the groups in at most `most` bundles, each of one kind and of neighbours; None when that is too few.

    Kinds are cut into as many parts as there is room for, the same for all of them.
    """
    kinds: dict[str, list[Group]] = defaultdict(list)
    for group in groups:
        kinds[group.kind].append(group)
    longest = max(len(members) for members in kinds.values())
    for parts in range(longest, 0, -1):
        if sum(min(parts, len(members)) for members in kinds.values()) <= most:
            return [bundle for members in kinds.values() for bundle in _cut(members, parts)]
    return None


def _cut(members: Sequence[Group], parts: int) -> list[list[Group]]:
    parts = min(parts, len(members))
    edges = [len(members) * place // parts for place in range(parts + 1)]
    return [list(members[left:right]) for left, right in itertools.pairwise(edges)]


def _shared(bundle: Sequence[Group], marks: Marks, reference: Mapping[str, Rated]) -> dict[str, Damage]:
    """Divide the damage of a bundle by each group's noise relative to its signal."""
    relative = [reference[group.name].noise.relative for group in bundle]
    total = sum(relative)
    names = tuple(group.name for group in bundle)
    return {
        group.name: Damage(
            divergence=marks.divergence * (share / total if total else 1 / len(bundle)),
            changed=marks.changed,
            together=tuple(name for name in names if name != group.name),
        )
        for group, share in zip(bundle, relative, strict=True)
    }


def as_records(
    workbench: Workbench, reference: Mapping[str, Rated], damages: Mapping[str, Damage]
) -> tuple[GroupSensitivity, ...]:
    """Return the report's records, in graph order."""
    return tuple(
        GroupSensitivity(
            group=group.name,
            layers=group.layers,
            kind=group.kind,
            macs=group.macs,
            damage=damages[group.name].divergence,
            changed=damages[group.name].changed,
            sqnr_db=reference[group.name].noise.sqnr_db,
            measured_with=damages[group.name].together,
        )
        for group in workbench.groups
    )
