"""Numbers as the terminal shows them."""

import pytest

from quantkit.cli import show


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0.0, "0.00 %"),
        (1 / 100_000, "0.01 %"),
        (0.9995, "99.95 %"),
        (0.999979, "99.99 %"),
        (1.0, "100.00 %"),
    ],
)
def test_percent_is_never_nothing_or_all_by_rounding(share: float, shown: str) -> None:
    """One question of 10,570 that changed is not 0.00 %, and a layer left in float is not full coverage."""
    assert show.percent(share) == shown
