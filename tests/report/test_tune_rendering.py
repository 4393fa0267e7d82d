"""What tune tried, as a grid and as a heat map."""

from typing import Any

import pytest

from quantkit.records.tune import TuneReport, TuneTrial, profile_text
from quantkit.report.tune_figure import tune_png


def profile(**changes: Any) -> dict[str, Any]:
    """Return the settings of a profile."""
    return {
        "instances": 2,
        "threads": 1,
        "token_budget": 1024,
        "engine": "threads",
        "runtime": "onnxruntime",
        "pinned": False,
        "spinning": False,
        "arena": True,
        "equal_lengths": False,
        **changes,
    }


def trial(step: str, ratio: float, **changes: Any) -> TuneTrial:
    """Return a trial."""
    return TuneTrial(
        step=step,
        profile=profile(**changes),
        qps=100 * ratio,
        ratio=ratio,
        interval=(0.98 * ratio, 1.02 * ratio),
        windows=60,
        rounds=1,
    )


def report(*trials: TuneTrial, sure: bool = True) -> TuneReport:
    """Return a report whose best has 512 tokens."""
    return TuneReport(
        artifact="a" * 64,
        scenario="offline",
        dataset_name="squad",
        dataset="0" * 64,
        seconds=118.0,
        reference=profile(),
        chosen=profile(token_budget=512),
        qps=131.0,
        ratio=1.31,
        interval=(1.28, 1.33),
        sure=sure,
        settled=True,
        trials=trials,
    )


TRIALS = [
    trial("grid", 0.4 + 0.1 * place + 0.3 * (2 - threads), runtime=runtime, **shape, token_budget=budget)
    for runtime in ("onnxruntime", "openvino")
    for threads, shape in ((1, {"instances": 2, "threads": 1}), (2, {"instances": 1, "threads": 2}))
    for place, budget in enumerate((256, 512, 1024, 2048))
    if not (budget == 2048 and threads == 1)
]


def test_grid() -> None:
    """Cells are those of the grid, per runtime; one that was measured again has the later number."""
    made = report(
        *TRIALS, trial("grid again", 1.5, token_budget=512), trial("options", 9.0, token_budget=512)
    )
    assert ["onnxruntime", "openvino"] == made.runtimes
    cells = made.grid("onnxruntime")
    assert 7 == len(cells)
    assert 1.5 == cells["2 x 1", 512]
    assert ("2 x 1", 2048) not in cells


def test_profile_text() -> None:
    """A profile in words names what is not the default."""
    assert "onnxruntime, 2 x 1 threads, 1,024 tokens" == profile_text(profile())
    changed = profile(engine="processes", equal_lengths=True, arena=False, runtime="openvino")
    assert "openvino, 2 x 1 processes, 1,024 tokens, not pinned, equal lengths, no arena" == profile_text(
        changed
    )


def test_heat_map() -> None:
    """It is a PNG, the same for the same report, with one runtime or with two, and without any grid."""
    pytest.importorskip("matplotlib")
    assert tune_png(report(*TRIALS)).startswith(b"\x89PNG")
    assert tune_png(report(*TRIALS)) == tune_png(report(*TRIALS))
    assert tune_png(report(*TRIALS[:1], sure=False)).startswith(b"\x89PNG")
