"""Choices: which entry decides on a layer, and what it says."""

from dataclasses import replace
from typing import Any

import onnx_ir as ir
import pytest

from quantkit.errors import RecipeError
from quantkit.graph.linear import Linear, linear_layers
from quantkit.quantization.assignment import choices, section_choice
from quantkit.quantization.choice import FLOAT, Choice
from quantkit.quantization.observe.range import RangeRule
from quantkit.quantization.observe.statistics import Detail
from quantkit.quantization.treatments.outliers import Outliers
from quantkit.quantization.treatments.smooth import Smooth
from quantkit.quantization.treatments.split import Split
from quantkit.recipe.settings import QuantizeSettings

NAMES = ("layer.0.query", "layer.0.output.dense", "layer.1.query", "layer.1.output.dense")


def settings(*schemes: dict[str, Any], **content: Any) -> QuantizeSettings:
    """Return settings with these entries: smoothed, and without the other techniques that static has by default."""
    return QuantizeSettings.model_validate(
        {"plain": True, "smooth_quant": "auto", **content, "schemes": list(schemes)}
    )


@pytest.fixture
def layers(bench: Any) -> list[Linear]:
    """Return two layers called query and two called output.dense."""
    products = " ".join(f"y{n} = MatMul (x, w{n}_weight)" for n in range(4))
    weights = {f"w{n}_weight": bench.normal(32, 4, seed=n) for n in range(4)}
    weights["words_weight"] = bench.normal(40, 32)
    body = f"x = Gather (words_weight, input_ids) {products} logits = Sum (y0, y1, y2, y3)"
    model: ir.Model = bench.build(body, weights)
    found = linear_layers(model.graph)
    for layer, name in zip(found, NAMES, strict=True):
        layer.node.name = name
    return found


STATIC = Choice(scheme="static", treatments=(Smooth(),))
BY_DEFAULT = Choice(
    scheme="static", treatments=(Outliers("auto"), Smooth()), rounding="gptq", bias_correction=True
)


def test_the_section_decides_on_what_no_entry_names(layers: list[Linear]) -> None:
    """Without entries all layers have the section's choice."""
    assert dict.fromkeys(NAMES, STATIC) == choices(layers, settings(), set())


def test_the_first_pattern_wins(layers: list[Linear]) -> None:
    """Of several entries that fit, the first decides alone: nothing is taken from the others."""
    asked = settings(
        {"pattern": "layer.0.*", "scheme": "dynamic"},
        {"pattern": "query", "symmetric": True, "calib_method": "mse"},
        {"pattern": "*", "scheme": "blockwise", "block_size": 64},
    )
    dynamic, blockwise = (
        Choice(scheme="dynamic", treatments=(Smooth(),)),
        Choice(scheme="blockwise", block_size=64),
    )
    query = Choice(scheme="static", treatments=(Smooth(),), range=RangeRule(method="mse", symmetric=True))
    assert [dynamic, dynamic, query, blockwise] == list(choices(layers, asked, set()).values())


def test_keep_float_wins(layers: list[Linear]) -> None:
    """A layer that is kept stays float whatever an entry says; the others of its pattern do not."""
    asked = settings({"pattern": "query", "scheme": "blockwise"})
    found = choices(layers, asked, {"layer.0.query"})
    assert (found["layer.0.query"], found["layer.1.query"].scheme) == (FLOAT, "blockwise")


def test_an_unknown_pattern_is_an_error_of_schemes(layers: list[Linear]) -> None:
    """The line names the key of the recipe and what may have been meant."""
    with pytest.raises(
        RecipeError, match=r"^schemes: the pattern 'qeury' matches no layer; did you mean query\?"
    ):
        choices(layers, settings({"pattern": "qeury", "scheme": "dynamic"}), set())


def test_entries_override_one_by_one(layers: list[Linear]) -> None:
    """What an entry leaves out is the section's, what it says is its own, off and false included."""
    section = {
        "smooth_quant": 0.7,
        "calib_method": "percentile",
        "percentile": 99.0,
        "symmetric": True,
        "rounding": "gptq",
        "bias_correction": True,
    }
    whole = Choice(
        scheme="static",
        treatments=(Smooth(0.7),),
        range=RangeRule(method="percentile", percentile=99.0, symmetric=True),
        rounding="gptq",
        bias_correction=True,
    )
    off = {"smooth_quant": "off", "rounding": "nearest", "bias_correction": False}
    asked = settings(
        {"pattern": "layer.0.query", **off, "symmetric": False, "calib_method": "minmax"},
        {"pattern": "layer.0.output.dense", "smooth_quant": 0.5},
        {"pattern": "layer.1.query", "scheme": "dynamic"},
        **section,
    )
    dynamic = Choice(scheme="dynamic", treatments=(Smooth(0.7),), rounding="gptq", bias_correction=True)
    found = list(choices(layers, asked, set()).values())
    assert (Choice(scheme="static"), dynamic, whole) == (found[0], found[2], found[3])
    assert replace(whole, treatments=(Smooth(0.5),)) == found[1]


def test_outlier_channels_of_the_section(layers: list[Linear]) -> None:
    """Calibration settles them wherever no entry gives a number or off, and the layer is static."""
    asked = settings(
        {"pattern": "layer.0.query", "outlier_channels": "off"},
        {"pattern": "layer.0.output.dense", "outlier_channels": 4},
        {"pattern": "layer.1.query", "scheme": "dynamic"},
        outlier_channels="auto",
    )
    found = [choice.treatments for choice in choices(layers, asked, set()).values()]
    assert [(Smooth(),), (Outliers(4), Smooth()), (Smooth(),), (Outliers("auto"), Smooth())] == found
    opened = choices(layers, settings({"pattern": "query", "outlier_channels": "auto"}), set())
    assert [choice.has("outlier_channels") for choice in opened.values()] == [True, False, True, False]


def test_split_channels_stand_for_outlier_channels(layers: list[Linear]) -> None:
    """An entry that splits channels has none that calibration would settle to multiply in float."""
    asked = settings({"pattern": "layer.0.query", "split_channels": 16}, outlier_channels="auto")
    found = choices(layers, asked, set())["layer.0.query"]
    assert (Split(16), Smooth()) == found.treatments
    assert found.label == "static smooth split 16"


def test_split_channels_of_the_section(layers: list[Linear]) -> None:
    """Calibration settles them but for entries that say otherwise, treat outliers in another way, or do not smooth."""
    asked = settings(
        {"pattern": "layer.0.query", "split_channels": "off"},
        {"pattern": "layer.0.output.dense", "outlier_channels": 4},
        {"pattern": "layer.1.query", "smooth_quant": "off"},
        split_channels="auto",
    )
    found = [choice.treatments for choice in choices(layers, asked, set()).values()]
    assert [(Smooth(),), (Outliers(4), Smooth()), (), (Split("auto"), Smooth())] == found


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"scheme": "blockwise", "smooth_quant": "off"}, "smooth_quant does nothing for blockwise layers"),
        ({"scheme": "blockwise", "rounding": "gptq"}, "rounding does nothing for blockwise layers"),
        ({"scheme": "dynamic", "symmetric": False}, "symmetric does nothing for dynamic layers"),
        ({"scheme": "dynamic", "calib_method": "mse"}, "calib_method does nothing for dynamic layers"),
        ({"scheme": "dynamic", "outlier_channels": 8}, "outlier_channels does nothing for dynamic layers"),
        (
            {"scheme": "blockwise", "outlier_channels": 8},
            "outlier_channels does nothing for blockwise layers",
        ),
        (
            {"outlier_channels": 8, "calib_method": "mse"},
            "outlier_channels leaves the others the range of their extremes, and calib_method mse",
        ),
        (
            {"outlier_channels": "auto", "calib_method": "mse"},
            "outlier_channels leaves the others the range of their extremes, and calib_method mse",
        ),
        (
            {"scheme": "dynamic", "outlier_channels": "off"},
            "outlier_channels does nothing for dynamic layers",
        ),
        ({"outlier_channels": 17}, "outlier_channels 17 are more than half of the 32 inputs of layer.0"),
        ({"scheme": "dynamic", "split_channels": 8}, "split_channels does nothing for dynamic layers"),
        ({"split_channels": 8, "smooth_quant": "off"}, "split_channels does nothing without smoothing"),
        (
            {"split_channels": 8, "outlier_channels": "auto"},
            "split_channels and outlier_channels are two ways to treat the same channels",
        ),
        ({"split_channels": 33}, "split_channels 33 are more copies than layer.0.* has inputs, 32"),
        ({"block_size": 32}, "block_size does nothing for static layers"),
        ({"smooth_quant": 1.5}, "smooth_quant 1.5: alpha lies between 0 and 1"),
        ({"smooth_quant": -0.1}, "smooth_quant -0.1: alpha lies between 0 and 1"),
    ],
)
def test_entries_that_would_do_nothing(layers: list[Linear], entry: dict[str, Any], line: str) -> None:
    """A setting that the scheme does not use, or no alpha, is refused with the entry's pattern."""
    with pytest.raises(RecipeError, match=f"^schemes: query: {line}"):
        choices(layers, settings({"pattern": "query", **entry}), set())


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"mode": "static"}, BY_DEFAULT),
        ({"mode": "static", "smooth_quant": "off"}, replace(BY_DEFAULT, treatments=(Outliers("auto"),))),
        ({"mode": "static", "plain": True}, Choice(scheme="static")),
        ({"mode": "static", "plain": True, "smooth_quant": "auto"}, STATIC),
        ({"mode": "dynamic"}, Choice(scheme="dynamic")),
        ({"mode": "dynamic", "smooth_quant": 0.5}, Choice(scheme="dynamic", treatments=(Smooth(0.5),))),
        ({"mode": "dynamic", "calib_method": "mse", "symmetric": True}, Choice(scheme="dynamic")),
        ({"mode": "static", "percentile": 90.0}, BY_DEFAULT),
    ],
)
def test_sections_that_mean_the_same_are_equal(content: dict[str, Any], expected: Choice) -> None:
    """What a scheme or method does not use does not tell choices apart, so groups and caches do not split."""
    assert section_choice(QuantizeSettings.model_validate(content)) == expected


@pytest.mark.parametrize(
    ("choice", "calibrated", "detail", "label"),
    [
        (FLOAT, False, Detail.CHANNELS, "float"),
        (Choice(scheme="blockwise", block_size=32), False, Detail.CHANNELS, "blockwise 32"),
        (Choice(scheme="dynamic"), False, Detail.CHANNELS, "dynamic"),
        (Choice(scheme="dynamic", treatments=(Smooth(0.5),)), True, Detail.CHANNELS, "dynamic smooth 0.5"),
        (Choice(scheme="dynamic", rounding="gptq"), True, Detail.MOMENTS, "dynamic gptq"),
        (Choice(scheme="static"), True, Detail.CHANNELS, "static"),
        (Choice(scheme="static", bias_correction=True), True, Detail.SAMPLE, "static"),
        (
            Choice(scheme="static", treatments=(Smooth(),), rounding="gptq"),
            True,
            Detail.MOMENTS,
            "static smooth gptq",
        ),
    ],
)
def test_what_a_choice_needs(choice: Choice, calibrated: bool, detail: Detail, label: str) -> None:
    """Only what uses calibration data asks for it, GPTQ for moments and bias correction for a sample."""
    assert (calibrated, detail, label) == (choice.calibrated, choice.detail, choice.label)
