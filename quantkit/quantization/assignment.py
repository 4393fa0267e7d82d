"""Which choice each layer has: a recipe's section, and the entries of its `schemes`, resolved for a graph."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from quantkit.errors import QuantizationError, RecipeError
from quantkit.graph.linear import Linear, matching
from quantkit.graph.shared_weights import sharing
from quantkit.quantization.choice import (
    BLOCK_SIZE,
    FLOAT,
    INTEGER,
    Choice,
    Misfit,
    Scheme,
    Treatment,
    of_no_use,
)
from quantkit.quantization.grids import GRIDS, INT8, Grid
from quantkit.quantization.observe import RangeRule
from quantkit.quantization.treatments import BY_SETTING, TREATMENTS
from quantkit.recipe.settings import LayerScheme, QuantizeSettings

# What an entry of `schemes` may say of layers of each scheme beside their treatments; else it would do nothing.
_SETTINGS: dict[Scheme, tuple[str, ...]] = {
    "static": ("rounding", "bias_correction", "weight_type", "calib_method", "symmetric"),
    "dynamic": ("rounding", "bias_correction", "weight_type"),
    "blockwise": ("block_size",),
}
_ALL = {*BY_SETTING, *(name for names in _SETTINGS.values() for name in names)}


def section_choice(settings: QuantizeSettings, grid: Grid = INT8) -> Choice:
    """Return what the section says of every layer that no pattern names; mode auto is not resolved here."""
    return _normal(_asked(settings, grid))


def section_misfit(settings: QuantizeSettings) -> Misfit | None:
    """Return why what the section says of every layer does not go together; None when it does."""
    return _asked(settings, INT8).misfit()


def choices(
    layers: Sequence[Linear], settings: QuantizeSettings, kept: set[str], grid: Grid = INT8
) -> dict[str, Choice]:
    """Return layer name → choice: `kept` stays float, then the first entry of `schemes` that fits, then the section.

    A weight that several layers share is rounded once, so to nearest, and nothing is done to the channels of one of
    them, unless an entry of `schemes` asks for it: then each has a weight of its own.

    Raises:
        RecipeError: a pattern of `schemes` matches nothing, or what an entry says does not go together, or not with a
            layer that it names.
    """
    names = [layer.name for layer in layers]
    section, widths = section_choice(settings, grid), {layer.name: layer.shape[0] for layer in layers}
    usual = dict.fromkeys(names, section) | {
        name: replace(section, treatments=(), rounding="nearest")
        for sharers in sharing(layers)
        for name in sharers
    }
    found = {name: FLOAT if name in kept else usual[name] for name in names}
    # From the last to the first: the first that fits is written over the others.
    for entry in reversed(settings.schemes):
        fitting = matching(names, [entry.pattern], key="schemes") - kept
        said = {base: _overridden(base, entry) for base in (section, *usual.values())}
        for name in (name for name in names if name in fitting):
            choice = said[usual[name]]
            for treatment in choice.treatments:
                if wrong := treatment.excess(name, widths[name]):
                    raise _refused(entry, wrong)
            found[name] = choice
    return found


def nothing_to_quantize(model: Path, layers: Collection[object]) -> QuantizationError:
    """Return the error of a model in which every layer stays float: `layers` are its linear layers, if any."""
    reason = "keep_float spares every layer" if layers else "the graph has no MatMul with a constant weight"
    return QuantizationError(f"{model}: nothing to quantize: {reason}")


def _asked(settings: QuantizeSettings, grid: Grid) -> Choice:
    """Return what the section says, whether or not it goes together."""
    scheme: Scheme = "dynamic" if settings.mode == "dynamic" else "static"
    treatments = [kind.of_section(getattr(settings, kind.setting), scheme) for kind in TREATMENTS]
    return Choice(
        scheme=scheme,
        treatments=tuple(treatment for treatment in treatments if treatment is not None),
        range=RangeRule(
            method=settings.calib_method, percentile=settings.percentile, symmetric=settings.symmetric
        ),
        rounding=settings.rounding,
        bias_correction=settings.bias_correction,
        grid=grid,
        per_channel=settings.per_channel,
    )


def _overridden(section: Choice, entry: LayerScheme) -> Choice:
    """Return the section's choice with what an entry says otherwise."""
    scheme = entry.scheme or section.scheme
    for name in sorted(_ALL):
        if getattr(entry, name) is not None and not _uses(scheme, name):
            raise _refused(entry, of_no_use(name, scheme))
    choice = replace(
        section,
        scheme=scheme,
        treatments=_treatments(section, entry),
        range=replace(
            section.range,
            method=entry.calib_method or section.range.method,
            symmetric=section.range.symmetric if entry.symmetric is None else entry.symmetric,
        ),
        rounding=entry.rounding or section.rounding,
        bias_correction=section.bias_correction if entry.bias_correction is None else entry.bias_correction,
        grid=GRIDS[entry.weight_type] if entry.weight_type else section.grid,
        block_size=entry.block_size or BLOCK_SIZE,
    )
    choice = _fitting(_normal(choice), entry)
    if wrong := choice.misfit():
        raise _refused(entry, wrong.entry)
    return choice


def _treatments(section: Choice, entry: LayerScheme) -> tuple[Treatment, ...]:
    """Return the treatments that an entry asks for, and those of the section that it leaves room for.

    An entry that treats some channels in one way does without the section's other way, and with a treatment that it
    turns off goes what needs it.
    """
    said = {kind.setting: getattr(entry, kind.setting) for kind in TREATMENTS}
    own = {name: BY_SETTING[name].asked(value) for name, value in said.items() if value not in (None, "off")}
    treated = {treatment.treats for treatment in own.values() if treatment.treats}
    kept = {
        treatment.setting: treatment
        for treatment in section.treatments
        if said[treatment.setting] is None and treatment.treats not in treated
    }
    both = own | kept
    return tuple(
        both[kind.setting]
        for kind in TREATMENTS
        if kind.setting in own or (kind.setting in kept and (not kind.needs or kind.needs in both))
    )


def _fitting(choice: Choice, entry: LayerScheme) -> Choice:
    """Return a choice less the section's treatments that do not go with what the entry says."""
    kept = [one for one in choice.treatments if getattr(entry, one.setting) or not one.misfit(choice)]
    return replace(choice, treatments=tuple(kept))


def _uses(scheme: Scheme, setting: str) -> bool:
    """Tell whether a setting says anything of layers of a scheme."""
    kind = BY_SETTING.get(setting)
    return scheme in kind.schemes if kind else setting in _SETTINGS[scheme]


def _normal(choice: Choice) -> Choice:
    """Return the choice with everything its scheme does not use at its default, so that equal ones are equal."""
    if choice.scheme not in INTEGER:
        return Choice(scheme=choice.scheme, block_size=choice.block_size)
    return replace(
        choice,
        treatments=tuple(treatment for treatment in choice.treatments if choice.scheme in treatment.schemes),
        range=choice.range.normal if choice.scheme == "static" else RangeRule(),
        block_size=BLOCK_SIZE,
    )


def _refused(entry: LayerScheme, wrong: str) -> RecipeError:
    return RecipeError(f"schemes: {entry.pattern}: {wrong}")
