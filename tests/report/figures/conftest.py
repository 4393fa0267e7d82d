"""What the tests of figures share."""

import pytest


@pytest.fixture
def matplotlib() -> None:
    """Skip the test where matplotlib is not installed."""
    pytest.importorskip("matplotlib")
