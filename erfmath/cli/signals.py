"""The command ``signals``: moments of values and power of gradients at every node."""

from __future__ import annotations

import argparse
import os

import erfmath as em

from . import report, targets
from .networks import dimension, network
from .report import Answer

__all__ = ["add_signals_options", "signals"]


def add_signals_options(parser: argparse.ArgumentParser) -> None:
    """What is asked of ``signals``, beside the network's options."""
    parser.add_argument("--width", type=int, default=16, metavar="N",
                        help="channels of layers that leave theirs open (default: 16)")
    parser.add_argument("--channels-in", type=int, metavar="N", help="channels of the input (default: 3)")
    parser.add_argument("--plot", metavar="FILE", help="draw moments and gradients (.png, .pdf, .svg, ...)")


def signals(options: argparse.Namespace) -> Answer:
    """``erfmath signals``: the table, as JSON, as a picture."""
    net = network(options)
    draw = targets.picture(options.plot)
    with report.progress(options, f"signals {options.network}"):
        found = em.signals(net, image=options.image, unit=options.unit, node=options.node, width=options.width,
                           channels_in=options.channels_in, weights=options.weights, ndim=dimension(net, options))
        if options.plot:
            from ..plotting.signals import plot_signals
            draw(plot_signals(found, title=os.path.basename(options.network)))
    return Answer({"network": options.network, **found.to_dict()}, str(found))
