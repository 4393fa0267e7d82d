"""Asked: what settings of mode auto become, and which are refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from quantkit.errors import DatasetError, UsageError
from quantkit.mixed_precision.asked import require_open, selection
from quantkit.recipe.settings import AutoSettings, QuantizeSettings
from quantkit.tasks.calibration_set import select


@pytest.mark.parametrize(
    "fixed",
    [{"smooth_quant": 0.5}, {"symmetric": True}, {"schemes": [{"pattern": "*"}]}, {"channel_shift": True}],
    ids=" ".join,
)
def test_what_the_search_chooses_cannot_be_given(fixed: dict[str, Any]) -> None:
    """A setting that would be overruled is refused by its name; what is left of the section is not."""
    require_open(QuantizeSettings(mode="auto", per_channel=False, weight_type="uint8", layout="portable"))
    with pytest.raises(UsageError, match=rf"^{next(iter(fixed))}: mode auto chooses it"):
        require_open(QuantizeSettings.model_validate({"mode": "auto", **fixed}))


def test_settings_reach_the_selection(tmp_path: Path) -> None:
    """Source, number, gate and seed are the section's; without a source it is that of the calibration questions."""
    for name, first in (("calib", 0), ("select", 100)):
        rows = [
            json.dumps({"id": f"{name}{n}", "text": "hello", "label": 0}) for n in range(first, first + 40)
        ]
        (tmp_path / name).write_text("\n".join(rows) + "\n")
    calib, task = str(tmp_path / "calib"), "text-classification"
    calibration_set = select(calib, task, 10, None, 0)

    def ids(seed: int = 0, **auto: Any) -> list[str]:
        settings = QuantizeSettings(
            mode="auto", calib=calib, seed=seed, auto=AutoSettings(select_questions=7, **auto)
        )
        return [question.id for question in selection(settings, task, calibration_set, None).questions]

    assert {name[:5] for name in ids()} == {"calib"}
    assert {name[:6] for name in ids(select=str(tmp_path / "select"))} == {"select"}
    assert len(ids()) == 7
    assert ids(seed=1) != ids()
    with pytest.raises(DatasetError, match="are the gate's"):
        ids(gate_data=calib)
