"""What a search refuses before it reads anything."""

from pathlib import Path

import pytest

from quantkit.errors import UsageError
from quantkit.pipeline.searching import search_checkpoint
from quantkit.recipe.search_settings import SearchSettings


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "nothing is asked of the smaller model"),
        ({"min_throughput": "2x", "ray_address": "host:1"}, "is for --engine ray, and the engine is threads"),
    ],
    ids=["nothing asked", "an address for threads"],
)
def test_refused_at_once(tmp_path: Path, asked: dict[str, str], says: str) -> None:
    """The mistake is said before the checkpoint is looked for, and nothing is made."""
    with pytest.raises(UsageError, match=says):
        search_checkpoint("nowhere", tmp_path / "out", task="squad", settings=SearchSettings(**asked))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
