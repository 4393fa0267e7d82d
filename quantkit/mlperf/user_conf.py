"""user.conf: the settings of LoadGen that a submitter may choose, written for each run."""

from dataclasses import dataclass

from quantkit.mlperf.rules import MIN_DURATION_MS, MODEL, SAMPLES, SCENARIOS, ScenarioName


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """How much LoadGen asks for in one scenario.

    Attributes:
        scenario: which one.
        target_qps: samples per second that Offline reckons with.
        target_latency_ms: milliseconds per query that SingleStream reckons with.
        min_duration_ms: how long a performance run lasts at least.
        samples: how many samples there are.
    """

    scenario: ScenarioName
    target_qps: float
    target_latency_ms: float
    min_duration_ms: int = MIN_DURATION_MS
    samples: int = SAMPLES

    @property
    def submittable(self) -> bool:
        """Whether the minima are those of the rules."""
        return self.min_duration_ms >= MIN_DURATION_MS and self.samples == SAMPLES


def user_conf(load: Load, *, not_submittable: tuple[str, ...] = ()) -> str:
    """Return the text of user.conf.

    The minima are written only where they are not those of LoadGen's own mlperf.conf.

    Args:
        load: the scenario and its load.
        not_submittable: why a run with this file is no result; empty when it may be one.
    """
    prefix = f"{MODEL}.{SCENARIOS[load.scenario]}"
    lines = [f"# NOT SUBMITTABLE: {reason}" for reason in not_submittable]
    if load.scenario == "offline":
        lines.append(f"{prefix}.target_qps = {_decimal(load.target_qps)}")
    else:
        lines.append(f"{prefix}.target_latency = {_decimal(load.target_latency_ms)}")
    if load.min_duration_ms != MIN_DURATION_MS:
        lines.append(f"{prefix}.min_duration = {load.min_duration_ms}")
    if load.samples != SAMPLES:
        # LoadGen believes whatever is written here, also what is more than there is.
        lines.append(f"{prefix}.performance_sample_count_override = {load.samples}")
        if load.scenario == "offline":
            lines.append(f"{prefix}.min_query_count = {load.samples}")
    return "\n".join(lines) + "\n"


def _decimal(value: float) -> str:
    """Return a number without an exponent, which LoadGen's reader may not know."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
