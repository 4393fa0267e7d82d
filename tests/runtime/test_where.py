"""Where a model runs, as one value."""

import pytest

from quantkit.errors import UsageError
from quantkit.recipe.settings import EvaluateSettings
from quantkit.runtime.profile import RuntimeProfile
from quantkit.runtime.where import HERE, Where


def test_settings_become_one_value() -> None:
    """Settings that name no engine mean threads of this process; a cluster comes with its address."""
    assert Where.of(EvaluateSettings()) == HERE
    asked = EvaluateSettings(engine="ray", ray_address="head:6379")
    assert Where.of(asked) == Where(engine="ray", address="head:6379")


@pytest.mark.parametrize("engine", [None, "threads", "processes"])
def test_an_address_is_for_a_cluster(engine: str | None) -> None:
    """An address that no engine would use is refused where settings are read."""
    asked = EvaluateSettings.model_validate({"engine": engine, "ray_address": "head:6379"})
    with pytest.raises(UsageError, match=r"--ray-address head:6379: is for --engine ray, and the engine is"):
        Where.of(asked)


def test_a_profile_moves() -> None:
    """A profile is the same elsewhere but for the engine, and its file does not say which cluster it was."""
    there = Where(engine="ray", address="head:6379")
    moved = RuntimeProfile(instances=3, token_budget=64).on(there)
    assert (moved.where, moved.instances, moved.token_budget) == (there, 3, 64)
    assert "head:6379" not in str(moved.as_json())
