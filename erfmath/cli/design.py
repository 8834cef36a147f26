"""The commands ``design``, ``size-map`` and ``tiles``: answers for a network of one's own, or for a target."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from typing import Any

import erfmath as em

from ..base.checks import integer, real
from ..base.errors import quoted
from . import report, targets
from .networks import dimension, network
from .report import Answer

__all__ = ["add_design_options", "add_new_options", "add_tiles_options", "design", "new", "size_map", "tiles"]

#: Answers of `border_layers` beside those of `layer_shares`, in words.
BORDER = (("beyond_trf", "TRF exceeds"), ("beyond_erf", "square that encloses 95 % of the ERF exceeds"))


def add_design_options(parser: argparse.ArgumentParser) -> None:
    """What is asked of ``design``, beside the network's options."""
    parser.add_argument("--kind", metavar="KIND", help="what is to grow: std, threshold, mass, ... (default: std)")
    parser.add_argument("--top", type=int, metavar="N", help="rows to print (default: 20)")
    parser.add_argument("--plot", metavar="FILE", help="draw before and after (.png, .pdf, .svg, ...)")
    parser.add_argument("--layers", action="store_true",
                        help="instead: contribution and cost of each layer")
    target = parser.add_argument_group("instead of NET, new networks for a target size, as erfmath new")
    target.add_argument("--target", type=float, metavar="SIZE", help="size of the ERF to reach, in input pixels")
    _add_limits(target)


def add_new_options(parser: argparse.ArgumentParser) -> None:
    """Of ``new``: the size, and what networks may cost."""
    parser.add_argument("target", type=float, metavar="SIZE", help="size of the ERF to reach, in input pixels")
    parser.add_argument("--kind", metavar="KIND", help="which size: std, threshold, mass, ... (default: std)")
    parser.add_argument("--image", type=int, metavar="N", help="size in pixels, for the costs (default: 224)")
    parser.add_argument("--top", type=int, metavar="N", help="rows to print (default: 20)")
    _add_limits(parser)


def _add_limits(target: Any) -> None:
    """Of new networks: what they may cost."""
    target.add_argument("--max-depth", type=int, metavar="N", help="convolutions (default: 32)")
    target.add_argument("--max-multiply-adds", type=float, metavar="N", help="for one image, as 5e9")
    target.add_argument("--max-parameters", type=float, metavar="N", help="as 1e7")
    target.add_argument("--width", type=int, metavar="N",
                        help="channels of the first stage, doubled with each stride (default: 64)")


def add_tiles_options(parser: argparse.ArgumentParser) -> None:
    """Of ``tiles``: the error that is allowed."""
    parser.add_argument("--error", type=float, default=0.01, metavar="E",
                        help="fraction of a kept unit's power that may be lost (default: 0.01)")


def design(options: argparse.Namespace) -> Answer:
    """``erfmath design``: what would widen the ERF, or networks whose ERF has a target size."""
    if (options.network is None) == (options.target is None):
        raise ValueError("design: needs a network to change, or --target SIZE for a new one, and not both")
    _refuse(options, ("unit", "node", "ndim", "plot", "layers") if options.target is not None else
            ("max_depth", "max_multiply_adds", "max_parameters", "width") + ("kind", "top") * options.layers)
    options.kind = options.kind or "std"
    options.top = 20 if options.top is None else integer(options.top, "top", 1)
    if options.target is not None:
        return _new(options)
    net = network(options)
    about = {"image": options.image, "unit": options.unit, "node": options.node, "ndim": dimension(net, options)}
    draw = targets.picture(options.plot)
    if options.layers:
        with report.progress(options, f"design {options.network}") as progress:
            shares = em.layer_shares(net, progress=progress, **about)
            border = _border(net, options, about["ndim"])
            if options.plot:
                from ..plotting.design import plot_layer_shares
                draw(plot_layer_shares(shares, title=options.network))
        return Answer({**_shares(shares), **border}, "\n".join([str(shares), *(
            f"first layer whose {words} the image: {border[key] or 'none'}" for key, words in BORDER if border)]))
    with report.progress(options, f"design {options.network}") as progress:
        found = em.remedies(net, kind=options.kind, progress=progress, **about)
        if options.plot:
            from ..plotting.design import plot_remedies
            draw(plot_remedies(found, title=f"{options.network}, {found.now.erf.node}"))
    return Answer(_remedies(found, options.top), found.table(options.top))


def new(options: argparse.Namespace) -> Answer:
    """``erfmath new``: networks whose ERF reaches a size, within limits on depth and cost."""
    options.kind = options.kind or "std"
    options.top = 20 if options.top is None else integer(options.top, "top", 1)
    return _new(options)


def _refuse(options: argparse.Namespace, names: Sequence[str]) -> None:
    """Options that would change nothing are a misunderstanding."""
    asked = "--target" if options.target is not None else "--layers" if options.layers else "NET"
    for name in names:
        if getattr(options, name) not in (None, False):
            raise ValueError(f"design: --{name.replace('_', '-')} does not go with {asked}")


def _new(options: argparse.Namespace) -> Answer:
    image = options.image
    if isinstance(image, tuple):
        raise ValueError(f"image={quoted(image)}: must be one number, for the costs")
    limits = {name: None if value is None else int(real(value, f"max_{name}")) for name, value in
              (("multiply_adds", options.max_multiply_adds), ("parameters", options.max_parameters))}
    with report.progress(options, "new"):
        found = em.design(options.target, kind=options.kind,
                          budget=em.Budget(depth=32 if options.max_depth is None else options.max_depth, **limits),
                          choices=em.Choices(width=64 if options.width is None else options.width),
                          image=224 if image is None else image)
    keys = ("kind", "kernel_size", "dilations", "stages", "size", "std", "trf", "stride", "depth",
            "multiply_adds", "parameters", "checkerboard")
    rows = [{**{key: getattr(one, key) for key in keys}, "network": one.net.to_dict()} for one in found[:options.top]]
    more = f"\n({options.top} of {len(found)} networks)" if len(found) > options.top else ""
    return Answer({"target": options.target, "designs": rows}, f"{type(found)(found[:options.top])}{more}")


def size_map(options: argparse.Namespace) -> Answer:
    """``erfmath size-map``: size and centre of the field of every unit of a map."""
    net = network(options)
    draw = targets.picture(options.plot)
    with report.progress(options, f"size-map {options.network}") as progress:
        sizes = em.erf_size_map(net, options.image, node=options.node, kind=options.kind,
                                ndim=dimension(net, options), progress=progress)
        if options.plot:
            from ..plotting.design import plot_size_map
            draw(plot_size_map(sizes, title=options.network))
    middle = tuple(n // 2 for n in sizes.size.shape)
    corner = (0,) * len(middle)
    lines = [f"{options.network}: units {report.point(sizes.size.shape, ' x ')} of {sizes.node}, image "
             f"{report.point(sizes.image, ' x ')}"]
    for words, unit in (("middle", middle), ("corner", corner)):
        place = (slice(None), *unit)
        lines.append(f"{words} unit {report.point(unit)}: " + (
            f"{sizes.kind} {report.number(sizes.size[unit])} px, centroid {report.point(sizes.centroid[place])}"
            if sizes.part[unit] else "sees nothing") + f", TRF centre {report.point(sizes.center[place])}")
    seen = sizes.size[sizes.part != 0]
    if len(seen):
        lines.append(f"{sizes.kind} from {report.number(seen.min())} to {report.number(seen.max())} px, mean "
                     f"{report.number(seen.mean())} px")
    if sizes.blind:
        lines.append(f"{sizes.blind} of {sizes.size.size} units see nothing")
    values = {"network": options.network, "node": sizes.node, "image": sizes.image, "kind": sizes.kind,
              "size": sizes.size, "std": sizes.std, "centroid": sizes.centroid, "center": sizes.center}
    with contextlib.suppress(OverflowError):  # beyond the range of floats
        values["total"] = sizes.total
    return Answer(values, "\n".join(lines))


def tiles(options: argparse.Namespace) -> Answer:
    """``erfmath tiles``: the context that tiles need."""
    net = network(options)
    with report.progress(options, f"tiles {options.network}"):
        found = em.tile_halo(net, options.error, image=options.image, node=options.node, ndim=dimension(net, options))
    return Answer({"network": options.network, **vars(found)}, str(found))


def _shares(shares: Any) -> dict[str, Any]:
    return {"node": shares.trf.node, "variance": shares.variance, "exact": shares.exact,
            "layers": [vars(row) for row in shares.layers]}


def _border(net: em.Network, options: argparse.Namespace, ndim: int) -> dict[str, str | None]:
    """The first layers that see more than the image."""
    if options.image is None:
        return {}
    rows = em.border_layers(net, options.image, ndim=ndim)
    return {key: next((row.node for row in rows if getattr(row, key)), None) for key, _ in BORDER}


def _remedies(found: Any, top: int) -> dict[str, Any]:
    keys = ("kind", "what", "size", "std", "gain", "multiply_adds", "parameters", "cost", "trf", "holes",
            "checkerboard", "pattern", "period", "gridding")
    return {"kind": found.kind, "now": {key: getattr(found.now, key) for key in keys},
            "changes": [{**{key: getattr(row, key) for key in keys}, "network": row.net.to_dict()}
                        for row in found.changes[:top]],
            "refused": [{"what": what, "why": why} for what, why in found.refused]}
