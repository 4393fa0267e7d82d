"""user.conf says only what a submitter may choose, unless the run is marked."""

from hypothesis import given
from hypothesis import strategies as st

from quantkit.mlperf.rules import SAMPLES, ScenarioName
from quantkit.mlperf.user_conf import Load, user_conf

SPEEDS = st.floats(1e-4, 1e9)


def settings(text: str) -> dict[str, str]:
    """Return the settings of a file, as LoadGen splits it."""
    lines = [line.partition(" = ") for line in text.splitlines() if not line.startswith("#")]
    return {key: value for key, _, value in lines}


@given(st.sampled_from(["offline", "single-stream"]), SPEEDS, SPEEDS)
def test_a_submittable_run_changes_no_minimum(scenario: ScenarioName, qps: float, latency: float) -> None:
    """For a whole run there is one setting, a plain number without an exponent."""
    load = Load(scenario=scenario, target_qps=qps, target_latency_ms=latency)
    assert load.submittable
    (key, value), *rest = settings(user_conf(load)).items()
    assert rest == []
    assert (
        key
        == {
            "offline": "bert.Offline.target_qps",
            "single-stream": "bert.SingleStream.target_latency",
        }[scenario]
    )
    assert "e" not in value
    assert abs(float(value) - (qps if scenario == "offline" else latency)) <= 1e-6


@given(st.integers(1, SAMPLES - 1), st.integers(1, 599_999))
def test_a_marked_run_says_why(samples: int, duration: int) -> None:
    """Lowered minima are there, and the reason stands above them."""
    load = Load(
        scenario="offline", target_qps=5, target_latency_ms=1, min_duration_ms=duration, samples=samples
    )
    text = user_conf(load, not_submittable=("a quick run",))
    assert not load.submittable
    assert text.startswith("# NOT SUBMITTABLE: a quick run\n")
    expected = {
        "bert.Offline.target_qps": "5",
        "bert.Offline.min_duration": str(duration),
        "bert.Offline.performance_sample_count_override": str(samples),
        "bert.Offline.min_query_count": str(samples),
    }
    assert settings(text) == expected
