"""What each command does with its options."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator
from typing import Any

import erfmath as em

from ..base.errors import quoted
from ..base.tables import text_table
from ..bench import BENCHMARKS, run
from ..networks.trf import default_unit, summary
from . import report, targets
from .networks import dimension, network, said, stored_images
from .report import Answer

__all__ = ["bench", "predict", "receptive_field", "zoo_names"]


def receptive_field(options: argparse.Namespace) -> Answer:
    """``erfmath receptive-field``: a table of all nodes, and the window of one unit."""
    net = network(options)
    ndim = dimension(net, options)
    field = em.receptive_field(net, image=options.image, node=options.node, source=options.source, ndim=ndim)
    shapes = {} if field.image is None else net.shapes(field.image, ndim)
    unit = default_unit(shapes.get(field.node), ndim, options.unit)
    fields = em.receptive_fields(net, image=options.image, source=options.source, ndim=ndim)
    nodes = [{"node": node.name, "op": node.layer.op, "inputs": node.inputs, "shape": shapes.get(node.name),
              **report.field(fields[node.name])} for node in net.nodes if node.name in fields]
    values = {"network": options.network, "image": field.image, "nodes": nodes, "unit": unit, "node": field.node,
              **report.window(field, unit)}
    columns = ("node", "op", "size", "stride", "padding")
    rows = [columns, *([x if isinstance(x, str) else "" if x is None else " x ".join(map(str, x))
                        for x in map(node.get, columns)] for node in nodes)]
    text = summary(net, options.image, ndim, options.source)
    return Answer(values, f"{text}\n\n{report.window_line(field, unit)}", rows)


def predict(options: argparse.Namespace) -> Answer:
    """``erfmath predict``: the effective receptive field of one unit, from theory."""
    net = network(options)
    ndim = dimension(net, options)
    draw = targets.picture(options.plot)
    targets.archive(options.save)
    with report.progress(options, f"predict {options.network}") as bar:
        erf = em.predict(net, image=options.image, unit=options.unit, node=options.node, source=options.source,
                         statistic=options.statistic, method=options.method, width=options.width,
                         channels_in=options.channels_in, weights=options.weights, ndim=ndim, progress=bar,
                         **_through_gates(options))
        erf = said(erf, options)
        values = {"network": options.network, **report.effective(erf)}
        if options.plot:
            draw(em.plotting.plot(erf, display=options.display, title=os.path.basename(options.network)))
    if options.save:
        erf.save(options.save)
    return Answer(values, report.text(values))


def _through_gates(options: argparse.Namespace) -> dict[str, Any]:
    """What ``predict --gates`` takes beside the weights."""
    if options.gates == "taps":
        if options.images is not None:
            raise ValueError("--images: are used for gates only; give --gates, as --gates layers")
        return {}
    if not options.weights:
        raise ValueError(f"--gates {options.gates}: is for given weights; give --weights FILE")
    images = None if options.images is None else stored_images(options.images)
    return {"gates": options.gates, "images": images, "draws": options.draws, "rng": options.seed}


#: Benchmarks that say how far they are.
LONG = ("accuracy", "fields", "readers", "survey")


def bench(options: argparse.Namespace) -> Iterator[Answer]:
    """``erfmath bench``: the tables of the benchmarks asked for."""
    for name in options.names:
        if name not in BENCHMARKS:
            raise ValueError(f"no benchmark is called {quoted(name)}; there are {', '.join(BENCHMARKS)}")
    if options.plot:
        if options.names != ["walk"]:
            raise ValueError("--plot: draws how the cost of walks grows; use erfmath bench walk --plot FILE")
        draw = targets.picture(options.plot)
        from ..bench.walk import picture
        with report.progress(options, "bench walk"):
            draw(picture(quick=options.quick))
        return
    given = {key: value for key in ("models", "onnx", "results", "seconds") if (value := getattr(options, key))}
    if given and options.names != ["readers"] and not (set(given) == {"results"} and options.names[1:] == []
                                                       and options.names[:1] in (["accuracy"], ["fields"], ["survey"])):
        raise ValueError(f"--{next(iter(given))}: is for the models that are read; use erfmath bench readers"
                         f"{', accuracy, fields or survey' * ('results' in given)}")
    for name in options.names or BENCHMARKS:
        with report.progress(options, f"bench {name}") as progress:
            table = run(name, quick=options.quick, **given, **({"progress": progress} if name in LONG else {}))
        yield Answer({"benchmark": name, **vars(table)}, str(table), [table.header, *table.rows])


def zoo_names(options: argparse.Namespace) -> Answer:
    """``erfmath zoo``: all named networks and their theoretical receptive fields."""
    fields = {name: (len(net := em.zoo.build(name)), em.receptive_field(net, gates=False)) for name in em.zoo.names()}
    rows = [("name", "nodes", "TRF", "stride", "padding"), *(
        (name, nodes, *map(_per_axis, (field.size, field.stride, field.padding)))
        for name, (nodes, field) in fields.items())]
    values = {"networks": [{"name": name, "nodes": nodes, **report.field(field)}
                           for name, (nodes, field) in fields.items()]}
    return Answer(values, "Named networks: theoretical receptive fields in input pixels, per axis\n"
                  f"{text_table(rows, 'lr')}\nwhole: the whole image; padding ?: depends on its size; "
                  "without squeeze-and-excite", rows)


def _per_axis(values: tuple[Any, ...] | None) -> str:
    if values is None:
        return "?"
    words = ["whole" if value == math.inf else str(value) for value in values]
    return words[0] if len(set(words)) == 1 else " x ".join(words)
