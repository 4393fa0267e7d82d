"""What is in a dataset file, before anything is computed."""

from pathlib import Path

from quantkit.api.making import Place
from quantkit.artifact import Artifact
from quantkit.artifact.manifest import NAME
from quantkit.tasks import WindowSettings
from quantkit.tasks import task as task_named
from quantkit.tasks.datasets import load
from quantkit.tasks.lengths import fit, lengths_of
from quantkit.tasks.rows.findings import Findings, findings
from quantkit.tasks.tokenizer import Tokenizer


def lengths_for(model: Place, task: str) -> WindowSettings:
    """Return how long a model's rows are: as its artifact says, or as a checkpoint would be exported.

    Raises:
        UsageError: there is no such task.
        CheckpointError: the tokenizer is missing or broken.
        ArtifactError: the manifest cannot be read.
    """
    if (Path(model) / NAME).is_file():
        return lengths_of(Artifact.open(model, check=False))
    return fit(task_named(task), Tokenizer.load(Path(model)), {})


def check_data(
    file: Place, *, task: str = "squad", model: Place | Artifact | None = None, data_dir: Place | None = None
) -> Findings:
    """Return what quantkit reads in a file: how many, how long, which labels, and what is odd about them.

    Args:
        file: of any form; where columns have names of their own, `reviews.csv?text=review&label=stars`.
        task: what the file is for.
        model: artifact or checkpoint whose tokenizer counts tokens and whose labels are checked.
        data_dir: looked into first for datasets.

    Raises:
        UsageError: there is no such task.
        DatasetError: the file cannot be found or read, or has a label that the model does not have.
        CheckpointError: the model's tokenizer is missing or broken.
    """
    dataset = load(str(file), task, None if data_dir is None else Path(data_dir))
    if model is None:
        return findings(dataset, task_named(task), None, WindowSettings())
    folder = model.path if isinstance(model, Artifact) else Path(model)
    return findings(dataset, task_named(task), Tokenizer.load(folder), lengths_for(folder, task))
