"""Written: the settings that a search ends in say exactly what was measured, layer by layer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx.numpy_helper
import onnx.parser
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantkit.graph.linear import linear_layers, matching
from quantkit.mixed_precision.groups import groups
from quantkit.mixed_precision.options import BLOCKWISE, DYNAMIC, PLAIN, STATIC
from quantkit.mixed_precision.workbench import Workbench
from quantkit.mixed_precision.written import as_settings
from quantkit.quantization.assignment import choices
from quantkit.quantization.choice import FLOAT, Choice
from quantkit.quantization.grids import INT8, UINT8
from quantkit.quantization.observe.range import RangeRule
from quantkit.quantization.treatments.outliers import Outliers
from quantkit.quantization.treatments.smooth import Smooth
from quantkit.quantization.treatments.split import Split
from quantkit.quantization.treatments.treated import Treated
from quantkit.recipe.load import build_section, dump_section, load_section
from quantkit.recipe.settings import KeepFloat, QuantizeSettings
from quantkit.records import GroupRecord, GroupSensitivity, OptionRecord

# Layer -> what it reads. `self` is one glob; `net.a` and `net.b` cannot be, as `net.c` reads something else.
LAYERS = {
    "encoder.0.self.query": "x",
    "encoder.0.self.key": "x",
    "encoder.0.self.value": "x",
    "encoder.0.output.dense": "encoder.0.self.value",
    "net.a": "encoder.0.output.dense",
    "net.b": "encoder.0.output.dense",
    "net.c": "net.a",
    "head": "net.c",
}
OFFERED = (
    STATIC,
    replace(STATIC, range=RangeRule(method="percentile")),
    PLAIN,
    replace(PLAIN, treatments=(Outliers(4),)),
    replace(STATIC, treatments=(Split(4), Smooth())),
    replace(STATIC, grid=UINT8),
    DYNAMIC,
    *BLOCKWISE,
    FLOAT,
)
ASKED = QuantizeSettings(mode="auto", calib="questions.json", percentile=99.0, per_channel=False, seed=3)


def workbench_of(keep: tuple[str, ...] = ()) -> Workbench:
    """Return a workbench of a chain of products; no artifact and no statistics belong to it."""
    names = {name: f"w{place}" for place, name in enumerate(LAYERS)}
    body = [
        f"y{place} = MatMul ({source if source == 'x' else source.replace(source, 'y' + names[source][1:])}, w{place})"
        for place, source in enumerate(LAYERS.values())
    ]
    outputs = ", ".join(f"float[batch, sequence, 8] y{place}" for place in range(len(LAYERS)))
    proto = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> layers (float[batch, sequence, 8] x) => ({outputs})'
        "{" + "\n".join(body) + "}"
    )
    for node, name in zip(proto.graph.node, LAYERS, strict=True):
        node.name = name
        weight = np.eye(8, dtype=np.float32)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(weight, names[name]))
    model = ir.from_proto(proto)
    layers = {layer.name: layer for layer in linear_layers(model.graph)}
    kept = matching(list(layers), list(keep))
    return Workbench(
        artifact=None,
        model=model,
        groups=tuple(group for group in groups(model) if not kept.intersection(group.layers)),
        kept=frozenset(kept),
        layers=layers,
        treated=Treated(),
        grids=(INT8, UINT8),
        per_channel=False,
        rounding="gptq",
        layout="onnxruntime",
    )


def written(bench: Workbench, chosen: dict[str, int], asked: QuantizeSettings = ASKED) -> QuantizeSettings:
    """Return the settings for group → index into what is offered."""
    records = tuple(
        GroupRecord(
            group=group.name,
            sensitivity=GroupSensitivity(
                group=group.name, layers=group.layers, kind="", macs=1, damage=0.1, changed=0.0, sqnr_db=1.0
            ),
            options=tuple(
                OptionRecord(label=choice.label, damage=0.0123, sqnr_db=41.5, cost_us=310.0 + place)
                for place, choice in enumerate(OFFERED)
            ),
            chosen=OFFERED[chosen[group.name]].label,
        )
        for group in bench.groups
    )
    return as_settings(asked, bench, records, {group: OFFERED[place] for group, place in chosen.items()})


def read_back(found: QuantizeSettings, folder: Path) -> QuantizeSettings:
    """Return the settings as `--config` reads them."""
    path = folder / "search.yaml"
    path.write_text(dump_section(found))
    values = load_section(path, "quantize", QuantizeSettings)
    return build_section(QuantizeSettings, values, name=str)


def resolved(bench: Workbench, found: QuantizeSettings) -> dict[str, Choice]:
    """Return layer → choice as the stage resolves them."""
    kept = matching(list(bench.layers), [entry.pattern for entry in found.keep_float])
    return choices(list(bench.layers.values()), found, kept)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40)
@given(data=st.data())
def test_recipe_gives_what_was_measured(data: st.DataObject, tmp_path: Path) -> None:
    """Whatever is chosen, every layer of the recipe that is read back has its group's choice."""
    bench = workbench_of()
    places = st.integers(0, len(OFFERED) - 1)
    chosen = {group.name: data.draw(places, label=group.name) for group in bench.groups}
    found = read_back(written(bench, chosen), tmp_path)
    offered = {name: OFFERED[place] for name, place in chosen.items()}
    expected = {
        layer: bench.fitted(offered[group.name], offered[group.name].grid)
        for group in bench.groups
        for layer in group.layers
    }
    assert resolved(bench, found) == expected


def test_every_pattern_names_one_group_alone() -> None:
    """One entry for each group, or one for each layer where a glob would name others; each with its numbers."""
    bench = workbench_of()
    found = written(bench, {group.name: 0 for group in bench.groups})
    patterns = [entry.pattern for entry in found.schemes]
    assert "encoder.0.self.*" in patterns
    assert set(patterns) >= {"net.a", "net.b", "net.c"}
    for entry in found.schemes:
        assert entry.because == "damage 0.012 nats, 41.5 dB; 310 µs per 1,000 tokens; FP32 320 µs"


def test_float_says_what_it_saves() -> None:
    """A group that stays FP32 is an entry of keep_float, with the fastest's damage and cost beside it."""
    bench = workbench_of()
    chosen = {group.name: len(OFFERED) - 1 for group in bench.groups}
    chosen["encoder.0.self.*"] = 0
    found = written(bench, chosen)
    assert len(found.schemes) == 1
    for entry in found.keep_float:
        assert entry.because.startswith("damage 0.012 nats, 41.5 dB; 320 µs per 1,000 tokens; static smooth")


def test_what_was_asked_stays() -> None:
    """Calibration, grid, seed and the user's own float layers are as they were; the mode is not auto any more."""
    own = KeepFloat(pattern="head", because="so I want it")
    asked = ASKED.model_copy(update={"keep_float": (own,)})
    bench = workbench_of(("head",))
    found = written(bench, {group.name: 0 for group in bench.groups}, asked)
    assert (
        found.mode,
        found.calib,
        found.per_channel,
        found.seed,
    ) == ("static", "questions.json", False, 3)
    assert own == found.keep_float[0]


def test_layers_beside_one_that_is_kept_stay_float() -> None:
    """A group with a layer that is kept is not searched; its other layers are float as they were in every candidate."""
    own = KeepFloat(pattern="encoder.0.self.query", because="so I want it")
    bench = workbench_of((own.pattern,))
    assert "encoder.0.self.*" not in [group.name for group in bench.groups]
    asked = ASKED.model_copy(update={"keep_float": (own,)})
    found = written(bench, {group.name: 0 for group in bench.groups}, asked)
    plan = resolved(bench, found)
    assert {plan[f"encoder.0.self.{part}"] for part in ("query", "key", "value")} == {FLOAT}
    assert all(entry.because for entry in found.keep_float)


@pytest.mark.parametrize("place", range(len(OFFERED)))
def test_equal_choices_are_equal_after_reading(place: int, tmp_path: Path) -> None:
    """Each kind of choice alone survives YAML, also when percentile was asked to be another."""
    bench = workbench_of()
    found = read_back(written(bench, {group.name: place for group in bench.groups}), tmp_path)
    assert {bench.fitted(OFFERED[place], OFFERED[place].grid)} == set(resolved(bench, found).values())
