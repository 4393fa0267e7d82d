"""Inputs and outputs of a foreign graph: those that are rows of tokens and answers are taken, others told by name."""

import onnx
import onnx.parser
import pytest

from quantkit.errors import ArtifactError, UsageError
from quantkit.stages.importing.signature import Signature, read_signature, require_encoder
from quantkit.tasks import task

IDS = "int64[b, s] input_ids"
MASK = "int64[b, s] attention_mask"
SPANS = "float[b, s] start_logits, float[b, s] end_logits"


def model(inputs: str, outputs: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": 17]> g ({inputs}) => ({outputs}) {{ inner = Identity (input_ids) }}'
    )


def read(inputs: str = f"{IDS}, {MASK}", outputs: str = SPANS, *rename: str) -> Signature:
    return read_signature(model(inputs, outputs), rename, "m")


@pytest.mark.parametrize(
    "inputs", [f"{IDS}, {MASK}", f"{IDS}, {MASK}, int64[b, s] token_type_ids", f"{MASK}, {IDS}"]
)
def test_taken(inputs: str) -> None:
    """Token types are optional, and order is nothing."""
    require_encoder(read(inputs), task("squad"), "m")


@pytest.mark.parametrize(
    ("inputs", "line"),
    [
        (
            IDS,
            "m: has no input attention_mask (it has input_ids); name it with --rename THEIRS=attention_mask",
        ),
        (f"{IDS}, {MASK}, int64[b, s] position_ids", "m: takes an input position_ids, which is none of"),
        (f"float[b, s] input_ids, {MASK}", "m: its input input_ids is float, not int64"),
        (
            f"int64[1, 384] input_ids, {MASK}",
            "m: its input input_ids has the shape [1, 384], not [batch, sequence]",
        ),
        (f"int64[b] input_ids, {MASK}", "m: its input input_ids has the shape [b], not [batch, sequence]"),
    ],
)
def test_inputs_that_are_refused(inputs: str, line: str) -> None:
    """What is missing, unknown, of another type or of one size only is named."""
    with pytest.raises(ArtifactError) as error:
        require_encoder(read(inputs), task("squad"), "m")
    assert str(error.value).startswith(line)


@pytest.mark.parametrize(
    ("outputs", "name", "line"),
    [
        (
            "float[b, 2] logits",
            "squad",
            "m: has no output start_logits (it has logits); squad reads start_logits and",
        ),
        (
            "float[b, s, 9] logits",
            "text-classification",
            "m: its output logits has the shape [b, s, 9], not [batch, l",
        ),
        ("float16[b, 2] logits", "text-classification", "m: its output logits is float16, not float32"),
        (
            "float[b, 384] start_logits, float[b, 384] end_logits",
            "squad",
            "m: its output start_logits has the shape [b, 384], not [batch, sequence]",
        ),
    ],
)
def test_outputs_that_are_refused(outputs: str, name: str, line: str) -> None:
    """What the task reads and is not there, or is of another shape, is named with what there is."""
    with pytest.raises(ArtifactError) as error:
        require_encoder(read(f"{IDS}, {MASK}", outputs), task(name), "m")
    assert str(error.value).startswith(line)


def test_rename() -> None:
    """A name that the user gives is the one that is looked for, and both are kept."""
    found = read(f"{IDS}, int64[b, s] mask", SPANS, "mask=attention_mask")
    require_encoder(found, task("squad"), "m")
    assert found.renamed == {"mask": "attention_mask"}


@pytest.mark.parametrize(
    ("rename", "line"),
    [
        (
            "musk=attention_mask",
            "--rename musk=attention_mask: m has no input or output musk; it has input_ids, mask",
        ),
        ("mask=inner", "--rename mask=inner: m uses the name inner for something else already"),
        ("mask=input_ids", "--rename mask=input_ids: m uses the name input_ids for something else already"),
    ],
)
def test_renames_that_are_refused(rename: str, line: str) -> None:
    """A name that is not there, or is taken, changes nothing."""
    with pytest.raises(UsageError) as error:
        read(f"{IDS}, int64[b, s] mask", SPANS, rename)
    assert str(error.value).startswith(line)


@pytest.mark.parametrize("shape", ["b, 2", "b, labels"])
def test_labels(shape: str) -> None:
    """How many labels there are may be a number or a name."""
    require_encoder(read(f"{IDS}, {MASK}", f"float[{shape}] logits"), task("text-classification"), "m")
