"""What a measurement is of."""

from collections.abc import Sequence

from quantkit.artifact import Artifact, Ingredients
from quantkit.artifact.measure import tool_versions
from quantkit.files import digest_of, sha256_file
from quantkit.recipe.marks import in_key
from quantkit.recipe.settings import BenchSettings
from quantkit.runtime.cpu import cpu_facts
from quantkit.runtime.profile import RUNTIME_REPORT
from quantkit.tasks.data_places import DataPlaces
from quantkit.tasks.lengths import lengths_in_key

_TOOLS = ("onnxruntime", "tokenizers", "numpy", "openvino")


def ingredients(artifacts: Sequence[Artifact], settings: BenchSettings, data: DataPlaces) -> Ingredients:
    """Return all that decides what `bench` measures.

    The artifacts, the profile of each when they run as tuned, the dataset, settings, tools, the processor.

    Raises:
        DatasetError: there is no such dataset.
    """
    inputs = {f"artifact {index}": artifact.digest for index, artifact in enumerate(artifacts, 1)}
    if settings.profile == "tuned":
        for index, artifact in enumerate(artifacts, 1):
            path = artifact.report_path(RUNTIME_REPORT)
            inputs[f"profile {index}"] = sha256_file(path) if path.is_file() else "none"
    inputs |= data.digests(settings)
    inputs["cpu"] = digest_of(cpu_facts().as_json())
    return Ingredients(
        inputs=inputs,
        settings={"task": artifacts[0].task, **in_key(settings), **lengths_in_key(artifacts[0])},
        tools=tool_versions(*_TOOLS),
    )
