"""An imported artifact reads texts as transformers does, or its record says that nobody compared."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from quantkit.artifact import Artifact
from quantkit.recipe.import_settings import ImportSettings
from quantkit.stages.importing import import_folder
from quantkit.tasks.tokenizer import Tokenizer

pytestmark = pytest.mark.filterwarnings("ignore")
Make = Callable[..., Path]


def take(folder: Path) -> Artifact:
    return import_folder(folder, folder.parent / "imported", task="squad", settings=ImportSettings())


def ids_of(artifact: Artifact) -> dict[str, object]:
    record = artifact.manifest.stage("import")
    assert record is not None
    found = record.facts["ids"]
    assert isinstance(found, dict)
    return found


def test_a_tokenizer_that_its_config_contradicts_is_mended(make_folder: Make) -> None:
    """tokenizer.json keeps accents, tokenizer_config.json strips them: the artifact strips them, as transformers."""
    import transformers

    folder = make_folder()
    path = folder / "tokenizer_config.json"
    path.write_text(
        json.dumps(json.loads(path.read_text()) | {"strip_accents": False, "do_lower_case": False})
    )
    made = take(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    text = "Où est l'ÉCOLE?"
    wanted = theirs(text, add_special_tokens=False)["input_ids"]
    assert Tokenizer.load(folder).encode_ids([text])[0].tolist() != wanted
    assert Tokenizer.load(made.path).encode_ids([text])[0].tolist() == wanted
    assert ids_of(made)["rewritten"] is True


def test_without_transformers_the_record_says_so(make_folder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A light install imports, and its record says that ids were not compared and why."""
    known = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "transformers" else known(name)
    )
    assert ids_of(take(make_folder())) == {"compared": False, "why": "transformers not installed"}
