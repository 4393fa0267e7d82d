"""Which profile an artifact is measured with: the same for all, or each its own."""

from typing import Any

from quantkit.artifact import Artifact
from quantkit.engines import seats
from quantkit.errors import UsageError
from quantkit.recipe.settings import BenchSettings
from quantkit.runtime.cpu import cpu_facts, int8_products
from quantkit.runtime.profile import RUNTIME_REPORT, RuntimeProfile
from quantkit.runtime.where import Where

# What a tuned profile says itself.
_OF_PROFILE = [name for name in BenchSettings.model_fields if name in RuntimeProfile.model_fields]


def profile_for(artifact: Artifact, settings: BenchSettings, *, one_by_one: bool) -> RuntimeProfile:
    """Return how an artifact runs.

    Args:
        artifact: looked into for its profile when the settings say `tuned`.
        settings: of the bench.
        one_by_one: a query runs by itself, and gets all threads unless the settings say otherwise.

    Raises:
        UsageError: the artifact was not tuned on this CPU, or the settings contradict each other.
        ArtifactError: its profile cannot be read.
    """
    found = _tuned(artifact, settings) if settings.profile == "tuned" else _fixed(settings, one_by_one)
    return found.model_copy(update={"max_batch": 1}) if one_by_one else found


def _fixed(settings: BenchSettings, one_by_one: bool) -> RuntimeProfile:
    if settings.exact_int8 and settings.runtime != "onnxruntime":
        raise UsageError(
            f"--exact-int8: is for runtime onnxruntime; leave it out with --runtime {settings.runtime}"
        )
    where = Where.of(settings)
    threads = settings.threads or seats(where)
    instances = settings.instances or (1 if one_by_one else threads)
    if threads % instances:
        raise UsageError(
            f"--instances {instances}: cannot share {threads} threads evenly; choose a divisor, or other --threads"
        )
    profile = RuntimeProfile(
        instances=instances,
        threads=threads // instances,
        token_budget=settings.token_budget,
        runtime=settings.runtime,
        equal_lengths=settings.equal_lengths,
        exact_int8=settings.exact_int8,
        pinned=where.engine == "processes",
        cpu=cpu_facts().as_json(),
    )
    return profile.on(where)


def _tuned(artifact: Artifact, settings: BenchSettings) -> RuntimeProfile:
    for name in _OF_PROFILE:
        if name in settings.model_fields_set:
            raise UsageError(
                f"--{name.replace('_', '-')}: is for profile fixed; with tuned each artifact's own profile says it"
            )
    path = artifact.report_path(RUNTIME_REPORT)
    if not path.is_file():
        raise UsageError(f"{artifact.path}: was not tuned; run `quantkit tune {artifact.path}` first")
    profile = RuntimeProfile.read(path)
    if not profile.fits(cpu_facts().as_json()):
        cpu, cores = profile.cpu.get("model", "another CPU"), profile.cpu.get("cores", "other")
        raise UsageError(
            f"{path}: was tuned for {cpu} with {cores} cores, not for this CPU; run `quantkit tune {artifact.path}`"
        )
    return profile


def profile_facts(profile: RuntimeProfile) -> dict[str, Any]:
    """Return what a report says about how an artifact ran."""
    facts = {
        "runtime": profile.runtime,
        "engine": profile.engine,
        "instances": profile.instances,
        "threads": profile.threads,
        "token_budget": profile.token_budget,
        "equal_lengths": profile.equal_lengths,
        "precision": "f32",
    }
    if profile.exact_int8:
        facts["int8_products"] = int8_products(asked=True)
    if profile.runtime == "openvino":
        from quantkit.runtime.openvino_session import default_precision

        facts["precision"] = default_precision()
    return facts
