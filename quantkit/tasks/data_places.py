"""Where a run looks for data, and what is in the data that its settings name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from quantkit.recipe.fields import Named
from quantkit.recipe.marks import data_in_key
from quantkit.tasks import calibration_set, datasets, own_metric


@dataclass(frozen=True, kw_only=True, slots=True)
class DataPlaces:
    """Where datasets are looked for.

    Attributes:
        data_dir: looked into first.
        offline: nothing that is elsewhere is asked for.
        allow_code: a function that the settings name may be run.
    """

    data_dir: Path | None = None
    offline: bool = False
    allow_code: bool = False

    def digests(self, settings: BaseModel) -> dict[str, str]:
        """Return the digest of all data that the settings name, by field: what is in it, whatever it is called.

        Raises:
            DatasetError: there is no such name or file.
            UsageError: there is no such function.
        """
        return {data.field: _DIGESTS[data.kind](data.name) for data in data_in_key(settings)}


_DIGESTS: dict[Named, Callable[[str], str]] = {
    "dataset": datasets.content_digest,
    "calibration set": calibration_set.content_digest,
    "code": own_metric.content_digest,
}
