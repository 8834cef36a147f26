"""What the tests of pictures share: a field to draw, and what was drawn."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure

import erfmath as em

# Nothing about this one is symmetric: axes of different extent, a unit near a corner.
NET = em.serial(em.Conv((3, 7), stride=(1, 2)), em.Conv((5, 3)), em.repeat(em.Conv(3), 3))
ERF = em.predict(NET, image=(20, 48), unit=(4, 5))
SMALL = em.repeat(em.Conv(3), 4)
THEORY, MEASURED = em.predict(SMALL), em.measure(SMALL, draws=20, rng=0)


def draw(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()


def lines(ax) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_xydata() for line in ax.get_lines()}
