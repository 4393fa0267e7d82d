"""Saturation: what to say of a model whose integer sums this CPU can get wrong."""

from pathlib import Path

from quantkit.runtime.cpu import saturates_here


def saturation_warning(path: Path, *, outputs: tuple[str, ...], name: str) -> str | None:
    """Return a warning in one line where sums of a model can saturate on this CPU; None where they cannot.

    Args:
        path: the ONNX file; it is opened only on a CPU that saturates.
        outputs: the task's graph outputs.
        name: what messages call the model.

    Raises:
        ArtifactError: the model cannot be opened.
    """
    if not saturates_here():
        return None
    # It loads onnx, which no other CPU needs here.
    from quantkit.graph.kernels import saturating_layers

    layers = saturating_layers(path, outputs=outputs)
    if not layers:
        return None
    more = f" and {len(layers) - 1} more layers" if len(layers) > 1 else ""
    return (
        f"{name}: sums of {layers[0]}{more} can saturate on this CPU, which has no VNNI: answers are not those of "
        "other CPUs; give --exact-int8, which is slower, or quantize it again for --target-isa any"
    )
