"""The commands that draw networks: ``measure``, and ``compare`` with the theory."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, Any

import erfmath as em

from . import report, targets
from .networks import dimension, network, said
from .report import Answer

if TYPE_CHECKING:
    from ..comparison import Comparison
    from ..results.measured import MeasuredReceptiveField

__all__ = ["add_compare_options", "add_measure_options", "compare", "measure"]


#: Exit status after Ctrl-C, whatever is printed of what was done.
INTERRUPTED = 130


def add_measure_options(parser: argparse.ArgumentParser) -> None:
    """What both commands take beside the network's options."""
    parser.add_argument("--draws", type=int, metavar="N",
                        help="number of random networks (default: 100; with --until the largest)")
    parser.add_argument("--until", type=float, metavar="E",
                        help="stop when the relative standard error of the std is below E, as 0.02")
    parser.add_argument("--seed", type=int, metavar="N", help="seed of the random numbers")
    parser.add_argument("-j", "--workers", type=int, default=1, metavar="N",
                        help="processes (default: 1); never changes the result")
    parser.add_argument("--checkpoint", metavar="FILE", help="save progress in FILE (.npz), and resume from it")
    parser.add_argument("--width", type=int, default=16, metavar="N",
                        help="channels of layers that leave theirs open (default: 16)")
    parser.add_argument("--channels-in", type=int, metavar="N", help="channels of the input (default: 3)")
    parser.add_argument("--plot", metavar="FILE", help="draw the picture (.png, .pdf, .svg, ...)")


def add_compare_options(parser: argparse.ArgumentParser) -> None:
    """What decides whether theory and measurement agree."""
    parser.add_argument("--tolerance", type=float, default=0.03, metavar="T",
                        help="difference that does not matter (default: 0.03)")
    parser.add_argument("--level", type=float, default=0.01, metavar="P",
                        help="probability of a false agreement (default: 0.01)")


def measure(options: argparse.Namespace) -> Answer:
    """``erfmath measure``: the effective receptive field of one unit, sampled; exit status 130 after Ctrl-C."""
    draw = targets.picture(options.plot)
    targets.archive(options.save)
    targets.archive(options.checkpoint)
    erf = _measured(options)
    values = {"network": options.network, **report.effective(erf), **_sampling(erf)}
    if options.plot:
        draw(em.plotting.plot(erf, title=os.path.basename(options.network)))
    if options.save:
        erf.save(options.save)
    errors = " x ".join(f"{error:.2g}" for error in erf.std_stderr)
    text = (f"{report.text(values)}\ndraws        {erf.draws}, {erf.dead} of them dead"
            f"{', interrupted' if erf.partial else ''}; standard error of the std {errors} px")
    return Answer(values, text, status=INTERRUPTED if erf.partial else 0)


def compare(options: argparse.Namespace) -> Answer:
    """``erfmath compare``: theory against measurement; exit status 1 unless they agree, 130 after Ctrl-C."""
    draw = targets.picture(options.plot)
    targets.archive(options.checkpoint)
    net = network(options)
    theory = em.predict(net, image=options.image, unit=options.unit, node=options.node, source=options.source,
                        statistic=options.statistic, width=options.width,
                        channels_in=options.channels_in, weights=options.weights, ndim=dimension(net, options))
    theory = said(theory, options)
    measured = _measured(options, net)
    comparison = em.compare(theory, measured)
    agrees = comparison.agrees(options.level, options.tolerance)
    if options.plot:
        draw(em.plotting.plot(comparison, title=f"{os.path.basename(options.network)}, {theory.label}"))
    return Answer(_numbers(comparison, options, agrees), comparison.report(options.level, options.tolerance),
                  status=INTERRUPTED if measured.partial else 0 if agrees else 1)


def _measured(options: argparse.Namespace, net: em.Network | None = None) -> MeasuredReceptiveField:
    net = net or network(options)  # which fills in what its source knows
    with report.progress(options, f"measure {options.network}") as bar:
        erf = em.measure(net, image=options.image, unit=options.unit, node=options.node, source=options.source,
                         statistic=options.statistic, draws=options.draws, until=options.until, rng=options.seed,
                         workers=options.workers, checkpoint=options.checkpoint, width=options.width,
                         channels_in=options.channels_in,
                         weights=options.weights, ndim=dimension(net, options), progress=bar)
    return said(erf, options)


def _sampling(erf: MeasuredReceptiveField) -> dict[str, Any]:
    return {"draws": erf.draws, "dead": erf.dead, "partial": erf.partial, "seed": erf.seed,
            "std_stderr": erf.std_stderr}


def _numbers(comparison: Comparison, options: argparse.Namespace, agrees: bool) -> dict[str, Any]:
    measured: Any = comparison.measured
    return {"network": options.network, "agrees": agrees, "level": options.level,
            "tolerance": options.tolerance, "std_theory": comparison.theory.std,
            "std_measured": measured.std, **_sampling(measured),
            "std_ratio": [ratio._asdict() for ratio in comparison.std_ratio],
            "total_ratio": comparison.total_ratio._asdict(), "size_ratio": comparison.size_ratio,
            "total_variation": comparison.total_variation,
            "coarse_variation": comparison.coarse_variation._asdict(),
            "z_rms": comparison.z_rms, "z_max": comparison.z_max,
            "z_bound": comparison.z_bound(options.level), "p_shape": comparison.p_shape,
            "p_total": comparison.p_total}
