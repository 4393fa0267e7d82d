"""Names of families: a slip of the pen is mended, and another family is not taken for one."""

import pytest

from quantkit.architectures import architecture
from quantkit.errors import CheckpointError


@pytest.mark.parametrize(
    ("name", "meant"),
    [("robertta", "roberta"), ("distillbert", "distilbert"), ("decbert", "decibert")],
)
def test_a_slip_is_told(name: str, meant: str) -> None:
    """The family that was meant is named."""
    with pytest.raises(CheckpointError, match=f"{name!r} is not supported; did you mean {meant!r}"):
        architecture({"model_type": name}, "config.json")


@pytest.mark.parametrize("name", ["ibert", "rembert", "deberta", "convbert", "squeezebert", "big_bird"])
def test_another_family_is_not_taken_for_one(name: str) -> None:
    """BERT's weights are of no use for a model of another family."""
    with pytest.raises(CheckpointError, match=f"{name!r} is not supported; supported are"):
        architecture({"model_type": name}, "config.json")
