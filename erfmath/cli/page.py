"""The command ``report``: everything about one network on one page."""

from __future__ import annotations

import argparse
import os
import shlex

import erfmath as em

from . import report
from .networks import dimension, network
from .report import Answer

__all__ = ["add_page_options", "page"]


def add_page_options(parser: argparse.ArgumentParser) -> None:
    """What is asked of ``report``, beside the network's options."""
    parser.add_argument("--width", type=int, default=16, metavar="N",
                        help="channels of layers that leave theirs open (default: 16)")
    parser.add_argument("--channels-in", type=int, metavar="N", help="channels of the input (default: 3)")
    parser.add_argument("--title", help="heading of the page (default: NET)")


def page(options: argparse.Namespace) -> Answer:
    """``erfmath report``: the page as text, or in JSON."""
    words = ["erfmath report", shlex.quote(options.network)]
    for name in ("image", "unit", "node"):
        value = getattr(options, name)
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words.append(f"--{name}={shlex.quote(text)}")
    net = network(options)
    with report.progress(options, f"report {options.network}") as bar:
        text = em.report(net if options.model is None else options.model, image=options.image, unit=options.unit,
                         node=options.node, width=options.width, channels_in=options.channels_in,
                         ndim=dimension(net, options), weights=options.weights, progress=bar,
                         title=options.title or os.path.basename(options.network), command=" ".join(words))
    return Answer({"network": options.network, "html": text}, text)
