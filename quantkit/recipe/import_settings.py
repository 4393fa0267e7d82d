"""The settings of `quantkit import`. No section of a recipe: a recipe begins with a checkpoint."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from quantkit.recipe.fields import Cli
from quantkit.recipe.lengths import LengthSettings
from quantkit.recipe.marks import NotInKey

_RENAME = Cli(names=("--rename",), metavar="THEIRS=OURS")


def _two_sided(text: str) -> str:
    sides = text.split("=")
    if len(sides) != 2 or not all(sides):
        raise ValueError("expected THEIRS=OURS")
    return text


class ImportSettings(LengthSettings):
    """folder of another tool → artifact."""

    model_file: Annotated[str | None, Cli(names=("--model",), metavar="NAME.onnx")] = Field(
        default=None, description="the ONNX file, where the folder holds several"
    )
    companions: Annotated[
        str | None,
        Cli(metavar="DIR"),
        NotInKey(because="the files that are taken from there are in the key by their digests"),
    ] = Field(
        default=None, description="folder with config.json and the tokenizer, where the model's has none"
    )
    precision: Literal["fp32", "int8"] | None = Field(
        default=None, description="what the model is said to be; default: as its kernels and weights show"
    )
    rename: Annotated[tuple[Annotated[str, AfterValidator(_two_sided)], ...], _RENAME] = Field(
        default=(),
        description="input or output of the graph under another name, such as input_mask=attention_mask",
        strict=False,
    )
