"""lineage: candidate and baseline → Lineage, what their weights say about their kinship."""

from quantkit.artifact import Artifact
from quantkit.artifact.ingredients import Ingredients
from quantkit.artifact.measure import tool_versions
from quantkit.graph.lineage import compare_layers, compare_tables
from quantkit.graph.model import load_model
from quantkit.records import Lineage
from quantkit.runtime.hold import hold

_TOOLS = ("onnx", "onnx-ir", "numpy")
_RULES = "3"  # of what counts as the same weight; another number when they change, so that no cache answers


def ingredients(candidate: Artifact, baseline: Artifact) -> Ingredients:
    """Return all that decides a lineage: both artifacts, and the tools."""
    return Ingredients(
        inputs={"artifact": candidate.digest, "baseline": baseline.digest, "rules": _RULES},
        tools=tool_versions(*_TOOLS),
    )


def lineage(candidate: Artifact, baseline: Artifact) -> Lineage:
    """Compare every weight of the baseline with the candidate's.

    Raises:
        ArtifactError: a model cannot be opened, or is not what was hashed.
        OutputError: there is no room for private copies.
    """
    with hold(candidate) as ours, hold(baseline) as theirs:
        return _lineage(ours, theirs)


def _lineage(candidate: Artifact, baseline: Artifact) -> Lineage:
    ours, theirs = load_model(candidate.model_path).graph, load_model(baseline.model_path).graph
    return Lineage(
        artifact=candidate.digest,
        baseline=baseline.digest,
        layers=compare_layers(ours, theirs),
        tables=compare_tables(ours, theirs),
        tools=tool_versions(*_TOOLS),
    )
