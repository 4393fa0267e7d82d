"""What the section `quantize` means where a setting is not given."""

from typing import Any

import pytest

from quantkit.errors import UsageError
from quantkit.recipe.load import build_section
from quantkit.recipe.settings import QuantizeSettings

TECHNIQUES = ("smooth_quant", "rounding", "bias_correction", "channel_shift", "outlier_channels", "at_most")
USUAL = ("auto", "gptq", True, True, "auto", 200)
PLAIN = ("off", "nearest", False, False, "off", 100)
OPEN = ("auto", "nearest", False, False, "off", 200)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, USUAL),
        ({"plain": True}, PLAIN),
        ({"mode": "dynamic"}, OPEN),
        ({"mode": "auto"}, (*OPEN[:5], 100)),
        ({"plain": True, "rounding": "gptq"}, ("off", "gptq", *PLAIN[2:])),
        ({"rounding": "nearest", "calib_questions": 7}, ("auto", "nearest", *USUAL[2:5], None)),
        ({"split_channels": "auto"}, (*USUAL[:4], "off", 200)),
        ({"calib_method": "mse"}, (*USUAL[:4], "off", 200)),
    ],
)
def test_defaults(given: dict[str, Any], expected: tuple[Any, ...]) -> None:
    """Static has the techniques that go together, plain and dynamic none, and what is given holds in every form."""
    settings = QuantizeSettings.model_validate(given)
    assert tuple(getattr(settings, name) for name in TECHNIQUES) == expected


def test_defaults_are_not_given() -> None:
    """What follows from other settings is no setting that was given, so that another mode has its own defaults."""
    settings = QuantizeSettings.model_validate({"mode": "static", "plain": True})
    assert settings.model_dump(exclude_unset=True) == {"mode": "static", "plain": True}


def test_one_mistake_is_one() -> None:
    """A wrong mode is told of alone, not with the defaults that follow from it."""
    with pytest.raises(UsageError, match=r"^mode: expected .*; did you mean static\?$"):
        build_section(
            QuantizeSettings, {"mode": "statik"}, name=lambda location: ".".join(map(str, location))
        )
