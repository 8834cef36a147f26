"""Pictures of signals show the numbers of the table."""

from __future__ import annotations

import io

import numpy as np
import pytest
from helpers import ROUNDING, assert_close

import erfmath as em
from erfmath.plotting.signals import NAMES, plot_signals


def test_plot_signals_draws_the_table() -> None:
    rows = em.signals(em.serial(em.Conv(3), em.Activation("relu"), em.residual(em.Conv(3))), image=8)
    figure = plot_signals(rows, title="net")
    upper, lower = figure.axes
    drawn = [np.asarray(line.get_ydata(), dtype=float) for ax in (upper, lower) for line in ax.get_lines()]
    for line, expected in zip(drawn, ([row.second for row in rows], [row.shared for row in rows],
                                      [row.mean**2 for row in rows], [row.arriving for row in rows],
                                      [row.passing for row in rows])):
        assert_close(line, np.array(expected, dtype=float), ROUNDING)
    assert lower.get_yscale() == "log"
    assert [label.get_text() for label in lower.get_xticklabels()] == [row.node for row in rows]


def test_plot_signals_names_some_of_many_nodes() -> None:
    figure = plot_signals(em.signals(em.repeat(em.Conv(3), 3 * NAMES)))
    assert 0 < len(figure.axes[1].get_xticklabels()) <= NAMES


@pytest.mark.parametrize("name", ["a\ud800", "$x^$", "b\x00", "x" * 5000])
def test_any_name_can_be_drawn(name: str) -> None:
    net = em.Network.from_dict({"format": "erfmath-network", "version": 1, "output": name, "nodes": [
        {"name": name, "op": "conv", "kernel_size": 3, "inputs": ["input"]}]})
    figure = plot_signals(em.signals(net, image=8), title=name)
    figure.savefig(io.BytesIO())
    labels = [label.get_text() for label in figure.axes[1].get_xticklabels()]
    assert all(len(label) <= 30 for label in labels)
