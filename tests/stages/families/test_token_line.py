"""Token classification in each family: the words' ids of transformers, one tag for each token, exact fusions."""

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from family_checkpoints import CONFIGS

from quantkit.artifact import Artifact
from quantkit.tasks.tokenizer import Tokenizer

pytestmark = pytest.mark.filterwarnings("ignore")

Line = Callable[[str, str], tuple[Artifact, Artifact]]
TASK = "token-classification"
SENTENCES = [
    ["Ann", "wrote", "it", ",", "on", "a", "cold-day", "é", "42", "euros", "."],
    ["[MASK]", "letter"],
]


@pytest.mark.parametrize("family", CONFIGS)
def test_a_token_classifier_is_exported_and_fused(line: Line, family: str) -> None:
    """PyTorch gives the same logits for each token, and what the family promises fuses."""
    exported, fused = line(family, TASK)
    record, fusing = exported.manifest.stage("export"), fused.manifest.stage("fuse")
    assert record is not None
    assert fusing is not None
    assert max(record.facts["parity"]["max_abs_diff"].values()) < 1e-5
    assert fusing.facts["expected"] == fusing.facts["fused"]
    (output,) = onnx.load(exported.model_path).graph.output
    assert [size.dim_param for size in output.type.tensor_type.shape.dim] == ["batch", "sequence", "labels"]


@pytest.mark.parametrize("family", CONFIGS)
def test_words_have_the_ids_of_transformers(line: Line, family: str) -> None:
    """Also of a byte-level tokenizer that puts no space before words: then transformers puts none either."""
    exported, _ = line(family, TASK)
    _same_ids(exported.path)


@pytest.mark.parametrize("spaced", [False, True])
def test_the_files_say_whether_words_have_a_space_before(line: Line, tmp_path: Path, spaced: bool) -> None:
    """`add_prefix_space` of a byte-level tokenizer is what decides, in both directions."""
    exported, _ = line("modernbert", TASK)
    for path in exported.path.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    tokenizer_file = tmp_path / "tokenizer.json"
    text, plain = tokenizer_file.read_text(encoding="utf-8"), '"add_prefix_space": false'
    text = text.replace('"add_prefix_space":false', plain)
    assert plain in text
    tokenizer_file.write_text(
        text.replace(plain, f'"add_prefix_space": {str(spaced).lower()}'), encoding="utf-8"
    )
    _same_ids(tmp_path)


def _same_ids(folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoTokenizer.from_pretrained(folder)(
        SENTENCES, is_split_into_words=True, add_special_tokens=False
    )
    ours = Tokenizer.load(folder).encode_words(SENTENCES)
    assert [ids.tolist() for ids, _ in ours] == theirs["input_ids"]
    assert [words.tolist() for _, words in ours] == [theirs.word_ids(row) for row in range(len(SENTENCES))]
