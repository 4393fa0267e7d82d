"""Settings of a search that are good for nothing without another."""

from pathlib import Path
from typing import Any

import pytest

from quantkit.errors import UsageError
from quantkit.recipe.load import build_section, dump_section, load_section
from quantkit.recipe.search_settings import SearchSettings


def built(**asked: Any) -> SearchSettings:
    return build_section(SearchSettings, asked, name=lambda location: str(location[0]))


def test_a_share_of_int8_needs_blocks_in_float() -> None:
    """Without them all is INT8 whatever is asked, and the setting that does nothing is named."""
    with pytest.raises(
        UsageError, match=r"^min_int8_coverage: changes nothing .* float_blocks, or leave it out$"
    ):
        built(min_int8_coverage=0.5)
    with pytest.raises(UsageError, match=r"^min_int8_coverage: changes nothing"):
        built(min_int8_coverage=0.5, float_blocks=False)
    assert built(min_int8_coverage=0.5, float_blocks=True).min_int8_coverage == 0.5


def test_a_wrong_value_is_one_mistake() -> None:
    """What stands in the way of the other setting is told, and not that it is missing."""
    with pytest.raises(UsageError, match=r"^float_blocks: expected true or false, got 'yes'$"):
        built(min_int8_coverage=0.5, float_blocks="yes")


@pytest.mark.parametrize("asked", [{}, {"float_blocks": True, "min_int8_coverage": 0.5}])
def test_every_value_spelt_out_loads(tmp_path: Path, asked: dict[str, Any]) -> None:
    """A section that is written with its defaults reads back the same."""
    settings = SearchSettings(**asked)
    (tmp_path / "search.yaml").write_text(dump_section(settings))
    assert SearchSettings(**load_section(tmp_path / "search.yaml", "search", SearchSettings)) == settings
