"""Options: which are worth offering."""

from quantkit.assignment.noise import Noise
from quantkit.assignment.options import BLOCKWISE, DYNAMIC, STATIC, Option, worthwhile
from quantkit.quantization.choice import FLOAT, Choice


def option(choice: Choice, noise: float, cost_us: float) -> Option:
    return Option(choice=choice, noise=Noise(noise=noise, signal=1.0), cost_us=cost_us)


def test_of_equal_options_the_first_stays() -> None:
    """A dynamic choice that measures 1 % better than the static one before it is the same within the measurement."""
    static, dynamic = option(STATIC, 1.0, 100.0), option(DYNAMIC, 0.99, 99.0)
    assert (static,) == worthwhile([static, dynamic])


def test_a_trade_stays() -> None:
    """An option that costs more and makes less noise is what a search is for."""
    offered = [option(STATIC, 1.0, 100.0), option(BLOCKWISE[0], 0.1, 200.0), option(FLOAT, 0.0, 300.0)]
    assert tuple(offered) == worthwhile(offered)


def test_an_option_that_is_worse_in_both_goes() -> None:
    """Slower and noisier than one before it: nobody would take it."""
    static = option(STATIC, 1.0, 100.0)
    assert (static,) == worthwhile([static, option(BLOCKWISE[2], 2.0, 200.0)])
