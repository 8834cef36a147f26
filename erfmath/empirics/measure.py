"""Measured effective receptive fields: an ensemble of networks, each back-propagated from one unit."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..base.checks import choice, hinted, integer, is_sequence, real
from ..base.errors import check_bytes, quoted
from ..base.progress import shown
from ..layers.geometry import Box
from ..networks.images import NaturalImages
from ..networks.network import Network
from ..networks.settings import RunSettings
from ..results.measured import MeasuredReceptiveField
from ..results.statistics import Moments
from .checkpoint import Checkpoint, Saved
from .parallel import Workers, in_order
from .plan import Chunk, Plan, fingerprint, make_plan
from .sampling import seed_entropy

__all__ = ["check_images", "measure"]

#: Draws where none are asked for, and the most there will be where a precision is.
DRAWS, MOST_DRAWS = 100, 100_000
#: A width's standard error is not believed before this many draws.
LEAST_DRAWS = 30


@hinted(seed="rng", size="image", input_size="image", input_shape="image", shape="image", samples="draws",
        n_samples="draws", n="draws", layer="node", channels="width", in_channels="channels_in", n_jobs="workers",
        position="unit", dim="ndim")
def measure(net: Network, *, image: Any = None, unit: Any = None, node: str | None = None, source: str | None = None,
            statistic: str | None = None, draws: int | Sequence[int] | None = None, width: int = 16,
            channels_in: int = 3, rng: Any = None, workers: Workers = 1,
            progress: bool | Callable[[int, int], Any] | None = None, ndim: int = 2,
            normalise: str | None = None, until: float | None = None,
            checkpoint: str | os.PathLike[str] | None = None, weights: Mapping[str, Any] | None = None,
            images: Any = None, channel: int | None = None, batch: int | None = None,
            dtype: str | None = None) -> Any:
    """The effective receptive field of a unit, sampled: draw weights and inputs, run, back-propagate.

    Parameters
    ----------
    net : Network
        The network.
    image, unit, node : optional
        As in `predict`.
    source : str, optional
        The node on whose map the field is, instead of the input: E[g^2] and the others are then summed
        over that node's channels, and pixels are its sites.
    statistic : {"power", "mean", "amplitude", "magnitude", "relu"}, optional
        E[g^2], E[g], the root of E[g^2], E abs(g), or E max(g, 0), summed over input channels.  The
        unit's gradient is independent N(0, 1/C) on each of its C channels; for "mean" 1/C on each;
        for "relu" 1/C where the unit is positive, as the large-kernel papers have it.  By default
        "mean" if all weights between the input and the unit are deterministic and none are given, else "power".
    draws : int or sequence of int, optional
        Networks to draw (default 100); several numbers give running estimates, a list of results.
        With `until` the most there will be (default 100 000).
    width, channels_in : int
        As in `predict`.
    rng : int, Generator or None
        Draw i uses the i-th child of one SeedSequence: results do not depend on `workers`.
    workers : int or callable
        Number of processes, or a map-like callable such as an executor's `map`; each works on one
        thread of BLAS.
    progress : bool or callable
        True shows a bar on stderr; a callable gets (done, total).
    ndim : int
        As in `predict`.
    normalise : {"draw"}, optional
        Divide each draw's map by its sum first: another statistic, not an approximation of E[g^2].
    until : float, optional
        Stop as soon as the relative standard error of every axis's std is below this.  This is looked at
        after 30 draws, 90, 210, ..., and first of all in the checkpoint.
    checkpoint : path, optional
        File that keeps what is done; the same call goes on from there, with the same bits as without a
        stop.  One run at a time works on it.
    weights : mapping, optional
        Given arrays by node: kernels ``(out, in / groups, *k)``, transposed ``(in, out / groups, *k)``, by
        "node.bias" biases; for batch norms (4, channels): scale, shift, mean, variance (with a framework's
        epsilon added); for other norms (2, channels): scale and shift, or gamma and beta; RMS norms and PReLU
        have (channels,).  Other nodes are drawn.
    images : ndarray or NaturalImages, optional
        Inputs ``(N, channels, *space)`` instead of white noise, taken in turn.  If all weights are given
        each image is a draw, and no image is used twice.  Of `natural_images` each draw gets new ones.
    channel : int, optional
        One channel of the unit, with a gradient of 1, instead of all.
    batch : int, optional
        Inputs per draw from which batch norms take their statistics (default 8); the gradient is
        that of the first.
    dtype : {"float32", "float64"}, optional
        By default float64 if nothing is random, else float32.

    Returns
    -------
    MeasuredReceptiveField
        An `EffectiveReceptiveField` with `stderr`, `std_stderr`, `share_stderr`, `draws`, `dead`,
        `partial`; a list of them for several `draws`.

    Raises
    ------
    ValueError
        For arguments that do not fit the network or each other.
    SizeError
        Where one draw would not fit in memory.
    OSError
        If the checkpoint cannot be written, or another run works on it.

    See Also
    --------
    predict : Effective receptive field, from theory.
    compare : Test whether two results agree.

    Notes
    -----
    Batch norms are frozen at the statistics of the batch, as at inference with statistics set from
    it, unless their mode is "batch"; gradients pass through the statistics of other norms.  On the
    infinite plane they are taken from a patch (8 sites per axis with a batch, else 1024 in all) and
    frozen.  Dropout is active.  Ctrl-C returns what is done, marked `partial`.

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.measure(em.repeat(em.Conv(3), 4), draws=200, rng=0)
    >>> erf.draws, erf.shape, bool(abs(erf.std[0] - (4 * 2 / 3)**.5) < 4 * erf.std_stderr[0])
    (200, (9, 9), True)
    """
    if not (images is None or isinstance(images, NaturalImages)):
        images = check_images(images)
        image = images.shape[2:] if image is None else image
        channels_in = images.shape[1]
    settings = RunSettings.of(net, image=image, unit=unit, node=node, source=source, width=width,
                              channels_in=channels_in, ndim=ndim, weights=weights)
    trf, unit = settings.receptive_field(net), settings.unit_of(net)
    if isinstance(images, np.ndarray) and images.shape[2:] != settings.image:
        raise ValueError(f"images: of shape {images.shape[2:]}, image={quoted(settings.image)}")
    if normalise is not None:
        choice(normalise, "normalise", ("draw",))
    if statistic is None:
        statistic = settings.default_statistic(net)
    entropy = seed_entropy(rng)
    lo, hi = trf.window(unit) if trf.image is None else ((0,) * trf.ndim, tuple(n - 1 for n in trf.image))
    plan = make_plan(net, settings, window=Box(lo, hi), statistic=statistic, entropy=entropy,
                     normalise=normalise is not None, images=images, channel=channel, batch=batch, dtype=dtype)
    stops = _stops(plan, draws, until)
    facts: dict[str, Any] = {"origin": lo, "shape": tuple(b - a + 1 for a, b in zip(lo, hi)), "unit": unit, "trf": trf,
                             "image": trf.image, "statistic": statistic, "sampled": not plan.exact,
                             "method": "measured" + (", each draw normalised" if plan.normalise else "")}
    check_bytes(8 * math.prod(facts["shape"]), f"the map of {facts['shape']} pixels")
    check_bytes(8 * (1 + 2 * trf.ndim) * stops[-1], f"draws={quoted(stops[-1])}: what is kept of each draw",
                "take fewer draws")
    if checkpoint is not None and len(stops) > 1:
        raise ValueError(f"checkpoint={os.fspath(checkpoint)!r}: running estimates cannot be resumed; "
                         "give one number of draws")
    with contextlib.ExitStack() as stack:
        keep, done = None, Saved(entropy)
        if checkpoint is not None:
            keep = stack.enter_context(Checkpoint(checkpoint, fingerprint(net, plan, facts)))
            done = keep.load(entropy)
            if rng is not None and done.entropy != entropy:
                raise ValueError(f"checkpoint={os.fspath(checkpoint)!r}: was begun with rng={quoted(done.entropy)}; "
                                 "give the same, or leave rng out")
            plan = dataclasses.replace(plan, recipe=dataclasses.replace(plan.recipe, entropy=done.entropy))
        found, partial = _collect(plan, stops, until, workers, progress, keep, done)
    own = plan.channel is None and statistic not in ("mean", "relu")
    facts["unit_correlation"] = plan.recipe.unit_channels**-0.5 if own else 1.0
    results = [MeasuredReceptiveField(moments, plan.field, seed=done.entropy,
                                      networks=moments.count if plan.recipe.drawn else 1,
                                      partial=partial and moments is found[-1], **facts) for moments in found]
    return results if is_sequence(draws) else results[-1]


def check_images(images: Any) -> Any:
    images = np.asarray(images)
    if images.dtype.kind not in "fiu" or not 3 <= images.ndim <= 5 or 0 in images.shape:
        raise ValueError(f"images: shape {images.shape} of {images.dtype}; must be real numbers of shape "
                         "(N, channels, *space)")
    if not np.isfinite(images).all():
        raise ValueError("images: must be finite")
    return images


def _stops(plan: Plan, draws: Any, until: float | None) -> list[int]:
    """Numbers of draws after which there is a result to hand out."""
    if until is not None and not real(until, "until") > 0:
        raise ValueError(f"until={quoted(until)}: a relative standard error, must be positive")
    if is_sequence(draws):
        stops = [integer(n, "draws", 1) for n in draws]
        if not stops or sorted(set(stops)) != stops or until is not None:
            raise ValueError(f"draws={quoted(draws)}: several numbers must increase, and go without until=")
    else:
        default = DRAWS if until is None else MOST_DRAWS
        stops = [default if draws is None else integer(draws, "draws", 1)]
    recipe = plan.recipe
    if plan.exact:
        return [1] * len(stops)
    if isinstance(recipe.images, np.ndarray) and not recipe.drawn:  # one network: an image is a draw, and serves once
        most = recipe.images.shape[1] // recipe.inputs[1]
        stops = sorted({min(n, most) for n in stops})
    return stops


def _chunks(start: int, stops: Sequence[int], most: int) -> Iterator[Chunk]:
    """The draws from `start` (the end of a chunk) to ``stops[-1]`` in chunks of 30, 60, 120, ..., at most `most` draws.

    Where chunks end does not depend on `start` or `stops`; but the last is cut.
    """
    begin, size = 0, min(LEAST_DRAWS, most)
    while begin < stops[-1]:
        end = min(begin + size, stops[-1])
        if begin >= start:
            yield Chunk(begin, (*(n for n in stops if begin < n < end), end), whole=end == begin + size)
        begin, size = begin + size, min(2 * size, most)


def _collect(plan: Plan, stops: list[int], until: float | None, workers: Workers, progress: Any,
             keep: Checkpoint | None, done: Saved) -> tuple[list[Moments], bool]:
    """Statistics at every one of `stops`, and whether the run was cut short."""
    last = stops[-1]
    if done.all is not None and _enough(done.all, last, until):
        return [done.all], False
    found: list[Moments] = []
    base = done.whole
    chunks, same = itertools.tee(_chunks(0 if base is None else base.count, stops, plan.chunk))
    try:
        with shown(progress, "measuring") as show, in_order(plan.moments, same, workers) as results:
            for chunk, parts in zip(chunks, results):
                merged = parts if base is None else [base.merge(part) for part in parts]
                found += [moments for moments in merged if moments.count in stops]
                done = done._replace(whole=merged[-1] if chunk.whole else base, all=merged[-1])
                base = done.whole
                show(merged[-1].count, last)
                if _enough(merged[-1], last, until):
                    break
                if keep is not None:
                    keep.save(done)
    except KeyboardInterrupt:
        if done.all is None:
            raise
    finally:
        if keep is not None:
            keep.save(done, now=True)
    assert done.all is not None
    found = [moments for moments in found if moments.count < done.all.count] + [done.all]
    return found * (stops.count(1) if plan.exact else 1), not _enough(done.all, last, until)


def _enough(moments: Moments, draws: int, until: float | None) -> bool:
    """Whether these are all the draws that were asked for, or as precise as was asked for."""
    if moments.count >= draws or until is None:
        return moments.count >= draws
    std, error = moments.std()
    return moments.count >= LEAST_DRAWS and bool((error <= until * std).all())
