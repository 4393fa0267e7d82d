"""Find: all that a search needs of a teacher, in order: moments, order, damage, price; then the search itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quantkit.allocation.journal import Journal
from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.cluster.errands import Errands
from quantkit.exam.exam import Exam, Sitting
from quantkit.files import digest_of
from quantkit.graph.model import load_model
from quantkit.progress import Phase, step
from quantkit.quantization.grids import signed_grid
from quantkit.quantization.observe import Detail, observe_model
from quantkit.quantization.write import open_embed_layer_norm
from quantkit.recipe.search_settings import SearchSettings
from quantkit.runtime.cpu import NATIVE, cpu_facts, resolve_target
from quantkit.runtime.footprint import model_bytes
from quantkit.runtime.where import Where
from quantkit.shapes.away import Away
from quantkit.shapes.blocks import Block, blocks_of
from quantkit.shapes.candidate import Candidate
from quantkit.shapes.damage import damages_of
from quantkit.shapes.goal import Beside, Goal, goal_of
from quantkit.shapes.options import Ladder, ladders
from quantkit.shapes.phases import Laps
from quantkit.shapes.price import Load, Prices, prices_of
from quantkit.shapes.quantized import Bench
from quantkit.shapes.questions import Questions
from quantkit.shapes.search import Search
from quantkit.shapes.slots import Damages, size_of, space_of
from quantkit.shapes.trials import TOKEN_BUDGET, Trials
from quantkit.shapes.wanted import wanted_of

TOOLS = ("onnx", "onnxruntime", "numpy", "scipy", "tokenizers")
_RULES = "3"  # of how candidates are made; another number when they change, so that no journal answers
_PRICE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A search that is done, and what it was made of."""

    search: Search
    chosen: Candidate
    goal: Goal
    questions: Questions
    ladders: Mapping[Block, Ladder]
    damages: Damages
    beside: Beside
    baseline: float
    seconds: Mapping[str, float]
    trials: Mapping[str, tuple[float, ...]]

    @property
    def blocks(self) -> Sequence[Block]:
        """The teacher's blocks."""
        return self.search.trials.blocks


class Watch(Protocol):
    """Somebody who watches a search."""

    def begin(self) -> None:
        """Measuring begins."""

    def show(self, found: Found) -> None:
        """One more candidate was measured."""


def find(
    artifact: Artifact,
    questions: Questions,
    settings: SearchSettings,
    *,
    phase: Phase = step,
    watch: Watch | None = None,
) -> Found:
    """Search architectures for a teacher.

    Args:
        artifact: the teacher, fused, FP32.
        questions: what it is measured on.
        settings: limits, budget.
        phase: begins a part of the search (`quantkit.shapes.phases`), to show it.
        watch: somebody who is told what is found, while it is.

    Raises:
        UsageError: nothing is asked, the limits are beyond what can be built, or the solver is not installed.
        CheckpointError: the family's layers cannot be searched.
        DatasetError: the teacher answers none of the selection right.
        EvaluationError: an activation or a logit is NaN or infinite.
    """
    laps = Laps(phase)
    with laps.part("moments"):
        model = load_model(artifact.model_path)
        open_embed_layer_norm(model)
        blocks = blocks_of(artifact, model)
        where = Where.of(settings)
        observations = observe_model(
            artifact, model, questions.observed, detail=Detail.MOMENTS, where=where, keep=True
        )
        grid = signed_grid(saturates=resolve_target(NATIVE, cpu_facts()).saturates)
        bench = Bench(model=model, observations=observations, grid=grid)
    if watch is not None:
        watch.begin()
    journal = laps.journal = Journal(key_of(bench, questions, settings))
    with laps.part("order"):
        options = ladders(bench, blocks, step=settings.step, journal=journal, in_float=settings.float_blocks)
    with laps.part("answers", works=2):
        judged_on = Exam(
            artifact,
            questions.damage,
            Sitting(label="damage", judged=False, where=where),
            confidence=0.8,
            kept=journal.folder / "damage.npz",
        )
        exam = Exam(
            artifact,
            questions.selection,
            Sitting(label="select", where=where),
            confidence=settings.confidence,
            kept=journal.folder / "selection.npz",
        )
    with laps.part("damage"):
        damages = damages_of(bench, options, judged_on, journal)
    tokens = settings.tokens or _mean_length(judged_on)
    load = Load(rows=1 if settings.max_latency else max(1, TOKEN_BUDGET // tokens), tokens=tokens)
    trials = Trials(
        bench=bench,
        blocks=blocks,
        ladders=options,
        exam=exam,
        held_out=judged_on,
        journal=journal,
        load=load,
    )
    with laps.part("price", works=2):
        prices = _prices(trials)
    whole = {block: block.units for block in blocks}
    with laps.part("teacher", works=2):
        found = trials.judged(whole)
    teacher = Candidate(
        origin="teacher",
        units=whole,
        damage=0.0,
        predicted=prices.of(whole),
        cost=prices.whole[0],
        judged=found,
    )
    beside = Beside(
        parameters=_parameters(artifact) - sum(block.parameters(block.units) for block in blocks),
        size=found.size - sum(size_of(block, block.units) for block in blocks),
        activations=found.l3 - found.size,
        cost=prices.beside,
    )
    goal = goal_of(settings, beside, teacher.cost, tokens)
    search = Search(
        space=space_of(damages, prices.blocks, coverage=settings.min_int8_coverage),
        goal=goal,
        prices=prices,
        trials=trials,
        teacher=teacher,
        deadline=laps.started + settings.budget,
        most=settings.candidates,
        away=_away(trials, where),
    )

    def so_far() -> Found:
        return Found(
            search=search,
            chosen=search.chosen(),
            goal=goal,
            questions=questions,
            ladders=options,
            damages=damages,
            beside=beside,
            baseline=exam.baseline,
            seconds=laps.seconds,
            trials={
                **{name: seconds for name, seconds in laps.trials.items() if name != "candidates"},
                **{
                    f"candidates {number}": tuple(wave) for number, wave in enumerate(search.waves, 1) if wave
                },
            },
        )

    with laps.part("candidates"):
        for _ in search.run():
            if watch is not None:
                watch.show(so_far())
    with laps.part("finalists"):
        search.decide()
    return so_far()


def _away(trials: Trials, where: Where) -> Away | None:
    """Return what builds candidates on a cluster; None where they are built here."""
    if where.engine != "ray":
        return None
    return Away(trials=trials, workers=Errands(address=where.address, name="search"))


def _prices(trials: Trials) -> Prices:
    wanted = wanted_of(trials.bench, {block: ladder.options for block, ladder in trials.ladders.items()})
    whole = {block: block.units for block in trials.blocks}
    empty = dict.fromkeys(trials.blocks, 0)
    return prices_of(
        wanted,
        trials.whole(empty),
        [trials.whole(whole)],
        trials.load,
        seconds=_PRICE_SECONDS,
        journal=trials.journal,
    )


def _mean_length(exam: Exam) -> int:
    return max(1, round(sum(exam.lengths) / len(exam.lengths)))


def _parameters(artifact: Artifact) -> int:
    """Return how many numbers the teacher's float graph has in its weights."""
    return model_bytes(artifact.model_path) // 4


def key_of(bench: Bench, questions: Questions, settings: SearchSettings) -> str:
    """Return the digest of all that decides what is measured; neither limits nor budget do."""
    return digest_of(
        {
            "observations": bench.observations.key,
            "damage": questions.damage.digest,
            "selection": questions.selection.digest,
            "confidence": settings.confidence,
            "step": settings.step,
            "grid": bench.grid.name,
            "rules": _RULES,
            "tools": tool_versions("quantkit", *TOOLS),
            "cpu": cpu_facts().kernels_json(),
        }
    )
