"""What all pictures share: print sizes, fonts, colours, the displays and their names."""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, get_args

from ..base.errors import quoted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "COLUMN", "Display", "FLOOR", "GAMMA", "KINDS", "LINES", "PAGE", "STYLE", "Style",
           "check_display", "in_style", "letter", "page", "plain", "quantity", "symbol"]

Display = Literal["amplitude", "linear", "log", "power-law"]
Style = dict[str, Any]
Draw = TypeVar("Draw", bound=Callable[..., Any])

#: Widths in inches: the text column of NeurIPS, the page of Nature Methods.
COLUMN, PAGE = 5.5, 7.0
#: Dots per inch in notebooks.
SCREEN = 150
#: Matplotlib's settings: sizes in print, fonts as fonts, the same bytes for the same numbers.
STYLE: Any = {"font.size": 8, "axes.titlesize": 8, "axes.labelsize": 8, "xtick.labelsize": 7, "ytick.labelsize": 7,
              "legend.fontsize": 7, "legend.title_fontsize": 7, "legend.frameon": False, "figure.titlesize": 8,
              "lines.linewidth": 1.2, "lines.markersize": 4, "errorbar.capsize": 2, "axes.linewidth": 0.6,
              "xtick.major.width": 0.6, "ytick.major.width": 0.6, "xtick.major.size": 2.5, "ytick.major.size": 2.5,
              "savefig.dpi": 300, "pdf.fonttype": 42, "ps.fonttype": 42, "svg.fonttype": "none",
              "svg.hashsalt": "erfmath"}

COLOURS = "cividis"  # even steps of lightness: reads the same in grey and to the colour blind
GAMMA = 0.25  # of the power law
FLOOR = 1e-6  # of the maximum, where logarithmic displays end
#: Colour, dashes and marker of curves side by side: each differs from the others in lightness, and
#: in dashes and marker too where lightness is all that is left.
LINES: tuple[Style, ...] = (
    dict(color="#12355b", linestyle="-", marker="o"),
    dict(color="#c1440e", linestyle=(0, (5, 2)), marker="s"),
    dict(color="#3f88c5", linestyle=(0, (1, 1.2)), marker="^"),
    dict(color="#e3a018", linestyle=(0, (6, 2, 1, 2)), marker="D"),
    dict(color="#5b8c5a", linestyle=(0, (3, 1)), marker="v"),
    dict(color="#8f5d8f", linestyle=(0, (3, 1, 1, 1, 1, 1)), marker="P"),
    dict(color="#5a5a5a", linestyle=(0, (8, 3)), marker="X"),
    dict(color="#9fb8ad", linestyle="-", marker="<"),
)
#: What each statistic is of the gradient g, and its amplitude.
SYMBOLS = {"power": ("$E[g^2]$", "$E[g^2]^{1/2}$"), "mean": ("$E[g]$", "$|E[g]|$"),
           "amplitude": ("$E[g^2]^{1/2}$", "$E[g^2]^{1/2}$"), "magnitude": ("$E|g|$", "$E|g|$"),
           "relu": (r"$E\,\max(g, 0)$", r"$E\,\max(g, 0)$")}

#: Sizes in words, for axes and legends.
KINDS = {"threshold": "width at 4.55 % of the centre", "half_max": "width at half maximum",
         "std": r"$\sigma$ of $E[g^2]$",
         "mass": "square that holds 95 %", "participation": "participation area"}


def check_display(display: str) -> None:
    """Refuse what is no display."""
    if not isinstance(display, str) or display not in get_args(Display):
        raise ValueError(f"display={quoted(display)}: must be one of {', '.join(get_args(Display))}")


def symbol(statistic: str) -> str:
    """What a map holds, in symbols."""
    return SYMBOLS[statistic][0]


def quantity(statistic: str, display: Display) -> str:
    """What colours or heights show: the words on a colour bar."""
    of, amplitude = SYMBOLS[statistic]
    if display == "amplitude":
        return f"{'RMS gradient' if statistic == 'power' else 'amplitude'} {amplitude} / maximum"
    scale = {"linear": "", "log": ", logarithmic colours", "power-law": f", colours by power {GAMMA:g}"}
    return f"{of} / maximum{scale[display]}"


def plain(text: str, longest: int = 100) -> str:
    """A name as it is, whatever is in it: no formula between dollars, nothing that no font can draw, not endless."""
    text = "".join(c if c.isprintable() or c == "\n" else "?" for c in str(text))
    return (text if len(text) <= longest else f"{text[:longest - 1]}…").replace("$", r"\$")


@functools.cache
def _picture() -> type[Figure]:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure in `STYLE` wherever it is drawn or saved, that notebooks show without being asked to."""

        def draw(self, renderer: Any) -> None:
            with rc_context(STYLE):  # ticks are made while drawing
                super().draw(renderer)

        def savefig(self, *where: Any, **options: Any) -> None:
            with rc_context(STYLE):
                super().savefig(*where, **options)

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=SCREEN)
            return file.getvalue()

    return Picture


def page(width: float, height: float, *, constrained: bool = True) -> Figure:
    """An empty figure in inches, in `STYLE`, that belongs to no window."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        return _picture()(figsize=(width, height), layout="constrained" if constrained else None)


def letter(ax: Any, mark: str) -> None:
    """A bold letter at the upper left corner of a panel."""
    ax.annotate(mark, (0, 1), xycoords="axes fraction", xytext=(-3, 3), textcoords="offset points", ha="right",
                va="bottom", fontsize=9, fontweight="bold")


def in_style(draw: Draw) -> Draw:
    """What a function draws is in `STYLE`, unless it draws into axes that were given as `ax=`."""
    @functools.wraps(draw)
    def drawn(*arguments: Any, **options: Any) -> Any:
        if options.get("ax") is not None:
            return draw(*arguments, **options)
        from matplotlib import rc_context
        with rc_context(STYLE):
            return draw(*arguments, **options)
    return cast("Draw", drawn)
