"""What LoadGen's detail logs must say: its verdict, the minima and seeds that really held, and no errors."""

from quantkit.mlperf.detail_log import DetailLog
from quantkit.mlperf.findings import Findings
from quantkit.mlperf.rules import MIN_DURATION_MS, MODES, SAMPLES, SEEDS, Seeds


def check_performance_log(log: DetailLog, scenario: str, findings: Findings) -> None:
    """Check the log of a performance run.

    Args:
        log: as LoadGen wrote it.
        scenario: the name of the folder it is in.
        findings: takes the checks.
    """
    _check_kind(log, scenario, MODES["performance"], findings)
    reason = log.text("result_invalid_reason")
    verdict = "VALID" if log.valid else f"INVALID: {reason}" if reason else log.text("result_validity")
    findings.note("LoadGen's verdict", "VALID", verdict or "none", passed=log.valid)
    met = {
        "duration": log.values.get("result_min_duration_met"),
        "queries": log.values.get("result_min_queries_met"),
    }
    # A valid Offline run does not say so of its minima.
    unmet = [name for name, said in met.items() if said is False]
    findings.note(
        "minima met", "duration and queries", f"not met: {unmet}" if unmet else "both", passed=not unmet
    )
    duration = log.whole("effective_min_duration_ms")
    _check_least("minimum duration, ms", duration, MIN_DURATION_MS, findings)
    _check_least("performance samples", log.whole("effective_performance_sample_count"), SAMPLES, findings)
    if scenario == "Offline":
        _check_least("samples in the query", log.whole("effective_samples_per_query"), SAMPLES, findings)
    else:
        latency = log.early_stopping_ms
        said = log.text("early_stopping_result")
        findings.note(
            "early stopping",
            "met, with an estimate of p90",
            f"{latency:.3f} ms" if latency else said or "not met",
            passed=log.values.get("early_stopping_met") is True and latency is not None,
        )
    _check_seeds(log, findings)


def check_accuracy_log(log: DetailLog, scenario: str, findings: Findings) -> None:
    """Check the log of an accuracy run; the arguments are those of `check_performance_log`."""
    _check_kind(log, scenario, MODES["accuracy"], findings)
    counted = log.whole("effective_accuracy_sample_count")
    count = log.whole("qsl_reported_total_count") if counted is None else counted
    findings.note("samples", f"{SAMPLES}, the whole set", _said(count), passed=count == SAMPLES)


def _check_kind(log: DetailLog, scenario: str, mode: str, findings: Findings) -> None:
    kind = f"{log.text('effective_scenario')} {log.text('effective_test_mode')}"
    findings.note("run", f"{scenario} {mode}", kind, passed=kind == f"{scenario} {mode}")
    findings.note("LoadGen's errors", "none", "; ".join(log.errors) or "none", passed=not log.errors)


def _check_seeds(log: DetailLog, findings: Findings) -> None:
    found = log.seeds
    rounds = [name for name, seeds in SEEDS.items() if found == _as_dict(seeds)]
    observed = f"those of {rounds[0]}" if rounds else ", ".join(_said(seed) for seed in found.values())
    findings.note("seeds", f"those of {' or '.join(SEEDS)}", observed, passed=bool(rounds))


def _as_dict(seeds: Seeds) -> dict[str, int]:
    return {
        "qsl_rng_seed": seeds.qsl_rng_seed,
        "sample_index_rng_seed": seeds.sample_index_rng_seed,
        "schedule_rng_seed": seeds.schedule_rng_seed,
    }


def _check_least(name: str, found: int | None, least: int, findings: Findings) -> None:
    findings.note(name, f">= {least}", _said(found), passed=found is not None and found >= least)


def _said(number: int | None) -> str:
    return "not said" if number is None else str(number)
