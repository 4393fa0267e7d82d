"""Recipes: the whole instruction, one strict YAML file."""

from quantkit.recipe.load import load_recipe, recipe_schema
from quantkit.recipe.settings import (
    BenchSettings,
    EvaluateSettings,
    ExportSettings,
    FuseSettings,
    GateSettings,
    PublishSettings,
    QuantizeSettings,
    Recipe,
)

__all__ = [
    "BenchSettings",
    "EvaluateSettings",
    "ExportSettings",
    "FuseSettings",
    "GateSettings",
    "PublishSettings",
    "QuantizeSettings",
    "Recipe",
    "load_recipe",
    "recipe_schema",
]
