"""Effective receptive fields from input gradients that any framework has computed."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..base.checks import choice, is_sequence, of_field, real, sizes
from ..base.errors import MOST_SITES, check_count, quoted
from ..base.progress import Report, shown
from ..layers.geometry import Box
from ..networks.trf import ReceptiveField, default_unit
from .kinds import KINDS
from .statistics import Moments

if TYPE_CHECKING:
    from .field import EffectiveReceptiveField
    from .measured import MeasuredReceptiveField

__all__ = ["BORDER", "STATISTICS", "from_gradients", "reaches_border"]
__dir__ = __all__.copy  # tab completion offers public names only

Array = npt.NDArray[np.float64]

#: A map reaches the border where its mean over a face of the image is above this part of its overall mean.
BORDER = 0.05
#: Bytes of the samples that are worked on at a time, as float64.
CHUNK_BYTES = 2**25
#: Sample numbers that an error message names at most.
NAMED = 10

# What becomes of the gradients g of a sample before they are summed over its channels.
_OF: dict[str, Callable[[Array], Array]] = {
    "power": np.square, "magnitude": np.abs, "relu": lambda g: np.maximum(g, 0), "signed": lambda g: g}
STATISTICS = tuple(_OF)


def from_gradients(grads: Any, *, statistic: str = "power", unit_center: Any = None, trf: Any = None,
                   unit: Any = None, normalise: str | None = None,
                   channels: str = "first", progress: Report = None) -> MeasuredReceptiveField:
    """The effective receptive field of a unit from its gradients with respect to input images.

    Also to be had as ``EffectiveReceptiveField.from_gradients``.

    Parameters
    ----------
    grads : array_like
        Gradients ``(samples, channels, *space)``, in 1 to 3 dimensions: anything that `numpy.asarray`
        takes, memory maps included.
    statistic : {"power", "magnitude", "relu", "signed"}
        Mean over the samples of g^2, abs(g), max(g, 0) or g itself, summed over channels.  "signed"
        is what results call "mean"; it is for gradients that do not cancel.
    unit_center : float or sequence of float, optional
        TRF centre of the unit in input pixels, from 0.  By default that of `unit`; without either the
        middle of the image, (n - 1) / 2.
    trf : ReceptiveField, int or tuple of int, optional
        Theoretical receptive field of the unit's node, or its size in pixels.  Without it `ratio`
        and a comparison with theory are refused, all else works.
    unit : int or tuple of int, optional
        Site of the unit, where `trf` is a ReceptiveField.  By default that of
        ``output[:, :, h // 2, w // 2]``; where the field does not know the size of the node's map,
        because it was taken without ``image=``, the unit nearest to the middle of the image.
    normalise : {"sample"}, optional
        Divide the map of each sample by its sum first, so that all samples count equally: another
        statistic, not an approximation of the first.
    channels : {"first", "last"}
        "last" for ``(samples, *space, channels)``, as TensorFlow and JAX have it.
    progress : bool or callable, optional
        True for a bar on stderr, or a function that is called with the number of samples done and to do.

    Returns
    -------
    MeasuredReceptiveField
        With standard errors over the samples.  They say how well the samples determine the mean over
        such samples: images of one network tell nothing of other networks.

    Raises
    ------
    ValueError
        For gradients that are not finite, with the numbers of their samples, and for arguments that
        do not fit the gradients or each other.

    Warns
    -----
    UserWarning
        If the map reaches the border of the image: its mean over some face of the image, one pixel
        thick, is above 5 % of its mean over the image.  Sizes are then those of the part inside.
        Also if `grads` looks as if its channels were last.

    See Also
    --------
    reaches_border : The face of the map on which it is largest.

    Examples
    --------
    >>> import numpy as np
    >>> import erfmath as em
    >>> y, x = np.ogrid[-32:33, -32:33]
    >>> grads = np.random.default_rng(0).normal(size=(50, 3, 65, 65)) * np.exp(-(x**2 + y**2) / 100)
    >>> erf = em.EffectiveReceptiveField.from_gradients(grads)
    >>> erf.center, erf.std.round(1).tolist(), erf.std_stderr.round(2).tolist()
    ((32.0, 32.0), [5.0, 5.0], [0.02, 0.01])
    """
    choice(statistic, "statistic", STATISTICS)
    if normalise is not None:
        choice(normalise, "normalise", ("sample",))
        if statistic == "signed":
            raise ValueError("normalise='sample': gradients with their signs may sum to zero; take another statistic")
    array = _samples(grads, channels)
    image = array.shape[2:]
    where = _place(image, trf, unit_center, unit)
    with shown(progress, "gradients") as show:
        moments = _moments(array, _OF[statistic], normalise is not None, show)
    erf: MeasuredReceptiveField = KINDS["measured"](
        moments, Box((0,) * len(image), tuple(n - 1 for n in image)), seed=None,
        statistic="mean" if statistic == "signed" else statistic, origin=(0,) * len(image), shape=image, image=image,
        method=f"gradients of {len(array)} samples" + (", each normalised" if normalise else ""), **where)
    face, part = reaches_border(erf)
    if part > BORDER:
        warnings.warn(f"grads: the map reaches the border of the image: its mean over {face} is {part:.0%} of that "
                      f"over the image, more than {BORDER:.0%}; sizes are those of the part inside", stacklevel=3)
    return erf


@of_field
def reaches_border(erf: EffectiveReceptiveField) -> tuple[str, float]:
    """The face of the map on which it is largest, and its mean there over its overall mean.

    A face is the pixels of one end of an axis; means are of the absolute values.

    Parameters
    ----------
    erf : EffectiveReceptiveField
        With a map that covers the image, as `from_gradients` returns it.

    Returns
    -------
    face : str
        In words; "no face" for a map of zeros.
    part : float
        `from_gradients` warns above `BORDER`.

    See Also
    --------
    from_gradients : A result from an array of gradients.

    Examples
    --------
    >>> import numpy as np
    >>> import erfmath as em
    >>> erf = em.EffectiveReceptiveField(np.diag([0., 1, 3]), origin=(0, 0), unit=(), trf=None, center=(1, 1))
    >>> face, part = em.gradients.reaches_border(erf)
    >>> face, round(part, 9)                                               # 3 in 3 pixels over 4 in 9
    ('the last pixels of axis 0', 2.25)
    """
    map = np.abs(erf.map)
    overall = map.mean()
    if overall == 0:
        return "no face", 0.0
    faces = {f"the {end} pixels of axis {axis}": float(map.take(i, axis).mean() / overall)
             for axis in range(map.ndim) for i, end in ((0, "first"), (-1, "last"))}
    return max(faces.items(), key=lambda face: face[1])


# ---------------------------------------------------------------------------------------------
# samples
# ---------------------------------------------------------------------------------------------

def _samples(grads: Any, channels: str) -> npt.NDArray[Any]:
    """`grads` as an array of real numbers, ``(samples, channels, *space)``."""
    choice(channels, "channels", ("first", "last"))
    try:
        array = np.asarray(grads)
        if array.dtype.kind == "V":  # bfloat16, as JAX hands it out
            array = array.astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"grads: NumPy cannot read them ({error}); give one array, of a tensor "
                         "its .detach().cpu().numpy()") from None
    if array.dtype.kind not in "fiu" or not 3 <= array.ndim <= 5 or 0 in array.shape:
        raise ValueError(f"grads: shape {array.shape} of {array.dtype}; must be real numbers of shape "
                         "(samples, channels, *space), in 1 to 3 dimensions")
    if channels == "last":
        return np.moveaxis(array, -1, 1)
    if array.ndim > 3 and array.shape[-1] <= 4 < min(array.shape[1:-1]):
        warnings.warn(f"grads: shape {array.shape} was taken for (samples, channels, *space); if the last axis is "
                      'that of the channels, say channels="last"', stacklevel=4)
    return array


def _moments(array: npt.NDArray[Any], of: Callable[[Array], Array], normalise: bool,
             show: Callable[[int, int], Any]) -> Moments:
    """Statistics of the samples' maps, in parts; refuses what is not finite."""
    chunk = max(1, CHUNK_BYTES // (8 * math.prod(array.shape[1:])))
    total: Moments | None = None
    bad: list[int] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for start in range(0, len(array), chunk):
            show(start, len(array))
            part = array[start:start + chunk].astype(np.float64)
            maps = of(part).sum(axis=1)
            finite = np.isfinite(part).reshape(len(part), -1).all(axis=1)  # -inf is 0 to "relu"
            finite &= np.isfinite(maps).reshape(len(part), -1).all(axis=1)
            bad += [start + int(i) for i in np.flatnonzero(~finite)]
            if bad:
                continue
            if normalise:
                sums = maps.reshape(len(maps), -1).sum(axis=1).reshape(-1, *(1,) * (maps.ndim - 1))
                maps = np.divide(maps, sums, out=np.zeros_like(maps), where=sums != 0)
            moments = Moments.of(maps)
            total = moments if total is None else total.merge(moments)
    if bad:
        named = ", ".join(map(str, bad[:NAMED])) + (", ..." if len(bad) > NAMED else "")
        raise ValueError(f"grads: not finite in {len(bad)} of {len(array)} samples, counted from 0: {named}; leave "
                         "them out, or find out why the network overflows there")
    assert total is not None
    return total


# ---------------------------------------------------------------------------------------------
# the centre
# ---------------------------------------------------------------------------------------------

def _place(image: tuple[int, ...], trf: Any, unit_center: Any, unit: Any) -> dict[str, Any]:
    """The arguments `unit`, `trf` and `center` of the result."""
    ndim = len(image)
    middle = tuple((n - 1) / 2 for n in image)
    center = None
    if unit_center is not None:
        values = tuple(unit_center) if is_sequence(unit_center) else (unit_center,) * ndim
        if len(values) != ndim:
            raise ValueError(f"unit_center={quoted(unit_center)}: must have {ndim} values, one per axis of the images")
        center = tuple(real(c, "unit_center") for c in values)
        if not all(-0.5 <= c <= n - 0.5 for c, n in zip(center, image)):
            raise ValueError(f"unit_center={quoted(center)}: lies outside the images of {image} pixels")
    if isinstance(trf, ReceptiveField):
        return _of_field(image, trf, center, middle, unit)
    if unit is not None:
        raise ValueError(f"unit={quoted(unit)}: says where only with a ReceptiveField as trf=; give unit_center, in "
                         "pixels")
    center = middle if center is None else center
    if trf is None:
        return {"unit": (), "trf": None, "center": center}
    extent = sizes(trf, "trf", 1)
    check_count(extent if isinstance(extent, int) else max(extent), MOST_SITES, f"trf={quoted(trf)}")
    extents = (extent,) * ndim if isinstance(extent, int) else extent
    if len(extents) != ndim:
        raise ValueError(f"trf={quoted(trf)}: must have {ndim} values, one per axis of the images")
    first = [c - (r - 1) / 2 for c, r in zip(center, extents)]
    if not all(x.is_integer() for x in first):
        raise ValueError(f"trf={quoted(trf)}: a window of so many pixels about {center} would not begin on a pixel; "
                         "give unit_center, a whole number where the size is odd and a half where it is even")
    windows = [{"shift": 0, "lo": [int(x)], "hi": [int(x) + r - 1], "aligned": True} for x, r in zip(first, extents)]
    return {"unit": (), "trf": ReceptiveField.from_dict(
        {"node": "", "image": image, "shape": None, "padding_known": False, "windows": windows})}


def _of_field(image: tuple[int, ...], trf: ReceptiveField, center: tuple[float, ...] | None,
              middle: tuple[float, ...], unit: Any) -> dict[str, Any]:
    """The same for a known field: the unit given, the middle one, or the one whose centre is given."""
    if trf.ndim != len(image) or trf.image not in (None, image):
        raise ValueError(f"trf: is of images of {trf.ndim} axes, size {trf.image}; the gradients have {image}")
    if unit is not None or (center is None and trf.shape is not None):
        place = default_unit(trf.shape, trf.ndim, unit)
    else:
        zero = trf.center(0)
        place = tuple(math.floor((c - z) / float(s) + 0.5) if s else 0
                      for c, z, s in zip(center or middle, zero, trf.stride))
    there = trf.center(place)
    if center is not None and not np.allclose(there, center, rtol=0, atol=1e-6):
        raise ValueError(f"unit_center={quoted(center)}: unit {place} is centred at {there}; give that, or only unit=")
    return {"unit": place, "trf": trf}
