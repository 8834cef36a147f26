"""Normalisations: by statistics over the batch, over space, over channels or groups of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..base.checks import choice, integer, real
from ..base.errors import quoted
from .base import Layer
from .slips import FOLLOWS

__all__ = ["BatchNorm", "GRN", "GroupNorm", "InstanceNorm", "LayerNorm", "Norm", "RMSNorm"]


#: Inputs from which batch norms take their statistics, where nothing says how many.
BATCH = 8


class Norm(Layer):
    """Shared by all normalisations: statistics of the data, then a scale and a shift per channel.

    At initialisation scales have mean 1 and the variance `scale_var`, shifts mean 0 and `shift_var`.
    """

    follows: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for key in ("scale_var", "shift_var"):
            if hasattr(self, key):
                value = real(getattr(self, key), key)
                if value < 0:
                    raise ValueError(f"{key}={quoted(value)}: must not be negative, it is a variance")
                self._set(**{key: value})
        super().__post_init__()

    @property
    def is_gate(self) -> bool:
        return bool(self.statistics)

    @property
    def through_statistics(self) -> bool:
        return bool(self.statistics)

    def parameters(self, c_in: int, c_out: int, ndim: int, biases: bool = False) -> int:
        return 2 * c_out

    def multiply_adds(self, c_in: int, c_out: int, shape_in: tuple[int, ...], shape_out: tuple[int, ...]) -> int:
        return 0  # not counted, as is usual


@dataclass(frozen=True)
class BatchNorm(Norm):
    """Batch normalisation (equation 40).

    Parameters
    ----------
    mode : {"data", "batch", "identity"}
        By the statistics of the data, which count as constants; by those of the batch, through which
        gradients pass, as in training; or frozen as the identity.
    scale_var, shift_var : float
        Variances of the scales about 1 and of the shifts about 0, at initialisation.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the mode is unknown, or a variance negative.

    See Also
    --------
    LayerNorm : Normalisation over the channels of each site, as ConvNeXt uses it.
    RMSNorm : Division by the root mean square over the channels of each site.

    Examples
    --------
    >>> import erfmath as em
    >>> loud = em.Conv(3, weights=em.Random(gain=100))
    >>> round(em.predict(em.serial(loud, em.BatchNorm())).total, 6)
    1.0
    """

    op: ClassVar[str] = "batch_norm"
    takes_norm: ClassVar[bool] = True
    mode: Literal["data", "batch", "identity"] = "data"
    scale_var: float = field(default=0.0, kw_only=True)
    shift_var: float = field(default=0.0, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if isinstance(self.mode, int):  # BatchNorm(64)
            raise ValueError(f"mode={quoted(self.mode)}: must be 'data', 'batch' or 'identity'; {FOLLOWS}")
        choice(self.mode, "mode", ("data", "batch", "identity"))
        super().__post_init__()

    @property
    def is_identity(self) -> bool:
        return self.mode == "identity" and not (self.scale_var or self.shift_var)

    @property
    def statistics(self) -> tuple[str, ...]:
        return () if self.mode == "identity" else ("batch", "space")

    @property
    def through_statistics(self) -> bool:
        return self.mode == "batch"


@dataclass(frozen=True)
class LayerNorm(Norm):
    """Normalisation over the channels of each site, as ConvNeXt uses it (equation 41).

    Parameters
    ----------
    scale_var, shift_var : float
        Variances of the scales about 1 and of the shifts about 0, at initialisation.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If a variance is negative.

    See Also
    --------
    BatchNorm : Batch normalisation (equation 40).
    RMSNorm : Division by the root mean square over the channels of each site.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(7, groups="depthwise"), em.LayerNorm()).names
    ('conv1', 'layer_norm1')
    """

    op: ClassVar[str] = "layer_norm"
    scale_var: float = field(default=0.0, kw_only=True)
    shift_var: float = field(default=0.0, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("channels",)


@dataclass(frozen=True)
class RMSNorm(Norm):
    """Division by the root mean square over the channels of each site; no mean is taken off, and no shift added.

    Parameters
    ----------
    scale_var : float
        Variance of the scales about 1, at initialisation.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If a variance is negative.

    See Also
    --------
    LayerNorm : Normalisation over the channels of each site, as ConvNeXt uses it.
    GroupNorm : Normalisation over all sites and the channels of a group, image by image.

    References
    ----------
    Zhang and Sennrich, Root mean square layer normalization, 2019.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(3, 8), em.RMSNorm()).names
    ('conv1', 'rms_norm1')
    """

    op: ClassVar[str] = "rms_norm"
    scale_var: float = field(default=0.0, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("channels",)

    def parameters(self, c_in: int, c_out: int, ndim: int, biases: bool = False) -> int:
        return c_out


@dataclass(frozen=True)
class GroupNorm(Norm):
    """Normalisation over all sites and the channels of a group, image by image.

    Parameters
    ----------
    groups : int
        Groups of channels; must divide them.  1 takes all channels together.
    scale_var, shift_var : float
        Variances of the scales about 1 and of the shifts about 0, at initialisation.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the groups do not divide the channels, or a variance is negative.

    See Also
    --------
    RMSNorm : Division by the root mean square over the channels of each site.
    InstanceNorm : Normalisation over the sites of each channel, image by image.

    References
    ----------
    Wu and He, Group normalization, 2018.

    Examples
    --------
    >>> import erfmath as em
    >>> em.GroupNorm(4).statistics, em.GroupNorm(4).group_count(32, ndim=2)
    (('channels', 'space'), 4)
    """

    op: ClassVar[str] = "group_norm"
    groups: int
    scale_var: float = field(default=0.0, kw_only=True)
    shift_var: float = field(default=0.0, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(groups=integer(self.groups, "groups", 1))
        super().__post_init__()

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("channels", "space")

    def out_channels(self, c_in: int | None, width: int | None, ndim: int | None) -> int | None:
        if c_in is not None and c_in % self.groups:
            raise ValueError(f"groups={quoted(self.groups)}: must divide the {c_in} incoming channels")
        return c_in

    def group_count(self, c_in: int, ndim: int) -> int:
        return self.groups


@dataclass(frozen=True)
class InstanceNorm(Norm):
    """Normalisation over the sites of each channel, image by image.

    Parameters
    ----------
    scale_var, shift_var : float
        Variances of the scales about 1 and of the shifts about 0, at initialisation; without either it
        has no parameters.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If a variance is negative.

    See Also
    --------
    GroupNorm : Normalisation over all sites and the channels of a group, image by image.
    GRN : Global response normalisation of ConvNeXt V2.

    References
    ----------
    Ulyanov, Vedaldi and Lempitsky, Instance normalization: the missing ingredient for fast stylization, 2016.

    Examples
    --------
    >>> import erfmath as em
    >>> em.InstanceNorm().statistics, em.InstanceNorm().mixes_channels
    (('space',), False)
    """

    op: ClassVar[str] = "instance_norm"
    scale_var: float = field(default=0.0, kw_only=True)
    shift_var: float = field(default=0.0, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("space",)

    def parameters(self, c_in: int, c_out: int, ndim: int, biases: bool = False) -> int:
        return 2 * c_out if self.scale_var or self.shift_var else 0


@dataclass(frozen=True)
class GRN(Norm):
    """Global response normalisation of ConvNeXt V2: y = x + gamma x N(x) + beta.

    N(x) of a channel is its Euclidean norm over all sites, divided by the mean of these norms over channels.

    Parameters
    ----------
    gamma, beta : float
        One number for all channels; with both 0, as at initialisation, it is the identity.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If a number is not finite.

    See Also
    --------
    InstanceNorm : Normalisation over the sites of each channel, image by image.
    GroupNorm : Normalisation over all sites and the channels of a group, image by image.

    References
    ----------
    Woo et al., ConvNeXt V2: co-designing and scaling ConvNets with masked autoencoders, 2023.

    Examples
    --------
    >>> import erfmath as em
    >>> em.GRN().is_identity, em.GRN(gamma=1.0).statistics
    (True, ('channels', 'space'))
    """

    op: ClassVar[str] = "grn"
    gamma: float = 0.0
    beta: float = 0.0
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(gamma=real(self.gamma, "gamma"), beta=real(self.beta, "beta"))
        super().__post_init__()

    @property
    def is_identity(self) -> bool:
        return self.gamma == self.beta == 0

    @property
    def statistics(self) -> tuple[str, ...]:
        return ("channels", "space") if self.gamma else ()
