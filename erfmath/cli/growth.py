"""The command ``growth``: how sizes grow with depth, kernel size, dilation or the place of a stride."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import erfmath as em

from ..base.checks import integer
from ..base.errors import quoted
from . import report, targets
from .report import Answer

__all__ = ["add_growth_options", "growth"]


#: Pixels along an axis that the deepest of the chains may see: minutes of work lie beyond.
WIDEST = 2**18


class _Varied(NamedTuple):
    """What is varied: the words for it, and which of a chain's numbers it is."""

    words: str
    number: str


VARIED = {"depths": _Varied("layers", "depth"), "kernels": _Varied("kernel size", "kernel"),
          "dilations": _Varied("dilation", "dilation"), "stride_places": _Varied("layer with stride 2", "place")}


def add_growth_options(parser: argparse.ArgumentParser) -> None:
    """One of the numbers of a chain over a range, the others fixed."""
    varied = parser.add_mutually_exclusive_group(required=True)
    for name, what in (("depths", "numbers of layers"), ("kernels", "kernel sizes"), ("dilations", "dilations"),
                       ("stride_places", "layers that have stride 2")):
        varied.add_argument(f"--{name.replace('_', '-')}", type=_range, metavar="A:B[:STEP]",
                            help=f"{what}, both ends included")
    parser.add_argument("--depth", type=int, default=20, metavar="N", help="layers (default: 20)")
    parser.add_argument("--kernel", type=int, default=3, metavar="K", help="kernel size (default: 3)")
    parser.add_argument("--dilation", type=int, default=1, metavar="D", help="dilation (default: 1)")
    parser.add_argument("--every", type=int, metavar="M", help="stride 2 in every M-th layer (default: no strides)")
    parser.add_argument("--weights", choices=("random", "ones"), default="random",
                        help="zero-mean random weights, or all ones (default: random)")
    parser.add_argument("--kinds", default="threshold,std", metavar="KIND,...",
                        help="sizes, as of size() (default: threshold,std)")
    parser.add_argument("--plot", metavar="FILE",
                        help="draw sizes and ratios, with fits and closed forms (.png, .pdf, ...)")


def _range(text: str) -> list[int]:
    try:
        first, last, *step = (int(part) for part in text.split(":"))
        values = list(range(first, last + 1, *step))
    except (ValueError, TypeError):
        raise argparse.ArgumentTypeError(f"{quoted(text)}: must be A:B or A:B:STEP, as 5:200") from None
    if len(values) < 3 or values[0] < 1:
        raise argparse.ArgumentTypeError(f"{quoted(text)}: must hold at least three values, from 1 on")
    return values


def growth(options: argparse.Namespace) -> Answer:
    """``erfmath growth``: the table of one family of chains, and its power laws."""
    name = next(name for name in VARIED if getattr(options, name) is not None)
    values: list[int] = getattr(options, name)
    for number in ("depth", "every"):
        if getattr(options, number) is not None:
            integer(getattr(options, number), number, 1)
    draw = targets.picture(options.plot)
    make = _maker(options, VARIED[name].number)
    seen = max(em.receptive_field(make(value)).size[0] for value in (values[0], values[-1]))
    if seen > WIDEST:
        raise ValueError(f"--{name.replace('_', '-')}: units of the largest of these networks see {seen:,} pixels "
                         f"along an axis, more than {WIDEST:,}; take a smaller range, or fewer strides")
    with report.progress(options, "growth") as progress:
        over = em.growth(make, values, kinds=options.kinds.split(","), parameter=VARIED[name].words, progress=progress)
        if options.plot:
            draw(em.plotting.plot_growth(over))
    columns = {over.parameter: over.values, "TRF": over.trf, **over.sizes}
    return Answer(_plain(over), str(over), [tuple(columns), *zip(*(list(column) for column in columns.values()))])


def _maker(options: argparse.Namespace, number: str) -> Callable[[Any], em.Network]:
    """From a value to a chain."""
    fixed = {"depth": options.depth, "kernel": options.kernel, "dilation": options.dilation, "place": 0}
    weights = em.Random() if options.weights == "random" else em.Constant()

    def make(value: int) -> em.Network:
        of = {**fixed, number: value}
        if of["place"] > of["depth"]:
            raise ValueError(f"--stride-places: layer {of['place']} of {of['depth']}; give --depth more layers")
        layers = {stride: em.Conv(of["kernel"], dilation=of["dilation"], stride=stride, padding="same",
                                  weights=weights) for stride in (1, 2)}
        strided = [layer == of["place"] or bool(options.every) and layer % options.every == 0
                   for layer in range(1, of["depth"] + 1)]
        return em.serial(*(layers[1 + here] for here in strided))
    return make


def _plain(over: Any) -> dict[str, Any]:
    laws = {kind: {"size": over.fit(kind)._asdict(), "ratio": over.fit(kind, ratio=True)._asdict()}
            if size.min() > 0 else None for kind, size in over.sizes.items()}
    return {"parameter": over.parameter, "values": over.values, "trf": over.trf, "sizes": over.sizes,
            "closed_form": over.asymptote, "ratios": {kind: over.ratio(kind) for kind in over.sizes},
            "local_exponents": {kind: over.local_exponent(kind) for kind in over.sizes},
            "power_laws": laws, "crossover": over.crossover}
