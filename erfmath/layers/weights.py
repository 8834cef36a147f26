"""Weight specifications: how a convolution's weights are drawn, or what they are."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Union

import numpy as np
import numpy.typing as npt

from ..base.checks import DIMENSIONS, choice, real
from ..base.errors import quoted

__all__ = ["Constant", "Fixed", "Random", "Weights"]


@dataclass(frozen=True, eq=False)
class _FrozenArray:
    """Base of specs that hold an array: read-only, compared and hashed by value."""

    def _key(self) -> tuple[Any, ...]:
        values = (getattr(self, f.name) for f in dataclasses.fields(self))
        return tuple((v.shape, v.tobytes()) if isinstance(v, np.ndarray) else v for v in values)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, _FrozenArray) and type(other) is type(self)
                                 and self._key() == other._key())

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._key()))


def _frozen(value: Any, name: str) -> npt.NDArray[np.float64]:
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "iufO":  # NumPy would read strings, and drop imaginary parts
            raise TypeError
        array = np.array(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: must be an array of finite real numbers") from None
    if array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"{name}: must hold finite numbers, at least one")
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class Random(_FrozenArray):
    """Independent zero-mean weights of variance gain / fan (equations 15 and 17).

    Parameters
    ----------
    gain : float
        Variance gain sigma^2: 2 is He's initialisation for ReLU, 1 keeps the power of linear nets.
    fan : {"in", "out", "average"}
        Fan-in prod(k) c_in / groups (transposed: c_in prod(k / s) / groups), fan-out with c_out, or their mean.
    profile : array_like, optional
        Multiplies the variance per tap, normalised to mean 1.  1-D: the same on every axis
        (separable); otherwise one value per tap.
    law : {"normal", "uniform"}
        What sampling draws from; the theory depends on the variance only.

    Raises
    ------
    ValueError
        If the gain is not positive, a word unknown, or the profile no array of variances.

    See Also
    --------
    Constant : All weights 1 / (prod(k) c_in / groups).
    Fixed : Given weights.

    Examples
    --------
    >>> import erfmath as em
    >>> rim = em.Random(profile=[2, 1, 2])
    >>> [line.tolist() for line in rim.variances((3,))]
    [[0.4, 0.2, 0.4]]
    >>> round(float(em.predict(em.serial(em.Conv(3, weights=rim)), ndim=1).std[0])**2, 3)
    0.8
    """

    random: ClassVar[bool] = True
    gain: float = 2.0
    fan: Literal["in", "out", "average"] = "in"
    profile: Any = None
    law: Literal["normal", "uniform"] = "normal"

    def __post_init__(self) -> None:
        if isinstance(self.gain, str):
            raise ValueError(f"gain={quoted(self.gain)}: must be a real number; initialisers by their names are "
                             "Random.like(name)")
        object.__setattr__(self, "gain", real(self.gain, "gain"))
        if self.gain <= 0:
            raise ValueError(f"gain={quoted(self.gain)}: must be positive")
        choice(self.fan, "fan", ("in", "out", "average"))
        choice(self.law, "law", ("normal", "uniform"))
        if self.profile is not None:
            profile = _frozen(self.profile, "profile")
            if profile.ndim not in DIMENSIONS or profile.min() < 0 or profile.sum() == 0:
                raise ValueError("profile: variances per tap in 1 to 3 dimensions, not negative, "
                                 "not all zero")
            object.__setattr__(self, "profile", profile)

    @staticmethod
    def like(name: str) -> Random:
        """The initialiser of a framework, or the one that frameworks call `name`.

        Parameters
        ----------
        name : str
            "torch" or "keras": the default of its convolutions. Or "he_normal", "he_uniform", "glorot_normal",
            "glorot_uniform", "lecun_normal" or "lecun_uniform"; "kaiming" and "xavier" are He and Glorot.

        Returns
        -------
        Random
            Weights of the same variance.

        Raises
        ------
        ValueError
            If there is no such initialiser.

        Notes
        -----
        Biases are zero in Keras; PyTorch draws them with the variance of a weight (``Conv(..., bias="weights")``).
        Of transposed convolutions PyTorch's fan counts the outgoing channels and all taps: ``Random(gain / prod(s),
        fan="out")`` for a stride s. A gain here is the square of what ``torch.nn.init.calculate_gain`` returns.

        Examples
        --------
        >>> import erfmath as em
        >>> em.Random.like("keras").fan, round(em.Random.like("torch").gain, 3)
        ('average', 0.333)
        """
        key = name.lower().replace("kaiming", "he").replace("xavier", "glorot") if isinstance(name, str) else name
        choice(key, "name", tuple(_NAMED), _SLIPS)
        return Random(**_NAMED[key])

    def fan_channels(self, c_in: int, c_out: int) -> float:
        """Channels that the fan counts between `c_in` and `c_out`."""
        return {"in": c_in, "out": c_out, "average": (c_in + c_out) / 2}[self.fan]

    def variances(self, kernel_size: tuple[int, ...]) -> list[npt.NDArray[np.float64]]:
        """Relative variance per tap of a kernel of size `kernel_size`, of sum 1.

        A 1-D array per axis, or one array for all axes.
        """
        if self.profile is None:
            return [np.full(k, 1.0 / k) for k in kernel_size]
        if self.profile.ndim == 1:
            return [self.profile / self.profile.sum() for _ in kernel_size]
        return [self.profile / self.profile.sum()]


#: Initialisers by name; PyTorch's default, `kaiming_uniform_` with a = sqrt(5), has variance 1 / (3 fan-in).
_NAMED: dict[str, dict[str, Any]] = {"torch": {"gain": 1 / 3, "law": "uniform"}}
_NAMED |= {f"{name}_{law}": {"gain": gain, "fan": fan, "law": law}
           for name, gain, fan in (("he", 2.0, "in"), ("glorot", 1.0, "average"), ("lecun", 1.0, "in"))
           for law in ("normal", "uniform")}
_NAMED["keras"] = _NAMED["glorot_uniform"]
_SLIPS = {"tensorflow": "keras", "tf": "keras", "he": "he_normal", "default": "torch", "lecun": "lecun_normal"}


@dataclass(frozen=True)
class Constant:
    """All weights 1 / (prod(k) c_in / groups): the paper's all-ones kernels, normalised.

    A transposed convolution of stride s then divides the sum of a gradient by prod(s).

    See Also
    --------
    Random : Independent zero-mean weights of variance gain / fan.
    Fixed : Given weights.

    Examples
    --------
    >>> import erfmath as em
    >>> erf = em.predict(em.repeat(em.Conv(3, weights=em.Constant()), 2), ndim=1)
    >>> erf.statistic, (9 * erf.map).round(6).tolist()
    ('mean', [1.0, 2.0, 3.0, 2.0, 1.0])
    """

    random: ClassVar[bool] = False


@dataclass(frozen=True, eq=False)
class Fixed(_FrozenArray):
    """Given weights.

    Parameters
    ----------
    array : array_like
        Shape k: the same filter on each channel.  Shape ``(out, in / groups, *k)``: a convolution;
        transposed convolutions take ``(in, out / groups, *k)``.

    Raises
    ------
    ValueError
        If the array is empty, not finite, or has none or more than five axes.

    See Also
    --------
    Random : Independent zero-mean weights of variance gain / fan.
    Constant : All weights 1 / (prod(k) c_in / groups).

    Examples
    --------
    >>> import erfmath as em
    >>> em.predict(em.serial(em.Conv(3, weights=em.Fixed([1, 2, 3]))), ndim=1).map.tolist()
    [1.0, 2.0, 3.0]
    """

    random: ClassVar[bool] = False
    array: Any

    def __post_init__(self) -> None:
        array = _frozen(self.array, "array")
        if not 1 <= array.ndim <= 5:
            raise ValueError(f"array: has {array.ndim} axes; must have shape k or "
                             "(out, in/groups, *k)")
        object.__setattr__(self, "array", array)

    def per_channel(self, ndim: int) -> bool:
        """Whether the array is one filter for every channel, in `ndim` dimensions."""
        return bool(self.array.ndim == ndim)


Weights = Union[Random, Constant, Fixed]
