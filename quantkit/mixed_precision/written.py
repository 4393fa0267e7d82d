"""The result of a search as ordinary settings: one entry for each group, with the numbers that speak for it."""

from collections.abc import Iterator, Mapping, Sequence

from quantkit.graph.linear import matching
from quantkit.mixed_precision.options import STATIC
from quantkit.mixed_precision.workbench import Workbench
from quantkit.quantization.choice import Choice
from quantkit.quantization.grids import Grid
from quantkit.quantization.treatments import TREATMENTS, WHOLE_MODEL
from quantkit.recipe.settings import AutoSettings, KeepFloat, LayerScheme, QuantizeSettings
from quantkit.records import GroupRecord

# What the section says of treatments: those of the choice that every group has.
_SECTION = {kind.setting: "off" for kind in TREATMENTS} | {
    one.setting: one.value for one in STATIC.treatments
}


def as_settings(
    settings: QuantizeSettings,
    workbench: Workbench,
    records: Sequence[GroupRecord],
    chosen: Mapping[str, Choice],
) -> QuantizeSettings:
    """Return settings of mode static that make the chosen candidate again.

    Args:
        settings: those of the search: calibration, grid and target stay as they are.
        workbench: the groups.
        records: damage and cost of each group's choices, in the order of the groups.
        chosen: group name → its choice.
    """
    schemes: list[LayerScheme] = []
    kept: list[KeepFloat] = list(settings.keep_float)
    for group, record in zip(workbench.groups, records, strict=True):
        choice = chosen[group.name]
        reason = _because(record)
        for pattern in _patterns(group.name, group.layers, list(workbench.layers)):
            if choice.scheme == "float":
                kept.append(KeepFloat(pattern=pattern, because=reason))
            else:
                schemes.append(_entry(pattern, choice, reason, workbench.grids[0]))
    kept.extend(_beside_kept(workbench))
    return settings.model_copy(
        update={
            "mode": "static",
            **_SECTION,
            "calib_method": "minmax",
            # What the search tried ranges with, whatever it was asked.
            "percentile": STATIC.range.percentile,
            "rounding": "gptq",
            "bias_correction": True,
            **{kind.setting: bool(workbench.treated.whole.get(kind.setting)) for kind in WHOLE_MODEL},
            "symmetric": False,
            "schemes": tuple(schemes),
            "keep_float": tuple(kept),
            "auto": AutoSettings(),
        }
    )


def _entry(pattern: str, choice: Choice, reason: str, usual: Grid) -> LayerScheme:
    assert choice.scheme != "float"
    if choice.scheme == "blockwise":
        return LayerScheme.model_validate(
            {"pattern": pattern, "scheme": "blockwise", "block_size": choice.block_size, "because": reason}
        )
    method = {"calib_method": choice.range.method} if choice.scheme == "static" else {}
    return LayerScheme.model_validate(
        {
            "pattern": pattern,
            "scheme": choice.scheme,
            **_treatments(choice),
            "rounding": choice.rounding,
            "bias_correction": choice.bias_correction,
            "weight_type": None if choice.grid == usual else choice.grid.name,
            **method,
            "because": reason,
        }
    )


def _treatments(choice: Choice) -> dict[str, int | float | str]:
    """Return setting → value of every treatment; off where the section would have one that the choice has not."""
    own = {treatment.setting: treatment.value for treatment in choice.treatments}
    return {name: own.get(name, "off") for name, value in _SECTION.items() if name in own or value != "off"}


def _beside_kept(workbench: Workbench) -> Iterator[KeepFloat]:
    """Yield the layers that stay float because one that reads the same tensor does."""
    grouped = {layer for group in workbench.groups for layer in group.layers}
    for name in workbench.layers:
        if name not in grouped and name not in workbench.kept:
            yield KeepFloat(pattern=name, because="reads the same tensor as a layer that stays float")


def _because(record: GroupRecord) -> str:
    """Return the measured damage and cost of the choice, beside those of FP32 and of the fastest."""
    chosen = next(choice for choice in record.options if choice.label == record.chosen)
    others = [choice for choice in record.options if choice.label != record.chosen]
    fastest = min(record.options, key=lambda choice: choice.cost_us)
    plain = next((choice for choice in others if choice.label == "float"), None)
    words = [
        f"damage {chosen.damage:.2g} nats, {chosen.sqnr_db:.1f} dB",
        f"{chosen.cost_us:,.0f} µs per 1,000 tokens",
    ]
    if plain is not None:
        words.append(f"FP32 {plain.cost_us:,.0f} µs")
    if fastest.label != chosen.label:
        words.append(f"{fastest.label} {fastest.damage:.2g} nats at {fastest.cost_us:,.0f} µs")
    return "; ".join(words)


def _patterns(name: str, layers: Sequence[str], names: Sequence[str]) -> Iterator[str]:
    """Yield the group's glob, or its layers one by one when the glob names others too."""
    if matching(names, [name], key="schemes") == set(layers):
        yield name
    else:
        yield from layers
