"""What all pictures share: colours, the displays and their names."""

from __future__ import annotations

from typing import Any, Literal, get_args

__all__ = ["COLOURS", "Display", "FLOOR", "GAMMA", "LINES", "Style", "check_display", "quantity"]

Display = Literal["amplitude", "linear", "log", "power-law"]
Style = dict[str, Any]

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


def check_display(display: str) -> None:
    """Refuse what is no display."""
    if display not in get_args(Display):
        raise ValueError(f"display={display!r}: must be one of {', '.join(get_args(Display))}")


def quantity(statistic: str, display: Display) -> str:
    """What colours or heights stand for: the words on a colour bar."""
    power = statistic == "power"
    symbol = r"$E[g^2]$" if power else r"$E[g]$"
    if display == "amplitude":
        return f"amplitude {'$E[g^2]^{1/2}$' if power else '$|E[g]|$'} / maximum"
    scale = {"linear": "", "log": ", logarithmic colours",
             "power-law": f", colours by power {GAMMA:g}"}
    return f"{statistic} {symbol} / maximum{scale[display]}"
