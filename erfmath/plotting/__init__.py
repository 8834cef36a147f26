"""Pictures of effective receptive fields: what results know, drawn.

=================  ============================================================================
`plot`             one result (map, TRF, ellipse, marginals), or a comparison of two
`side_by_side`     several results on one scale of pixels, with objects to be seen
`plot_profiles`    several results along one axis, in one set of axes
`plot_growth`      sizes against depth or any other number, log-log, with fitted slopes
`show_map`         the colours alone, for panels of one's own
=================  ============================================================================

All return a Matplotlib figure that belongs to no window; nothing is ever shown, and no number
depends on a display: it changes colours only, and the picture says which one it is.
"""

from __future__ import annotations

from .growth import plot_growth
from .maps import plot, show_map, side_by_side
from .profiles import plot_profiles
from .style import COLOURS, FLOOR, GAMMA, LINES, Display

__all__ = ["COLOURS", "Display", "FLOOR", "GAMMA", "LINES", "plot", "plot_growth", "plot_profiles", "show_map",
           "side_by_side"]
__dir__ = __all__.copy  # tab completion offers public names only
