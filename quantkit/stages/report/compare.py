"""The comparison itself: which scores, which measurement, which FP32 artifact for which INT8 one."""

from collections.abc import Sequence

from quantkit.artifact import Artifact
from quantkit.artifact.measure import tool_versions
from quantkit.errors import UsageError
from quantkit.records import BenchReport, Evaluation, SearchReport
from quantkit.records.comparison import Comparison, Entry, LayerDamage, Pairing, ScoreSource, ThroughputSource
from quantkit.stages.report.carried import Carried, read, score_key
from quantkit.stages.report.gains import gains
from quantkit.stages.report.origins import is_too_noisy, missing, provenance


def report(artifacts: Sequence[Artifact], *, bench: BenchReport | None = None) -> Comparison:
    """Put artifacts side by side.

    Args:
        artifacts: of one task, the one that others are compared with first.
        bench: where throughputs come from, instead of a `bench.json` in an artifact.

    Raises:
        UsageError: no artifact, the same twice, several tasks, or `bench` measured none of them.
        ArtifactError: a report cannot be read or is about another digest.
    """
    carried = read(artifacts)
    source = _score_source(carried)
    bench = _bench_of(carried, bench)
    entries = {one.digest: _entry(one, carried, source, bench) for one in carried}
    reference = None if bench is None else bench.results[0].artifact
    entries = {
        digest: entry.model_copy(update={"gains": gains(entry, entries, reference)})
        for digest, entry in entries.items()
    }
    return Comparison(
        task=carried[0].artifact.task,
        entries=tuple(entries.values()),
        scores=source,
        throughput=None if bench is None else _throughput_source(bench),
        missing=missing(list(entries.values()), carried, source, bench),
        sensitivities=tuple(found for one in carried for found in _sensitivities(one)),
        provenance=tuple(provenance(carried, source, bench)),
        tools=tool_versions(),
    )


def _score_source(carried: Sequence[Carried]) -> ScoreSource | None:
    """Choose the dataset that most artifacts were evaluated on; of several, the one with the most questions."""
    found: dict[str, list[Evaluation]] = {}
    for one in carried:
        for key, evaluation in {score_key(each): each for each in one.evaluations.values()}.items():
            found.setdefault(key, []).append(evaluation)
    if not found:
        return None
    best = max(found.values(), key=lambda group: (len(group), group[0].questions, group[0].dataset_name))
    first = best[0]
    return ScoreSource(
        dataset=first.dataset,
        dataset_name=first.dataset_name,
        questions=first.questions,
        truncated=first.truncated_words,
        settings={"features": first.settings.get("features")},
    )


def _throughput_source(bench: BenchReport) -> ThroughputSource:
    return ThroughputSource(
        scenario=bench.scenario,
        dataset_name=bench.dataset_name,
        windows=bench.windows,
        repeats=bench.repeats,
        threads=bench.threads,
        latency_bound_ms=bench.latency_bound_ms,
        too_noisy=is_too_noisy(bench),
        artifacts=tuple(result.artifact for result in bench.results),
    )


def _bench_of(carried: Sequence[Carried], given: BenchReport | None) -> BenchReport | None:
    """Choose the one measurement: Offline before others, then the one that has the most of the artifacts."""
    digests = {one.digest for one in carried}

    def worth(bench: BenchReport) -> tuple[bool, int, bool, int]:
        covered = digests & {result.artifact for result in bench.results}
        return (
            bench.scenario == "offline",
            len(covered),
            not is_too_noisy(bench),
            bench.windows * bench.repeats,
        )

    if given is not None:
        if not worth(given)[1]:
            raise UsageError("--bench: its run measured none of the artifacts; run `quantkit bench` on them")
        return given
    return max((one.bench for one in carried if one.bench is not None), key=worth, default=None)


def _entry(
    one: Carried, carried: Sequence[Carried], source: ScoreSource | None, bench: BenchReport | None
) -> Entry:
    reference = _reference(one, carried)
    scored = one.scored(source)
    measured = [result for result in bench.results if result.artifact == one.digest] if bench else []
    inspected, noisy = one.inspection, bench is not None and is_too_noisy(bench)
    return Entry(
        artifact=one.digest,
        name=one.name,
        path=str(one.artifact.path),
        precision=one.artifact.manifest.precision,
        architecture=one.artifact.manifest.architecture,
        checkpoint=str(one.exported("checkpoint") or ""),
        reference=reference[0] if reference else None,
        paired_by=reference[1] if reference else None,
        score=scored[1].f1 if scored else None,
        exact_match=scored[1].exact_match if scored else None,
        parameters=inspected.parameters if inspected else one.exported("parameters"),
        size_bytes=one.artifact.model_bytes,
        int8_coverage=inspected.int8_coverage if inspected else None,
        throughput=measured[0].qps if measured else None,
        throughput_ratio=measured[0].ratio if measured and not noisy else None,
        throughput_bounds=measured[0].interval or measured[0].spread if measured and not noisy else None,
        throughput_rounds=measured[0].rates if measured and not noisy else (),
        profile=measured[0].profile if measured else {},
        encoder=inspected.encoder if inspected else (),
        gate=one.gate,
        teacher=_teacher(one, carried),
        search=_search_words(one.search),
        tuned=one.tuned.as_json() if one.tuned else None,
    )


def _reference(one: Carried, carried: Sequence[Carried]) -> tuple[str, Pairing] | None:
    """Return the digest of the FP32 artifact an INT8 one is compared with, and how it was found."""
    if one.artifact.manifest.precision != "int8":
        return None
    plain = [other for other in carried if other.artifact.manifest.precision == "fp32"]
    digests = {other.digest for other in plain}
    if one.artifact.manifest.parent in digests:
        return one.artifact.manifest.parent, "its parent"
    if one.gate is not None and one.gate.baseline in digests:
        return one.gate.baseline, "the gate's baseline"
    checkpoint = one.exported("checkpoint_digest")
    same = [
        other.digest for other in plain if checkpoint and other.exported("checkpoint_digest") == checkpoint
    ]
    if len(same) == 1:
        return same[0], "the same checkpoint"
    before = [other for other in carried[: list(carried).index(one)] if other in plain]
    if before and not (checkpoint and before[-1].exported("checkpoint_digest")):
        return before[-1].digest, "the order"
    return None


def _teacher(one: Carried, carried: Sequence[Carried]) -> str:
    """Return the name of the first FP32 artifact whose checkpoint this one's export names as its teacher."""
    said = one.exported("teacher_digest")
    plain = [other for other in carried if other.artifact.manifest.precision == "fp32"]
    return next((other.name for other in plain if said and other.exported("checkpoint_digest") == said), "")


def _search_words(search: SearchReport | None) -> str:
    if search is None:
        return ""
    verdict = "met" if search.met else "missed"
    return (
        f"found by search: candidate {search.chosen} of {len(search.candidates)}, target of "
        f"{100 * search.target:g} % {verdict} on {search.selection_questions:,} questions of {search.selection}"
    )


def _sensitivities(one: Carried) -> list[LayerDamage]:
    """Return what is known of the layers: the artifact's own analysis, or the one its search made."""
    if one.sensitivity is not None:
        found = one.sensitivity
        return [
            LayerDamage(
                name=one.name,
                artifact=found.artifact,
                choice=found.choice,
                questions=found.questions,
                groups=found.groups,
            )
        ]
    if one.search is None:
        return []
    return [
        LayerDamage(
            name=one.name,
            artifact=one.search.artifact,
            choice="smoothed static, as the search measured",
            questions=one.search.selection_questions,
            groups=tuple(group.sensitivity for group in one.search.groups),
        )
    ]
