"""Candidates: assignments built for real, judged on the selection questions, and timed beside FP32.

A loss of a thousandth is too small to be seen on a few hundred questions, where divergence is seen well. So a
candidate's loss is bounded in two ways, and the better bound counts:

1. Directly: the lower confidence bound of its own expected score.
2. By its divergence: what the most divergent candidate lost for each nat, at its upper confidence bound, as the loss
   grows in proportion while it is small. Candidates that lost more than `_SMALL` do not count for this.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from quantkit.allocation.journal import Journal
from quantkit.allocation.search import Verdict
from quantkit.allocation.slots import Solution
from quantkit.artifact.artifact import EXTERNAL_DATA
from quantkit.exam.exam import Exam
from quantkit.exam.marks import Marks
from quantkit.graph.kernels import trace_execution
from quantkit.graph.model import has_external_data
from quantkit.mixed_precision.options import Options
from quantkit.mixed_precision.timed import times_the_first
from quantkit.mixed_precision.workbench import Workbench
from quantkit.progress import step
from quantkit.quantization.choice import Choice
from quantkit.recipe.settings import AutoSettings
from quantkit.records import CandidateRecord
from quantkit.runtime.session import Session
from quantkit.tasks import task
from quantkit.throughput import spread_of

# Windows of a timed pass, and interleaved rounds of FP32 and the candidate; one more warms up.
_TIMED_WINDOWS, _PASS_SECONDS = 64, 5.0
_ROUNDS, _FINAL_ROUNDS = 3, 5
_SMALL = 0.05


class Trials:
    """Builds candidates and measures each once.

    Attributes:
        candidates: what was found of each, in the order they were verified.
    """

    def __init__(
        self, workbench: Workbench, options: Options, exam: Exam, journal: Journal, asked: AutoSettings
    ) -> None:
        """Open FP32, which every candidate is timed beside; `asked` says what passes."""
        self._workbench = workbench
        self._options = options
        self._exam = exam
        self._journal = journal
        self._asked = asked
        self._float: Session | None = None
        self._seen: list[Marks] = []
        self.candidates: list[CandidateRecord] = []

    def verify(self, number: int, origin: str, solution: Solution) -> Verdict:
        """Build an assignment, let it sit the exam, time it and read its kernels."""
        chosen = self._choices(solution)
        of = {"candidate": _said(chosen)}

        def measure() -> dict[str, Any]:
            with self._workbench.built(chosen) as path:
                return self._measured(path)

        with step(f"{number + 1}, {origin}", works=3):
            found = self._journal.remembered(of, measure)
        marks = Marks.from_json(found["marks"])
        self._seen.append(marks)
        expected = expected_ratio_of(marks, self._seen)
        record = CandidateRecord(
            number=number,
            origin=origin,
            choices=dict(Counter(choice.label for choice in chosen.values())),
            predicted_damage=solution.damage,
            predicted_cost_us=solution.cost,
            divergence=marks.divergence,
            changed=marks.changed,
            score=marks.score,
            ratio=marks.ratio,
            expected_ratio=expected.ratio,
            expected_ratio_low=expected.low,
            throughput=found["throughput"],
            throughput_spread=tuple(found["throughput_spread"]),
            int8_coverage=found["int8_coverage"],
            size_bytes=found["size_bytes"],
            passed=expected.low >= self._asked.target
            and found["int8_coverage"] >= self._asked.min_int8_coverage,
        )
        self.candidates.append(record)
        return Verdict(passed=record.passed, expected_ratio_low=expected.low, divergence=marks.divergence)

    def _measured(self, path: Path) -> dict[str, Any]:
        artifact = self._workbench.artifact
        execution = trace_execution(
            path,
            outputs=task(artifact.task).outputs,
            config=artifact.config,
            name=f"{artifact.model_path}, quantized",
        )
        session = self._exam.open(path)
        marks = self._exam.sit(session)
        (ratios,) = self._beside_float([session], rounds=_ROUNDS)
        pace = spread_of(ratios)
        size = path.stat().st_size
        if has_external_data(path):
            size += (path.parent / EXTERNAL_DATA).stat().st_size
        return {
            "marks": marks.as_json(),
            "throughput": pace.median,
            "throughput_spread": [pace.low, pace.high],
            "int8_coverage": execution.int8_coverage,
            "size_bytes": size,
        }

    def time_again(self, solutions: Mapping[int, Solution]) -> None:
        """Time candidates and FP32 once more, all in turns; `candidates` then has what was found.

        Args:
            solutions: number of a candidate → what it is.
        """
        chosen = {number: self._choices(solution) for number, solution in solutions.items()}
        of = {"finalists": [_said(choices) for choices in chosen.values()]}

        def measure() -> dict[str, Any]:
            with ExitStack() as stack:
                sessions = []
                for number, choices in chosen.items():
                    with step(f"build candidate {number}"):
                        path = stack.enter_context(self._workbench.built(choices))
                        sessions.append(self._exam.open(path))
                return {"throughput": self._beside_float(sessions, rounds=_FINAL_ROUNDS)}

        found = self._journal.remembered(of, measure)["throughput"]
        for number, pace in zip(chosen, map(spread_of, found), strict=True):
            self.candidates[number] = self.candidates[number].model_copy(
                update={
                    "throughput": pace.median,
                    "throughput_spread": (pace.low, pace.high),
                    "finalist": True,
                }
            )

    def _choices(self, solution: Solution) -> dict[str, Choice]:
        return {group: self._options[group][index].choice for group, index in solution.chosen.items()}

    def _beside_float(self, sessions: Sequence[Session], *, rounds: int) -> list[list[float]]:
        """Return of each the ratios of times, FP32 / candidate, one for every round of the same batches."""
        if self._float is None:
            self._float = self._exam.open(self._workbench.artifact.model_path)
        job = self._exam.timed_job(_PASS_SECONDS, most=_TIMED_WINDOWS)
        return times_the_first([self._float, *sessions], job, rounds=rounds)


def _said(choices: Mapping[str, Choice]) -> dict[str, str]:
    return {group: repr(choice) for group, choice in sorted(choices.items())}


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """A candidate's expected score over FP32's, and its lower confidence bound."""

    ratio: float
    low: float


def expected_ratio_of(marks: Marks, seen: Sequence[Marks]) -> Expected:
    """Return what is known of a candidate's expected ratio, given the marks of all candidates so far.

    Of the two ways (see the module's head) the one with the better bound.
    """
    direct = Expected(ratio=marks.expected_ratio, low=marks.expected_ratio_low)
    small = [other for other in seen if 1 - other.expected_ratio <= _SMALL and other.divergence > 0]
    if not small:
        return direct
    most = max(small, key=lambda other: other.divergence)
    share = marks.divergence / most.divergence
    by_divergence = Expected(
        ratio=1 - share * max(0.0, 1 - most.expected_ratio),
        low=1 - share * max(0.0, 1 - most.expected_ratio_low),
    )
    return max(direct, by_divergence, key=lambda expected: expected.low)
