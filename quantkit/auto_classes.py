"""DeciBERT among transformers' Auto classes: once quantkit is imported, whichever of the two comes first.

`import quantkit` must stay light, so it imports neither transformers nor torch. Where the Auto classes are imported
already they are joined at once. Otherwise the two modules that hold them are watched for, and nothing else is.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType

_JOINING = {
    "transformers.models.auto.configuration_auto": "quantkit.checkpoint.decibert_config",
    "transformers.models.auto.modeling_auto": "quantkit.checkpoint.decibert",
}
"""Module of transformers -> our module that registers with what is in it."""


class _Watch(importlib.abc.MetaPathFinder):
    """Lets others find a module, and joins it when it has run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _JOINING:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                _join_after(spec)
                return spec
        return None


def register() -> None:
    """Join the Auto classes, now or when they are imported."""
    waiting = [name for name in _JOINING if name not in sys.modules]
    for name in _JOINING:
        if name not in waiting:
            _join(name)
    if waiting and not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def _join_after(spec: importlib.machinery.ModuleSpec) -> None:
    loader = spec.loader
    if loader is None:
        return
    run = loader.exec_module

    def run_and_join(module: ModuleType) -> None:
        run(module)
        _join(module.__name__)

    loader.exec_module = run_and_join  # type: ignore[method-assign]


def _join(name: str) -> None:
    """Import our module; a transformers that is too old for it, or has no torch beside it, stays as it is."""
    try:
        importlib.import_module(_JOINING[name])
    except ImportError:
        return
