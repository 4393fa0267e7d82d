"""What a quantized artifact is made of."""

from quantkit.artifact import Artifact, Ingredients
from quantkit.artifact.measure import tool_versions
from quantkit.recipe.marks import in_key
from quantkit.recipe.settings import QuantizeSettings
from quantkit.runtime.cpu import cpu_facts
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.lengths import lengths_in_key

_TOOLS = ("onnx", "onnx-ir", "onnxruntime", "numpy", "tokenizers")
_SEARCH_TOOLS = ("scipy",)


def ingredients(artifact: Artifact, settings: QuantizeSettings, data: DataPlaces) -> Ingredients:
    """Return all that decides what `quantize` makes.

    The FP32 artifact, what is in the data that the settings name, settings and tools; and of the processor what
    matters: whether its sums saturate when the grid is for it, its kernels when a search takes their time.

    Raises:
        DatasetError: there is no such data.
    """
    inputs = {"artifact": artifact.digest, **data.digests(settings)}
    if settings.reduce_range == "auto" or settings.target_isa == "native":
        inputs["vnni"] = str(cpu_facts().has_vnni)
    searched = settings.mode == "auto"
    if searched:
        inputs["cpu"] = cpu_facts().kernels
    return Ingredients(
        inputs=inputs,
        settings={"task": artifact.task, **in_key(settings), **lengths_in_key(artifact)},
        tools=tool_versions(*_TOOLS, *(_SEARCH_TOOLS if searched else ())),
    )
