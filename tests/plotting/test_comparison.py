"""Pictures of theory beside measurement."""

from __future__ import annotations

import pytest
from drawn import MEASURED, THEORY, draw
from helpers import suptitle
from matplotlib.figure import Figure

import erfmath as em
from erfmath.plotting import plot


def test_a_comparison_is_drawn_as_its_own_module_does() -> None:
    comparison = em.compare(THEORY, MEASURED)
    figure = plot(comparison, title="four layers")
    assert len(figure.axes) == len(comparison.plot().axes)
    assert suptitle(figure) == "four layers"
    draw(figure)
    ax = Figure().add_subplot()
    plot(comparison, ax=ax, display="log")
    assert {text.get_text() for text in ax.get_legend().get_texts()} >= set(comparison.names)
    with pytest.raises(ValueError, match="display='log': the maps of a comparison"):
        plot(comparison, display="log")
