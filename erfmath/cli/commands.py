"""What each command does with its options."""

from __future__ import annotations

import argparse
import os
from typing import Any

import erfmath as em

from ..base.progress import Progress
from ..bench import BENCHMARKS, Table, run
from ..networks.trf import default_unit
from . import report, targets

__all__ = ["bench", "predict", "receptive_field", "zoo_names"]


def receptive_field(options: argparse.Namespace) -> None:
    """``erfmath receptive-field``: a table of all nodes, and the window of one unit."""
    net = network(options.network)
    ndim = dimension(net, options)
    field = em.receptive_field(net, image=options.image, node=options.node, ndim=ndim)
    shapes = {} if field.image is None else net.shapes(field.image, ndim)
    unit = default_unit(shapes.get(field.node), ndim, options.unit)
    if options.json:
        fields = em.receptive_fields(net, image=options.image, ndim=ndim)
        print(report.to_json({
            "network": options.network, "image": field.image,
            "nodes": [{"node": node.name, "op": node.layer.op, "inputs": node.inputs,
                       "shape": shapes.get(node.name), **report.field(fields[node.name])}
                      for node in net.nodes],
            "unit": unit, "node": field.node, **report.window(field, unit)}))
    else:
        print(net.summary(image=options.image, ndim=ndim))
        print(f"\n{report.window_line(field, unit)}")


def predict(options: argparse.Namespace) -> None:
    """``erfmath predict``: the effective receptive field of one unit, from theory."""
    net = network(options.network)
    ndim = dimension(net, options)
    draw = targets.picture(options.plot)
    targets.archive(options.save)
    with Progress(f"predict {options.network}"):
        erf = em.predict(net, image=options.image, unit=options.unit, node=options.node,
                         statistic=options.statistic, method=options.method, width=options.width,
                         channels_in=options.channels_in, ndim=ndim)
        values = {"network": options.network, **report.effective(erf)}
        if options.plot:
            draw(em.plotting.plot(erf, display=options.display, title=os.path.basename(options.network)))
    if options.save:
        erf.save(options.save)
    print(report.to_json(values) if options.json else report.text(values))


def bench(options: argparse.Namespace) -> None:
    """``erfmath bench``: the tables of the benchmarks asked for."""
    for name in options.names:
        if name not in BENCHMARKS:
            raise ValueError(f"no benchmark is called {name!r}; there are {', '.join(BENCHMARKS)}")
    if options.plot:
        if options.names != ["walk"]:
            raise ValueError("--plot: draws how the cost of walks grows; use erfmath bench walk --plot FILE")
        draw = targets.picture(options.plot)
        from ..bench.walk import picture
        with Progress("bench walk"):
            draw(picture(quick=options.quick))
        return
    for name in options.names or BENCHMARKS:
        with Progress(f"bench {name}"):
            table = run(name, quick=options.quick)
        print(table, end="\n\n", flush=True)


def zoo_names(options: argparse.Namespace) -> None:
    """``erfmath zoo``: all named networks and their theoretical receptive fields."""
    rows = []
    for name in em.zoo.names():
        net = em.zoo.build(name)
        field = em.receptive_field(net)
        rows.append((name, len(net), field.size[0], field.stride[0],
                     "?" if field.padding is None else field.padding[0]))
    print(Table("Named networks: theoretical receptive fields in input pixels, per axis",
                ("name", "nodes", "TRF", "stride", "padding"), tuple(rows),
                ("padding ?: depends on the size of the image",)))


# ---------------------------------------------------------------------------------------------
# options that mean more than they say
# ---------------------------------------------------------------------------------------------

def network(text: str) -> em.Network:
    """The network of a JSON file, or the one of the zoo that bears this name."""
    if text.endswith(".json") or os.path.sep in text or os.path.isfile(text):
        return em.load(text)
    return em.zoo.build(text)


def dimension(net: em.Network, options: argparse.Namespace) -> int:
    """The one dimension that the network and the options agree on."""
    named = {"the network": net.ndim, "--ndim": options.ndim,
             "--image": _length(options.image), "--unit": _length(options.unit)}
    fixed = {name: ndim for name, ndim in named.items() if ndim is not None}
    if len(set(fixed.values())) > 1:
        raise ValueError("dimensions differ: " + ", ".join(f"{name} has {ndim}" for name, ndim in fixed.items()))
    return net.dimension(next(iter(fixed.values()), 2))


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, tuple) else None
