"""Layer specifications: what a layer is, without arrays, without a place in a network.

Every layer is a frozen dataclass.  One int for a size, stride or dilation stands for all axes and
leaves the dimension of the network open; a tuple gives one value per axis and fixes it.  Layers with
a window are in `windowed`; here are those that act site by site, and those where branches meet.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from .checks import Padding, choice, padding_rule, real
from .geometry import AxisGeometry
from .specs import Layer, Windowed, open_dimensions, pairs
from .weights import Constant, Fixed, Random
from .windowed import AvgPool, BlurPool, Conv, ConvTranspose, GlobalAvgPool, MaxPool, Upsample

__all__ = ["Activation", "Add", "AvgPool", "BatchNorm", "BlurPool", "Concat", "Constant", "Conv",
           "ConvTranspose", "Dropout", "FUNCTIONS", "Fixed", "GlobalAvgPool", "Identity", "Layer",
           "LayerNorm", "MaxPool", "Pad", "Random", "Scale", "Upsample", "Windowed"]

FUNCTIONS = ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus", "identity")


# ---------------------------------------------------------------------------------------------
# site by site
# ---------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Activation(Layer):
    """A nonlinearity at each site; equations 35 and 36 say what it does to powers.

    Parameters
    ----------
    function : str
        "relu", "leaky_relu", "tanh", "sigmoid", "gelu", "silu", "elu", "softplus" or "identity".
    slope : float
        Of "leaky_relu" below zero.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If there is no such function, or the slope is not a finite number.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(3), em.Activation("gelu")).names
    ('conv1', 'gelu1')
    """

    op: ClassVar[str] = "activation"
    function: str
    slope: float = field(default=0.01, kw_only=True)
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        choice(self.function, "function", FUNCTIONS)
        self._set(slope=real(self.slope, "slope"))
        super().__post_init__()

    @property
    def kind(self) -> str:
        return self.function


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Batch normalisation, scale 1 and shift 0 (equation 40).

    Parameters
    ----------
    mode : {"data", "identity"}
        By the statistics of the data, or frozen as the identity.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the mode is unknown.

    Examples
    --------
    >>> import erfmath as em
    >>> loud = em.Conv(3, weights=em.Random(gain=100))
    >>> round(em.predict(em.serial(loud, em.BatchNorm())).total, 6)
    1.0
    """

    op: ClassVar[str] = "batch_norm"
    mode: Literal["data", "identity"] = "data"
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        choice(self.mode, "mode", ("data", "identity"))
        super().__post_init__()


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalisation over the channels of each site, as ConvNeXt uses it (equation 41).

    Parameters
    ----------
    name : str, optional
        Name of the node.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(7, groups="depthwise"), em.LayerNorm()).names
    ('conv1', 'layer_norm1')
    """

    op: ClassVar[str] = "layer_norm"
    name: str | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class Scale(Layer):
    """Multiplication by a constant, as LayerScale at initialisation.

    Parameters
    ----------
    factor : float
        What values and gradients are multiplied by.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If the factor is not a finite number.

    Examples
    --------
    >>> import erfmath as em
    >>> em.predict(em.serial(em.Scale(0.5), em.Conv(1, weights=em.Random(gain=1)))).total
    0.25
    """

    op: ClassVar[str] = "scale"
    factor: float
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(factor=real(self.factor, "factor"))
        super().__post_init__()


@dataclass(frozen=True)
class Dropout(Layer):
    """Inverted dropout: values are dropped with probability `p`, kept ones divided by 1 - p.

    Parameters
    ----------
    p : float
        At least 0 and below 1.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If `p` is out of range.

    Examples
    --------
    >>> import erfmath as em
    >>> em.predict(em.serial(em.Conv(1, weights=em.Random(gain=1)), em.Dropout(0.5))).total
    2.0
    """

    op: ClassVar[str] = "dropout"
    p: float
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(p=real(self.p, "p"))
        if not 0 <= self.p < 1:
            raise ValueError(f"p={self.p!r}: must be at least 0 and below 1")
        super().__post_init__()


@dataclass(frozen=True)
class Pad(Layer):
    """Zero padding; negative values crop.

    Parameters
    ----------
    padding : int, pair, or pairs per axis
        Sites added on both sides, (before, after) on every axis, or one such pair per axis.
    name : str, optional
        Name of the node.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Pad((1, -2))).shapes(image=8)
    {'pad1': (7, 7)}
    """

    op: ClassVar[str] = "pad"
    padding: Padding
    name: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._set(padding=padding_rule(self.padding, (), None))
        super().__post_init__()

    def dimensions(self) -> frozenset[int]:
        return open_dimensions(pairs(self.padding))

    def geometry(self, ndim: int) -> tuple[AxisGeometry, ...]:
        flat: Any = (self.padding, self.padding) if isinstance(self.padding, int) else self.padding
        return tuple(AxisGeometry(padding=pair) for pair in pairs(self.padding) or (flat,) * ndim)


@dataclass(frozen=True)
class Identity(Layer):
    """Passes its input on: a branch that skips, or a place with a name.

    Parameters
    ----------
    name : str, optional
        Name of the node.

    Examples
    --------
    >>> import erfmath as em
    >>> em.serial(em.Conv(3), em.Identity("here"), em.Conv(3)).names
    ('conv1', 'here', 'conv2')
    """

    op: ClassVar[str] = "identity"
    name: str | None = None


# ---------------------------------------------------------------------------------------------
# where branches meet
# ---------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Add(Layer):
    """Sum of several inputs of the same shape: what `add` and `residual` put into a network.

    Parameters
    ----------
    name : str, optional
        Name of the node.

    Examples
    --------
    >>> import erfmath as em
    >>> em.residual(em.Conv(3)).nodes[-1]
    Node(name='add1', layer=Add(name=None), inputs=('input', 'conv1'))
    """

    op: ClassVar[str] = "add"
    many_inputs: ClassVar[bool] = True
    name: str | None = None


@dataclass(frozen=True)
class Concat(Layer):
    """Several inputs side by side along the channels: what `concat` puts into a network.

    Parameters
    ----------
    name : str, optional
        Name of the node.

    Examples
    --------
    >>> import erfmath as em
    >>> em.concat(em.Conv(1, 8), em.Conv(3, 16)).channels()
    {'conv1': 8, 'conv2': 16, 'concat1': 24}
    """

    op: ClassVar[str] = "concat"
    many_inputs: ClassVar[bool] = True
    name: str | None = None
