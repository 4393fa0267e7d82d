"""How figures look, and how they become files: the same report gives the same bytes.

One column wide, direct labels, Okabe and Ito's blue and vermillion, which differ in lightness too. No dates, no
versions, no style of the user's. matplotlib is imported when a figure is drawn: reports can be read without it.
"""

import importlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from quantkit.errors import UsageError
from quantkit.printable import one_line

INK, MUTED, SOFT, GRID, PAPER = "#1b1f24", "#666c73", "#a3abb3", "#e2e5e8", "#fefefe"
BLUE, ACCENT = "#0072b2", "#d55e00"
# In a page each colour is the CSS variable of this name, which is another one in the dark.
THEME = {
    INK: "ink",
    MUTED: "muted",
    SOFT: "soft",
    GRID: "line",
    PAPER: "paper",
    BLUE: "blue",
    ACCENT: "accent",
}

# Text in the cells of a heat map: ink on its pale half, paper on its dark one. Not the theme's, since the cells are
# not either.
ON_PALE, ON_DARK = "#101418", "#fcfcfc"

WIDTH = 5.2  # inches, one column; its 10 points can still be read on a phone
DPI = 240
_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "figure.facecolor": PAPER,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "svg.hashsalt": "quantkit",
    "svg.fonttype": "path",
}


def require_matplotlib() -> None:
    """Check that figures can be drawn.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        importlib.import_module("matplotlib")
    except ModuleNotFoundError as error:
        raise UsageError(
            f'a figure needs {error.name}, which is not installed; run pip install "quantkit[report]"'
        ) from None


@contextmanager
def drawing() -> Iterator[None]:
    """Let figures of this block have this package's style and nobody else's.

    Raises:
        UsageError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import style

    with style.context(["default", _STYLE]):
        yield


def words(text: str) -> str:
    """Return words of others as a figure can write them: letters only, and no formula between dollar signs."""
    return one_line(text).replace("$", r"\$")


def new_figure(height: float) -> Any:
    """Return an empty matplotlib figure, `height` in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    return figure


def png_bytes(figure: Any) -> bytes:
    """Return a figure as a PNG without dates and versions."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DPI, metadata={"Software": None})
    return content.getvalue()


def svg_text(figure: Any, name: str) -> str:
    """Return a figure as one `<svg>` element for a page, its colours CSS variables, its ids beginning with `name`."""
    content = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(content, format="svg", transparent=True, metadata=nothing)
    text = content.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<svg[^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', text, count=1)
    text = re.sub(r'(\bid="|url\(#|xlink:href="#)', rf"\1{name}-", text).replace("xlink:href", "href")
    for color, variable in THEME.items():
        text = text.replace(color, f"var(--{variable})")
    return text
