"""What is measured of artifacts, the verdict, and the release that rests on it."""

from pathlib import Path
from typing import Unpack

from quantkit.api.keywords import (
    BenchKeywords,
    EvaluateKeywords,
    GateKeywords,
    PublishKeywords,
    SensitivityKeywords,
)
from quantkit.api.making import Place, opened
from quantkit.api.settings import build
from quantkit.artifact import Artifact
from quantkit.pipeline.confined import Confined
from quantkit.pipeline.judging import Terms, judge
from quantkit.recipe.settings import (
    BenchSettings,
    EvaluateSettings,
    GateSettings,
    PublishSettings,
    SensitivitySettings,
)
from quantkit.records import BenchReport, Evaluation, GateReport, Inspection, Sensitivity
from quantkit.registry.protocol import Pinned
from quantkit.registry.signing import Signer
from quantkit.report.bench_files import keep_bench
from quantkit.runtime.confinement import Limits
from quantkit.stages.bench import bench as bench_stage
from quantkit.stages.evaluate import evaluate as evaluate_stage
from quantkit.stages.inspect import inspect as inspect_stage
from quantkit.stages.publish import publish as publish_stage
from quantkit.stages.sensitivity import sensitivity as sensitivity_stage
from quantkit.tasks.own_metric import OwnMetric


def inspect(artifact: Artifact | Place) -> Inspection:
    """Return sizes, fusions, and the kernels that onnxruntime really runs.

    The report stays with the artifact.

    Raises:
        ArtifactError: the model cannot be opened.
        EvaluationError: a logit of the run is NaN or infinite.
    """
    subject = opened(artifact)
    report = inspect_stage(subject)
    subject.keep_report("inspection.json", report.as_json())
    return report


def evaluate(
    artifact: Artifact | Place,
    *,
    data_dir: Place | None = None,
    refresh: bool = False,
    untrusted: bool = False,
    allow_code: bool = False,
    **settings: Unpack[EvaluateKeywords],
) -> Evaluation:
    """Answer every question of a dataset and score the answers; the same artifact on the same data is run once.

    Args:
        artifact: what is evaluated.
        data_dir: looked into first for datasets.
        refresh: run again what was run before.
        untrusted: run the model and its tokenizer in a process of its own, bounded in memory and time.
        allow_code: the function that `metric` names may be run.
        **settings: of `quantkit evaluate` (`EvaluateSettings`): `data`, `limit`, `threads`, …

    Raises:
        UsageError: a keyword does not exist or fit.
        DatasetError: the dataset cannot be found or read.
        EvaluationError: a logit is NaN or infinite, or a question was lost.
    """
    subject, made = opened(artifact), build(EvaluateSettings, settings, function="evaluate")
    folder = None if data_dir is None else Path(data_dir)
    own = OwnMetric.allowed(made.metric, allow_code=allow_code)
    if not untrusted:
        return evaluate_stage(subject, settings=made, data_dir=folder, refresh=refresh, own=own)
    with Confined(Limits(), (subject,)) as process:
        return evaluate_stage(
            subject, settings=made, data_dir=folder, refresh=refresh, elsewhere=process.evaluate, own=own
        )


def gate(
    candidate: Artifact | Place,
    baseline: Artifact | Place,
    *,
    data: Place = "squad",
    data_dir: Place | None = None,
    untrusted: bool = True,
    allow_code: bool = False,
    **settings: Unpack[GateKeywords],
) -> GateReport:
    """Judge a candidate against its FP32 baseline; `report.verdict` is `pass`, `fail` or `inconclusive`.

    Both are evaluated unless they were before. A verdict that is not a pass is no error.

    Args:
        candidate: the INT8 artifact.
        baseline: the FP32 artifact.
        data: dataset name, or a file in the task's format.
        data_dir: looked into first for datasets.
        untrusted: work in one process of its own, bounded in memory and time.
        allow_code: the function that `metric` names may be run.
        **settings: of `quantkit gate` (`GateSettings`): `min_ratio`, `policy`, `min_int8_coverage`, …, and `metric`,
            `exact_int8` and `threads` of `EvaluateSettings`.

    Raises:
        UsageError: a keyword does not exist or fit, or the two do different tasks.
        DatasetError: the dataset cannot be found or read.
        EvaluationError: a logit is NaN or infinite, or a question was lost.
        ArtifactError: one of the two is broken.
    """
    of_running = ("metric", "exact_int8", "threads")
    running = {"data": data} | {name: value for name, value in settings.items() if name in of_running}
    judging = {name: value for name, value in settings.items() if name not in of_running}
    made = build(EvaluateSettings, running, function="gate")
    terms = Terms(
        evaluate=made,
        own=OwnMetric.allowed(made.metric, allow_code=allow_code),
        gate=build(GateSettings, judging, function="gate"),
        limits=Limits() if untrusted else None,
    )
    folder = None if data_dir is None else Path(data_dir)
    return judge(opened(candidate), opened(baseline), terms=terms, data_dir=folder)


def sensitivity(
    artifact: Artifact | Place, *, data_dir: Place | None = None, **settings: Unpack[SensitivityKeywords]
) -> Sensitivity:
    """Return how much each group of layers suffers from INT8, alone.

    Args:
        artifact: the fused FP32 artifact.
        data_dir: looked into first for datasets.
        **settings: of `quantkit sensitivity` (`SensitivitySettings`): `calib`, `questions`, `budget`, …

    Raises:
        UsageError: a keyword does not exist or fit.
        DatasetError: the questions cannot be found or read.
    """
    made = build(SensitivitySettings, settings, function="sensitivity")
    return sensitivity_stage(
        opened(artifact), settings=made, data_dir=None if data_dir is None else Path(data_dir)
    )


def bench(
    reference: Artifact | Place,
    *others: Artifact | Place,
    data_dir: Place | None = None,
    **settings: Unpack[BenchKeywords],
) -> BenchReport:
    """Measure throughput side by side, in interleaved rounds. The report stays with the last artifact.

    Args:
        reference: what ratios are to.
        *others: what is measured beside it.
        data_dir: looked into first for datasets.
        **settings: of `quantkit bench` (`BenchSettings`): `data`, `scenario`, `questions`, …

    Raises:
        UsageError: a keyword does not exist or fit, or artifacts do different tasks.
        DatasetError: the dataset cannot be found or read.
    """
    made = build(BenchSettings, settings, function="bench")
    folder = None if data_dir is None else Path(data_dir)
    subjects = [opened(artifact) for artifact in (reference, *others)]
    report = bench_stage(subjects, settings=made, data_dir=folder)
    keep_bench(report, subjects[-1])
    return report


def publish(
    artifact: Artifact | Place,
    registry: Place = "registry",
    *,
    sign_key: Place | None = None,
    override: str | None = None,
    **settings: Unpack[PublishKeywords],
) -> Path | Pinned:
    """Publish an artifact that passed its gate; the verdict is computed again from its evidence.

    Args:
        artifact: gated.
        registry: a folder, or `oci://host[:port]/path`.
        sign_key: private key that signs the release.
        override: the reason to pass over the registry's policy.
        **settings: of `quantkit publish` (`PublishSettings`): `name`, `version`, `layout`, …

    Returns:
        Where it is: a folder, or a reference pinned by its digest.

    Raises:
        UsageError: a keyword does not exist or fit.
        PublishRefused: there is no passing gate for exactly these bytes, or the policy is not met.
        RegistryError: the version is there with other bytes, or the registry cannot be reached.
    """
    made = build(PublishSettings, {"registry": str(registry), **settings}, function="publish")
    signer = None if sign_key is None else Signer(key=Path(sign_key))
    return publish_stage(opened(artifact), settings=made, signer=signer, override=override)
