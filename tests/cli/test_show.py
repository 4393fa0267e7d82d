"""Numbers as the terminal shows them."""

from types import SimpleNamespace

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


@pytest.mark.parametrize(("met", "said"), [(True, ""), (False, "--min-throughput 5, --max-size-mb 0.7")])
def test_a_search_that_misses_what_was_asked_says_so(
    capsys: pytest.CaptureFixture[str], met: bool, said: str
) -> None:
    """The exit code is 0 either way, so a warning on stderr tells; the table goes to stdout."""
    limits = {"min_throughput": 5.0, "max_size_mb": 0.7}
    show.print_shapes(SimpleNamespace(candidates=[], selection_questions=40, met=met, limits=limits))  # type: ignore[arg-type]
    shown = capsys.readouterr()
    assert shown.err == (
        f"warning: no candidate keeps all that was asked ({said}), as measured; chosen is the nearest: give more "
        "--candidates, or relax a limit\n"
        if said
        else ""
    )
    assert "0 candidates as INT8 on 40 questions" in shown.out
