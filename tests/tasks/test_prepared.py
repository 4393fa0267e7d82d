"""A dataset as one model reads it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from quantkit.artifact import Artifact, Manifest
from quantkit.artifact.manifest import content_files, files_digest, hash_files
from quantkit.errors import ArtifactError, CheckpointError
from quantkit.tasks.datasets import load
from quantkit.tasks.prepared import Reader

CONFIG = {"model_type": "bert", "vocab_size": 9}
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "very", "not")


@pytest.fixture
def make_reader(make_artifact: Callable[..., Artifact], tmp_path: Path) -> Callable[..., Reader]:
    """Return a function that reads the tokenizer of an artifact whose config.json has these changes."""

    def make(**changes: object) -> Reader:
        path = make_artifact(tmp_path / "artifact", force=True).path
        (path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
        config = {name: value for name, value in {**CONFIG, **changes}.items() if value is not None}
        (path / "config.json").write_text(json.dumps(config))
        manifest = Manifest.read(path)
        files = hash_files(path, content_files(path))
        changed = manifest.model_copy(update={"files": files, "digest": files_digest(files)})
        return Reader.of(Artifact(path=path, manifest=changed))

    return make


def test_rows_are_named_by_their_question(make_reader: Callable[..., Reader], tmp_path: Path) -> None:
    """Rows keep the order of the questions, with the padding token and the lengths of this model's tokenizer."""
    reader = make_reader()
    path = tmp_path / "questions.json"
    asked = [{"id": name, "question": "good", "answers": [{"text": "bad"}]} for name in ("first", "second")]
    article = {"title": "t", "paragraphs": [{"context": "very bad", "qas": asked}]}
    path.write_text(json.dumps({"data": [article]}))
    prepared = reader.prepare(load(str(path), "squad"))
    assert [prepared.name(index) for index in range(2)] == ["question first", "question second"]
    assert (prepared.pad_id, prepared.lengths) == (0, [6, 6])
    assert [row.question for row in prepared.first(1).rows] == [0]


def test_another_models_tokenizer_is_refused(make_reader: Callable[..., Reader]) -> None:
    """The model must have a row for every token, and config.json must say how many these are."""
    with pytest.raises(CheckpointError, match="the tokenizer has 9 tokens but the model 8"):
        make_reader(vocab_size=8)
    with pytest.raises(ArtifactError, match=r"config\.json: has no vocab_size"):
        make_reader(vocab_size=None)
