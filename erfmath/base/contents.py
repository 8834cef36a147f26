"""What files say of themselves, checked: fields of a dict and arrays of an archive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import quoted

__all__ = ["field_of", "numbers_of"]

Array = npt.NDArray[Any]


def field_of(about: Any, name: str, kind: type | tuple[type, ...] = object) -> Any:
    """A field of what a file says of itself, of one of these types.

    Raises
    ------
    ValueError
        Naming the field, if it is missing or something else.
    """
    if not isinstance(about, Mapping) or name not in about:
        raise ValueError(f"{name}: is missing")
    value = about[name]
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if not isinstance(value, kinds) or isinstance(value, bool) and bool not in kinds and object not in kinds:
        raise ValueError(f"{name}={quoted(value)}: must be {' or '.join(k.__name__ for k in kinds)}")
    return value


def numbers_of(arrays: Mapping[str, Array], name: str, shape: tuple[int, ...] | None = None, *, ndim: int | None = None,
               signed: bool = True, finite: bool = True) -> npt.NDArray[np.float64]:
    """An array of a file, as floats.

    Parameters
    ----------
    arrays : mapping of str to ndarray
    name : str
    shape : tuple of int, optional
        That it must have.
    ndim : int, optional
        Number of axes that it must have.
    signed : bool
        Whether values may be negative.
    finite : bool
        Whether all values must be finite.

    Raises
    ------
    ValueError
        Naming the array, if it is missing or something else.

    Examples
    --------
    >>> numbers_of({"map": np.array([1, 2])}, "map", (2,), signed=False).tolist()
    [1.0, 2.0]
    """
    if name not in arrays:
        raise ValueError(f"{name}: is missing")
    values = arrays[name]
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{name}: is of {values.dtype}; must hold real numbers")
    if (shape is not None and values.shape != shape) or (ndim is not None and values.ndim != ndim):
        raise ValueError(f"{name}: has shape {values.shape}, must have "
                         + (f"{ndim} axes" if shape is None else f"shape {shape}"))
    if finite and not np.isfinite(values).all():
        raise ValueError(f"{name}: holds values that are not finite")
    if not signed and (values < 0).any():
        raise ValueError(f"{name}: holds negative values")
    return values.astype(np.float64, copy=False)
