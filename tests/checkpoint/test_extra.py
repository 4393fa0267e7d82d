"""The extra `export`: what is missing is named before anything is made."""

import sys

import pytest

from quantkit.checkpoint import require_torch
from quantkit.errors import UsageError


@pytest.mark.parametrize("name", ["onnxscript", "torch", "transformers"])
def test_missing_package_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package and the command that installs it are named."""
    for other in ("onnxscript", "torch", "transformers"):
        monkeypatch.setitem(sys.modules, other, None if other == name else sys)
    with pytest.raises(UsageError, match=rf'exporting needs {name}.*pip install "quantkit\[export\]"'):
        require_torch()
