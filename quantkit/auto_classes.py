"""DeciBERT among transformers' Auto classes: once quantkit is imported, whichever of the two comes first.

`import quantkit` must stay light, so it imports neither transformers nor torch. Where AutoConfig is imported already
the family joins it at once. Otherwise the one module that holds it is watched for, and nothing else is. The models join
when the first `DeciBertConfig` is made, which every way to a model needs; by then no module of transformers is half
imported.
"""

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType

_THEIRS = "transformers.models.auto.configuration_auto"
_OURS = "quantkit.checkpoint.decibert_config"


class _Watch(importlib.abc.MetaPathFinder):
    """Lets others find the module, and joins it when it has run."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _THEIRS:
            return None
        for finder in sys.meta_path:
            spec = None if finder is self else finder.find_spec(fullname, path, target)
            if spec is not None:
                _join_after(spec)
                return spec
        return None


def register() -> None:
    """Join AutoConfig, now or when it is imported."""
    if _THEIRS in sys.modules:
        _join()
    elif not any(isinstance(finder, _Watch) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Watch())


def _join_after(spec: importlib.machinery.ModuleSpec) -> None:
    loader = spec.loader
    if loader is None:
        return
    run = loader.exec_module

    def run_and_join(module: ModuleType) -> None:
        run(module)
        _join()

    loader.exec_module = run_and_join  # type: ignore[method-assign]


def _join() -> None:
    """Import our module; a transformers that is too old for it stays as it is."""
    try:
        importlib.import_module(_OURS)
    except ImportError:
        return
