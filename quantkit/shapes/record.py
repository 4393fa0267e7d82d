"""Record: a search that is done, as its report."""

import statistics
from collections.abc import Mapping, Sequence

import numpy as np

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.checkpoint import Checkpoint
from quantkit.records import Sanity, ShapeBlock, ShapeCandidate, ShapeOption, ShapeSearch
from quantkit.records.shapes import UNHEALED, TrialTimes
from quantkit.runtime.cpu import cpu_facts
from quantkit.shapes.blocks import Block
from quantkit.shapes.candidate import Candidate
from quantkit.shapes.find import TOOLS, Found
from quantkit.shapes.hours import WORKERS, on_workers
from quantkit.shapes.in_float import InFloat, floats_of, units_of


def report_of(
    found: Found,
    artifact: Artifact,
    checkpoint: Checkpoint,
    *,
    folders: Mapping[int, str],
    sanity: Sanity | None,
    around: Mapping[str, float],
) -> ShapeSearch:
    """Return the report.

    Args:
        found: the search.
        artifact: the teacher's, FP32.
        checkpoint: the teacher.
        folders: number of a candidate → the folder of its checkpoint.
        sanity: what was checked.
        around: seconds of the parts of the search before and after `found`.
    """
    search, trials = found.search, found.search.trials
    everyone = [search.teacher, *search.candidates]
    candidates = tuple(
        _candidate(found, number, one, everyone, folders.get(number, ""))
        for number, one in enumerate(everyone)
    )
    # Nothing predicts the damage of the others.
    foretold = [one for one in everyone if one.origin not in UNHEALED]
    searched = [one for one in foretold if one is not search.teacher]
    took = {**found.trials, **{name: (seconds,) for name, seconds in around.items()}}
    parts = tuple(TrialTimes(part=name, seconds=seconds) for name, seconds in took.items())
    return ShapeSearch(
        teacher=checkpoint.digest,
        task=artifact.task,
        family=checkpoint.architecture.model_type,
        limits=dict(found.goal.asked),
        met=search.meets(found.chosen),
        chosen=everyone.index(found.chosen),
        tokens=trials.load.tokens,
        rows=trials.load.rows,
        beside_us=found.beside.cost,
        price_error=statistics.median(abs(one.predicted / one.cost - 1) for one in foretold),
        rank_correlation=rank_correlation(
            [one.damage for one in searched], [one.judged.marks.divergence for one in searched]
        ),
        baseline_score=found.baseline,
        teacher_divergence=search.teacher.judged.marks.divergence,
        teacher_score=search.teacher.judged.marks.score,
        data_digest=found.questions.observed.dataset.digest,
        data_questions=len(found.questions.observed.ids),
        damage_questions=len(found.questions.damage.questions),
        selection_digest=found.questions.selection.digest,
        selection_questions=len(found.questions.selection.questions),
        blocks=tuple(_block(found, block) for block in found.blocks),
        candidates=candidates,
        sanity=sanity,
        seconds={**dict(found.seconds), **around},
        trials=parts,
        on_workers=tuple(on_workers(parts, count) for count in WORKERS),
        tools=tool_versions(*TOOLS),
        cpu=dict(cpu_facts().as_json()),
    )


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Return Spearman's rank correlation of two rows of numbers; 1 for fewer than two."""
    if len(one) < 2:
        return 1.0
    ranks = [
        np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float) for values in (one, other)
    ]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _block(found: Found, block: Block) -> ShapeBlock:
    prices, ladder = found.search.prices.blocks[block], found.ladders[block]
    return ShapeBlock(
        slot=block.slot,
        units=block.units,
        options=tuple(
            ShapeOption(
                units=units_of(option),
                scheme="float" if isinstance(option, InFloat) else "int8",
                error=ladder.parts[units_of(option)].error,
                damage=found.damages[block][option],
                cost_us=prices[option],
            )
            for option in ladder.options
        ),
    )


def _candidate(
    found: Found, number: int, one: Candidate, everyone: Sequence[Candidate], folder: str
) -> ShapeCandidate:
    search = found.search
    layers = range(1 + max(block.layer for block in found.blocks))
    counts = {(block.layer, block.kind): units_of(option) for block, option in one.units.items()}
    marks = one.judged.marks
    return ShapeCandidate(
        number=number,
        origin=one.origin,
        heads=tuple(counts.get((layer, "attention"), 0) for layer in layers),
        feed_forward=tuple(counts.get((layer, "feed_forward"), 0) for layer in layers),
        parameters=found.beside.parameters
        + sum(block.parameters(units_of(option)) for block, option in one.units.items()),
        float_blocks=tuple(block.slot for block in floats_of(one.units)),
        size_bytes=one.judged.size,
        l3_bytes=one.judged.l3,
        predicted_damage=one.damage,
        divergence=marks.divergence,
        score=marks.score,
        ratio=marks.ratio,
        expected_ratio=marks.expected_ratio,
        expected_ratio_low=marks.expected_ratio_low,
        predicted_cost_us=one.predicted,
        cost_us=one.cost,
        throughput=search.teacher.cost / one.cost,
        finalist=one.again is not None,
        throughput_spread=None if one.again is None else (one.again.low, one.again.high),
        meets=search.meets(one),
        front=not any(
            other.cost < one.cost and other.judged.marks.divergence < marks.divergence for other in everyone
        ),
        folder=folder,
    )
