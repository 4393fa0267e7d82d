"""Numbers for people: scores are cut, sizes are powers of ten, small numbers are written out."""

from quantkit.report.digits import change, counted, coverage, cut, kept, nats, points, rate, score, size


def test_scores_are_cut_never_rounded() -> None:
    """90.7899 of 90.79 asked, or a loss of 0.001, must not look better than it is."""
    assert cut(0.99899999) == "0.998999"
    assert cut(-0.00000001, 2) == "-0.01"
    assert cut(1.0) == "1.000000"
    assert score(90.7899) == "90.78"
    assert kept(0.9989999) == "99.899 %"
    assert coverage(0.98999) == "98.9 %"
    assert points(-0.001) == "\N{MINUS SIGN}0.01"
    assert points(0.0009) == "+0.00"


def test_units() -> None:
    """Sizes are powers of ten; no change is 0 %."""
    assert (size(1_400_000_000), size(95_000_000), size(4_600)) == ("1.40 GB", "95.0 MB", "4.6 kB")
    assert change(1.0001) == "0 %"
    assert (rate(9.18), rate(1373.4)) == ("9.2 /s", "1,373 /s")


def test_counts() -> None:
    """One is no plural."""
    assert (counted(1, "thread"), counted(1_024, "token")) == ("1 thread", "1,024 tokens")


def test_nats_have_no_powers_of_ten() -> None:
    """Two digits count, however small; what is too small to write out says so."""
    assert (nats(0.0), nats(0.0123), nats(0.0000004567)) == ("0", "0.012", "0.00000046")
    assert nats(3e-9) == "< 0.0000001"
